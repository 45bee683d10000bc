"""`csv:<file>#target=<column>` and `digits`: networks that learn a table, a row a step, without memory between rows.

Classification: an output a class, whose shares are softmax(5 x outputs). Fitness is 1 + (mean log share of the right
class) / log(classes) on the training part: 1 is perfect, 0 as good as guessing. Regression: the output times the
farthest training target is the standardised answer, and fitness is R^2. The champion is chosen by accuracy or R^2 on
the validation part, and judged by it on the held-out part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from islands.config import Config
from islands.genome.population import Array, Genomes, has, inverse, layout_of, take
from islands.lanes import LANES
from islands.networks_batch import networks_for, room_for
from islands.rng import bits
from islands.tasks import Played, Task, Verdict, Worth
from islands.tasks.families import Supervised
from islands.tasks.supervised_data import BINS, Data, data_of
from islands.tasks.supervised_kernel import SHARP, walk

RESAMPLED = 2000
"""Bootstrap samples behind an interval of R^2."""


def supervised(config: Config) -> SupervisedTask:
    """The task of a configuration: its training part, which knows of the others."""
    assert isinstance(config.task, Supervised)
    data = data_of(config.task)
    return SupervisedTask(
        config, data, "training", {name: SupervisedTask(config, data, name, {}) for name in ("validation", "held out")}
    )


def chosen_rows(key: np.uint64, rows: int, wanted: int) -> Array:
    """`wanted` of `rows` row numbers (int64), drawn by the stream `key`; all of them, in order, where 0 are wanted."""
    if not 0 < wanted < rows:
        return np.arange(rows)
    draws = np.array([bits(key, i) for i in range(rows)], np.uint64)
    return np.sort(np.argsort(draws, kind="stable")[:wanted])


class SupervisedTask:
    """One part of the data as a task; see `islands.tasks.Task`."""

    reasons = ("finished",)
    solvable = False

    def __init__(self, config: Config, data: Data, part: str, parts: Mapping[str, Task]) -> None:
        assert isinstance(config.task, Supervised)
        self.data, self.part, self.parts, self.device = data, data.parts[part], parts, config.device
        self.breeds = part == "training"
        self.wanted = config.task.rows if self.breeds else 0
        self.classes = len(data.classes)
        self.sensors, self.outputs = self.part.inputs.shape[1], max(1, self.classes)
        self.random = 0 < self.wanted < len(self.part.target)
        self.layout = layout_of(config, self.sensors, self.outputs)

    @property
    def action_names(self) -> list[str]:
        """What the outputs are called: the classes, or the value."""
        return [f"is {name}" for name in self.data.classes] or ["value"]

    @property
    def worth(self) -> Callable[[Genomes, int, np.uint64], Worth] | None:
        """Of the held-out part: accuracy with Wilson's interval, or R^2 with a bootstrap's."""
        return None if self.breeds else self._worth

    def examine(self, genomes: Genomes, row: int, key: np.uint64) -> Verdict:
        """A table is never solved."""
        return Verdict(False, None)

    def warm_up(self, genomes: Genomes) -> None:
        """Compile and load the kernel: one row."""
        first = np.arange(genomes.count)[:1]
        self._answers(genomes, first, np.zeros((1, 1), np.int64), first, False)

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """Fitness (training) or accuracy and R^2 (other parts); a genome's numbers do not depend on the others'."""
        streams, which = np.unique(np.asarray(keys, np.uint64), return_inverse=True)
        if not self.random:
            streams, which = streams[:1], np.zeros(len(items), np.int64)
        lists = np.stack([chosen_rows(key, len(self.part.target), self.wanted) for key in streams])
        loss, behaviour, values = self._answers(genomes, np.asarray(items, np.int64), lists, which, not self.breeds)
        count = lists.shape[1]
        if self.classes:
            fitness = values.mean(axis=1) if len(values) else 1.0 - loss / count / math.log(self.classes)
        else:
            target = self.part.target[lists].astype(np.float64)
            spread = ((target - target.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
            fitness = 1.0 - loss / np.where(spread > 0.0, spread, count)[which]
        met = np.stack([np.bincount(self.part.bins[some], minlength=BINS) for some in lists])
        shape = len(items)
        return Played(
            fitness.astype(np.float32), np.zeros(shape, np.uint8), np.full(shape, count, np.int32),
            behaviour / np.maximum(met, 1)[which].astype(np.float32),
        )  # fmt: skip

    def _answers(
        self, genomes: Genomes, items: Array, lists: Array, which: Array, each: bool
    ) -> tuple[Array, Array, Array]:
        """Loss float64 [E], sums of behaviour float32 [E, D] and, if `each` row is wanted, its value float32 [E, n]."""
        count = len(items)
        values = np.zeros((count if each else 0, lists.shape[1]), np.float32)
        loss, behaviour = np.zeros(count), np.zeros((count, BINS), np.float32)
        if self.device != "cpu":
            self._answer_in_torch(genomes, items, lists[which], loss, behaviour, values)
            return loss, behaviour, values
        order = np.lexsort((np.diff(genomes.conn_start)[items], which))
        groups = [
            (first, min(first + LANES, end), k)
            for k, (begin, end) in enumerate(_runs(which[order], len(lists)))
            for first in range(begin, end, LANES)
        ]
        brain, slots = room_for(genomes, self.layout, self.outputs)
        part = self.part
        walk(
            genomes, items[order], np.array(groups, np.int64).reshape(-1, 3), lists, part.inputs, part.target,
            part.bins, self.classes, self.data.reach, self.layout, has(self.layout)[1], brain, slots, loss,
            behaviour, values,
        )  # fmt: skip
        back = inverse(order)
        return loss[back], behaviour[back], values[back] if each else values

    def _answer_in_torch(
        self, genomes: Genomes, items: Array, rows: Array, loss: Array, behaviour: Array, values: Array
    ) -> None:
        """As the kernel, on another device; rows int64 [E, n]."""
        everyone, part = np.arange(len(items)), self.part
        networks = networks_for(genomes, self.layout, self.outputs, len(items), self.device)
        for t in range(rows.shape[1]):
            row = rows[:, t]
            networks.load(everyone, items)  # without a memory of the row before
            outputs = networks.think(part.inputs[row]).astype(np.float64)
            if self.classes:
                wanted = part.target[row].astype(np.int64)
                logits = SHARP * (outputs - outputs.max(axis=1, keepdims=True))
                loss -= logits[everyone, wanted] - np.log(np.exp(logits).sum(axis=1))
                shown = value = (outputs.argmax(axis=1) == wanted).astype(np.float64)
            else:
                shown = self.data.reach * outputs[:, 0] - part.target[row]
                value = shown**2
                loss += value
            behaviour[everyone, part.bins[row]] += shown.astype(np.float32)
            if len(values):
                values[:, t] = value

    def _worth(self, genomes: Genomes, row: int, key: np.uint64) -> Worth:
        count = len(self.part.target)
        lists, first = np.arange(count)[None], np.zeros(1, np.int64)
        values = self._answers(take(genomes, [row]), first, lists, first, True)[2][0].astype(np.float64)
        if self.classes:
            return wilson(int(values.sum()), count)
        target = self.part.target.astype(np.float64)
        return bootstrapped(values, target, key)


def _runs(which: Array, count: int) -> list[tuple[int, int]]:
    """Where each of the numbers 0 … count - 1 begins and ends in a sorted array."""
    bounds = np.searchsorted(which, np.arange(count + 1))
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


def wilson(right: int, count: int, z: float = 1.959964) -> Worth:
    """An accuracy with its 95 % score interval (Wilson 1927)."""
    share, extra = right / count, z * z / count
    middle = (share + extra / 2.0) / (1.0 + extra)
    half = z / (1.0 + extra) * math.sqrt(share * (1.0 - share) / count + extra / (4.0 * count))
    return Worth(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)), count)


def bootstrapped(squares: Array, target: Array, key: np.uint64) -> Worth:
    """R^2 of rows with these squared errors and targets (float64 [N]), with a 95 % percentile bootstrap interval."""
    count = len(target)

    def r2(rows: Array) -> Array:
        spread = ((target[rows] - target[rows].mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
        return np.asarray(1.0 - squares[rows].sum(axis=-1) / np.where(spread > 0.0, spread, np.nan))

    generator = np.random.default_rng(int(key))
    again = r2(generator.integers(0, count, (RESAMPLED, count)))
    low, high = np.nanquantile(again, [0.025, 0.975])
    return Worth(float(r2(np.arange(count))), float(low), float(high), count)
