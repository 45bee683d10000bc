"""What the one process of an archipelago on a GPU does beside evaluating: it breeds and writes for all islands.

Measured with an evaluation that takes no time, so that it needs no card.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from islands.__main__ import island_of
from islands.config import Config
from islands.genome.population import Array, Genomes
from islands.loop import Evolution
from islands.tasks import Played, Task, make
from launcher import presets, run
from scripts.benchmarks.pieces import short, table

TITLE = "What an archipelago on a GPU leaves to the processor"
PRESETS = ("neat_baseline", "cartpole")
ISLANDS = (16, 128)
WARM_UP, PERIODS = 2, 2
"""Generations before the clock counts; migrations that are seen."""


class Instant:
    """A task whose episodes are over at once, their scores drawn."""

    def __init__(self, task: Task) -> None:
        self._task, self._draw = task, np.random.default_rng(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """A normal score and behaviour for every episode."""
        count = len(items)
        score, behaviour = self._draw.normal(size=count), self._draw.normal(size=(count, 4))
        return Played(
            score.astype(np.float32), np.zeros(count, np.uint8), np.ones(count, np.int32), behaviour.astype(np.float32)
        )


def measure(quick: bool) -> list[dict[str, Any]]:
    """A row a preset, number of islands and number of threads."""
    cores = len(os.sched_getaffinity(0))
    rows = []
    for preset in PRESETS:
        for islands in ISLANDS[: 1 if quick else 2]:
            for threads in sorted({1, cores}):
                rows.append(of(preset, islands, threads))
                print(preset, rows[-1], file=sys.stderr)
    return rows


def of(preset: str, islands: int, threads: int) -> dict[str, Any]:
    """Seconds of the wall and of CPU of a generation without evaluation: most of them, and those with a migration."""
    config = presets.resolve(preset, ["generations=1000000", "evaluation.stop_when_solved=false"])
    every = config.migration.every
    noted: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="evolab-host-") as folder:
        evolution = archipelago(Path(folder), preset, config, islands, threads)
        for _ in range(WARM_UP + PERIODS * every):
            began, cpu = time.perf_counter(), time.process_time()
            evolution.advance(evolution.islands)
            evolution.record_all(evolution.islands)
            noted.append((time.perf_counter() - began, time.process_time() - cpu))
    # generation g is reached with the migration of g - 1
    migrating = [each for g, each in enumerate(noted) if g > WARM_UP and (g - 1) % every == 0]
    others = [each for g, each in enumerate(noted) if g > WARM_UP and (g - 1) % every]
    return {
        "preset": preset, "islands": islands, "threads": threads, "every": every,
        **{f"{name} {kind}": statistics.median(each[i] for each in found)
           for name, found in (("usual", others), ("migrating", migrating)) for i, kind in enumerate(("wall", "cpu"))},
    }  # fmt: skip


def archipelago(folder: Path, preset: str, config: Config, islands: int, threads: int) -> Evolution:
    """Islands of one process in a run of their own."""
    names = tuple((f"island-{index:03}", config.seed) for index in range(islands))
    plan = run.Plan("launch", preset, names, True, threads, folder / "pool")
    place = run.make(folder / "run", config, plan)
    task = make(config)
    made = place.read_plan()
    each = [island_of(place, made, entry, config, task.layout, {}) for entry in made["islands"]]
    return Evolution(config, Instant(task), each, lambda: False, threads)


def section(rows: list[dict[str, Any]]) -> str:
    """The Markdown of these figures."""
    every = {row["every"] for row in rows}
    return "\n\n".join([
        "All islands in one process as `evolab launch --device cuda` has them, populations of the preset, files and"
        " all, with scores that are drawn at once instead of evaluated: parents, crossover, mutation, species,"
        f" statistics, digests, logs, checkpoints. Medians; a migration comes every {' or '.join(map(str, every))}"
        " generations. *Threads* share the islands out; what Python does between kernels only one of them does at a"
        " time.",
        table(
            (
                "preset", "islands", "threads", "a generation, s wall · CPU", "an island's share, ms of CPU",
                "a generation with a migration, s wall · CPU",
            ),
            (
                (
                    f"`{row['preset']}`", str(row["islands"]), str(row["threads"]),
                    f"{short(row['usual wall'])} · {short(row['usual cpu'])}",
                    short(1e3 * row["usual cpu"] / row["islands"]),
                    f"{short(row['migrating wall'])} · {short(row['migrating cpu'])}",
                )
                for row in rows
            ),
        ),
    ])  # fmt: skip
