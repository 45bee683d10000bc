"""How many migrants islands refuse, and why: counted by themselves, told to the run's events now and then."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from islands import files
from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher.status import beat_of

EVERY = 60.0
"""Seconds between two looks: however many migrants come, their refusals are one event."""
_LOOKED_AT = 64


class Refusals:
    """Follows the counters in the islands' heartbeats."""

    def __init__(self, islands: Sequence[IslandDir]) -> None:
        self._islands = list(islands)
        self._known = {island.name: _refused(beat_of([island])) for island in islands}

    def look(self) -> dict[str, Any]:
        """What was refused since the last look: `islands` with counts, and the newest `reasons`; {} if nothing was."""
        found: dict[str, int] = {}
        reasons: Counter[str] = Counter()
        for island in self._islands:
            now = _refused(beat_of([island]))
            before, self._known[island.name] = self._known[island.name], now
            if now > before:
                found[island.name] = now - before
                reasons.update(_reasons(island, now - before))
        return {"refused": sum(found.values()), "islands": found, "reasons": dict(reasons)} if found else {}


def _refused(beat: dict[str, Any]) -> int:
    counts = beat.get("counts")
    refused = counts.get("refused") if isinstance(counts, dict) else 0
    return refused if isinstance(refused, int) else 0


def _reasons(island: IslandDir, count: int) -> list[str]:
    with contextlib.suppress(OSError, EvolabError):
        lines = files.tail_jsonl(island.migrations, _LOOKED_AT)
        return [str(line.get("reason")) for line in lines if line.get("admitted") is False][-count:]
    return []
