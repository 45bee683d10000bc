"""`evolab stop`: ask a run's islands to stop, for good, whether a launcher looks after them or not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from islands import files, process
from islands.errors import EvolabError
from islands.rundir import IslandDir, RunDir
from launcher import live
from launcher.rules import GRACE
from launcher.states import BACKOFF, DONE, FAILED, RUNNING, STALLED
from launcher.status import alive, beat_of, here, living, run_status

PATIENCE = GRACE + 10.0
"""Seconds that islands and launcher have to end; then what still lives is killed."""


def stop(run: RunDir, now: bool = False, patience: float = PATIENCE) -> dict[str, Any]:
    """Leave stop files, which outlive everybody, and wait until nothing of the run lives; what became of it.

    The run's own file comes first: from then on no launcher starts an island. `now`: kill the islands at once.
    """
    islands = run.islands()
    files.leave_mark(run.stop)
    for island in islands:
        if not island.result.exists() and island.path.is_dir():
            files.leave_mark(island.stop)
    began = time.monotonic()
    killed = _kill(islands) if now else []
    while _left(run, islands) and time.monotonic() - began < patience:
        time.sleep(0.1)
        killed += _kill(islands) if now else []
    if left := [island for island in islands if living(island)]:
        killed += _kill(left)
        time.sleep(0.5)
    status = run_status(run)
    return {
        "run": status["run"],
        "state": status["state"],
        "seconds": round(time.monotonic() - began, 1),
        "killed": sorted(set(killed)),
        "launcher": bool(status["launcher"] and status["launcher"]["alive"]),
        "islands": [{key: island[key] for key in ("island", "state", "done", "generations")}
                    for island in status["islands"]],
    }  # fmt: skip


def over(result: dict[str, Any]) -> bool:
    """Whether nothing of the run is left."""
    return not result["launcher"] and all(
        island["state"] not in (RUNNING, STALLED, BACKOFF) for island in result["islands"]
    )


def told(result: dict[str, Any]) -> None:
    """The result, for people."""
    counts: dict[str, int] = {}
    for island in result["islands"]:
        counts[island["state"]] = counts.get(island["state"], 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(f"{result['run']}: {states} after {result['seconds']:g} s")
    if result["killed"]:
        print(f"killed: {', '.join(result['killed'])}; they go on from their last checkpoints")
    if not over(result):
        print("something of the run is still alive: see evolab status")
    elif any(island["state"] not in (DONE, FAILED) for island in result["islands"]):
        print(f"go on with: evolab resume {result['run']}")


def _left(run: RunDir, islands: list[IslandDir]) -> bool:
    return live.is_current(live.read(run)) or any(living(island) or _elsewhere(island) for island in islands)


def _elsewhere(island: IslandDir) -> bool:
    """Whether it seems to live on another machine, where its stop file is all that reaches it."""
    beat = beat_of([island])
    return bool(beat) and not here(beat) and alive(beat)


def _kill(islands: list[IslandDir]) -> list[str]:
    """SIGKILL for the processes of `islands` that live; their names."""
    names = []
    for island in islands:
        found = living(island)
        if not found:
            continue
        with contextlib.suppress(OSError, EvolabError):
            handle = os.pidfd_open(int(found["pid"]))
            try:
                if process.is_alive(found):  # now the handle is that of this process and no later one
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    names.append(island.name)
            finally:
                os.close(handle)
    return names
