"""A live run as `/proc` and the run's files show it: two looks at every island, a second apart. Changes nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import EvolabError
from islands.rundir import IslandDir, RunDir
from launcher import cores, status, utilisation

BETWEEN = 1.0
"""Seconds between the two looks."""
_PROC = Path("/proc")


@dataclass(frozen=True)
class Look:
    """A living process at one moment: CPU seconds (its workers' included), context switches of all its threads, their
    number, its state.

    `where`: the kernel function that it waits in, where the kernel says.
    """

    time: float
    cpu: float
    switches: int
    threads: int
    state: str
    where: str = ""


@dataclass
class Seen:
    """An island as its files tell of it, and the looks at its process; none where it does not run on this machine.

    `state`: see `launcher.states`; `message`: why. `pace`: its median seconds a generation. `shares`: of a generation,
    that migration and checkpoints take.
    """

    name: str
    state: str
    message: str | None
    pid: int | None
    starting: bool
    age: float | None
    done: int
    generations: int
    pace: float | None
    shares: tuple[float, float] = (0.0, 0.0)
    looks: list[Look] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether both looks found it."""
        return len(self.looks) > 1

    def rate(self, of: Callable[[Look], float]) -> float:
        """How fast a figure grew between the looks, a second."""
        first, last = self.looks[0], self.looks[-1]
        return (of(last) - of(first)) / max(last.time - first.time, 1e-9)

    @property
    def busy(self) -> float:
        """Cores it used between the looks."""
        return self.rate(lambda look: look.cpu)

    @property
    def switches(self) -> float:
        """Context switches a second between the looks."""
        return self.rate(lambda look: float(look.switches))

    def account(self) -> utilisation.Island:
        """The island as the accounting wants it."""
        return utilisation.Island(
            name=self.name,
            state=self.state,
            done=self.done,
            generations=self.generations or 1,
            seconds_per_generation=self.pace,
            quiet_seconds=self.age or 0.0,
            migrate_share=self.shares[0],
            disk_share=self.shares[1],
            starting=self.starting,
        )


@dataclass(frozen=True)
class Observed:
    """A run and what was seen of it. `threads` an island may have; `granted`: cores it may use, of which everybody used
    `busy` CPU seconds in `seconds`."""

    path: Path
    islands: list[Seen]
    threads: int
    granted: float
    busy: float
    seconds: float

    @property
    def living(self) -> list[Seen]:
        """The islands whose process runs on this machine."""
        return [island for island in self.islands if island.alive]

    @property
    def used(self) -> float:
        """CPU seconds of its processes (several populations may share one) between the looks."""
        return sum(island.busy for island in {island.pid: island for island in self.living}.values()) * self.seconds


def observe(run: RunDir, between: float = BETWEEN) -> Observed:
    """Look at every island of the run twice."""
    plan, granted = run.read_plan(), cores.usable()
    islands = [_seen(run.island(entry["island"]), entry) for entry in status.run_status(run)["islands"]]
    busy, began = utilisation.busy_seconds(granted.cpus), time.monotonic()
    _look(islands)
    time.sleep(between)
    _look(islands)
    seconds = time.monotonic() - began
    threads = int(plan.get("threads") or 1)
    processes = len({island.pid for island in islands}) if plan.get("command") == "run" else len(islands)
    share = granted.granted if plan.get("command") == "launch" else min(granted.granted, float(threads * processes))
    return Observed(run.path, islands, threads, share, utilisation.busy_seconds(granted.cpus) - busy, seconds)


def look_at(pid: int, proc: Path = _PROC) -> Look | None:
    """One look at a process; None when it is gone."""
    folder = proc / str(pid)
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        cpu = utilisation.family_seconds(pid, proc)
        count = 0
        for task in sorted((folder / "task").iterdir()):
            with suppress(OSError):  # a thread may end between the two lines
                lines = _lines(task / "status")
                count += int(lines.get("voluntary_ctxt_switches", 0)) + int(lines.get("nonvoluntary_ctxt_switches", 0))
        where = ""
        with suppress(OSError):
            where = (folder / "wchan").read_text().strip("0\n ")
        if cpu is None:
            return None
        return Look(time.monotonic(), cpu, count, int(_lines(folder / "status")["Threads"]), state, where)
    except (OSError, IndexError, KeyError, ValueError):
        return None


def _look(islands: list[Seen]) -> None:
    for island in islands:
        look = look_at(island.pid) if island.pid else None
        if look is not None:
            island.looks.append(look)


def _seen(place: IslandDir, entry: dict[str, Any]) -> Seen:
    beat: dict[str, Any] = {}
    lines: list[dict[str, Any]] = []
    with suppress(OSError, EvolabError, ValueError):
        beat = files.read_json(place.heartbeat)
    with suppress(OSError, EvolabError, ValueError):
        lines = files.tail_jsonl(place.metrics, 30)
    paces = [float(line["seconds"]) for line in lines if isinstance(line.get("seconds"), int | float)]
    return Seen(
        name=place.name,
        state=entry["state"],
        message=entry["message"],
        pid=entry["pid"] if status.here(beat) else None,
        starting=entry["phase"] == "starting",
        age=entry["seconds_since_heartbeat"],
        done=entry["done"],
        generations=int(entry["generations"] or 0),
        pace=statistics.median(paces) if paces else None,
        shares=utilisation.shares(lines[-1]) if lines else (0.0, 0.0),
    )


def _lines(path: Path) -> dict[str, str]:
    """The lines of a `status` file of /proc."""
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {key: value.strip() for key, _, value in pairs}
