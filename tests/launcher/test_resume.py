"""Studies that are killed, stopped and continued: real processes and real signals, stand-in islands."""

from __future__ import annotations

import json
import random
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from islands import files
from launcher.trials import StudyDir, config_of
from tests.launcher.stand_in_island import worth
from tests.launcher.study_parts import (
    QUICK,
    TWO,
    Search,
    going,
    known,
    populations,
    processes_of,
    quick,
    sitting,
    storage_trials,
    trial_of,
    wait_for,
)

Begin = Callable[..., Search]


def whole(place: StudyDir, number: int, generations: int) -> None:
    """The trial is complete, and no generation of it is missing or was recorded twice."""
    trial = place.read(number)
    assert trial.state == "COMPLETE", trial.reason
    for island in populations(place, trial):
        assert [line["generation"] for line in files.read_jsonl(island.metrics)] == list(range(generations))


def finished_of(place: StudyDir) -> dict[int, Any]:
    """The values of all trials that have finished."""
    return {trial.number: trial.values for trial in place.trials() if trial.finished}


@pytest.mark.parametrize(("count", "kills"), [(12, 3), pytest.param(40, 10, marks=pytest.mark.soak)])
def test_trials_whose_parent_is_killed_again_and_again_are_all_complete_none_lost_none_twice(
    search: Begin, folder: Path, count: int, kills: int
) -> None:
    chance = random.Random(7)
    place = StudyDir(folder / "studies" / "it")
    same = ("it", *QUICK, "-g", 3, "-n", count, "--json", *TWO)
    results: dict[int, Any] = {}
    for kill in range(kills):
        parent = search(*same, seconds=0.03)
        wanted = len(results) + chance.randint(0, 3)
        wait_for(lambda least=wanted: place.live.exists() and len(finished_of(place)) >= least)
        time.sleep(chance.uniform(0.0, 0.5))
        assert parent.process.poll() is None, parent.end()
        parent.close()
        finished = finished_of(place)
        assert results.items() <= finished.items()
        results = finished
        if kill % 2:  # … and the last line of the journal is torn as well
            journal = place.journal.read_bytes()
            place.journal.write_bytes(journal[: -chance.randint(1, len(journal.splitlines(keepends=True)[-1]) - 1)])
    assert 0 < len(results) < count
    summary = search(*same).summary()
    assert summary["states"] == {"RUNNING": 0, "COMPLETE": count, "PRUNED": 0, "FAIL": 0}
    trials = place.trials()
    assert [trial.number for trial in trials] == list(range(1, count + 1))
    assert results.items() <= {trial.number: trial.values for trial in trials}.items()
    assert len({json.dumps(trial.params) for trial in trials}) == count
    for trial in trials:
        whole(place, trial.number, 3)
        config = config_of(quick("generations=3"), trial.params, trial.runs[0])
        assert trial.values == [pytest.approx(worth(config, 42)[0])]
    stored = storage_trials(place, "it")
    complete = [frozen for frozen in stored if frozen.state.name == "COMPLETE"]
    assert {frozen.number: frozen.params for frozen in complete} == {trial.optuna: trial.params for trial in trials}
    assert {frozen.state.name for frozen in stored} <= {"COMPLETE", "FAIL"}
    assert wait_for(lambda: not processes_of(folder))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_study_with_checkpoints_and_the_same_command_completes_it(
    search: Begin, folder: Path, number: signal.Signals
) -> None:
    place = StudyDir(folder / "studies" / "it")
    same = ("it", *QUICK, "-g", 300, "-n", 2, "--json", *TWO)
    parent = search(*same, seconds=0.02)
    wait_for(going(place, 1, 2))
    parent.process.send_signal(number)
    code, out, told = parent.end()
    assert code == 128 + number
    assert json.loads(out)["states"]["RUNNING"] == 2
    assert f"{number.name}: trials stop with checkpoints" in told
    assert "trial 1: stopped with checkpoints; the same command again continues it" in told
    assert not processes_of(folder)
    reached = [trial.generations for trial in place.trials()]
    assert all(3 < generations < 300 for generations in reached)
    assert search(*same, seconds=0.0).summary()["states"]["COMPLETE"] == 2
    for trial, before in zip(place.trials(), reached, strict=True):
        whole(place, trial.number, 300)
        (island,) = populations(place, trial)
        assert files.read_jsonl(island.path / "seen.jsonl")[1]["from"] == before
        assert [worker["exit_code"] for worker in trial.workers] == [85, 0]


def test_a_second_signal_does_not_wait_for_islands_that_do_not_stop(search: Begin, folder: Path) -> None:
    place = StudyDir(folder / "studies" / "it")
    parent = search("it", *QUICK, "-g", 100_000, "-n", 1, faults="seed-42:stubborn", seconds=0.02)
    wait_for(going(place, 1))
    began = time.monotonic()
    parent.process.send_signal(signal.SIGTERM)
    wait_for(place.stop(1).exists)
    parent.process.send_signal(signal.SIGTERM)
    assert parent.end()[0] == 143
    assert wait_for(lambda: not processes_of(folder)) and time.monotonic() - began < 25  # s that an island may take
    assert place.read(1).state == "RUNNING"


def test_a_time_limit_ends_the_sitting_with_124_and_what_ran_goes_on_next_time(search: Begin, folder: Path) -> None:
    place = StudyDir(folder / "studies" / "it")
    same = ("it", *QUICK, "-g", 2000, "-n", 1, "--json")
    code, out, told = search(*same, "--timeout", "2s", seconds=0.02).end()
    assert (code, json.loads(out)["states"]["RUNNING"]) == (124, 1)
    assert "the time limit of 2 s is reached: trials stop with checkpoints" in told
    assert search(*same, seconds=0.0).summary()["states"]["COMPLETE"] == 1
    whole(place, 1, 2000)


def test_a_pruned_trial_stops_its_islands_keeps_its_checkpoints_and_can_be_revived(
    search: Begin, folder: Path, at_once: None
) -> None:
    config = quick("generations=60", "migration.islands=1")

    def worths(seed: int) -> list[float]:
        points = [trial_of(known(seed=seed), number) for number in range(1, 8)]
        return [worth(config_of(config, trial.params, trial.runs[0]), 42)[0] for trial in points]

    seed = next(seed for seed in range(100) if worths(seed)[6] < statistics.median(worths(seed)[:6]) - 1)
    sat = sitting(folder, known("generations=60", seed=seed), 6, pruner="median")
    sat.run()
    same = (
        "study", "--out", "study", "-c", "quick", "-g", 60, "--islands", 1, "-s", 1, "--stagnation-limit", 0, "--seed",
        seed, "--sampler", "random", "--pruner", "median", "--json",
    )  # fmt: skip
    summary = search(*same, "-n", 7, seconds=0.1).summary()
    assert summary["states"] == {"RUNNING": 0, "COMPLETE": 6, "PRUNED": 1, "FAIL": 0}
    trial = sat.place.read(7)
    (island,) = populations(sat.place, trial)
    lines = files.read_jsonl(island.metrics)
    step = int(trial.reason.split()[-2])
    assert trial.reason == f"pruned by median after {step} generations" and step <= trial.generations < 60
    assert island.metrics.stat().st_mtime < sat.place.stop(7).stat().st_mtime + 5.0  # s, of a generation of 0.1 s
    assert len(lines) == trial.generations == int((island.checkpoints / "generation").read_text())
    assert not island.result.exists() and not processes_of(folder)
    assert storage_trials(sat.place)[6].state.name == "PRUNED"
    summary = search(*same, "--revive", 7, seconds=0.0).summary()
    assert summary["states"] == {"RUNNING": 0, "COMPLETE": 7, "PRUNED": 0, "FAIL": 0}
    whole(sat.place, 7, 60)
    revived = storage_trials(sat.place)[sat.place.read(7).optuna or 0]
    assert (revived.state.name, revived.values) == ("COMPLETE", [pytest.approx(worths(seed)[6])])


def test_a_failed_seed_fails_its_trial_with_the_reason_and_the_others_go_on(search: Begin, folder: Path) -> None:
    place = StudyDir(folder / "studies" / "it")
    command = ("it", *QUICK[:-1], 2, "-g", 3, "-n", 3, *TWO)
    code, _, told = search(*command, faults="0002/seed-123:refuse").end()
    assert code == 1
    assert [trial.state for trial in place.trials()] == ["COMPLETE", "FAIL", "COMPLETE"]
    failed = place.read(2)
    assert failed.values is None and failed.reason.startswith("seed-123: the task cannot be played as configured")
    assert "its log ends: " in failed.reason
    assert "trial 2: FAIL, seed-123: the task cannot be played as configured" in told
    assert place.log(2).read_text().count("failed: a configuration that cannot work") == 1
