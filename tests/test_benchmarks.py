"""The parts of `make bench`: drivers play rounds, the gate names what regressed, the page says what it is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmarks import __main__ as bench
from scripts.benchmarks import field, gate, pieces

ROUND = {"population": 20, "generations": 3}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pieces, "FOLDER", tmp_path)
    monkeypatch.setattr(field, "FOLDER", tmp_path)
    return tmp_path


def test_a_driver_plays_the_same_steps_for_the_same_seed_and_others_for_another(folder: Path) -> None:
    with field.driver("evolab-neat", {}) as driver:
        assert driver.heard()["versions"].keys() == {"python", "numba", "numpy"}
        one, same, other = (driver.asked(**ROUND, seed=seed) for seed in (1, 1, 2))
    assert one["live"] == same["live"] != other["live"]
    assert 0 < one["evaluating"] < one["cpu"] and one["padded"] == one["live"]


def test_a_driver_that_cannot_start_says_why_in_its_own_last_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(field.PLAYERS, "lost", field.Player("lost", "neat_python"))
    with field.driver("lost", {}) as driver, pytest.raises(EOFError, match="No module named 'neat'"):
        driver.heard()


def test_the_gate_names_what_takes_more_instructions_than_the_tolerance_allows() -> None:
    before = {"made": "once", "instructions": {"one": 1000.0, "two": 1000.0, "three": 1000.0}}
    verdict = gate.judged({"one": 1029.0, "two": 1031.0, "three": 500.0}, before)
    assert verdict["regressed"] == ["two"]
    assert "**regressed**" in gate.section(verdict)


def test_the_baseline_knows_every_subject_of_the_gate() -> None:
    assert json.loads(gate.BASELINE.read_text())["instructions"].keys() == gate.TIMES.keys()


def test_the_gate_plays_every_subject() -> None:
    gate.play(dict.fromkeys(gate.TIMES, 1))


def test_a_page_is_made_of_what_was_measured_and_says_what_was_not(folder: Path) -> None:
    verdict: dict[str, Any] = gate.judged({"one": 990.0}, {"made": "once", "instructions": {"one": 1000.0}})
    pieces.keep("gate", verdict, 0.5)
    page = bench.page()
    assert "| one | 990 | 1,000 | 0.9900 | good |" in page
    assert "The load average was 0.5 before" in page
    assert "Not measured yet: `make bench ARGS=field`." in page


def test_an_unknown_piece_is_refused_in_a_line() -> None:
    command = [sys.executable, "-m", "scripts.benchmarks", "sped"]
    done = subprocess.run(command, cwd=pieces.ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "speed, field, gate, seeing" in done.stderr
