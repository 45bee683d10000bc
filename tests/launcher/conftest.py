"""Fixtures that several tests of the launcher share."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import cli, study
from tests.launcher.launches import Launch
from tests.launcher.study_parts import Search, write_space


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose fsync costs nothing, with a small space in it; cores are claimed within it, not with everybody."""
    with tempfile.TemporaryDirectory(prefix="", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.chdir(name)
        monkeypatch.setenv("STAND_IN_SECONDS", "0")
        write_space(Path(name) / "space.yaml")
        yield Path(name)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study in this process that looks without pausing."""
    monkeypatch.setattr(study, "TICK", 0.0)
    monkeypatch.setattr(study, "LOOK", 0.0)


@pytest.fixture
def evolab(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`evolab` in the folder and in this process: its exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evolab", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def search(folder: Path) -> Iterator[Callable[..., Search]]:
    """Starts `evolab search` in the folder, as a process of its own."""
    started: list[Search] = []

    def begin(*arguments: object, **options: Any) -> Search:
        started.append(Search(folder, *arguments, **options))
        return started[-1]

    yield begin
    for each in started:
        each.close()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    """Launches stand-in islands in the test's folder, as a process of its own."""
    started: list[Launch] = []

    def start(*arguments: object, **options: Any) -> Launch:
        started.append(Launch(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
