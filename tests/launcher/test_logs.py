"""`evolab logs`: all islands' lines, also while they come and when logs are put aside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from islands.rundir import RunDir
from launcher import logs, presets
from launcher import run as runs
from tests.launcher.launches import ROOT, evolab


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    plan = runs.Plan("launch", "quick", (("island-000", 42), ("island-001", 42)))
    made = runs.make(tmp_path / "mine", presets.resolve("quick"), plan)
    made.islands()[0].log.write_text("first\nsecond\n")
    made.islands()[1].log.write_text("other\n")
    return made


def test_all_islands_lines_come_with_their_names(run: RunDir, tmp_path: Path) -> None:
    assert evolab(tmp_path, "logs", "mine").stdout.splitlines() == [
        "island-000 | first", "island-000 | second", "island-001 | other",
    ]  # fmt: skip
    assert evolab(tmp_path, "logs", "mine", "-n", 1).stdout.splitlines() == [
        "island-000 | second",
        "island-001 | other",
    ]


def test_one_islands_lines_come_bare(run: RunDir, tmp_path: Path) -> None:
    assert evolab(tmp_path, "logs", "mine", "island-000").stdout == "first\nsecond\n"
    done = evolab(tmp_path, "logs", "mine", "island-9")
    assert done.returncode == 2 and "expected 0 to 1, or an island's name, got 'island-9'" in done.stderr
    assert evolab(tmp_path, "logs", "mine", "1").stdout == evolab(tmp_path, "logs", "mine", "island-001").stdout


def test_parts_that_were_put_aside_come_first(run: RunDir) -> None:
    log = run.islands()[0].log
    log.with_name("island.log.2").write_text("oldest\n")
    log.with_name("island.log.1").write_text("older\n")
    assert list(logs.lines(log)) == ["oldest", "older", "first", "second"]


def test_what_a_log_holds_moves_no_cursor(run: RunDir) -> None:
    run.islands()[0].log.write_bytes(b"a\x1b[2Jb\xff\tc\r\n")
    assert list(logs.lines(run.islands()[0].log)) == ["a\\x1b[2Jb\N{REPLACEMENT CHARACTER}\tc"]


@pytest.fixture
def following(run: RunDir, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-u", "-m", "launcher", "logs", "mine", "-f"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as process:
        yield process
        process.kill()


def test_new_lines_are_followed_through_a_rotation(run: RunDir, following: subprocess.Popen[str]) -> None:
    assert following.stdout is not None
    shown = [following.stdout.readline().rstrip() for _ in range(3)]
    assert shown == ["island-000 | first", "island-000 | second", "island-001 | other"]
    log = run.islands()[0].log
    with open(log, "a") as stream:
        stream.write("third\nhalf a ")
        stream.flush()
        assert following.stdout.readline() == "island-000 | third\n"
        os.replace(log, log.with_name("island.log.1"))
        stream.write("line\n")
        stream.flush()
        log.write_text("fourth\n")
    assert following.stdout.readline() == "island-000 | half a line\n"
    assert following.stdout.readline() == "island-000 | fourth\n"
    following.send_signal(signal.SIGINT)
    assert following.wait(timeout=10) == 130
