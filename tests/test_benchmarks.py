"""The parts of `make bench`: drivers play rounds, the gate names what regressed, the page says what it is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmarks import __main__ as bench
from scripts.benchmarks import cores_arms, cores_migration, field, gate, pieces, pygmo
from scripts.benchmarks.cores_model import Costs, efficiency

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


def slices(cpu: float, foreign: float) -> list[dict[str, float]]:
    return [{"cpu": cpu, "launcher": 0.0, "wall": cpu, "foreign": foreign, "utilisation": 0.98}] * 3


def test_migrating_islands_are_judged_by_the_clock_only_where_the_machine_was_quiet() -> None:
    quiet = {"migrating": slices(0.0400, 0.0), "independent": slices(0.0392, 0.0), "alone": slices(0.039, 0.0)}
    told = cores_arms.section({"cores": 2, "seconds": 4.0, "slices": quiet})
    assert "0.98 (0.98–0.98) by the clock" in told and "(at least 0.97: met, judged by the clock)" in told
    busy = {name: slices(0.04 if name == "migrating" else 0.03, 0.5) for name in quiet}
    told = cores_arms.section({"cores": 2, "seconds": 4.0, "slices": busy})
    assert "missed by 22.7 %, judged by CPU time" in told


def test_the_price_of_a_migration_is_told_with_and_without_the_scoring_of_its_immigrants() -> None:
    rows = [
        {"population": population, "neighbours": neighbours, "cpu": 0.004, "wall": 0.005, "scoring cpu": 0.001,
         "scoring wall": 0.001, "generation cpu": population * 1e-4, "generation wall": population * 1e-4}
        for population, neighbours in (*((each, 1) for each in cores_migration.POPULATIONS), (500, 5))
    ]  # fmt: skip
    told = cores_migration.section(rows, every=10)
    assert "| 500 | 1 | 4 · 5 | 1 · 1 | 50 · 50 | 8.00% | 6.00% | 0.80% |" in told
    assert "missed, 8.0 times as much" in told and "20 times the population takes 1 times as long" in told


def test_the_forecast_falls_with_islands_that_share_a_slow_disk_and_rises_with_fewer_checkpoints() -> None:
    cost = Costs(generation=0.04, migration=0.004, write=0.004, servers=2, launcher=0.0)
    found = [efficiency(cost, islands, 1) for islands in (2, 8, 128)]
    assert found == sorted(found, reverse=True) and found[2] < 0.5 * found[0]
    assert efficiency(cost, 128, 10) > 1.4 * found[2]
    assert efficiency(Costs(0.04, 0.0, 0.0, 1, 0.0), 128, 1) > 0.97


def test_a_genome_of_many_numbers_goes_through_the_real_pool() -> None:
    told = pygmo.our_step(10_000, 1)
    assert 9_900 < told["numbers"] < 10_100 and told["cpu"] > 0


def test_an_unknown_piece_is_refused_in_a_line() -> None:
    command = [sys.executable, "-m", "scripts.benchmarks", "sped"]
    done = subprocess.run(command, cwd=pieces.ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "speed, field, cores, pygmo, gate, seeing" in done.stderr
