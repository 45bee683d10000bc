"""Backends: where the processes of a study's trials are started. One objective, one loop; a backend is an argument.

Whatever the backend, a trial is `python -m launcher.trial STUDY NUMBER` in a process of its own with its threads
limited before it starts; it is asked to stop by a file. A backend only starts that process somewhere and says how it
ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from islands import files, process
from islands.errors import EvolabError
from launcher.supervisor import environment
from launcher.trials import StudyDir

NAMES = ("sequential", "processes", "ray", "pool")
CONCURRENT = ("processes", "ray", "pool")
LOST = -signal.SIGKILL
"""Stands for the exit code of a trial whose worker died and took the code along."""


class Backend(Protocol):
    """Starts trials' processes. Numbers are trials'."""

    def start(self, study: Path, number: int, threads: int) -> None:
        """Start the process of a trial, which will run with so many threads at once."""
        ...

    def ended(self) -> dict[int, int]:
        """The exit codes of the processes that have ended since the last call; negative: killed by that signal."""
        ...

    def kill(self, number: int) -> None:
        """End a trial's process at once; its islands notice and stop with checkpoints."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


def command(study: Path, number: int) -> list[str]:
    """How a trial's process is started by this process."""
    place = [str(study.absolute()), str(number), "--parent", str(os.getpid())]
    return [sys.executable, "-P", "-m", "launcher.trial", *place]


def spawn(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a trial's process, the leader of a process group of its own; what it says goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as stream:
        return subprocess.Popen(
            list(arguments), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment(1),
            start_new_session=True,
        )  # fmt: skip


def wait_for(study: str, number: int, log: str) -> int:
    """Start a trial's process and wait for it: what a worker of a pool or of Ray does. The exit code."""
    with spawn(command(Path(study), number), Path(log)) as process:
        return process.wait()


def check(name: str) -> None:
    """Refuse a backend that is not installed."""
    if name == "ray":
        from launcher.backends.ray import module

        module()


def make(name: str, jobs: int, cores: int, address: str | None = None) -> Backend:
    """The backend `name` for `jobs` trials at a time on `cores` cores."""
    if name == "ray":
        from launcher.backends.ray import Ray

        return Ray(cores, address)
    if name == "pool":
        from launcher.backends.pool import Pool

        return Pool(jobs)
    from launcher.backends.processes import Processes

    return Processes()


def end_worker(study: StudyDir, number: int) -> None:
    """Kill the process of a trial that says in the trial's folder who it is, if it lives on this machine."""
    with suppress(EvolabError, ProcessLookupError, PermissionError):
        worker = files.read_json(study.worker(number))
        if process.is_alive(worker):
            os.kill(worker["pid"], signal.SIGKILL)
