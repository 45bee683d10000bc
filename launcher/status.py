"""The state of runs, from their files alone: no launcher needs to live.

The cost of a look does not grow with a run's length: heartbeats and results only.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from islands import files, process
from islands.errors import EvolabError
from islands.rundir import IslandDir, RunDir
from launcher.run import every, find

STALE = 60.0
"""Seconds after which a heartbeat of another host counts as dead."""


def alive(beat: dict[str, Any]) -> bool:
    """Whether the process that wrote the heartbeat still runs.

    On this boot of this machine by pid and start time; a heartbeat from elsewhere is judged by its age.
    """
    if beat.get("state") == "done":
        return False
    if not here(beat):
        return time.time() - float(beat.get("time") or 0) < STALE
    return process.is_alive(beat)


def here(beat: dict[str, Any]) -> bool:
    """Whether the heartbeat was written on this boot of this machine."""
    return bool(beat.get("boot_id") == process.boot_id())


def island_status(island: IslandDir) -> dict[str, Any]:
    """One island: state (pending, starting, running, stopped, done, failed) and the figures of its last heartbeat."""
    beat = _read(island.heartbeat)
    state = "pending"
    if island.result.exists():
        state = "done"
    elif beat and alive(beat):
        state = str(beat.get("state"))
    elif island.error.exists():
        state = "failed"
    elif beat:
        state = "stopped"
    return {
        "island": island.name,
        "state": state,
        "generation": beat.get("generation"),
        "done": generations_done(beat),
        "generations": beat.get("generations"),
        "best": beat.get("best"),
        "cpu_seconds": beat.get("cpu_seconds"),
        "rss_mb": beat.get("rss_mb"),
        "pid": beat.get("pid") if state in ("starting", "running") else None,
        "seconds_since_heartbeat": round(time.time() - float(beat["time"]), 1)
        if _is_number(beat.get("time"))
        else None,
        "message": _read(island.error).get("message") if state == "failed" else None,
    }


def run_status(run: RunDir) -> dict[str, Any]:
    """A run: its plan's essentials and all its islands."""
    plan = _read(run.plan)
    islands = [island_status(island) for island in run.islands()]
    return {
        "run": str(run.path),
        "command": plan.get("command"),
        "config": plan.get("config"),
        "created": plan.get("created"),
        "state": run_state([str(island["state"]) for island in islands]),
        "islands": islands,
    }


def run_state(states: Sequence[str]) -> str:
    """A run's state in one word, from its islands' states."""
    for state in ("running", "starting"):
        if state in states:
            return "running"
    if all(state == "done" for state in states):
        return "done"
    return next((state for state in ("failed", "stopped") if state in states), "pending")


def overview(runs: Sequence[RunDir]) -> list[dict[str, Any]]:
    """One line a run: its state, how many islands are in which state, generations, best."""
    lines = []
    for run in runs:
        status = run_status(run)
        islands = status.pop("islands")
        numbers = [island["best"] for island in islands if _is_number(island["best"])]
        status["islands"] = len(islands)
        status["finished"] = sum(island["state"] == "done" for island in islands)
        status["generations_done"] = min((island["done"] for island in islands), default=0)
        status["generations"] = max((island["generations"] or 0 for island in islands), default=0)
        status["best"] = max(numbers, default=None)
        lines.append(status)
    return lines


def of_one(name: str) -> Callable[[], dict[str, Any]]:
    """A look at the run called `name`, to be taken as often as one likes."""
    run = find(name)
    return lambda: run_status(run)


def of_all() -> Callable[[], list[dict[str, Any]]]:
    """A look at all runs of this folder."""
    return lambda: overview(every())


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, EvolabError, ValueError):
        return files.read_json(path)
    return {}


def generations_done(beat: dict[str, Any]) -> int:
    """How many generations are done: a heartbeat's `generation` is the number of the last one, counted from 0."""
    generation = beat.get("generation")
    return generation + 1 if isinstance(generation, int) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
