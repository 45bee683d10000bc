"""The parts of `make bench`: drivers play rounds, the gate names what regressed, the page says what it is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from islands import loading
from islands.config import Config
from islands.tasks import make
from scripts.benchmarks import __main__ as bench
from scripts.benchmarks import arithmetic, cores_arms, cores_migration, counting, field, gate, memory, pieces, pygmo
from scripts.benchmarks.cores_model import Costs, efficiency
from tests.islands.tasks.creatures import configured

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


def slices(cpu: float, foreign: float, evaluation: float = 0.03) -> list[dict[str, float]]:
    told = {"cpu": cpu, "launcher": 0.0, "wall": cpu, "foreign": foreign, "utilisation": 0.98}
    return [{**told, "evaluation": evaluation}] * 3


def test_migrating_islands_are_judged_by_the_clock_only_where_the_machine_was_quiet() -> None:
    quiet = {"migrating": slices(0.0400, 0.0), "independent": slices(0.0392, 0.0), "alone": slices(0.039, 0.0)}
    told = cores_arms.section({"cores": 2, "seconds": 4.0, "slices": quiet})
    assert "0.98 (0.98–0.98) by the clock" in told and "(at least 0.97: met, judged by the clock)" in told
    busy = {name: slices(0.04 if name == "migrating" else 0.03, 0.5) for name in quiet}
    told = cores_arms.section({"cores": 2, "seconds": 4.0, "slices": busy})
    assert "missed by 22.7 %, judged by CPU time" in told


def test_what_populations_came_to_do_is_not_laid_to_migration() -> None:
    """Evaluation takes migrating islands 2 ms more, and all the rest of the generation 1 ms."""
    found = {"migrating": slices(0.043, 0.0, 0.032), "independent": slices(0.040, 0.0), "alone": slices(0.040, 0.0)}
    told = cores_arms.section({"cores": 2, "seconds": 4.0, "slices": found})
    assert "0.93 (0.93–0.93) by the clock" in told
    assert (
        "compares as 0.938 (0.938–0.938); with the same work in both, 0.976 (0.976–0.976) (at least 0.97: met" in told
    )


def test_the_price_of_a_migration_is_told_with_and_without_the_scoring_of_its_immigrants() -> None:
    rows = [
        {"population": population, "neighbours": neighbours, "cpu": 0.004, "wall": 0.005, "scoring cpu": 0.001,
         "scoring wall": 0.001, "generation cpu": population * 1e-4, "generation wall": population * 1e-4}
        for population, neighbours in (*((each, 1) for each in cores_migration.POPULATIONS), (500, 5))
    ]  # fmt: skip
    calls = {"cpu": 0.0004, "wall": 0.001, "published": 19_000, "logged": 18_000}
    told = cores_migration.section(rows, calls, every=10)
    assert "| 500 | 1 | 4 · 5 | 1 · 1 | 50 · 50 | 8.00% | 6.00% | 0.80% |" in told
    assert "missed, 8.0 times as much" in told and "20 times the population takes 1 times as long" in told
    assert "0.4 ms of CPU and 1 ms of wall time, 0.8% and 2.0% of a generation. The rest" in told


def test_the_system_calls_that_a_migration_cannot_do_without_take_time_and_carry_its_bytes() -> None:
    calls = cores_migration.bare(quick=True)
    assert min(calls["cpu"], calls["wall"]) > 0.0 and min(calls["published"], calls["logged"]) > 5_000
    slow = cores_migration.section(
        [{"population": 500, "neighbours": n, "cpu": 1.0, "wall": 1.0, "scoring cpu": 0.0, "scoring wall": 0.0,
          "generation cpu": 10 * calls["cpu"], "generation wall": 10 * calls["wall"]} for n in (1, 5)], calls, 10,
    )  # fmt: skip
    assert "10.0% and 10.0% of a generation: nothing that keeps these promises reaches the bar here" in slow


def test_the_forecast_falls_with_islands_that_share_a_slow_disk_and_rises_when_they_write_less_often() -> None:
    cost = Costs(generation=0.04, migration=0.004, write=0.004, servers=2, launcher=0.0)
    found = [efficiency(cost, islands, crowded=False) for islands in (2, 8, 128)]
    assert found == sorted(found, reverse=True) and found[2] < 0.5 * found[0]
    assert efficiency(cost, 128) > 1.4 * found[2]
    assert efficiency(Costs(0.04, 0.0, 0.0, 1, 0.0), 128) > 0.97


def test_a_genome_of_many_numbers_goes_through_the_real_pool() -> None:
    told = pygmo.our_step(10_000, 1)
    assert 9_900 < told["numbers"] < 10_100 and told["cpu"] > 0


def test_an_unknown_piece_is_refused_in_a_line() -> None:
    command = [sys.executable, "-m", "scripts.benchmarks", "sped"]
    done = subprocess.run(command, cwd=pieces.ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and ", ".join(bench.PIECES) in done.stderr


def test_work_is_counted_from_the_kernels_by_body_nodes_and_muscles() -> None:
    task: Any = make(configured("neat"))
    work = {
        (nodes, muscles): np.array(
            counting.work_of_a_step(nodes, muscles, 5, 20, task.layout, task.parameters), np.float64
        )
        for nodes in (4, 5)
        for muscles in (6, 7)
    }
    flops, moved = work[5, 7] - work[5, 6] - work[4, 7] + work[4, 6]
    assert round(flops, 6) == 18  # of a muscle and a node: six multiply-adds for its ends, three for the force
    assert round(moved, 6) == 4 * (7 + 4)  # a sign, position and velocity; a sign and a force
    more = counting.work_of_a_step(5, 7, 5, 21, task.layout, task.parameters)
    np.testing.assert_allclose(more - work[5, 7], [2 / 3, 12 / 3])  # of a connection, once a control tick


def test_genomes_for_measuring_memory_have_as_many_neurons_as_asked() -> None:
    config = loading.override(Config(), ["task.name=cartpole", "network.max_hidden=128", "population=100"])
    genomes = memory.grown(config, make(config), 70, 12)
    assert genomes.count == 70 and (np.diff(genomes.node_start) == 12).all()


def test_the_sections_of_arithmetic_and_memory_judge_by_what_was_measured() -> None:
    one = {"population": 10_000, "nodes": 50.0, "connections": 150.0, "genomes_mb": 50.0, "before_mb": 100.0}
    assert "300 MB: met" in memory.section({"lives": [{**one, "peak_mb": 299.0}]})
    assert "300 MB: missed" in memory.section({"lives": [{**one, "peak_mb": 301.0}]})
    told = {"flops": 1000.0, "bytes": 2000.0, "steps": 1e7}
    peak = {"flops": 1e11, "cached": 1e11, "far": 1e10}
    assert "| 10% |" in arithmetic.section({"peak": peak, "presets": {"neat_baseline": told}})
