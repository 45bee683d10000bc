"""Real islands of one archipelago that crash, hang, are poisoned or refused are nothing to the others."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from islands import files
from islands.rundir import RunDir
from launcher.status import run_status
from tests.islands.evolving import digests
from tests.launcher.launches import Launch, told

FAULTY = [sys.executable, str(Path(__file__).with_name("faulty_island.py"))]
TAKES_FROM = "migration.topology=island-000>island-003"
"""The poisoned island takes migrants; the others take none, so that their history is the same in every run."""
TINY = ["population=20", "task.duration=1.0", "migration.every=5", TAKES_FROM]
SETTINGS = {
    "program": FAULTY,
    "sets": TINY,
    "policy": {"first": 0.05, "longest": 0.2, "most": 2, "same": 2},
    "patience": {"least": 2.0, "factor": 5.0, "dump": 0.2, "grace": 0.3},
}
FAULTS = "1:crash,2:hang,3:poison,4:refuse"
UNAFFECTED = ("island-000", "island-005")


def test_islands_that_crash_hang_are_poisoned_or_refused_change_no_generation_of_the_others(
    launch: Callable[..., Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launch(6, 20, "calm", **SETTINGS).end()[0] == 0
    monkeypatch.setenv("FAULTS", FAULTS)
    code, _, progress = launch(6, 20, "mine", **SETTINGS).end()
    calm, run = RunDir(tmp_path / "calm"), RunDir(tmp_path / "mine")
    states = [island["state"] for island in run_status(run)["islands"]]
    assert (code, states) == (4, ["DONE", "HELD", "HELD", "DONE", "FAILED", "DONE"]), progress
    for name in UNAFFECTED:
        assert digests(run, name) == digests(calm, name) and len(digests(run, name)) == 20
        assert not told(run, "restart", name)
    # each fault really happened
    assert [event["signal"] for event in told(run, "exit", "island-001")] == [9] * 3
    assert len(told(run, "stall", "island-002")) == 3
    assert [event["code"] for event in told(run, "exit", "island-004")] == [78]
    poisoned = run.island("island-003")
    assert [event.get("signal") for event in told(run, "exit", "island-003")] == [9, 9, None]
    killer = hashlib.sha256((poisoned.path / "poison").read_bytes()).hexdigest()
    assert killer in files.read_json(poisoned.avoid)["digests"]
