"""Island processes of other machines, known by what they write and by what their place says of them."""

from __future__ import annotations

import time
from typing import Any

from islands.rundir import IslandDir
from launcher.status import alive, beat_of, here, living
from launcher.workers import Job

EVERY = 1.0
"""Seconds between two looks at a heartbeat."""


class Remote:
    """What all of them have in common.

    Process numbers and boots are another machine's: a heartbeat is its own when it differs from what lay there before.
    """

    command: tuple[str, ...] = ()
    stops_by_itself = False

    def __init__(self, job: Job, fresh: bool = True) -> None:
        self.job = job
        self._before = identity(beat_of(job.islands)) if fresh else None
        self._beat: dict[str, Any] = {}
        self._next = 0.0

    def wrote(self, beat: dict[str, Any]) -> bool:
        """Whether a heartbeat is none that lay there before it was started."""
        return bool(beat) and identity(beat) != self._before

    @property
    def pid(self) -> int:
        """Its number on its machine; 0 until it has written a heartbeat."""
        number = self._own().get("pid")
        return number if isinstance(number, int) else 0

    @property
    def cpu_seconds(self) -> float:
        """As its heartbeat says."""
        return float(self._own().get("cpu_seconds") or 0.0)

    def _own(self) -> dict[str, Any]:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY
            found = beat_of(self.job.islands)
            self._beat = found if self.wrote(found) else {}
        return self._beat


def identity(beat: dict[str, Any]) -> tuple[Any, ...]:
    """What tells the process that wrote a heartbeat from every other one."""
    return (beat.get("pid"), beat.get("started"), beat.get("boot_id"))


def another(job: Job) -> str:
    """Why a process that is not known to its place may still have one of the job's islands; "" where none has.

    On another machine it is believed dead when its heartbeat is old: only then may another one be started.
    """
    return next(filter(None, map(_held_by, job.islands)), "")


def _held_by(island: IslandDir) -> str:
    if found := living(island):
        return f"process {found['pid']} of this machine has it"
    beat = beat_of([island])
    if beat and not here(beat) and alive(beat):
        return "a process elsewhere may still have it: its last heartbeat is younger than a minute"
    return ""
