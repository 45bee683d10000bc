"""Where the time of whole generations goes: `python -m islands.profiling RUN_DIR`; prints one JSON object.

The first island of a run directory lives as `python -m islands` lets it live, its files included, with a clock in the
functions below. Every moment belongs to one phase, the innermost that is open, so that phases add up to the whole.
Nothing of this is in a run: the clock is put around the functions by this process alone.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from islands import chain, checkpoint, loading, loop, reproduction, solving, threads
from islands.__main__ import entry_of, island_of
from islands.compiling import one_compiles_for_all
from islands.genome.population import Population
from islands.loop import Evolution
from islands.record import Recorder
from islands.rundir import RunDir
from islands.tasks import make

WARM_UP = 2
"""Generations before the clock counts."""
REST = "other"
Phases = Mapping[str, Sequence[tuple[Any, str]]]
PHASES: Phases = {
    "evaluate": [(loop, "evaluate")],
    "speciate": [],  # the breeder's `sort`
    "reproduce: choose parents": [(reproduction, "plan"), (reproduction, "without_stagnant")],
    "reproduce: cross and mutate": [(reproduction, "breed")],
    "reproduce: representatives": [(reproduction, "next_representatives")],
    "reproduce: other": [],  # the breeder's `breed`, whatever it does besides
    "statistics": [(loop, "note_progress"), (loop, "summarise"), (loop, "spread_of"), (solving, "look")],
    "digest": [(Population, "digest"), (chain, "link")],
    "metrics and heartbeat": [(Recorder, "generation"), (Recorder, "beat")],
    "checkpoint": [(checkpoint, "write")],
}
"""Phases and their functions, each by the place where its callers look it up."""


class Clock:
    """Seconds, of wall and of processor, by phase."""

    def __init__(self) -> None:
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self._open = [REST]
        self._since = time.perf_counter(), time.process_time()

    def _charge(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.wall[self._open[-1]] += wall - self._since[0]
        self.cpu[self._open[-1]] += cpu - self._since[1]
        self._since = wall, cpu

    def read(self) -> tuple[dict[str, float], dict[str, float]]:
        """Wall and processor seconds of each phase until now."""
        self._charge()
        return dict(self.wall), dict(self.cpu)

    def around(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time charged to `phase`."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            self._charge()
            self._open.append(phase)
            try:
                return function(*arguments, **named)
            finally:
                self._charge()
                self._open.pop()

        return timed


@contextmanager
def watched(phases: Phases) -> Iterator[Clock]:
    """A clock around the functions of `phases`, which are themselves again afterwards."""
    clock = Clock()
    with ExitStack() as after:
        for phase, places in phases.items():
            for owner, name in places:
                function = getattr(owner, name)
                after.callback(setattr, owner, name, function)
                setattr(owner, name, clock.around(phase, function))
        yield clock


def profile(run: RunDir, allowed: int = 1) -> dict[str, Any]:
    """The first island's life, by phase: means over its generations after warm-up; `share` is of wall seconds."""
    plan, found = run.read_plan(), threads.refuse_more_than(allowed)
    entry = entry_of(plan, 0)
    config = loading.of_island(loading.load(run.config), entry)
    config = replace(config, generations=WARM_UP + config.generations)
    task = make(config)
    one_compiles_for_all(config, task)
    run.island(entry["name"]).create()
    island = island_of(run, plan, entry, config, task.layout, found)
    evolution = Evolution(config, task, [island], lambda: False)
    breeder = type(evolution.breeder)
    phases = {**PHASES, "speciate": [(breeder, "sort")], "reproduce: other": [(breeder, "breed")]}
    with watched(phases) as clock:
        before = clock.read()
        for generation in range(config.generations):
            if generation == WARM_UP:
                before = clock.read()
            evolution.advance([island])
            evolution.record(island, False)
        after = clock.read()
    return _told(phases, config.generations - WARM_UP, before, after)


def _told(phases: Phases, generations: int, before: Any, after: Any) -> dict[str, Any]:
    wall, cpu = ({name: (end[name] - start.get(name, 0.0)) / generations for name in end}
                 for start, end in zip(before, after, strict=True))  # fmt: skip
    whole = sum(wall.values())
    return {
        "generations": generations,
        "seconds_per_generation": whole,
        "cpu_seconds_per_generation": sum(cpu.values()),
        "phases": [
            {"phase": name, "seconds": wall[name], "cpu_seconds": cpu[name], "share": wall[name] / whole}
            for name in (*phases, REST)
            if name in wall
        ],
    }


def main() -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(prog="python -m islands.profiling")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(profile(RunDir(arguments.run_dir), arguments.threads)))


if __name__ == "__main__":
    main()
