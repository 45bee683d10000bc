"""Launching inside this process: the accounting that a person sees, and the live lines."""

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from islands.errors import ConfigError
from launcher import cores, drive, presets, run, start, watching
from launcher.places import Place
from tests.launcher.launch_stand_ins import STAND_IN

ROOT = Path(__file__).parents[2]


def test_a_launch_states_utilisation_pace_time_left_and_cost_and_warns_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("STAND_IN_SECONDS", "0.05")
    monkeypatch.setattr(watching, "FIRST_REPORT", 1.0)
    monkeypatch.setattr(watching, "REPORT_EVERY", 1.0)
    request = start.Request("quick", ("generations=90", "migration.islands=1"), Path("mine"))
    settings = drive.Settings(pin=True, cost_per_hour=0.35, program=STAND_IN)
    _, outcome = start.launch(request, 1, settings)
    told = capfd.readouterr().err
    stated = [line for line in told.splitlines() if " utilisation " in line and "generations/s" in line]
    assert 1 <= len(stated) <= outcome.seconds
    assert re.search(r"\d:\d\d left · cost 0\.00 of 0\.0", stated[-1])  # known once two looks have found generations
    warned = [line for line in told.splitlines() if "warning: " in line]
    assert 1 <= len(warned) <= len(stated) and all("% utilisation: " in line for line in warned)
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


def test_an_archipelago_on_a_gpu_is_one_process_and_so_are_the_populations_of_run(tmp_path: Path) -> None:
    config = presets.resolve("quick", [])
    islands = tuple((f"island-{index:03}", 1) for index in range(3))
    directory = run.make(tmp_path / "mine", config, run.Plan("launch", "quick", islands, True, 2))
    plan, on_gpu = directory.read_plan(), replace(config, device="cuda")
    assert not drive.one_process(plan, config) and drive.one_process(plan, on_gpu)
    assert drive.one_process({**plan, "command": "run"}, config)
    assert not drive.one_process({**plan, "command": "evolve"}, on_gpu)
    (job,) = drive.jobs_of(directory, plan, True, cores.usable(), True)
    assert job.arguments == ("--all",) and [each.name for each in job.islands] == [name for name, _ in islands]
    assert len(drive.jobs_of(directory, plan, False, cores.usable(), True)) == 3


def test_islands_that_differ_or_are_elsewhere_are_refused_on_a_gpu_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(start, "check_device", lambda config: None)  # as on a machine that has one
    with pytest.raises(ConfigError, match=r"--island-config: expected islands that are alike with device cuda"):
        start.launch(start.Request("quick", ("device=cuda",)), differing=["all:population=20"])
    with pytest.raises(ConfigError, match="--on: expected here, with device cuda, got slurm"):
        monkeypatch.setattr(Place, "check", lambda *_: None)  # as where there is one
        settings = drive.Settings(place=Place("slurm"))
        start.launch(start.Request("quick", ("device=cuda", "migration.islands=2")), settings=settings)
    assert not list(tmp_path.iterdir())


def test_a_machine_without_a_gpu_says_so_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    for preset, wanted in (("quick", "a GPU that numba-cuda can use"), ("digits", "a GPU that this PyTorch can use")):
        done = subprocess.run(
            [sys.executable, "-m", "launcher", "launch", "-c", preset, "--device", "cuda"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 2 and wanted in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
