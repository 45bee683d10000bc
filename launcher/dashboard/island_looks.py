"""Looking at one island again and again: little is read where nothing has changed.

All that tells of an island's state is put into its folder under a new name, which changes the folder's time: one
system call says whether there is anything to read. What says nothing, the end of a process, is asked of the kernel.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Any

from islands import process
from islands.rundir import IslandDir
from launcher import status
from launcher.states import RUNNING, STALLED

WHOLLY_EVERY = 5.0
"""Seconds after which everything is read again, changed or not."""
WINDOW = 12.0
"""Seconds over which use and pace are measured."""


class IslandLook:
    """One island, as it was seen last. `use`: cores; `pace`: generations a second; None until they are known."""

    def __init__(self, island: IslandDir) -> None:
        self.island = island
        self.told: dict[str, Any] = {}
        self._stamp: int | None = -1
        self._known: Any = None
        self._due = 0.0
        self._beat: dict[str, Any] = {}
        self._beats: deque[tuple[float, float, int]] = deque()

    def look(self, launcher: dict[str, Any] | None, now: float) -> dict[str, Any]:
        """As `status.island_status`. `launcher`: what a launcher that lives knows; `now`: a monotonic clock."""
        stamp, known = _stamp(self.island), (launcher or {}).get("islands", {}).get(self.island.name)
        if now >= self._due or not self.told:
            self._due = now + WHOLLY_EVERY
            self._take(status.read_beat(self.island), launcher, None)
        elif stamp != self._stamp or known != self._known:
            self._take(status.read_beat(self.island), launcher, self._lives)
        elif self.at_work and process.started(self._beat["pid"]) != self._beat["started"]:
            self._take(status.read_beat(self.island), launcher, None)
        else:
            self.told["seconds_since_heartbeat"] = _age(self._beat)
        self._stamp, self._known = stamp, known
        return self.told

    @property
    def at_work(self) -> bool:
        """Whether a process of this machine played it when it was looked at."""
        return self.told.get("state") in (RUNNING, STALLED) and self.told["pid"] is not None and status.here(self._beat)

    @property
    def pid(self) -> int | None:
        """Of the process that plays it, islands of one process alike."""
        return self.told.get("pid")

    @property
    def use(self) -> float | None:
        """Cores that its process keeps busy."""
        return self._rate(1)

    @property
    def pace(self) -> float | None:
        """Generations a second."""
        return self._rate(2)

    def _rate(self, column: int) -> float | None:
        if len(self._beats) < 2 or self.told.get("state") != RUNNING:
            return None
        first, last = self._beats[0], self._beats[-1]
        seconds = last[0] - first[0]
        return max(0.0, last[column] - first[column]) / seconds if seconds > 0.4 else None

    def _lives(self, beat: dict[str, Any]) -> bool | None:
        """True where a beat is a fresh one of the process that was alive before: who beats, lives. None: not known."""
        same = all(beat.get(key) == self._beat.get(key) for key in ("pid", "started", "boot_id", "epoch"))
        newer = status.is_number(beat.get("time")) and beat["time"] > self._beat.get("time", 0.0)
        return True if same and newer and self.at_work and beat.get("state") not in ("done", "stopped") else None

    def _take(self, beat: dict[str, Any], launcher: dict[str, Any] | None, lives: Any) -> None:
        alive = lives(beat) if lives else None
        if alive is None:
            self.told = status.island_status(self.island, launcher)
        else:
            self.told = status.judged(self.island, beat, alive, launcher)
        self._beat = beat
        self._note(beat)

    def _note(self, beat: dict[str, Any]) -> None:
        at, used, done = beat.get("time"), beat.get("cpu_seconds"), status.generations_done(beat)
        if not (status.is_number(at) and status.is_number(used)):
            return
        beats, entry = self._beats, (float(at or 0.0), float(used or 0.0), done)
        if beats and (entry[1] < beats[-1][1] or entry[2] < beats[-1][2]):
            beats.clear()  # another process
        if not beats or entry[0] > beats[-1][0]:
            beats.append(entry)
        while len(beats) > 2 and beats[1][0] < entry[0] - WINDOW:
            beats.popleft()


def _stamp(island: IslandDir) -> int | None:
    try:
        return os.stat(island.path).st_mtime_ns
    except OSError:
        return None


def _age(beat: dict[str, Any]) -> float | None:
    at = beat.get("time")
    return round(time.time() - float(at), 1) if status.is_number(at) and at is not None else None
