"""What a report tells of a run, gathered from its files; nothing is drawn here.

Long series are thinned as they are read: generations fall into buckets of one width for all islands, and of a bucket
the best fitness is the highest and everything else the mean. So the page's size is bounded, whatever the run's length.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from islands import files
from islands.errors import EvolabError
from islands.rundir import IslandDir, RunDir
from launcher import events, live, summary
from launcher.report.figures import number
from launcher.report.migration_data import Migrations, read_migrations

MOST_POINTS = 500
"""Of one line."""
POINTS_IN_ALL = 24_000
"""Of one series over all islands: more islands have fewer points each."""
NEWEST_EVENTS = 300
ENOUGH_ISLANDS = 5
"""Fewer have no interval, but a range."""
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
    told = summary.of_show(run)
    lines = {entry["island"]: _lines(run.island(entry["island"])) for entry in told["islands"]}
    longest = max((int(found[-1]["generation"]) + 1 for found in lines.values() if found), default=1)
    width = width_of(longest, len(lines))
    islands = [_island(entry, lines.pop(entry["island"]), width) for entry in told["islands"]]
    migrations = read_migrations(run, [island.name for island in islands])
    return RunData(run, told, islands, live.read(run), _events(run), migrations, width)


def width_of(generations: int, islands: int) -> int:
    """How many generations share a point."""
    most = max(40, min(MOST_POINTS, POINTS_IN_ALL // max(1, islands)))
    return max(1, -(-generations // most))


def _lines(island: IslandDir) -> list[dict[str, Any]]:
    """The metrics that can be read: a damaged line costs itself alone."""
    found = (files.record_in(line) for _, line in files.each_line(island.metrics))
    return [line for line in found if line is not None and isinstance(line.get("generation"), int)]


def _events(run: RunDir) -> list[dict[str, Any]]:
    try:
        return events.read(run, NEWEST_EVENTS)
    except EvolabError:
        return []


def _island(told: dict[str, Any], lines: Sequence[dict[str, Any]], width: int) -> IslandData:
    island = IslandData(str(told["island"]), told)
    buckets: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        buckets.setdefault(line["generation"] // width, []).append(line)
        _add(island, line)
    island.x = [max(line["generation"] for line in bucket) for bucket in buckets.values()]
    for key in SERIES:
        values = [_of_bucket(key, bucket) for bucket in buckets.values()]
        if any(value is not None for value in values):
            island.series[key] = values
    return island


def _of_bucket(key: str, bucket: Sequence[dict[str, Any]]) -> float | None:
    known = [value for line in bucket if (value := number(line.get(key))) is not None]
    if not known:
        return None
    return max(known) if key == "best" else statistics.fmean(known)


def _add(island: IslandData, line: dict[str, Any]) -> None:
    """What is summed over a run, and what changes seldom."""
    if (best := number(line.get("best"))) is not None:
        island.best_at[line["generation"]] = best
    for phase in PHASES:
        island.phases[phase] = island.phases.get(phase, 0.0) + (number(line.get(f"{phase}_seconds")) or 0.0)
    island.seconds += number(line.get("seconds")) or 0.0
    island.evaluations += int(number(line.get("evaluations")) or 0)
    own = line.get("hyperparameters")
    for key, value in own.items() if isinstance(own, dict) else ():
        if (known := number(value)) is not None:
            steps = island.hyperparameters.setdefault(key, [])
            if not steps or steps[-1][1] != known:
                steps.append((line["generation"], known))


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
