"""The metrics of one island, thinned while they are read: whatever its length, a run takes a bounded number of points.

Generations fall into buckets of one width, a power of two: when there are too many, two and two become one. Of a bucket
the best fitness is the highest and everything else the mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from islands import files
from launcher.growing import Growing
from launcher.report.figures import number

SERIES = ("best", "mean", "std", "species", "nodes", "connections", "body_nodes", "muscles", "diversity")
PHASES = ("evaluate", "reproduce", "checkpoint", "migrate")
"""Parts of a generation whose seconds the metrics hold."""


@dataclass
class IslandData:
    """One island. `x`: the last generation of each bucket; `series`: a value a bucket, None where there is none."""

    name: str
    told: dict[str, Any]
    x: list[int] = field(default_factory=list)
    series: dict[str, list[float | None]] = field(default_factory=dict)
    best_at: dict[int, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    evaluations: int = 0
    seconds: float = 0.0
    hyperparameters: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The last generation recorded; -1 before the first."""
        return max(self.best_at, default=self.x[-1] if self.x else -1)


class Bucket:
    """Generations that share a point."""

    __slots__ = ("counts", "values", "x")

    def __init__(self) -> None:
        self.x = -1
        self.values = [0.0] * len(SERIES)
        self.counts = [0] * len(SERIES)

    def add(self, generation: int, line: dict[str, Any]) -> None:
        """Take in a generation."""
        self.x = max(self.x, generation)
        for place, key in enumerate(SERIES):
            if (value := number(line.get(key))) is not None:
                self._put(place, value, 1)

    def take(self, other: Bucket) -> None:
        """Take in all that is in another one."""
        self.x = max(self.x, other.x)
        for place, count in enumerate(other.counts):
            if count:
                self._put(place, other.values[place], count)

    def value(self, place: int) -> float | None:
        """Of one of `SERIES`; None: it has none."""
        count = self.counts[place]
        return None if not count else self.values[place] if place == 0 else self.values[place] / count

    def _put(self, place: int, value: float, count: int) -> None:
        known = self.counts[place]
        self.counts[place] = known + count
        if place == 0:
            self.values[0] = max(value, self.values[0]) if known else value
        else:
            self.values[place] += value


class Metrics:
    """Reads an island's metrics as they grow. `most`: buckets; `width`: generations of one."""

    def __init__(self, path: Path, most: int) -> None:
        self.most, self.width = most, 1
        self._lines = Growing(path, self._forget)
        self._forget()

    def _forget(self) -> None:
        self.width = 1
        self._buckets: dict[int, Bucket] = {}
        self._sums = IslandData("", {})

    def read(self) -> None:
        """Take in the lines that have come; a damaged one costs itself alone."""
        for text in self._lines.fresh():
            line = files.record_in(text)
            if line is not None and isinstance(line.get("generation"), int):
                self._add(line["generation"], line)
        self._fit()

    def data(self, told: dict[str, Any], width: int) -> IslandData:
        """What was read, in buckets of a `width` that is not below this one's."""
        buckets = list(_merged(self._buckets, width // self.width).values())
        island = IslandData(str(told["island"]), told, [bucket.x for bucket in buckets])
        for place, key in enumerate(SERIES):
            values = [bucket.value(place) for bucket in buckets]
            if any(value is not None for value in values):
                island.series[key] = values
        sums = self._sums
        island.best_at, island.hyperparameters = sums.best_at, sums.hyperparameters
        island.phases, island.evaluations, island.seconds = sums.phases, sums.evaluations, sums.seconds
        return island

    def _add(self, generation: int, line: dict[str, Any]) -> None:
        place = generation // self.width
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = Bucket()
            if len(self._buckets) > 2 * self.most:
                self._fit()
                bucket = self._buckets[generation // self.width]
        bucket.add(generation, line)
        self._sum(generation, line)

    def _fit(self) -> None:
        """Widen the buckets until there are no more than wanted."""
        while max(self._buckets, default=0) >= self.most:
            self._buckets = _merged(self._buckets, 2)
            self.width *= 2

    def _sum(self, generation: int, line: dict[str, Any]) -> None:
        """What is summed over a run, and what changes seldom."""
        sums = self._sums
        if (best := number(line.get("best"))) is not None:
            sums.best_at[generation] = best
        for phase in PHASES:
            sums.phases[phase] = sums.phases.get(phase, 0.0) + (number(line.get(f"{phase}_seconds")) or 0.0)
        sums.seconds += number(line.get("seconds")) or 0.0
        sums.evaluations += int(number(line.get("evaluations")) or 0)
        own = line.get("hyperparameters")
        for key, value in own.items() if isinstance(own, dict) else ():
            if (known := number(value)) is not None:
                steps = sums.hyperparameters.setdefault(key, [])
                if not steps or steps[-1][1] != known:
                    steps.append((generation, known))


def widest(read: Iterable[Metrics]) -> int:
    """The width that fits all of them."""
    return max((metrics.width for metrics in read), default=1)


def _merged(buckets: dict[int, Bucket], times: int) -> dict[int, Bucket]:
    """The same in buckets that are so many times as wide."""
    if times <= 1:
        return buckets
    found: dict[int, Bucket] = {}
    for place, bucket in buckets.items():
        found.setdefault(place // times, Bucket()).take(bucket)
    return found
