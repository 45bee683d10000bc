"""The parts of `make test-nfs` that need neither root nor guests: what is missing is said, what is asked is done."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.nfs import agent
from scripts.nfs.checks import Checks

ROOT = Path(__file__).resolve().parents[1]


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.nfs"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "apt-get install user-mode-linux nfs-ganesha" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_agent_does_what_it_is_asked_and_gives_up_what_takes_too_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        command = [sys.executable, agent.__file__, "127.0.0.1", str(door.getsockname()[1])]
        with subprocess.Popen(command) as process:
            line, _ = door.accept()
            with line, line.makefile("rw", encoding="utf-8") as words:
                for asked, code, out in (
                    ("echo good; exit 3", 3, "good\n"),
                    ("echo slow; exec sleep 60", 124, "slow\n"),
                ):
                    words.write(json.dumps({"command": asked, "within": 0.5}) + "\n")
                    words.flush()
                    answer = json.loads(words.readline())
                    assert (answer["code"], answer["out"]) == (code, out)
            assert process.wait(10) == 0


def test_an_error_in_a_part_is_a_failed_check_and_the_next_part_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    checks = Checks()
    with checks.part("first"):
        raise OSError("no such thing")
    with checks.part("second"):
        checks.that("this is so", True)
    assert (checks.count, checks.failed) == (2, 1)
    told = capsys.readouterr().out
    assert "not ok 1 - first: is carried out\n# OSError: no such thing" in told and "ok 2 - this is so" in told
