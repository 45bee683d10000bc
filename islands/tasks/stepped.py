"""What tasks have in common whose rules are somebody's Python: networks think as one batch, then all worlds step.

Fitness is the sum of the rewards. An episode that raises or shows a number that is not finite has failed: its fitness
is NaN, and the island's log says why.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from islands.config import Config
from islands.genome.population import Array, Genomes, layout_of, take
from islands.networks_batch import Networks, networks_for
from islands.rng import substream
from islands.tasks import Played, Task, Verdict

FINISHED, TERMINATED, FAILED = range(3)
SHOWN = 8
"""Numbers of the last observation that say what a genome did, at most."""
MOST = 1024
"""Inputs or outputs that a network may have."""
COMPLAINTS = 5
"""Different failures that the log tells of."""
FIRST, ALL = 10, 100
"""Fresh episodes of an examination: so many must reach the goal on average before all of them are played."""


def seeds_of(keys: Array) -> Array:
    """A seed for each stream of `keys` (uint64 [E]): int64, from 0 to 2^31 - 1."""
    return (np.asarray(keys, np.uint64) >> np.uint64(33)).astype(np.int64)


def told(error: BaseException) -> str:
    """An exception in one line, with the place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    words = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}{': ' if words else ''}{words}{place}"


class Ledger:
    """What E episodes have given so far; rows of arrays, in the order asked for."""

    def __init__(self, episodes: int, shown: int) -> None:
        self.total, self.reason = np.zeros(episodes, np.float64), np.zeros(episodes, np.uint8)
        self.steps, self.behaviour = np.zeros(episodes, np.int32), np.zeros((episodes, shown), np.float32)

    def fail(self, rows: Array) -> None:
        """These episodes have failed."""
        self.total[rows], self.reason[rows] = np.nan, FAILED

    def played(self) -> Played:
        """All of it, when all are over."""
        behaviour = np.where((self.reason == FAILED)[:, None], np.float32(np.nan), self.behaviour)
        return Played(self.total.astype(np.float32), self.reason, self.steps, behaviour)


class Stepped:
    """What such a task is; see `islands.tasks.Task`. `goal`: the mean fitness that counts as solved, or None."""

    reasons = ("finished", "terminated", "failed")
    random = True
    parts: Mapping[str, Task] = {}
    worth = None

    def __init__(self, config: Config, sensors: int, outputs: int, goal: float | None) -> None:
        self.name, self.device = config.task.name, config.device
        self.sensors, self.outputs, self.goal = sensors, outputs, goal
        self.solvable = goal is not None
        self.layout = layout_of(config, sensors, outputs)
        self._told: set[str] = set()

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """Each task plays in its own way."""
        raise NotImplementedError

    def warm_up(self, genomes: Genomes) -> None:
        """Compile and load the networks: one thought of the first genome."""
        networks, first = self.networks(genomes, 1), np.arange(genomes.count)[:1]
        networks.load(first, first)
        networks.think(np.zeros((1, self.sensors), np.float32))

    def networks(self, genomes: Genomes, width: int) -> Networks:
        """Rows for so many networks of these genomes."""
        return networks_for(genomes, self.layout, self.outputs, width, self.device)

    def examine(self, genomes: Genomes, row: int, key: np.uint64) -> Verdict:
        """Whether the mean of `ALL` fresh episodes, and that of the first few of them, reaches the goal."""
        assert self.goal is not None
        one, found = take(genomes, [row]), np.zeros(0, np.float32)
        for first, last in ((0, FIRST), (FIRST, ALL)):
            keys = np.array([substream(key, e) for e in range(first, last)], np.uint64)
            found = np.append(found, self.play(one, np.zeros(last - first, np.int64), keys).fitness)
            if not float(found.mean(dtype=np.float64)) >= self.goal:  # NaN: one of them failed
                return Verdict(False, None)
        return Verdict(True, None)

    def complain(self, what: str) -> None:
        """Say in the island's log why an episode failed, once for each reason."""
        if what not in self._told and len(self._told) < COMPLAINTS:
            self._told.add(what)
            print(f"{self.name}: an episode failed: {what}", file=sys.stderr, flush=True)
