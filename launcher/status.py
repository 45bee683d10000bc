"""The state of runs, from their files alone: no launcher needs to live.

The cost of a look does not grow with a run's length: heartbeats, results, the end of a metrics file.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from islands import files, occupied, process
from islands.errors import ConfigError, EvolabError
from islands.rundir import IslandDir, RunDir
from launcher import live
from launcher.run import every, find
from launcher.stall import Patience
from launcher.states import ALL, BACKOFF, DONE, FAILED, HELD, PENDING, RUNNING, STALLED, STOPPED, of_run

STALE = 60.0
"""Seconds after which a heartbeat of another host counts as dead."""


def alive(beat: dict[str, Any]) -> bool:
    """Whether the process that wrote the heartbeat still runs.

    On this boot of this machine by pid and start time; a heartbeat from elsewhere is judged by its age.
    """
    if beat.get("state") == "done":
        return False
    if not here(beat):
        return beat.get("state") != "stopped" and time.time() - float(beat.get("time") or 0) < STALE
    return process.is_alive(beat)


def here(beat: dict[str, Any]) -> bool:
    """Whether the heartbeat was written on this boot of this machine."""
    return bool(beat.get("boot_id") == process.boot_id())


def living(island: IslandDir) -> dict[str, Any] | None:
    """The identity of the process that plays an island on this machine now; None where there is none."""
    return next(
        (found for found in (occupied.holder(island), read_or_nothing(island.heartbeat)) if process.is_alive(found)),
        None,
    )


def beat_of(islands: Sequence[IslandDir]) -> dict[str, Any]:
    """The newest heartbeat of a process that plays `islands`; {} where there is none."""
    beats = [read_or_nothing(island.heartbeat) for island in islands]
    return max(beats, key=lambda beat: float(beat["time"]) if is_number(beat.get("time")) else 0.0, default={})


def island_status(island: IslandDir, launcher: dict[str, Any] | None = None) -> dict[str, Any]:
    """One island: its state (see `launcher.states`) and the figures of its last heartbeat.

    `launcher`: the launcher.json of a launcher that lives, which knows more.
    """
    beat = read_or_nothing(island.heartbeat)
    process_lives = alive(beat) if beat and not here(beat) else living(island) is not None
    return judged(island, beat, process_lives, launcher)


def judged(
    island: IslandDir, beat: dict[str, Any], process_lives: bool, launcher: dict[str, Any] | None = None
) -> dict[str, Any]:
    """As `island_status`, for whoever has read the heartbeat and knows whether the process lives."""
    known = (launcher or {}).get("islands", {}).get(island.name, {})
    state, reason = _state(island, beat, known, process_lives)
    return {
        "island": island.name,
        "state": state,
        "phase": beat.get("state") if state in (RUNNING, STALLED) and process_lives else None,
        "generation": beat.get("generation"),
        "done": generations_done(beat),
        "generations": beat.get("generations"),
        "step": beat.get("step") if state in (RUNNING, STALLED) else None,
        "best": beat.get("best"),
        "cpu_seconds": beat.get("cpu_seconds"),
        "rss_mb": beat.get("rss_mb"),
        "pid": beat.get("pid") if process_lives and state in (RUNNING, STALLED) else None,
        "restarts": known.get("restarts"),
        "utilisation": known.get("utilisation"),
        "seconds_since_heartbeat": round(time.time() - float(beat["time"]), 1) if is_number(beat.get("time")) else None,
        "message": reason,
    }


def _state(
    island: IslandDir, beat: dict[str, Any], known: dict[str, Any], process_lives: bool
) -> tuple[str, str | None]:
    """An island's state and why."""
    told = str(known.get("state", ""))
    reason = known.get("reason")
    if island.result.exists() and (not process_lives or beat.get("state") == "done"):
        return DONE, None
    if process_lives:
        if told in (RUNNING, STALLED):
            return told, reason
        silent = _silence(island, beat)
        return (RUNNING, None) if silent is None else (STALLED, silent)
    if island.held.exists():
        return HELD, read_or_nothing(island.held).get("reason")
    error = read_or_nothing(island.error)
    if error.get("exit_code") == ConfigError.exit_code:
        return FAILED, error.get("message")
    if told == RUNNING:  # it has just been started, or has just died
        lives = known.get("where") or process.started(int(known.get("pid") or 0))
        return (RUNNING, reason) if lives else (BACKOFF, "it has just died")
    if told:
        return told, reason
    if error:
        return FAILED, error.get("message")
    return (STOPPED, None) if beat or island.stop.exists() else (PENDING, None)


def _silence(island: IslandDir, beat: dict[str, Any]) -> str | None:
    """Why an island that no launcher watches counts as stalled: the age of its heartbeat, by this machine's clock."""
    if not is_number(beat.get("time")):
        return None
    patience, quiet = Patience(), time.time() - float(beat["time"])
    limit = patience.starting
    if quiet <= patience.least:
        return None
    if beat.get("state") != "starting":
        lines: list[dict[str, Any]] = []
        with contextlib.suppress(OSError, EvolabError):
            lines = files.tail_jsonl(island.metrics, 15)
        usual = statistics.median([float(line.get("seconds") or 0.0) for line in lines] or [0.0])
        limit = max(patience.least, patience.factor * usual)
    return f"no heartbeat for {quiet:.0f} s (allowed: {limit:.0f})" if quiet > limit else None


def run_status(run: RunDir) -> dict[str, Any]:
    """A run: its plan's essentials, its launcher and all its islands."""
    plan = read_or_nothing(run.plan)
    last = live.read(run)
    launcher = last if live.is_current(last) else None
    islands = [island_status(island, launcher) for island in run.islands()]
    return {
        "run": str(run.path),
        "command": plan.get("command"),
        "config": plan.get("config"),
        "created": plan.get("created"),
        "state": of_run([str(island["state"]) for island in islands]),
        "launcher": _launcher(last, launcher is not None),
        "islands": islands,
    }


def _launcher(last: dict[str, Any], lives: bool) -> dict[str, Any] | None:
    """What the run's launcher, or its last one, said of the run as a whole."""
    if not last:
        return None
    keys = ("utilisation", "utilisation_now", "generations_per_second", "seconds", "cost", "cost_per_hour", "disk")
    return {
        "alive": lives,
        "pid": last.get("pid") if lives else None,
        "host": last.get("host"),
        **{key: last.get(key) for key in keys},
        "restarts": sum(int(entry.get("restarts") or 0) for entry in last["islands"].values()),
    }


def overview(runs: Sequence[RunDir]) -> list[dict[str, Any]]:
    """One line a run: its state, how many islands are in which state, generations, best."""
    lines = []
    for run in runs:
        status = run_status(run)
        islands = status.pop("islands")
        launcher = status.pop("launcher") or {}
        numbers = [island["best"] for island in islands if is_number(island["best"])]
        status["islands"] = len(islands)
        status["finished"] = sum(island["state"] == DONE for island in islands)
        status["states"] = {state: n for state in ALL if (n := sum(one["state"] == state for one in islands))}
        status["generations_done"] = min((island["done"] for island in islands), default=0)
        status["generations"] = max((island["generations"] or 0 for island in islands), default=0)
        status["best"] = max(numbers, default=None)
        status["utilisation"] = launcher.get("utilisation_now") if launcher.get("alive") else None
        status["cost"] = launcher.get("cost")
        lines.append(status)
    return lines


def of_one(name: str) -> Callable[[], dict[str, Any]]:
    """A look at the run called `name`, to be taken as often as one likes."""
    run = find(name)
    return lambda: run_status(run)


def of_all() -> Callable[[], list[dict[str, Any]]]:
    """A look at all runs of this folder."""
    return lambda: overview(every())


def read_or_nothing(path: Path) -> dict[str, Any]:
    """The JSON object of a file; {} where there is none that can be read."""
    with contextlib.suppress(OSError, EvolabError, ValueError):
        return files.read_json(path)
    return {}


def generations_done(beat: dict[str, Any]) -> int:
    """How many generations are done: a heartbeat's `generation` is the number of the last one, counted from 0."""
    generation = beat.get("generation")
    return generation + 1 if isinstance(generation, int) else 0


def is_number(value: object) -> bool:
    """Whether a value from a file is a number."""
    return isinstance(value, int | float)
