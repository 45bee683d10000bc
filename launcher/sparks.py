"""The trend of an island's best fitness over the whole run, in a few characters and at a bounded cost."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher.sampling import generations_at

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 12
"""Characters of a trend: places of the metrics that are looked at, and the newest best."""
GROWN = 0.1
"""A trend is read anew when so much of its generations has been added."""


def sparkline(values: Sequence[object], width: int = WIDTH) -> str:
    """Numbers as bars from the lowest to the highest, the newest `width` of them; what is no number is left out."""
    known = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)][-width:]
    if not known:
        return ""
    low, high = min(known), max(known)
    steps = [(value - low) / (high - low) if high > low else 0.0 for value in known]
    return "".join(BARS[min(len(BARS) - 1, int(step * len(BARS)))] for step in steps)


@dataclass
class _Trend:
    """What is known of an island: the best so far at a few generations, and the seconds of the last one read."""

    done: int = -1
    bests: list[float] = field(default_factory=list)
    seconds: float | None = None


class Trends:
    """The trends of islands, by their metrics; each file is read again only when it has grown by a tenth.

    `points` of a trend: places of the metrics that are looked at, and the newest best.
    """

    def __init__(self, points: int = WIDTH) -> None:
        self._known: dict[Path, _Trend] = {}
        self._places = points - 1

    def of(self, island: IslandDir, done: int, best: object) -> str:
        """The sparkline; `best`: the newest, by the heartbeat, after `done` generations."""
        return sparkline([*self.bests(island, done), best])

    def bests(self, island: IslandDir, done: int) -> list[float]:
        """The best so far at a few generations before, oldest first."""
        return self._trend(island, done).bests[: self._places]

    def seconds(self, island: IslandDir, done: int) -> float | None:
        """What the newest generation that was read took."""
        return self._trend(island, done).seconds

    def _trend(self, island: IslandDir, done: int) -> _Trend:
        trend = self._known.setdefault(island.metrics, _Trend())
        if done > trend.done + max(0, trend.done) * GROWN or done < trend.done:
            trend.done = done
            with contextlib.suppress(OSError, EvolabError):
                _read(trend, generations_at(island.metrics, self._places))
        return trend


def _read(trend: _Trend, lines: Sequence[dict[str, Any]]) -> None:
    """Best so far: as the line says, or of the lines that were read where older ones do not say."""
    trend.bests, highest = [], -math.inf
    for line in lines:
        value = line.get("best_so_far", line.get("best"))
        if isinstance(value, int | float) and math.isfinite(value):
            highest = max(highest, float(value))
            trend.bests.append(highest)
    seconds = lines[-1].get("seconds") if lines else None
    trend.seconds = float(seconds) if isinstance(seconds, int | float) else None
