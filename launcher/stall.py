"""Whether an island gets on, from its heartbeat alone and on the launcher's own clock."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from typing import Any

_LONGEST_LOOK = 5.0
"""A longer gap between two looks is the launcher's own (it was stopped, the machine slept): no island's fault."""


@dataclass(frozen=True)
class Patience:
    """Seconds without a new heartbeat: at least `least`, `factor` times the median generation, `starting` at first."""

    least: float = 60.0
    factor: float = 10.0
    starting: float = 900.0
    dump: float = 2.0
    grace: float = 10.0
    """After the stack dump was asked for; after SIGTERM."""


class Pulse:
    """One process's own heartbeats. `begin` when it starts, `look` now and then, `stalled` for the verdict."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._generations: deque[float] = deque(maxlen=31)
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """A process has started."""
        self._looked, self.quiet = now, 0.0
        self._beat: dict[str, Any] = {}
        self._since: tuple[float, int] | None = None

    def look(self, beat: dict[str, Any], now: float) -> None:
        """The process's heartbeat as it is `now` (s, monotonic); {}: it has written none."""
        self.quiet += min(now - self._looked, _LONGEST_LOOK)
        self._looked = now
        if beat == self._beat:
            return
        self.quiet, generation = 0.0, beat.get("generation")
        if isinstance(generation, int) and beat.get("state") == "running":
            if self._since is not None and generation > self._since[1]:
                self._generations.append((now - self._since[0]) / (generation - self._since[1]))
            if self._since is None or generation != self._since[1]:
                self._since = (now, generation)
        self._beat = beat

    @property
    def starting(self) -> bool:
        """Whether it still imports and compiles."""
        return bool(self._beat.get("state", "starting") == "starting")

    @property
    def limit(self) -> float:
        """Seconds that it may be silent."""
        if self.starting:
            return self._patience.starting
        usual = statistics.median(self._generations) if self._generations else 0.0
        return max(self._patience.least, self._patience.factor * usual)

    @property
    def stalled(self) -> bool:
        """Whether it has been silent for too long."""
        return self.quiet > self.limit
