"""Fixtures that several tests of the inside share."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from islands.rundir import RunDir
from tests.islands.evolving import start


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder whose fsync costs nothing, for what is about results and not about durability."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """As `memory_folder`, for the tests of one module together."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """As `evolving.start`; what still runs when the test is over is killed."""
    begun: list[subprocess.Popen[str]] = []

    def begin(run: RunDir, *options: str, **environment: str) -> subprocess.Popen[str]:
        begun.append(start(run, *options, **environment))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def signals_kept() -> Iterator[None]:
    """An island's process sets signal handlers; a test that plays one puts them back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
