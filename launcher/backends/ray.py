"""`ray`: every trial is a Ray task, on this machine or on a cluster that shares the study's folder."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from islands.errors import ConfigError
from launcher.backends import LOST, end_worker, wait_for
from launcher.supervisor import environment
from launcher.trials import StudyDir

KNOCK = 10.0
"""Seconds that the head of a cluster has to answer."""


class Ray:
    """See `launcher.backends.Backend`. Ray only places and starts the processes: retries are the study's."""

    def __init__(self, cores: int, address: str | None) -> None:
        self._ray = module()
        self._address = address
        self._folder = connect(cores, address)
        self._tasks: dict[int, Any] = {}
        self._studies: dict[int, StudyDir] = {}

    def start(self, study: Path, number: int, threads: int) -> None:
        """Give the trial to Ray, declared to need as many CPUs as it has threads at once."""
        self._studies[number] = StudyDir(study)
        task = self._ray.remote(num_cpus=threads, max_retries=0)(wait_for)
        self._tasks[number] = task.remote(str(study.absolute()), number, str(StudyDir(study).log(number).absolute()))

    def ended(self) -> dict[int, int]:
        """The exit codes of those that have ended."""
        if not self._tasks:
            return {}
        done, _ = self._ray.wait(list(self._tasks.values()), num_returns=len(self._tasks), timeout=0)
        over = [number for number, task in self._tasks.items() if task in done]
        return {number: self._code(self._tasks.pop(number)) for number in over}

    def _code(self, task: Any) -> int:
        try:
            return int(self._ray.get(task))
        except self._ray.exceptions.RayError:
            return LOST

    def kill(self, number: int) -> None:
        """End a trial's process at once: by Ray, and where it is on this machine by its number too."""
        if task := self._tasks.get(number):
            self._ray.cancel(task, force=True)
        if self._address is None:
            end_worker(self._studies[number], number)

    def close(self) -> None:
        """Cancel what is left and stop the Ray that was started here."""
        for number in list(self._tasks):
            self.kill(number)
        leave(self._folder)


def connect(cores: int, address: str | None) -> str | None:
    """Join the cluster at `address`, or start a Ray of `cores` CPUs here; the folder to remove after that one.

    Until `leave`, nothing comes out of this process's stdout: Ray prints words of its own there, among results.
    """
    _muted.enter_context(contextlib.redirect_stdout(_Nowhere()))
    folder = None if address else short_folder()
    local = {"num_cpus": cores, "include_dashboard": False, "_temp_dir": folder}
    try:
        _knock(address or "")
        module().init(
            address=address or "local", log_to_driver=False, logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": environment(1).get("PYTHONPATH", "")}},
            **({} if address else local),
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        leave(folder)
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            "Ray", expected=f"a cluster at {address}" if address else "a local start", got=first
        ) from error
    return folder


def _knock(address: str) -> None:
    """An OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=KNOCK).close()


def leave(folder: str | None) -> None:
    """Leave the cluster, or end the Ray that was started here with its `folder`."""
    module().shutdown()
    _muted.close()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


class _Nowhere(io.TextIOBase):
    """Where Ray's own words go."""

    def write(self, text: str) -> int:
        """All of it is taken."""
        return len(text)


_muted = contextlib.ExitStack()


def short_folder() -> str:
    """A new temporary folder for Ray: its sockets lie 64 bytes deeper, and the kernel takes paths of up to 107."""
    folder = tempfile.mkdtemp(prefix="evolab-ray-")
    if len(os.fsencode(folder)) > 107 - 64:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="evolab-ray-", dir="/tmp")
    return folder


def module(option: str = "--backend ray") -> Any:
    """Ray, or one line that says what to install for `option`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise ConfigError(
            option, expected="Ray", got="no module named ray", do="pip install 'evolution-lab[ray]'"
        ) from None
