"""Starts island processes, restarts the dead from their checkpoints, stops them on request, waits for all.

One process an island (`run` puts all its populations into one). Launcher and island meet in the run directory and
an exit code, nothing else: this module knows no genome, no generation and no result beyond "the file is there".
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from islands import threads
from islands.errors import STOPPED, ConfigError
from launcher import signals
from launcher.cores import pinned
from launcher.utilisation import process_seconds

PROGRAM: tuple[str, ...] = (sys.executable, "-P", "-m", "islands")
"""How an island process is started; RUN_DIR, the job's arguments and `--parent PID` follow."""
MAX_RESTARTS, RESTART_WINDOW = 5, 600.0
"""At most so many restarts of one island within so many seconds."""
GRACE = 30.0
"""Seconds from SIGTERM to SIGKILL: time for an evaluation and a checkpoint."""
TICK = 0.1

Tell = Callable[[str, str], None]
"""Receives (island, what happened)."""


@dataclass(frozen=True)
class Job:
    """One process to keep alive: its arguments after RUN_DIR, its cores (None: any), its log, the files that end it."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    results: tuple[Path, ...]
    cpus: frozenset[int] | None = None
    threads: int = 1


@dataclass
class Worker:
    """A job and what became of it. States: waiting, running, backoff, done, failed, stopped."""

    job: Job
    state: str = "waiting"
    process: subprocess.Popen[bytes] | None = None
    due: float = 0.0
    restarts: list[float] = field(default_factory=list)
    code: int | None = None
    first_start: float = 0.0
    ended: float = 0.0
    spent: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "stopped")

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all its processes so far."""
        living = process_seconds(self.process.pid) if self.process else None
        return self.spent + (living or 0.0)

    def utilisation(self, now: float) -> float:
        """CPU seconds over wall seconds × threads, from its first start to its end or `now`."""
        wall = (self.ended or now) - self.first_start
        return self.cpu_seconds / (wall * self.job.threads) if self.first_start and wall > 0 else 0.0


class Supervisor:
    """Keeps `jobs` of one run alive until each has finished, failed for good or been stopped.

    `program` is how an island process starts; `tell` hears of starts, deaths and ends; `tick` is called about ten
    times a second, and so is `halt`, whose True stops all islands.
    """

    def __init__(
        self,
        run_dir: Path,
        jobs: Sequence[Job],
        tell: Tell,
        tick: Callable[[], None] = lambda: None,
        program: Sequence[str] = PROGRAM,
        halt: Callable[[], bool] = lambda: False,
    ) -> None:
        self.run_dir, self.program = run_dir.absolute(), tuple(program)
        self.workers = [Worker(job) for job in jobs]
        self.signal: int | None = None
        self._tell, self._tick, self._halt = tell, tick, halt
        self._signals = 0
        self._kill_at = float("inf")
        self._asked_to_stop = False

    def run(self) -> int | None:
        """Supervise to the end. Returns the signal that stopped the run, None when none did."""
        with self._listening():
            for worker in self.workers:
                if self.signal is None:
                    self._start(worker)
            while not all(worker.over for worker in self.workers):
                self._reap()
                self._act(time.monotonic())
                self._tick()
                time.sleep(TICK)
        return self.signal

    def stop(self) -> None:
        """Ask every island to checkpoint and stop; SIGKILL follows after the grace period."""
        self._kill_at = min(self._kill_at, time.monotonic() + GRACE)
        self._asked_to_stop = True
        for worker in self.workers:
            _send(worker.process, signal.SIGTERM)
            if worker.process is None and not worker.over:
                self._end(worker, "stopped", "")

    def _act(self, now: float) -> None:
        """Signals that came, the end of the grace period, restarts that are due."""
        if self.signal is not None and not self._asked_to_stop:
            self._tell("", f"{signal.Signals(self.signal).name}: islands checkpoint and stop (again: kill them)")
            self.stop()
        elif not self._asked_to_stop and self._halt():
            self._tell("", "asked to stop: islands checkpoint and stop")
            self.stop()
        if self._signals > 1 or now > self._kill_at:
            for worker in self.workers:
                _send(worker.process, signal.SIGKILL)
        for worker in self.workers:
            if worker.state == "backoff" and now >= worker.due:
                self._start(worker)

    def _start(self, worker: Worker) -> None:
        job = worker.job
        try:
            worker.process = self._spawn(job)
        except OSError as error:
            self._retry(worker, f"cannot start: {error}")
            return
        worker.first_start = worker.first_start or time.monotonic()
        worker.state, worker.ended = "running", 0.0
        self._tell(job.name, f"started, process {worker.process.pid}")
        if self._asked_to_stop:
            _send(worker.process, signal.SIGTERM)

    def _spawn(self, job: Job) -> subprocess.Popen[bytes]:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab") as log, pinned(job.cpus):
            return subprocess.Popen(
                [*self.program, str(self.run_dir), *job.arguments, "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(job.threads),
                start_new_session=True,
            )

    def _reap(self) -> None:
        for worker in self.workers:
            if worker.process is None:
                continue
            pid, status, usage = os.wait4(worker.process.pid, os.WNOHANG)
            if pid:
                worker.process.returncode = worker.code = os.waitstatus_to_exitcode(status)
                worker.process = None
                worker.spent += usage.ru_utime + usage.ru_stime
                worker.ended = time.monotonic()
                self._judge(worker)

    def _judge(self, worker: Worker) -> None:
        """What the end of a process means."""
        code = worker.code
        finished = all(path.is_file() for path in worker.job.results)
        if code == 0 and finished:
            self._end(worker, "done", "finished")
        elif self._asked_to_stop:
            self._end(worker, "stopped", f"stopped ({_ending(code)})")
        elif code == STOPPED:
            self._end(worker, "stopped", "stopped by someone's request, with a checkpoint")
        elif code == ConfigError.exit_code:
            self._end(worker, "failed", "failed: a configuration that cannot work is not tried again")
        else:
            self._retry(worker, _ending(code) if code else "exit code 0 without a result")

    def _retry(self, worker: Worker, why: str) -> None:
        now = time.monotonic()
        worker.restarts.append(now)
        recent = [moment for moment in worker.restarts if moment > now - RESTART_WINDOW]
        if len(recent) > MAX_RESTARTS:
            worker.restarts.pop()
            minutes = RESTART_WINDOW / 60
            self._end(worker, "failed", f"died ({why}); {MAX_RESTARTS} restarts in {minutes:g} minutes are enough")
            return
        wait = 2.0 ** (len(recent) - 1)
        worker.state, worker.due = "backoff", now + wait
        self._tell(worker.job.name, f"died ({why}); restart {len(worker.restarts)} from its checkpoint in {wait:g} s")

    def _end(self, worker: Worker, state: str, text: str) -> None:
        worker.state = state
        if text:
            self._tell(worker.job.name, text)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Within, SIGINT, SIGTERM and SIGHUP ask for a clean stop (unless ignored when this process started)."""

        def note(number: int) -> None:
            self.signal = self.signal or number
            self._signals += 1

        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by some parents; then nobody could be waited for
        try:
            with signals.heard(note):
                yield
        finally:
            self._leave_none()

    def _leave_none(self) -> None:
        """No island outlives its launcher, whatever ended the loop: checkpoint and stop, or be killed."""
        living = [worker for worker in self.workers if worker.process]
        for worker in living:
            _send(worker.process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while any(worker.process for worker in living) and time.monotonic() < deadline:
            self._reap()
            time.sleep(TICK)
        for worker in living:
            _send(worker.process, signal.SIGKILL)


def environment(count: int) -> dict[str, str]:
    """The environment of an island process: this one's, with every library's threads limited before it starts."""
    result = dict(os.environ, PYTHONFAULTHANDLER="1", **dict.fromkeys(threads.VARIABLES, str(count)))
    spec = importlib.util.find_spec("islands")
    home = str(Path(spec.origin).parent.parent) if spec and spec.origin else ""
    if home and home not in site.getsitepackages():
        result["PYTHONPATH"] = os.pathsep.join(filter(None, [home, result.get("PYTHONPATH", "")]))
    return result


def _send(process: subprocess.Popen[bytes] | None, number: int) -> None:
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _ending(code: int | None) -> str:
    """An exit code in words."""
    if code is not None and code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
