"""What a task of a Slurm array does on its node: play one island, and be requeued from its checkpoint.

Slurm sends SIGUSR2 before the time limit, and before a preemption where it is configured to: the island checkpoints and
stops, and the task is queued again. SIGTERM makes the island stop too; what follows then is up to who has sent it: to
Slurm, or to the launcher, which looks at the job's state.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import STOPPED, ConfigError
from islands.rundir import RunDir
from launcher.starting import Plain
from launcher.workers import Child, Ended, Job

LOOK = 0.2
PATIENCE = 60.0
"""Seconds that an island has for its last evaluation and checkpoint; Slurm gives 90."""


def job_id() -> str:
    """The number of the job that this process is part of, as Slurm's commands take it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


@dataclass
class Task:
    """A job as submitit plays it: called once per start, `checkpoint` before it is requeued."""

    run_dir: str
    program: tuple[str, ...]
    name: str
    arguments: tuple[str, ...]
    log: str
    threads: int

    def __call__(self) -> int | None:
        """Play to the end; the exit code, which lies beside submitit's files too unless somebody asked to stop."""
        files.remove(self._end)
        _under_way.clear()
        child = self._start()
        _under_way.append(child)
        while (ended := _ended(child)) is None:
            time.sleep(LOOK)
        if not _told or ended.code != STOPPED or self._asked_to_stop():
            self._note(ended)
        return ended.code

    def checkpoint(self) -> Any:
        """Have the island checkpoint and stop; what to play when the task is started again. None: it has ended."""
        from submitit.helpers import DelayedSubmission

        ended: Ended | None = Ended(None, 0.0)
        for child in _under_way:
            child.send(signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE
            while (ended := _ended(child)) is None and time.monotonic() < deadline:
                time.sleep(LOOK)
        over = ended is not None and ended.code in (0, ConfigError.exit_code)
        if over or self._asked_to_stop():
            self._note(ended or Ended(STOPPED, 0.0))
            return None
        return DelayedSubmission(self)

    def _start(self) -> Child:
        job = Job(self.name, self.arguments, Path(self.log), (), None, self.threads)
        child = Plain(Path(self.run_dir), self.program, detach=False).start(job)

        def pass_on(number: int, _frame: object) -> None:
            if number == signal.SIGTERM:
                _told.append(number)
            child.send(number)

        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, pass_on)
        return child

    def _asked_to_stop(self) -> bool:
        run = RunDir(self.run_dir)
        return run.stop.exists() or run.island(self.name).stop.exists()

    @property
    def _end(self) -> Path:
        return RunDir(self.run_dir).slurm_end(job_id())

    def _note(self, ended: Ended) -> None:
        files.write_json(self._end, {"format": 1, "code": ended.code, "cpu_seconds": ended.cpu_seconds})


_under_way: list[Child] = []
_told: list[int] = []
"""Of this process: the island that it plays, and whether it was told to stop it."""


def _ended(child: Child) -> Ended | None:
    """As `Child.poll`; a signal's handler may have asked in the middle of the same question."""
    with suppress(ChildProcessError):
        return child.poll()
    return Ended(None, 0.0)


def tasks(run: RunDir, program: Sequence[str], jobs: Sequence[Job]) -> list[Task]:
    """What is to be submitted for `jobs`."""
    return [
        Task(str(run.path.absolute()), tuple(program), job.name, job.arguments, str(job.log.absolute()), job.threads)
        for job in jobs
    ]
