"""How island processes are started: one by one, or forked from a nursery that has everything imported and compiled."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from islands import process
from islands.errors import TryAgain
from islands.rundir import RunDir
from launcher.cores import pinned
from launcher.status import living
from launcher.workers import PROGRAM, Adopted, Child, Ended, Job, Process, environment

PATIENCE = 10.0
"""Seconds that a fork may take."""


class Plain:
    """A new interpreter for every process."""

    def __init__(self, run_dir: Path, program: Sequence[str], detach: bool) -> None:
        self._run_dir, self._program, self._detach = run_dir, program, detach

    def ready(self) -> bool:
        """Always."""
        return True

    def find(self, job: Job) -> Process | None:
        """The process of this machine that plays the job's islands now, whoever started it."""
        alive = next(filter(None, map(living, job.islands)), None)
        return Adopted(alive) if alive else None

    def blocked(self, job: Job) -> str:
        """Never: whoever lives here is found."""
        return ""

    def flush(self) -> None:
        """Every start is one of its own."""

    def start(self, job: Job) -> Child:
        """Start a job's process: in a session of its own, on its cores, its output in its log."""
        command = self.command(job)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab") as log, pinned(job.cpus):
            popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(job.threads),
                start_new_session=True,
            )  # fmt: skip
        return Child(popen, command)

    def command(self, job: Job) -> tuple[str, ...]:
        """The process's command line."""
        parent = () if self._detach else ("--parent", str(os.getpid()))
        return (*self._program, str(self._run_dir), *job.arguments, *parent)

    def close(self) -> None:
        """Nothing is left."""


class Nursery:
    """Forks them from one process (see `islands.nursery`); should that process die, they are started plainly."""

    def __init__(self, run_dir: Path, detach: bool) -> None:
        self._run_dir, self._detach = run_dir, detach
        self._plain = Plain(run_dir, PROGRAM, detach)
        self._popen: subprocess.Popen[bytes] | None = None
        self._said = b""
        self._ready = self.gone = False
        self._born: list[int] = []
        self._ended: dict[int, Ended] = {}

    def ready(self) -> bool:
        """Whether it can fork; the first question starts it."""
        if self._popen is None and not self.gone:
            self._open()
        self.listen(0.0)
        return self._ready or self.gone

    def find(self, job: Job) -> Process | None:
        """As `Plain.find`."""
        return self._plain.find(job)

    def blocked(self, job: Job) -> str:
        """Never."""
        return ""

    def flush(self) -> None:
        """Every start is one of its own."""

    def start(self, job: Job) -> Process:
        """As `Plain.start`."""
        if self.gone:
            return self._plain.start(job)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        open(job.log, "ab").close()  # so that what the disk says to it is heard here
        wanted = {"arguments": job.arguments, "log": str(job.log.absolute()), "detach": self._detach}
        wanted["cpus"] = sorted(job.cpus) if job.cpus else None
        self._ask(wanted)
        deadline = time.monotonic() + PATIENCE
        while not self._born and not self.gone and time.monotonic() < deadline:
            self.listen(deadline - time.monotonic())
        if not self._born:
            self.close()
            return self._plain.start(job)
        return Forked(self, self._born.pop(), self._plain.command(job), self._detach)

    def ended(self, pid: int) -> Ended | None:
        """How a process born here has ended, as far as the nursery has said."""
        self.listen(0.0)
        return self._ended.pop(pid, None)

    def listen(self, seconds: float) -> None:
        """Hear what it says, for so long at most."""
        if self._popen is None or self.gone:
            return
        assert self._popen.stdout is not None
        if not select.select([self._popen.stdout], [], [], max(0.0, seconds))[0]:
            return
        data = os.read(self._popen.stdout.fileno(), 65536)
        if not data:
            self.close()
            return
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def close(self) -> None:
        """Let it end; what it has brought up is not touched. What is not ready yet has brought up nothing."""
        self.gone = True
        if self._popen is not None:
            if not self._ready:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._popen.pid, signal.SIGTERM)  # or it would be waited for until all is compiled
            for pipe in (self._popen.stdin, self._popen.stdout):
                with contextlib.suppress(OSError):
                    pipe and pipe.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(PATIENCE)
            self._popen = None

    def _open(self) -> None:
        log = RunDir(self._run_dir).nursery_log
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "wb") as stream:
                self._popen = subprocess.Popen(
                    [sys.executable, "-P", "-m", "islands.nursery", str(self._run_dir)], env=environment(1),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream, start_new_session=True,
                )  # fmt: skip
        except OSError:
            self.gone = True

    def _ask(self, wanted: dict[str, Any]) -> None:
        assert self._popen is not None and self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            os.write(self._popen.stdin.fileno(), (json.dumps(wanted) + "\n").encode())

    def _hear(self, said: dict[str, Any]) -> None:
        if "ready" in said:
            self._ready = True
        elif "status" in said:
            code = os.waitstatus_to_exitcode(said["status"])
            self._ended[said["pid"]] = Ended(code, said["cpu_seconds"])
        else:
            self._born.append(said["pid"])


class Forked(Adopted):
    """A process that a nursery has brought up for this launcher, and whose ending the nursery sees."""

    def __init__(self, nursery: Nursery, pid: int, command: tuple[str, ...], detached: bool) -> None:
        super().__init__(process.identity(pid))
        self.command = command
        self._nursery, self._detached = nursery, detached

    def poll(self) -> Ended | None:
        """What the nursery says; should that have died, an island that has ended with it may be tried again."""
        ended = self._nursery.ended(self.pid)
        if ended is not None:
            self.release()
        elif self._nursery.gone:
            ended = super().poll()
            if ended is not None and not self._detached:
                return Ended(TryAgain.exit_code, ended.cpu_seconds)
        return ended


Starter = Plain | Nursery


def starter(run_dir: Path, jobs: Sequence[Job], program: Sequence[str], detach: bool) -> Starter:
    """A nursery where several islands of one thread each are to be started: libraries' own threads survive no fork."""
    forks = len(jobs) > 1 and program is PROGRAM and all(job.threads == 1 for job in jobs)
    return Nursery(run_dir, detach) if forks else Plain(run_dir, program, detach)
