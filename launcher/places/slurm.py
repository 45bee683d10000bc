"""`--on slurm`: an array of islands, one a task, submitted through submitit.

Whether a job lives says `squeue`; how its island ended says a file of the task (see `launcher.places.slurm_task`).
Which job has an island is noted in the island's folder, so that the next launcher finds it in the queue or at work.
Jobs need no launcher: they go on without one, and are requeued without one.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from islands import files
from islands.errors import STOPPED, ConfigError, EvolabError, TryAgain
from islands.rundir import RunDir
from launcher.places import Place
from launcher.places import slurm_queue as queue
from launcher.places.remote import Remote, another
from launcher.places.slurm_task import tasks
from launcher.workers import Ended, Job, environment

LOOK = 5.0
"""Seconds between two questions to Slurm's controller, one for all islands."""
GLANCE = 0.5
"""Seconds between two looks for a task's own word: it lies on a disk that all share."""
MINUTES = 240
"""The time limit of a task where nobody says one: the island goes on in the next."""
COMMANDS = ("sbatch", "squeue", "scancel", "srun")
_OURS = ("array", "output", "error", "open-mode", "input", "wrap", "job-name", "ntasks", "ntasks-per-node", "nodes")
_KEY = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)


def check(place: Place) -> None:
    """Refuse what Slurm would, as far as that is known here, and a machine without submitit or Slurm."""
    extra(place)
    submitit()
    for name in COMMANDS:
        if shutil.which(name) is None:
            got, do = f"no {name} in PATH", "start it where jobs are submitted from"
            raise ConfigError("--on slurm", expected="Slurm's commands", got=got, do=do)


def submitit() -> Any:
    """The library, or one line that says what to install."""
    try:
        return importlib.import_module("submitit")
    except ImportError:
        raise ConfigError(
            "--on slurm", expected="submitit", got="no module named submitit", do="pip install 'evolution-lab[slurm]'"
        ) from None


def extra(place: Place) -> dict[str, Any]:
    """The further options of sbatch that are asked for, by name; True: one without a value."""
    found: dict[str, Any] = {}
    for pair in place.extra:
        key, given, value = pair.partition("=")
        key = key.strip().removeprefix("--").replace("_", "-")
        if not _KEY.fullmatch(key) or (given and not value) or not value.isprintable():
            expected = "KEY=VALUE with an option of sbatch, such as qos=high"
            raise ConfigError("--slurm", expected=expected, got=ascii(pair))
        if key in _OURS:
            raise ConfigError("--slurm", expected="an option that evolab does not set itself", got=ascii(pair))
        found[key] = value if given else True
    return found


def parameters(run: RunDir, place: Place, threads: int, count: int) -> dict[str, Any]:
    """What submitit is told of `count` tasks."""
    setup = ["export OPENBLAS_NUM_THREADS=1"]
    if home := environment(1).get("PYTHONPATH"):
        setup.append(f"export PYTHONPATH={shlex.quote(home)}")
    wanted = {"partition": place.partition, "account": place.account}
    if place.memory is not None:
        wanted["mem"] = f"{round(place.memory * 1024)}MB"
    cpus = place.cpus or threads
    return {
        "job_name": queue.name_of(run),
        "time": place.time or MINUTES,
        "cpus_per_task": cpus,
        "srun_args": [f"--cpus-per-task={cpus}"],  # since Slurm 22.05 srun does not ask sbatch
        "array_parallelism": count,
        "setup": setup,
        "additional_parameters": {"requeue": True, **extra(place)},
        **{key: value for key, value in wanted.items() if value is not None},
    }


class Slurm:
    """See `launcher.places.Starter`."""

    def __init__(self, run: RunDir, place: Place, program: Sequence[str]) -> None:
        self._run, self._place, self._program = run, place, program
        self._gathered: list[SlurmJob] = []
        self._submitted = False
        self._asked: subprocess.Popen[bytes] | None = None
        self._answer = -1
        self._deadline = self._next = 0.0
        self.states: dict[str, str] | None = None
        logging.getLogger("submitit").setLevel(logging.ERROR)

    def ready(self) -> bool:
        """When Slurm has said once what is in its queue."""
        self.look()
        return self.states is not None

    def find(self, job: Job) -> SlurmJob | None:
        """The job that is noted in the island's folder, if Slurm still has it."""
        number = queue.number_of(job.islands[0])
        state = (self.states or {}).get(number, "")
        return SlurmJob(self, job, number) if state in queue.WAITING or state in queue.GOING else None

    def blocked(self, job: Job) -> str:
        """A job that Slurm has given up may still have a process on a node that is cut off."""
        return another(job)

    def start(self, job: Job) -> SlurmJob:
        """Submitted with the next `flush`."""
        self._gathered.append(SlurmJob(self, job))
        return self._gathered[-1]

    def flush(self) -> None:
        """Submit what was gathered, as one array; one task is a job of its own."""
        started, self._gathered = self._gathered, []
        if not started:
            return
        try:
            numbers = self._submit([one.job for one in started])
        except (RuntimeError, OSError) as error:  # submitit's errors are RuntimeErrors, or its own below them
            self._refused(started, error)
            return
        self._submitted = True
        self._forget()
        for one, number in zip(started, numbers, strict=True):
            one.number = number
            self.states = {**(self.states or {}), number: "PENDING"}
            with suppress(EvolabError, OSError):  # without it, the next launcher waits until the island is silent
                files.write_json(one.job.islands[0].place, {"format": 1, "on": "slurm", "job": number})

    def _submit(self, jobs: Sequence[Job]) -> list[str]:
        files.make_folder(self._run.slurm)
        python = f"{shlex.quote(sys.executable)} -P"
        executor = submitit().SlurmExecutor(self._run.slurm.absolute(), max_num_timeout=1_000_000, python=python)
        executor.update_parameters(**parameters(self._run, self._place, jobs[0].threads, len(jobs)))
        with executor.batch():
            submitted = [executor.submit(task) for task in tasks(self._run, self._program, jobs)]
        return [job.job_id for job in submitted]

    def _refused(self, started: Sequence[SlurmJob], error: Exception) -> None:
        """The first refusal is the configuration's, a later one may pass."""
        lines = [line.strip() for line in str(error).splitlines() if "error" in line] or [str(error).strip()]
        got = lines[-1].removeprefix("sbatch: ").removeprefix("error: ")
        for one in started:
            one.refusal = f"sbatch: {got}"
        if not self._submitted:
            raise ConfigError("sbatch", expected="a job that Slurm takes", got=got) from error

    def look(self) -> None:
        """Hear what Slurm says of the run's jobs; ask again when it is time. Never waits."""
        now = time.monotonic()
        if self._asked is not None:
            if self._asked.poll() is not None:
                self._hear(self._asked.returncode, os.pread(self._answer, 1 << 30, 0).decode(errors="replace"))
                self._forget()
            elif now > self._deadline:
                self._asked.kill()
        elif now >= self._next:
            self._next, self._deadline = now + LOOK, now + queue.ANSWER
            self._answer = os.memfd_create("squeue")  # a pipe would have to be read while it writes
            self._asked = subprocess.Popen(
                queue.question(self._run), stdin=subprocess.DEVNULL, stdout=self._answer, stderr=subprocess.STDOUT
            )

    def _hear(self, code: int, text: str) -> None:
        """Later failures pass: what was known stays."""
        if code == 0:
            self.states = queue.states_in(text)
        elif self.states is None:
            raise queue.silent((text.strip().splitlines() or [f"exit code {code}"])[-1])

    def _forget(self) -> None:
        """A question that was asked before something was submitted has a stale answer."""
        if self._asked is not None:
            with suppress(ProcessLookupError):
                self._asked.kill()
            self._asked.wait()
            os.close(self._answer)
            self._asked = None

    def soon(self) -> None:
        """Ask again without waiting for the time."""
        self._next = min(self._next, time.monotonic() + 0.5)

    def close(self) -> None:
        """What is under way is Slurm's."""
        self._forget()

    def end_of(self, number: str) -> dict[str, Any]:
        """What a task has noted of its end."""
        return files.read_json(self._run.slurm_end(number))


class SlurmJob(Remote):
    """An island's task in the queue or at work."""

    def __init__(self, slurm: Slurm, job: Job, number: str = "") -> None:
        super().__init__(job, fresh=not number)
        self._slurm, self.number, self.refusal = slurm, number, ""
        self._told = False
        self._sent: dict[int, float] = {}
        self._looked = 0.0

    @property
    def where(self) -> str:
        """Its number."""
        return f"Slurm job {self.number}" if self.number else "a Slurm job"

    @property
    def queued(self) -> str:
        """Whether it waits for a node."""
        state = self._state
        return f"{self.where} is {queue.plain(state) or 'being submitted'}" if state in ("", *queue.WAITING) else ""

    @property
    def _state(self) -> str:
        return (self._slurm.states or {}).get(self.number, "") if self.number else ""

    def poll(self) -> Ended | None:
        """By the task's own word, or by Slurm's when it has none left to say."""
        if self.refusal:
            return Ended(TryAgain.exit_code, 0.0, self.refusal)
        self._slurm.look()
        now = time.monotonic()
        if not self.number or self._state in queue.WAITING or now < self._looked + GLANCE:
            return None
        self._looked = now
        with suppress(EvolabError, OSError, KeyError):
            said = self._slurm.end_of(self.number)
            return Ended(said["code"], float(said["cpu_seconds"]))
        return None if self._state in queue.GOING else self._gone()

    def _gone(self) -> Ended:
        state, spent = self._state or "gone from the queue", self.cpu_seconds
        if self.job.finished:
            return Ended(0, spent)
        stopped = state == "CANCELLED" or (self._told and self._own().get("state") == "stopped")
        return Ended(STOPPED if stopped else TryAgain.exit_code, spent, f"{self.where}: {queue.plain(state)}")

    def send(self, number: int) -> None:
        """Through Slurm; a job that waits is withdrawn instead."""
        now = time.monotonic()
        if not self.number or now < self._sent.get(number, 0.0) + LOOK:  # Slurm needs no reminder
            return
        self._sent[number] = now
        self._told = self._told or number == signal.SIGTERM
        kind = [] if self.queued else [f"--signal={signal.Signals(number).name.removeprefix('SIG')}"]
        queue.cancel(*kind, self.number)
        self._slurm.soon()
