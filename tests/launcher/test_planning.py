"""`evolab plan`: what it measures, what it says, what it refuses, and whether it is right."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from islands.errors import ConfigError
from islands.rundir import IslandDir
from launcher import cores, machines, plan, planning, presets, rehearsal
from launcher.plan_words import Request
from tests.launcher.test_cli import HEAVY, ROOT, evolab

GIVEN = Request("neat_baseline", trials=100, creatures_per_second=14_000.0)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one usable core, so that one island is all that is rehearsed."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})


def row(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in (*found["machines"], found["here"]) if each["machine"] == name)


def test_every_machine_of_the_table_and_this_one_have_all_their_figures() -> None:
    found = planning.plan_for(GIVEN)
    assert [each["machine"] for each in found["machines"]] == [offer.name for offer in machines.read()]
    assert found["here"]["machine"] == machines.HERE
    for each in found["machines"]:
        assert each["dollars"] == pytest.approx(each["hours"] * each["dollars_per_hour"])
        assert each["dollars_a_trial"] == pytest.approx(each["dollars"] / 100)
        assert 0 < each["utilisation"] <= 1 and each["memory_needed_gb"] < each["memory_gb"]
    assert row(found, "D128as_v7")["hours"] < row(found, "D2as_v7")["hours"]
    assert found["fastest"] == "D128as_v7"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_older_projects_failure_costs_cents_on_the_smallest_machine() -> None:
    """100 trials of 3 seeds, population 500, 150 generations: it spent $28 on 12 of them."""
    found = planning.plan_for(GIVEN)
    assert found["cheapest"] == "D2as_v7"
    assert row(found, "D2as_v7")["dollars"] < 0.2


def test_a_limit_of_hours_makes_a_larger_machine_the_cheapest_in_time() -> None:
    slow = dataclasses.replace(GIVEN, creatures_per_second=100.0, setup_minutes=0.0)
    free = planning.plan_for(slow)
    limit = row(free, "D32as_v7")["hours"] * 1.01
    found = planning.plan_for(dataclasses.replace(slow, max_hours=limit))
    in_time = row(found, found["cheapest_in_time"])
    assert in_time["hours"] <= limit
    assert all(each["dollars"] >= in_time["dollars"] for each in found["machines"] if each["hours"] <= limit)
    assert planning.plan_for(dataclasses.replace(slow, max_hours=1e-3))["cheapest_in_time"] is None


def test_islands_come_from_the_option_then_from_the_configuration() -> None:
    assert planning.plan_for(GIVEN)["islands"] == 1
    configured = dataclasses.replace(GIVEN, overrides=("migration.islands=6",))
    assert planning.plan_for(configured)["islands"] == 6
    assert planning.plan_for(dataclasses.replace(configured, islands=3))["islands"] == 3
    assert row(planning.plan_for(configured), "D32as_v7")["trials_at_once"] == 5


def test_hyperthreads_are_an_assumption_that_is_said_and_can_be_changed() -> None:
    found = planning.plan_for(GIVEN)
    assert found["assumptions"]["smt_efficiency"] == plan.SMT_EFFICIENCY
    assert "hyper-threads" in found["notes"][0] and "1.2 times" in found["notes"][0]
    better = planning.plan_for(dataclasses.replace(GIVEN, smt_efficiency=0.9))
    assert row(better, "D2as_v7")["hours"] < row(found, "D2as_v7")["hours"]
    assert "as you said" in better["notes"][0]


def test_where_the_kernel_shows_hyperthreads_their_measured_speed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    basis = dataclasses.replace(planning._given(1e4, presets.resolve("quick"), plan.Work(1, 1, 1, 10)), crowded=0.7)  # type: ignore[type-var]
    monkeypatch.setattr(machines, "shows_hyperthreads", lambda: True)
    assert planning._efficiency(GIVEN, basis) == 0.7
    monkeypatch.setattr(machines, "shows_hyperthreads", lambda: False)
    assert planning._efficiency(GIVEN, basis) == plan.SMT_EFFICIENCY


def test_the_command_to_give_there_is_told_with_all_that_was_asked() -> None:
    found = planning.plan_for(dataclasses.replace(GIVEN, overrides=("generations=20", "task.duration=8"), islands=2))
    assert found["commands"]["D8as_v7"] == (
        "evolab search NAME -c neat_baseline -g 20 -p 500 --set task.duration=8 -n 100 -s 3 --islands 2"
        " --backend processes -w 4"
    )
    one = dataclasses.replace(GIVEN, trials=1, seeds=1)
    assert planning.plan_for(one)["commands"]["D2as_v7"].startswith("evolab run -c neat_baseline")
    assert "launch" in planning.plan_for(dataclasses.replace(one, islands=2))["commands"]["D2as_v7"]


def test_the_champions_evaluations_are_those_of_the_loop() -> None:
    from islands import loop

    assert planning.CHAMPION == loop.SHORTLIST * loop.VALIDATION_EPISODES


def test_a_rehearsal_is_half_of_the_run_within_its_budget() -> None:
    assert rehearsal.length(0.04, 600, 4.0, 20.0) == 300
    assert rehearsal.length(0.04, 150, 4.0, 20.0) == 100
    assert rehearsal.length(0.04, 30, 4.0, 20.0) == 30
    assert rehearsal.length(0.04, 9000, 4.0, 20.0) == 500
    assert rehearsal.length(60.0, 150, 4.0, 20.0) == 3
    assert rehearsal.length(60.0, 1, 4.0, 20.0) == 2


def test_a_finished_run_is_taken_apart_into_start_generations_and_end(tmp_path: Path) -> None:
    """Ten seconds, of which a quarter went to others: starts at 2 s, generations of 1 s and 2 s, 3 s at the end."""
    places = []
    for name, pace in (("a", 1.0), ("b", 2.0)):
        place = IslandDir(tmp_path / name, name).create()
        stamps = [{"time": 103.0 + step * pace, "seconds": 1.0, "generation": step} for step in range(3)]
        place.metrics.write_text("".join(json.dumps(line) + "\n" for line in stamps))
        places.append(place)
    watch = rehearsal._Watch(run=None, began=100.0, names=["a", "b"])  # type: ignore[arg-type]
    for name in ("a", "b"):
        watch.seen[name] = rehearsal._Seen(waited=2.0, lived=8.0, private=90.0, inherited=70.0, shared=100.0)
    found = rehearsal.phases(watch, places, 100.0, 110.0, 3)
    assert (found.others, found.seconds, found.undisturbed) == (0.25, 10.0, 7.5)
    assert (found.start, found.generation, found.slowest) == pytest.approx((2 * 0.75, 1.5 * 0.75, 2 * 0.75))
    assert (found.end, found.private, found.inherited) == (pytest.approx(3 * 0.75), 90.0, 70.0)


def test_generations_that_were_not_rehearsed_count_as_the_last_quarter_of_those_that_were() -> None:
    """Nine generations, of which the last two took 3 s each, and 92 more: 6 × 1 s, 2 × 3 s, 92 × 3 s."""
    stamps = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0, 12.0]
    lines = [{"time": stamp, "seconds": 1.0} for stamp in stamps]
    assert rehearsal._pace(lines, 101) == pytest.approx((6 + 6 + 92 * 3) / 100)
    assert rehearsal._pace(lines, 9) == pytest.approx(12 / 8)
    assert rehearsal._pace(lines[:1], 9) == 1.0


def test_a_real_island_is_measured_and_nothing_is_left(
    one_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rehearsal, "ENOUGH", 0.0)
    monkeypatch.setattr(planning, "LEAST", 0.1)
    found = planning.plan_for(Request("quick", ("population=30", "generations=4"), trials=2, names=("D2as_v7",)))
    basis = found["basis"]
    assert basis["measured"] and basis["rehearsed"] == {"islands": 1, "generations": 4}
    assert 30 < basis["private_mb"] < 400 and basis["creatures_per_second"] > 10
    assert 0 < basis["generation_seconds"] < 5 and basis["start_seconds"] > 0 and basis["end_seconds"] > 0
    assert row(found, machines.HERE)["utilisation"] is not None
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_that_fails_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    impossible = presets.resolve("quick", ["migration.topology=x>y"])
    monkeypatch.setattr(rehearsal.topology, "check", lambda *_: None)
    with pytest.raises(Exception, match="a rehearsal: expected a run that ends well.*topology"):
        rehearsal.rehearse(impossible, 2, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"names": ("D128as_v6",)}, "did you mean D128as_v7"),
        ({"table": Path("none.yaml")}, "none.yaml"),
        ({"trials": 0}, "--trials"),
        ({"seeds": -1}, "--seeds"),
        ({"islands": 0}, "--islands"),
        ({"at_most": 0}, "--workers"),
        ({"creatures_per_second": 0.0}, "--creatures-per-second"),
        ({"creatures_per_second": float("nan")}, "--creatures-per-second"),
        ({"smt_efficiency": 0.3}, "--smt-efficiency: expected a number from 0.5 to 1, got 0.3"),
        ({"setup_minutes": -1.0}, "--setup-minutes"),
        ({"cost_per_hour": float("inf")}, "--cost-per-hour"),
        ({"preset": "neat_basline"}, "neat_baseline"),
        ({"overrides": ("device=cuda",)}, "cpu"),
        ({"check": True}, "--check"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_is_measured(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        planning.plan_for(dataclasses.replace(GIVEN, **wanted))
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "told"), [(["--machine", "D128as_v6"], "D128as_v7"), (["-n", 0], "--trials"), (["--rent"], "--rent")]
)
def test_a_refusal_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[object], told: str) -> None:
    done = evolab(tmp_path, "plan", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("evolab: ") and told in done.stderr


def test_the_table_for_people_names_what_to_rent_and_by_which_criterion(tmp_path: Path) -> None:
    done = evolab(tmp_path, "plan", "--trials", 100, "--creatures-per-second", 14000, "--max-hours", 0.25)
    assert done.returncode == 0, done.stderr
    assert "cheapest that fits: D2as_v7" in done.stdout
    assert "cheapest within 0.25 h: D8as_v7" in done.stdout
    assert "fastest: D128as_v7" in done.stdout
    assert "this machine" in done.stdout and "note: vCPUs are hyper-threads" in done.stdout
    assert "…" not in done.stdout


def test_a_machine_without_the_memory_is_said_to_have_too_little(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("tiny: {vcpus: 2, memory_gb: 1, dollars_per_hour: 0.01, threads_per_core: 1}\n")
    done = evolab(tmp_path, "plan", "--creatures-per-second", 14000, "--machines", mine)
    assert done.returncode == 0, done.stderr
    assert "too little memory" in done.stdout and "cheapest that fits: none" in done.stdout


@pytest.mark.parametrize("command", ["plan", "doctor"])
def test_help_imports_nothing_heavy_and_starts_at_once(tmp_path: Path, command: str) -> None:
    code = (
        "import sys\nfrom launcher import cli\n"
        f"sys.argv[1:] = {[command, '--help']!r}\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    after = os.times()
    assert done.stderr.strip() == "[]" and done.stdout.startswith("Usage: evolab")
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


@pytest.mark.soak
@pytest.mark.parametrize("all_cores", [False, True])
def test_the_prediction_for_this_machine_is_within_a_fifth_of_a_real_run(
    all_cores: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One island alone, and an island a core. What other processes took from a run is taken out of it; where they took
    hardly anything, the clock alone decides."""
    monkeypatch.chdir(tmp_path)
    islands = cores.usable().count if all_cores else 1
    request = Request("neat_baseline", ("generations=150",), trials=1, seeds=1, islands=islands, check=True)
    checks = [planning.plan_for(request)["check"] for _ in range(3)]
    print(*checks, sep="\n")
    assert sorted(abs(check["undisturbed_error"]) for check in checks)[1] < 0.2, checks
    quiet = [abs(check["error"]) for check in checks if check["others"] < 0.02]
    assert not quiet or min(quiet) < 0.2, checks
