"""How a run's best fitness came about, in a few points, read from a few places of one metrics file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from islands import files
from launcher.dashboard.island_looks import IslandLook
from launcher.report.figures import number, short

POINTS = 24
_LONGEST_LINE = 65536


class Trend:
    """The best so far of a run's best island, sampled anew when it has come a tenth farther."""

    def __init__(self) -> None:
        self._at = -1
        self._name = ""
        self._points: list[float | int | None] = []

    def of(self, islands: Sequence[IslandLook]) -> list[float | int | None]:
        """At most `POINTS` numbers, oldest first."""
        known = [look for look in islands if number(look.told.get("best")) is not None]
        if not known:
            return []
        leader = max(known, key=lambda look: number(look.told["best"]) or 0.0)
        name, done = leader.island.name, int(leader.told["done"])
        if name != self._name or done > self._at * 1.1 or done < self._at:
            self._name, self._at = name, done
            self._points = [short(value) for value in sampled(leader.island.metrics)]
        return self._points


def sampled(metrics: Path) -> list[float]:
    """The best so far at places spread over a metrics file; a bounded part of it is read."""
    found: list[float] = []
    try:
        with open(metrics, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            for place in range(POINTS):
                stream.seek(size * place // POINTS)
                if place:
                    stream.readline(_LONGEST_LINE)
                value = number((files.record_in(stream.readline(_LONGEST_LINE)) or {}).get("best"))
                if value is not None:
                    found.append(max(value, found[-1]) if found else value)
    except OSError:
        return []
    return found
