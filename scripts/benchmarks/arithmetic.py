"""How near pellets comes to what the core can do: operations and bytes of a creature's step beside the core's peak."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from scripts.benchmarks.pieces import ONE_THREAD, ROOT, short, table

TITLE = "The arithmetic of pellets"
PRESETS = ("pure_baseline", "neat_baseline", "hybrid_baseline")
ROUNDS = 5
POPULATION = 500
LOOPS = 2_000_000
CACHED, FAR = 1 << 12, 1 << 24
"""Float32 numbers of an array that fits the first cache, and of one that fits none."""


def measure(quick: bool) -> dict[str, Any]:
    """In a process of its own, with one thread."""
    command = [sys.executable, "-m", "scripts.benchmarks.arithmetic", str(2 if quick else ROUNDS)]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measured(rounds: int) -> dict[str, Any]:
    """Rounds of peak and evaluations, interleaved: the best of the peak, medians of the rest."""
    from scripts.benchmarks import peak

    subjects = {name: subject(name) for name in PRESETS}
    peaks: dict[str, list[float]] = {"flops": [], "cached": [], "far": []}
    spent: dict[str, list[float]] = {name: [] for name in PRESETS}
    for _ in range(rounds):
        peaks["flops"].append(peak.flops(LOOPS))
        peaks["cached"].append(peak.copied(CACHED, 100_000))
        peaks["far"].append(peak.copied(FAR, 20))
        for name, (play, *_) in subjects.items():
            spent[name].append(seconds(play))
    lines = {}
    for name, (_, steps, flops, moved) in subjects.items():
        lines[name] = {"flops": flops, "bytes": moved, "steps": steps / statistics.median(spent[name])}
    return {"peak": {name: max(told) for name, told in peaks.items()}, "presets": lines}


def subject(preset: str) -> tuple[Callable[[], Any], int, float, float]:
    """A first generation: what plays it, its steps, and a creature's operations and bytes a step (means over steps)."""
    import numpy as np

    from islands.algorithms import breeder_of
    from islands.loop import breeding_of
    from islands.tasks import make
    from launcher import presets
    from scripts.benchmarks.counting import work_of_a_step

    config = presets.resolve(preset, [f"population={POPULATION}"])
    task: Any = make(config)
    genomes = breeder_of(breeding_of(config, task)).first((1, 0, 0)).genomes
    items, keys = np.arange(POPULATION), np.arange(POPULATION, dtype=np.uint64)

    def play() -> Any:
        return task.play(genomes, items, keys)

    steps = play().steps
    tables = (genomes.body_start, genomes.muscle_start, genomes.node_start, genomes.conn_start)
    sizes = np.stack([np.diff(start) for start in tables], axis=1)
    work = np.array([work_of_a_step(*row, task.layout, task.parameters) for row in sizes.tolist()])
    flops, moved = np.average(work, axis=0, weights=steps)
    return play, int(steps.sum()), float(flops), float(moved)


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    peak = found["peak"]
    rows = []
    for name, one in found["presets"].items():
        rate, moved = one["flops"] * one["steps"], one["bytes"] * one["steps"]
        rows.append((
            f"`{name}`", short(one["flops"]), short(one["bytes"]), f"{one['flops'] / one['bytes']:.2f}",
            short(one["steps"]), f"{rate / 1e9:.1f}", f"{rate / peak['flops']:.0%}", f"{moved / 1e9:.0f}",
            f"{moved / peak['cached']:.0%}",
        ))  # fmt: skip
    header = (
        "preset", "operations a creature's step", "bytes", "operations a byte", "steps/s of CPU", "10⁹ operations/s",
        "of the peak", "10⁹ bytes/s", "of the first cache's",
    )  # fmt: skip
    return "\n\n".join([
        "Operations and bytes are counted by running the kernels on values that count"
        " (`scripts/benchmarks/counting.py`) for every body of a first generation of"
        f" {POPULATION}, without padding to the largest of sixteen: additions, multiplications, divisions, roots,"
        " minima and maxima, a multiply-add as two; bytes between registers and memory of any level, all of it in the"
        f" first cache. The core's peak in the same process: {peak['flops'] / 1e9:.0f} · 10⁹ operations/s (independent"
        f" multiply-adds of sixteen lanes), copies of {peak['cached'] / 1e9:.0f} · 10⁹ bytes/s in the first cache and"
        f" {peak['far'] / 1e9:.0f} · 10⁹ in memory, reads and writes counted.",
        table(header, rows),
        "Every muscle gathers both its ends, and every body node its forces, over rows of signs: eleven loads for nine"
        " multiply-adds of a muscle and a body node, so that loading is what a step waits for; the gathers of the"
        " networks of neat, a connection at a time in each lane, are not vectors at all.",
    ])  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measured(int(sys.argv[1]))))
