"""The processes that a launcher looks after: its own children, and islands that it found alive."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from islands import notify, process, threads
from islands.rundir import IslandDir
from launcher.restarts import Death
from launcher.stall import Patience, Pulse
from launcher.states import OVER, PENDING, RUNNING
from launcher.status import beat_of
from launcher.utilisation import family_seconds, process_seconds

PROGRAM: tuple[str, ...] = (sys.executable, "-P", "-m", "islands")
"""How an island process is started; RUN_DIR, the job's arguments and perhaps `--parent PID` follow."""


class Ended(NamedTuple):
    """How a process ended: its exit code (-N: signal N; None: nobody can say), its CPU seconds, and why, if its place
    says so."""

    code: int | None
    cpu_seconds: float
    why: str = ""


class Process(Protocol):
    """A process that is alive until `poll` says otherwise.

    `where`: what its place calls it; "" on this machine, where `pid` says it all. `queued`: why it has not begun yet.
    """

    command: tuple[str, ...]

    @property
    def pid(self) -> int:
        """Its number; elsewhere 0 until it has written a heartbeat."""

    @property
    def where(self) -> str:
        """See above."""

    @property
    def queued(self) -> str:
        """See above."""

    @property
    def stops_by_itself(self) -> bool:
        """Whether it ends because the launcher that started it has."""

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds so far."""

    def wrote(self, beat: dict[str, Any]) -> bool:
        """Whether a heartbeat is this process's own."""

    def poll(self) -> Ended | None:
        """How it ended; None while it lives."""

    def send(self, number: int) -> None:
        """Send it a signal."""


class Local:
    """A process of this machine."""

    where = queued = ""
    stops_by_itself = False

    def __init__(self, pid: int, command: tuple[str, ...]) -> None:
        self.pid, self.command = pid, command

    @property
    def cpu_seconds(self) -> float:
        """As the kernel counts them."""
        return seconds_of(self.pid, self.command) or 0.0

    def wrote(self, beat: dict[str, Any]) -> bool:
        """Told by the process's number."""
        return bool(beat.get("pid") == self.pid)


class Child(Local):
    """A process that this one has started."""

    def __init__(self, popen: subprocess.Popen[bytes], command: tuple[str, ...]) -> None:
        super().__init__(popen.pid, command)
        self._popen = popen

    def poll(self) -> Ended | None:
        """Wait for it without waiting."""
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return None
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        return Ended(self._popen.returncode, usage.ru_utime + usage.ru_stime)

    def send(self, number: int) -> None:
        """A signal; it cannot reach another process, since nobody else reaps this one."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Adopted(Local):
    """An island that another launcher, now dead, or somebody else has started."""

    def __init__(self, identity: dict[str, Any]) -> None:
        super().__init__(int(identity["pid"]), command_of(int(identity["pid"])))
        self._identity = identity
        self._handle: int | None = None
        with contextlib.suppress(OSError):
            self._handle = os.pidfd_open(self.pid)
        self._spent = self.cpu_seconds

    @property
    def stops_by_itself(self) -> bool:  # type: ignore[override]
        """Whether it ends because its launcher has."""
        return any("--parent" in word for word in self.command)

    def poll(self) -> Ended | None:
        """Alive by number, start time and boot; how it ended is known to its own parent only."""
        if process.is_alive(self._identity):
            self._spent = self.cpu_seconds or self._spent
            return None
        self.release()
        return Ended(None, self._spent)

    def release(self) -> None:
        """Let go of the process, which has ended."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def send(self, number: int) -> None:
        """A signal to this process and no later one of its number."""
        if self._handle is not None and process.is_alive(self._identity):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._handle, number)


TOGETHER = "run"
"""The name of a job that is all islands of a run; otherwise a job is named after its island."""


@dataclass(frozen=True)
class Job:
    """One process to keep alive: its arguments after RUN_DIR, its log, the populations that it plays, its cores."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    islands: tuple[IslandDir, ...]
    cpus: frozenset[int] | None = None
    threads: int = 1

    @property
    def finished(self) -> bool:
        """Whether all its results are there."""
        return all(island.result.is_file() for island in self.islands)

    @property
    def asked_to_stop(self) -> bool:
        """Whether somebody left a stop file."""
        return any(island.stop.exists() for island in self.islands)


@dataclass
class Worker:
    """A job and what became of it. `state` is one of `launcher.states`, `reason` says why where that is not obvious."""

    job: Job
    patience: Patience = Patience()
    state: str = PENDING
    reason: str = ""
    process: Process | None = None
    due: float = 0.0
    restarts: int = 0
    deaths: tuple[Death, ...] = ()
    reached: int | None = None
    code: int | None = None
    first_start: float = 0.0
    started: float = 0.0
    started_at: float = 0.0
    ended: float = 0.0
    spent: float = 0.0
    waits_for_disk: bool = False
    full: int = 0
    leaving: bool = False
    stalled_at: float | None = None
    terminated: bool = False
    pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.patience)

    @property
    def name(self) -> str:
        """The job's."""
        return self.job.name

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in OVER

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all its processes so far."""
        return self.spent + (self.process.cpu_seconds if self.process else 0.0)

    @property
    def beat(self) -> dict[str, Any]:
        """The newest heartbeat of its process; {} where it has written none."""
        found = beat_of(self.job.islands)
        return found if self.process is not None and self.process.wrote(found) else {}

    def utilisation(self, now: float) -> float:
        """CPU seconds over wall seconds × threads, from its first start to its end or `now`."""
        wall = (self.ended or now) - self.first_start
        return self.cpu_seconds / (wall * self.job.threads) if self.first_start and wall > 0 else 0.0

    def send(self, number: int) -> None:
        """A signal to its process, if it has one."""
        if self.process is not None:
            self.process.send(number)

    def begin(self, started: Process) -> None:
        """A process of its own, from now on."""
        now = time.monotonic()
        self.process = started
        self.first_start = self.first_start or now
        self.started, self.started_at, self.ended = now, time.time(), 0.0
        self.reason, self.leaving, self.stalled_at, self.terminated = "", False, None, False
        self.waits_for_disk = False
        self.state = PENDING if started.queued else RUNNING
        self.pulse.begin(now)

    def turn(self, now: float) -> None:
        """Its process waits for its turn, or has just got it: that is no silence."""
        queued = self.process.queued if self.process else ""
        if queued:
            self.state, self.reason = PENDING, queued
            self.stalled_at, self.terminated = None, False
            self.pulse.begin(now)
        elif self.state == PENDING:
            self.state, self.reason, self.started = RUNNING, "", now
            self.pulse.begin(now)


def environment(count: int) -> dict[str, str]:
    """The environment of an island process: this one's, with every library's threads limited before it starts.

    What systemd tells this process is not its children's: they report to their launcher.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in notify.VARIABLES}
    result = dict(inherited, PYTHONFAULTHANDLER="1", **dict.fromkeys(threads.VARIABLES, str(count)))
    spec = importlib.util.find_spec("islands")
    home = str(Path(spec.origin).parent.parent) if spec and spec.origin else ""
    if home and home not in site.getsitepackages():
        result["PYTHONPATH"] = os.pathsep.join(filter(None, [home, result.get("PYTHONPATH", "")]))
    return result


def seconds_of(pid: int, command: Sequence[str]) -> float | None:
    """CPU seconds of an island process; those of its workers are its own (only one of many islands has any)."""
    return family_seconds(pid) if "--all" in command else process_seconds(pid)


def command_of(pid: int) -> tuple[str, ...]:
    """The command line of a process; empty when it is gone."""
    with contextlib.suppress(OSError):
        return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
    return ()


def called(process: Process) -> str:
    """A process in words."""
    return process.where or f"process {process.pid}"


def ending(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "ended without a word"
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
