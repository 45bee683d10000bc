"""What a report tells of a run, gathered from its files; nothing is drawn here.

Long series are thinned as they are read (see `metrics_data`), with one width for all islands: so the page's size is
bounded, whatever the run's length. The dashboard gathers again and again, and reads only what has come since.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from islands.rundir import RunDir
from launcher import live, summary
from launcher.report.event_rows import newest
from launcher.report.figures import number
from launcher.report.metrics_data import IslandData, Metrics, widest
from launcher.report.migration_data import MigrationLogs, Migrations

MOST_POINTS = 500
"""Of one line."""
POINTS_IN_ALL = 24_000
"""Of one series over all islands: more islands have fewer points each."""
NEWEST_EVENTS = 300
ENOUGH_ISLANDS = 5
"""Fewer have no interval, but a range."""


@dataclass
class RunData:
    """A run. `told`: the JSON of `evolab show`; `width`: generations of a bucket."""

    run: RunDir
    told: dict[str, Any]
    islands: list[IslandData]
    launcher: dict[str, Any]
    events: list[dict[str, Any]]
    migrations: Migrations
    width: int

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration."""
        found: dict[str, Any] = self.told["configuration"]
        return found

    @property
    def champion(self) -> dict[str, Any] | None:
        """The best champion, with its island."""
        found: dict[str, Any] | None = self.told["champion"]
        return found

    @property
    def seconds(self) -> float | None:
        """Wall seconds: the launcher's, or the longest island's where there was none."""
        longest = max((island.seconds for island in self.islands), default=0.0)
        return number(self.launcher.get("seconds")) or longest or None


def gather(run: RunDir) -> RunData:
    """Everything that the page of a run is made of."""
    return Gatherer(run).gather()


class Gatherer:
    """Gathers a run as often as one likes. `points`: of one series over all islands."""

    def __init__(self, run: RunDir, points: int = POINTS_IN_ALL) -> None:
        self.run, self.points = run, points
        self._metrics: dict[str, Metrics] = {}
        self._logs = MigrationLogs(run)

    def gather(self) -> RunData:
        """The run as it is now."""
        told = summary.of_show(self.run)
        names = [str(entry["island"]) for entry in told["islands"]]
        most = most_points(len(names), self.points)
        for name in names:
            metrics = self._metrics.setdefault(name, Metrics(self.run.island(name).metrics, most))
            metrics.most = most
            metrics.read()
        width = widest(self._metrics.values())
        islands = [self._metrics[str(entry["island"])].data(entry, width) for entry in told["islands"]]
        migrations = self._logs.read(names)
        return RunData(self.run, told, islands, live.read(self.run), newest(self.run, NEWEST_EVENTS), migrations, width)


def most_points(islands: int, points: int = POINTS_IN_ALL) -> int:
    """How many points a line has at most."""
    return max(40, min(MOST_POINTS, points // max(1, islands)))


def over_islands(islands: Sequence[IslandData], key: str) -> tuple[list[int], list[float], list[float], list[float]]:
    """A series over all islands: x, mean, and both ends of a band.

    The band is the mean's 95 % interval (Student's t over islands); of fewer than `ENOUGH_ISLANDS`, where that says
    little, it reaches from the lowest to the highest.
    """
    at: dict[int, list[float]] = {}
    for island in islands:
        for x, value in zip(island.x, island.series.get(key, ()), strict=False):
            if value is not None:
                at.setdefault(x, []).append(value)
    xs = sorted(at)
    means = [statistics.fmean(at[x]) for x in xs]
    if len(islands) < ENOUGH_ISLANDS:
        return xs, means, [min(at[x]) for x in xs], [max(at[x]) for x in xs]
    halves = [half_interval(at[x]) for x in xs]
    low = [mean - half for mean, half in zip(means, halves, strict=True)]
    return xs, means, low, [mean + half for mean, half in zip(means, halves, strict=True)]


def band_of(islands: Sequence[IslandData]) -> str:
    """What the band of `over_islands` is."""
    return "95 % interval of the mean" if len(islands) >= ENOUGH_ISLANDS else "lowest to highest island"


def half_interval(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean; 0.0 of a single value."""
    if len(values) < 2:
        return 0.0
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, 0.975))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))
