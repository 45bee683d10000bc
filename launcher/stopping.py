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
from launcher.places import HERE, Place, asking
from launcher.rules import GRACE
from launcher.states import BACKOFF, DONE, FAILED, RUNNING, STALLED, STOPPED, of_run
from launcher.status import alive, beat_of, here, living, run_status

PATIENCE = GRACE + 10.0
"""Seconds that islands and launcher have to end; then what still lives is killed."""


def stop(run: RunDir, now: bool = False, patience: float = PATIENCE) -> dict[str, Any]:
    """Leave stop files, which outlive everybody, and wait until nothing of the run lives; what became of it.

    The run's own file comes first: from then on no launcher starts an island. `now`: kill the islands at once,
    elsewhere through their place.
    """
    islands = run.islands()
    files.leave_mark(run.stop)
    for island in islands:
        if not island.result.exists() and island.path.is_dir():
            files.leave_mark(island.stop)
    began = time.monotonic()
    place = asking.asked(run) if now else HERE
    sent = asking.kill(run, place)
    killed = sent + (_kill(islands) if now else [])
    gone = _gone(run, place, sent, set())
    while _left(run, islands, gone) and time.monotonic() - began < patience:
        time.sleep(1.0 if place.elsewhere else 0.1)
        gone = _gone(run, place, sent, gone)
        killed += _kill(islands) if now else []
    if left := [island for island in islands if living(island)]:
        killed += _kill(left)
        time.sleep(0.5)
    status = _status(run, gone)
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


def _left(run: RunDir, islands: list[IslandDir], gone: set[str]) -> bool:
    return live.is_current(live.read(run)) or any(
        living(island) or (island.name not in gone and _elsewhere(island)) for island in islands
    )


def _gone(run: RunDir, place: Place, sent: list[str], before: set[str]) -> set[str]:
    """Which of the islands that `place` was told to end it has ended: `before` where it does not answer."""
    if not sent:
        return set()
    with contextlib.suppress(EvolabError):
        return set(sent) - asking.under_way(run, place).keys()
    return before


def _status(run: RunDir, gone: set[str]) -> dict[str, Any]:
    """As `run_status`; the heartbeat of what its place has just killed is too young to tell."""
    status = run_status(run)
    for island in status["islands"]:
        if island["island"] in gone and island["state"] in (RUNNING, STALLED, BACKOFF):
            island["state"] = STOPPED
    status["state"] = of_run(str(island["state"]) for island in status["islands"])
    return status


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
