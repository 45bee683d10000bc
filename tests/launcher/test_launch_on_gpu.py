"""An archipelago on a GPU as its launcher sees it: real processes, whose GPU is this processor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from islands import files
from islands.process import started
from islands.rundir import RunDir
from launcher import drive, start, status
from launcher.restarts import Policy
from launcher.states import DONE, HELD
from tests.launcher.launches import ROOT, wait_for

PROGRAM = (sys.executable, "-P", "-m", "tests.islands.gpu.island")
QUICKLY = Policy(most=1, first=0.1, longest=0.1)
ISLANDS = ("island-000", "island-001", "island-002")


def request(*assignments: str) -> start.Request:
    """What is to be launched."""
    common = (
        "device=cuda", "migration.islands=3", "population=30", "evaluation.stop_when_solved=false",
        "record.checkpoint_seconds=0", "migration.every=4",
    )  # fmt: skip
    return start.Request("cartpole", (*common, *assignments), Path("mine"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a run is launched from, on a machine that has a GPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(start, "check_device", lambda config: None)
    return tmp_path


def kill_a_worker(run: RunDir) -> int:
    """Kill one of the workers once its islands have come somewhere; the process that played for them."""
    places = [run.island(name) for name in ISLANDS]
    wait_for(lambda: all(place.metrics.exists() and len(files.read_jsonl(place.metrics)) > 9 for place in places))
    pid = int(files.read_json(places[0].heartbeat)["pid"])
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(workers) > 1 or len(os.sched_getaffinity(0)) == 1
    os.kill(int(workers[0]) if workers else pid, signal.SIGKILL)
    wait_for(lambda: started(pid) is None)
    return pid


def test_a_killed_worker_has_its_archipelago_started_again_and_all_of_it_is_done_in_the_end(folder: Path) -> None:
    settings = drive.Settings(pin=True, program=PROGRAM, policy=QUICKLY)
    with ThreadPoolExecutor(1) as other:
        killed = other.submit(kill_a_worker, RunDir(folder / "mine"))
        run, outcome = start.launch(request("generations=60"), 1, settings)
    assert (outcome.exit_code, outcome.states) == (0, dict.fromkeys(ISLANDS, DONE))
    assert outcome.restarts == dict.fromkeys(ISLANDS, 1) and all(outcome.cpu_utilisation.values())
    told = files.read_jsonl(run.path / "events.jsonl")
    (ended,) = [event for event in told if event["event"] == "exit" and event["pid"] == killed.result()]
    assert ended["signal"] == signal.SIGKILL and "island" not in ended
    for name in ISLANDS:
        lines = files.read_jsonl(run.island(name).metrics)
        assert [line["generation"] for line in lines] == list(range(60))


def test_an_archipelago_that_dies_again_and_again_is_held_and_every_island_says_so(folder: Path) -> None:
    program = (sys.executable, "-c", "raise SystemExit(70)")
    run, outcome = start.launch(request(), 1, drive.Settings(pin=True, program=program, policy=QUICKLY))
    assert (outcome.exit_code, outcome.states) == (4, dict.fromkeys(ISLANDS, HELD))
    (entry,) = status.overview([run])
    assert entry["state"] == HELD
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "status", "mine"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("HELD: died (exit code 70)") == 3
