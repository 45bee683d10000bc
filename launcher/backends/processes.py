"""`sequential` and `processes`: every trial is a process started by this one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from launcher.backends import command, spawn
from launcher.trials import StudyDir


class Processes:
    """See `launcher.backends.Backend`."""

    def __init__(self) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, study: Path, number: int, threads: int) -> None:
        """Start the process of a trial."""
        self._processes[number] = spawn(command(study, number), StudyDir(study).log(number))

    def ended(self) -> dict[int, int]:
        """The exit codes of those that have ended."""
        codes = {number: process.poll() for number, process in self._processes.items()}
        over = {number: code for number, code in codes.items() if code is not None}
        for number in over:
            del self._processes[number]
        return over

    def kill(self, number: int) -> None:
        """End a trial's process at once."""
        if process := self._processes.get(number):
            process.kill()

    def close(self) -> None:
        """Kill what is left, and wait for it."""
        for number in list(self._processes):
            self.kill(number)
            self._processes.pop(number).wait()
