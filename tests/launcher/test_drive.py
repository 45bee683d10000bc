"""Launching inside this process: the accounting that a person sees, and the live lines."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import drive, start, watching
from tests.launcher.launch_stand_ins import STAND_IN

ROOT = Path(__file__).parents[2]


def test_a_launch_states_utilisation_pace_time_left_and_cost_and_warns_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("STAND_IN_SECONDS", "0.05")
    monkeypatch.setattr(watching, "FIRST_REPORT", 3.0)
    request = start.Request("quick", ("generations=90", "migration.islands=1"), Path("mine"))
    settings = drive.Settings(pin=True, cost_per_hour=3.5, program=STAND_IN)
    _, outcome = start.launch(request, 1, settings)
    told = capfd.readouterr().err
    (stated,) = [line for line in told.splitlines() if " utilisation " in line and "generations/s" in line]
    assert "left" in stated and "cost 0.00 of 0.0" in stated
    (warned,) = [line for line in told.splitlines() if "warning: " in line]
    assert "% utilisation: " in warned
    assert 0 < outcome.utilisation < 0.8
    assert outcome.exit_code == 0


def test_a_single_process_is_not_blamed_for_the_cores_that_it_leaves_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(watching, "FIRST_REPORT", 0.5)
    settings = drive.Settings(account=False, program=STAND_IN)
    _, outcome = start.evolve(start.Request("quick", ("generations=60",)), "island-7", None, settings)
    assert outcome.exit_code == 0
    assert "utilisation" not in capfd.readouterr().err


def test_a_terminal_gets_live_lines_and_stdout_stays_clean(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    script = Path(__file__).with_name("launch_stand_ins.py")
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TERM="xterm-256color", STAND_IN_SECONDS="0.05")
    command = [sys.executable, str(script), "2", "40", "mine"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=theirs) as launched:
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            seen += chunk
        out, _ = launched.communicate()
    os.close(ours)
    assert launched.returncode == 0
    assert b"\x1b[" in seen and b"RUNNING" in seen
    assert any(line.split()[:1] == [b"island-001"] and b"/40" in line for line in seen.splitlines())
    assert out.startswith(b'{"run"') and b"\x1b" not in out
