"""What an archipelago on a GPU leaves to the processor: workers breed and write, one process joins what they hand over.

Measured with an evaluation that takes no time, so that it needs no card.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from islands.__main__ import evolve_batch, island_of
from islands.compiling import one_compiles_for_all
from islands.config import Config
from islands.genome.population import Array, Genomes
from islands.loop import Island
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
        self.plays: list[tuple[int, float, float]] = []  # how many genomes, from when to when

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """A normal score and behaviour for every episode."""
        began, count = time.perf_counter(), len(items)
        score, behaviour = self._draw.normal(size=count), self._draw.normal(size=(count, 4))
        played = Played(
            score.astype(np.float32), np.zeros(count, np.uint8), np.ones(count, np.int32), behaviour.astype(np.float32)
        )
        self.plays.append((genomes.count, began, time.perf_counter()))
        return played


def measure(quick: bool) -> list[dict[str, Any]]:
    """A row a preset, number of islands and number of workers."""
    cores = len(os.sched_getaffinity(0))
    rows = []
    for preset in PRESETS:
        for islands in ISLANDS[: 1 if quick else 2]:
            for workers in sorted({1, cores}):
                rows.append(of(preset, islands, workers))
                print(preset, rows[-1], file=sys.stderr)
    return rows


def of(preset: str, islands: int, workers: int) -> dict[str, Any]:
    """Seconds from the end of one evaluation to the next: of most generations, and of those with a migration.

    `cpu`: of all processes, a generation, migrations included.
    """
    config = presets.resolve(preset, ["evaluation.stop_when_solved=false"])
    every = config.migration.every
    config = replace(config, generations=WARM_UP + PERIODS * every + 1)
    with tempfile.TemporaryDirectory(prefix="evolab-host-") as folder:
        task = Instant(make(config))
        archipelago = islands_of(Path(folder), preset, config, islands, workers, task)
        one_compiles_for_all(config, task)
        before = os.times()
        whole = replace(config, device="cuda")  # plays a generation at once; the task does not look
        code = evolve_batch(whole, task, archipelago, lambda: False, workers)
        after = os.times()
    if code:
        raise RuntimeError(f"exit code {code}")
    plays = [play for play in task.plays if play[0] == islands * config.population]
    gaps = [following[1] - last[2] for last, following in pairwise(plays)]  # the first of them leads to generation 1
    # generation g is reached with the migration of g - 1
    migrating = [gap for g, gap in enumerate(gaps, 1) if g > WARM_UP and (g - 1) % every == 0]
    others = [gap for g, gap in enumerate(gaps, 1) if g > WARM_UP and (g - 1) % every]
    return {
        "preset": preset, "islands": islands, "workers": workers, "every": every,
        "usual": statistics.median(others), "migrating": statistics.median(migrating),
        "cpu": sum(after[:4]) - sum(before[:4]), "generations": config.generations,
    }  # fmt: skip


def islands_of(folder: Path, preset: str, config: Config, islands: int, threads: int, task: Any) -> list[Island]:
    """Islands of one process in a run of their own."""
    names = tuple((f"island-{index:03}", config.seed) for index in range(islands))
    plan = run.Plan("launch", preset, names, True, threads, folder / "pool")
    place = run.make(folder / "run", config, plan)
    made = place.read_plan()
    return [island_of(place, made, entry, config, task.layout, {}) for entry in made["islands"]]


def section(rows: list[dict[str, Any]]) -> str:
    """The Markdown of these figures."""
    every = {row["every"] for row in rows}
    return "\n\n".join([
        "All islands as `evolab launch --device cuda` has them, populations of the preset, files and all, with scores"
        " that are drawn at once instead of evaluated: parents, crossover, mutation, species, statistics, digests,"
        " logs, checkpoints, and, where there are several workers, the genomes of all handed over and joined to one"
        f" batch. Medians; a migration comes every {' or '.join(map(str, every))} generations. The card's own time"
        " comes on top.",
        table(
            (
                "preset", "islands", "workers", "between two evaluations, s", "with a migration, s",
                "an island's share, ms of CPU",
            ),
            (
                (
                    f"`{row['preset']}`", str(row["islands"]), str(row["workers"]), short(row["usual"]),
                    short(row["migrating"]), short(1e3 * row["cpu"] / row["islands"] / row["generations"]),
                )
                for row in rows
            ),
        ),
        _gain(rows),
    ])  # fmt: skip


def _gain(rows: list[dict[str, Any]]) -> str:
    """What so many workers save."""
    one = {(row["preset"], row["islands"]): row["usual"] for row in rows if row["workers"] == 1}
    told = [
        f"{one[row['preset'], row['islands']] / row['usual']:.2f} (`{row['preset']}`, {row['islands']} islands)"
        for row in rows
        if row["workers"] > 1
    ]
    most = max(row["workers"] for row in rows)
    return f"{most} workers are faster than one process by a factor of {', '.join(told)}." if told else ""
