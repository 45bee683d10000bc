"""Looking at one island again and again: little is read where nothing has changed.

All that tells of an island's state is put into its folder under a new name, which changes the folder's time: one
system call says whether there is anything to read. What says nothing, the end of a process, is asked of the kernel.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from typing import Any

from islands import process
from islands.rundir import IslandDir
from launcher import status
from launcher.states import RUNNING, STALLED

WHOLLY_EVERY = 10.0
"""Seconds after which everything is read again, changed or not."""
WINDOW = 12.0
"""Seconds over which use and pace are measured."""
_IDENTITY = ("pid", "started", "boot_id", "epoch")


class IslandLook:
    """One island, as it was seen last. `use`: cores; `pace`: generations a second; None until they are known."""

    def __init__(self, island: IslandDir) -> None:
        self.island = island
        self.told: dict[str, Any] = {}
        self.at_work = False
        """Whether a process of this machine played it when it was looked at."""
        self._folder, self._heartbeat = str(island.path), str(island.heartbeat)
        self._stamp: int | None = -1
        self._known: Any = None
        self._due = 0.0
        self._beat: dict[str, Any] = {}
        self._beats: deque[tuple[float, float, int]] = deque()

    def look(self, launcher: dict[str, Any] | None, now: float) -> dict[str, Any]:
        """As `status.island_status`. `launcher`: what a launcher that lives knows; `now`: a monotonic clock."""
        known = launcher["islands"].get(self.island.name) if launcher else None
        stamp = _stamp(self._folder)
        if now >= self._due:
            self._due = now + WHOLLY_EVERY
            self._take(launcher, False)
        elif stamp != self._stamp or known != self._known:
            self._take(launcher, True)
        elif self.at_work and process.started(self._beat["pid"]) != self._beat["started"]:
            self._take(launcher, False)
        else:
            self.told["seconds_since_heartbeat"] = _age(self._beat)
        self._stamp, self._known = stamp, known
        return self.told

    @property
    def pid(self) -> int | None:
        """Of the process that plays it: islands of one process have the same."""
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

    def _take(self, launcher: dict[str, Any] | None, lightly: bool) -> None:
        """Read what there is; `lightly`: do not ask the kernel of a process that has just written."""
        beat = _read(self._heartbeat)
        if lightly and self._has_just_beaten(beat):
            self.told = status.judged(self.island, beat, True, launcher)
        else:
            self.told = status.island_status(self.island, launcher)
            mine = self.told["state"] in (RUNNING, STALLED) and self.told["pid"] is not None
            self.at_work = mine and beat.get("pid") == self.told["pid"] and status.here(beat)
        self._beat = beat
        self._note(beat)

    def _has_just_beaten(self, beat: dict[str, Any]) -> bool:
        """Whether this is a newer beat of the process that was at work before: who beats, lives."""
        same = self.at_work and all(beat.get(key) == self._beat.get(key) for key in _IDENTITY)
        newer = same and status.is_number(beat.get("time")) and beat["time"] > (self._beat.get("time") or 0.0)
        return newer and beat.get("state") not in ("done", "stopped")

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


def _read(heartbeat: str) -> dict[str, Any]:
    try:
        with open(heartbeat, "rb", buffering=0) as stream:
            found = json.loads(stream.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _stamp(folder: str) -> int | None:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return None


def _age(beat: dict[str, Any]) -> float | None:
    at = beat.get("time")
    return round(time.time() - float(at), 1) if status.is_number(at) and at is not None else None
