"""The loop of a study: real files, real Optuna; trials are played in this process by stand-ins."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from islands import files
from launcher import board, study, study_summary
from launcher.flight import Slot
from launcher.memory import Forgetful
from launcher.trials import Trial, config_of
from tests.launcher.stand_in_island import worth
from tests.launcher.study_parts import (
    Stage,
    known,
    populations,
    sitting,
    storage_trials,
    trial_of,
)

pytestmark = pytest.mark.usefixtures("at_once")


class Clock:
    """Time that passes only when somebody sleeps; stands for the module `time`."""

    def __init__(self, tick: float = 0.5) -> None:
        self.now, self.tick = 1000.0, tick

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, _seconds: float) -> None:
        self.now += self.tick


def points(trials: list[Trial]) -> list[str]:
    return [json.dumps(trial.params) for trial in trials]


def test_a_study_runs_its_trials_and_each_is_worth_what_its_seeds_were_on_average(folder: Path) -> None:
    who = known(seeds=(42, 123, 456))
    sat = sitting(folder, who, 6)
    assert sat.run() == 0
    trials = sat.place.trials()
    assert [(trial.number, trial.state) for trial in trials] == [(number, "COMPLETE") for number in range(1, 7)]
    for trial in trials:
        config = config_of(who.base, trial.params, trial.runs[0])
        fitness = [worth(config, seed)[0] for seed in who.seeds]
        assert [seed["seed"] for seed in trial.seeds] == list(who.seeds)
        assert trial.values == [pytest.approx(sum(fitness) / 3)]
        assert trial.started <= trial.workers[0]["started"] <= trial.workers[0]["ended"] <= (trial.ended or 0)
        assert (trial.generations, trial.generations_wanted, trial.reason) == (4, 4, "")
    assert [frozen.values for frozen in storage_trials(sat.place)] == [trial.values for trial in trials]
    assert sat.run() == 0 and len(sat.backend.starts) == 6  # type: ignore[attr-defined]


def test_an_archipelago_runs_once_for_each_seed_and_its_best_champion_counts(folder: Path) -> None:
    who = known("migration.islands=2", seeds=(42, 123), islands=2)
    sat = sitting(folder, who, 2)
    assert sat.run() == 0
    (trial, _) = sat.place.trials()
    assert [(len(seed["digests"]), seed["seed"]) for seed in trial.seeds] == [(2, 42), (2, 123)]
    assert (trial.generations, trial.generations_wanted) == (8, 8)
    assert len({seed["run"] for seed in trial.seeds}) == 2


def test_summary_and_table_are_rewritten_after_every_trial_and_parse_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[dict[str, Any], list[dict[str, str]]]] = []
    write = study_summary.write_summary

    def noting(place: Any, identity: Any, trials: Any) -> None:
        write(place, identity, trials)
        with open(place.table, newline="") as stream:
            seen.append((files.read_json(place.summary), list(csv.DictReader(stream))))

    monkeypatch.setattr(study_summary, "write_summary", noting)
    sat = sitting(folder, known(objectives=("fitness", "diversity")), 5, cost_per_hour=3.6, backend=Stage({2: [78]}))
    assert sat.run() == 1
    finished = [summary["states"]["COMPLETE"] + summary["states"]["FAIL"] for summary, _ in seen]
    assert finished == [0, 1, 2, 3, 4, 5, 5]
    summary, table = seen[-1]
    assert [int(row["number"]) for row in table] == [1, 2, 3, 4, 5]
    for row, trial in zip(table, sat.place.trials(), strict=True):
        assert row["state"] == trial.state and row["reason"] == trial.reason
        assert [float(row[name]) for name in ("fitness", "diversity") if row[name]] == (trial.values or [])
        assert {key: row[key] for key in trial.params} == {key: str(value) for key, value in trial.params.items()}
        assert float(row["cost"]) == pytest.approx(trial.seconds / 1000)
    best = max((trial for trial in sat.place.trials() if trial.values), key=lambda trial: trial.values or [])
    assert summary["best"]["trial"] == best.number and summary["best"]["params"] == best.params
    assert summary["trials"] == 5 and summary["objectives"] == ["fitness", "diversity"]
    front = [(entry["trial"], entry["values"]) for entry in summary["pareto_front"]]
    assert front == [(trial.number, trial.values) for trial in study_summary.front(sat.place.trials())]


def test_a_study_continued_again_and_again_proposes_what_an_uninterrupted_one_does(folder: Path) -> None:
    (folder / "whole").mkdir()
    (folder / "parts").mkdir()
    whole = sitting(folder / "whole", known(), 16, sampler="tpe")
    whole.run()
    for trials in (1, 2, 9, 11, 16):
        part = sitting(folder / "parts", known(), trials, sampler="tpe")
        part.run()
    assert points(part.place.trials()) == points(whole.place.trials())
    assert [trial.values for trial in part.place.trials()] == [trial.values for trial in whole.place.trials()]
    assert len(set(points(whole.place.trials()))) == 16


def test_what_was_interrupted_goes_on_first_with_its_own_parameters(folder: Path) -> None:
    who = known()
    first = sitting(folder, who, 5, jobs=2)
    first.recover()
    first.fill()  # two are asked for and started, and that is all that this parent lives to see
    unfinished = first.place.trials()
    assert [trial.state for trial in unfinished] == ["RUNNING", "RUNNING"]
    again = sitting(folder, who, 5, jobs=2)
    assert again.run() == 0
    assert again.backend.starts == [1, 2, 3, 4, 5]  # type: ignore[attr-defined]
    assert points(again.place.trials())[:2] == points(unfinished)
    assert len(again.trials[1].workers) == 2 and all("ended" in worker for worker in again.trials[1].workers)
    assert {frozen.state.name for frozen in storage_trials(again.place)} == {"COMPLETE"}
    assert len(storage_trials(again.place)) == 5
    assert any("continued: 0 trials are finished, 2 go on" in event for event in again.show.events)  # type: ignore[attr-defined]


def test_so_many_run_at_once_as_were_asked_for_each_in_a_place_of_its_own(folder: Path) -> None:
    stage = Stage()
    sat = sitting(folder, known(), 7, jobs=3, backend=stage)
    assert sat.run() == 0
    assert stage.most == 3
    trials = sat.place.trials()
    for one in trials:
        others = [two for two in trials if two.started < (one.ended or 0) and one.started < (two.ended or 0)]
        assert len({tuple(trial.cpus or ()) for trial in others}) == len(others)
    assert {tuple(trial.cpus or ()) for trial in trials} == {(0,), (1,), (2,)}


@pytest.mark.parametrize("cpus", [None, (0,)])
def test_places_that_look_the_same_have_a_trial_each(folder: Path, cpus: tuple[int, ...] | None) -> None:
    """They do where a quota limits the cores, on other machines, and with more trials than cores."""
    stage = Stage()
    sat = sitting(folder, known(), 7, slots=[Slot(cpus, 1) for _ in range(3)], backend=stage)
    assert sat.run() == 0
    assert stage.most == 3
    assert [trial.cpus for trial in sat.place.trials()] == [list(cpus) if cpus else None] * 7


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (78, "seed-42: the task cannot be played as configured | its log ends: it said so"),
        (1, "seed-42: the task cannot be played as configured | its log ends: it said so"),
        (85, "its islands were stopped by someone's request"),
    ],
)
def test_a_trial_that_cannot_run_fails_with_the_reason_and_is_never_a_score(
    folder: Path, code: int, reason: str
) -> None:
    sat = sitting(folder, known(), 3, backend=Stage({2: [code]}))
    (island,) = populations(sat.place, trial_of(known(), 2))
    files.write_json(island.create().error, {"message": "the task cannot be played as configured"})
    sat.place.log(2).parent.mkdir()
    sat.place.log(2).write_text("it said so\n")
    assert sat.run() == 1
    assert [trial.state for trial in sat.place.trials()] == ["COMPLETE", "FAIL", "COMPLETE"]
    failed = sat.place.read(2)
    assert (failed.values, failed.standard_error, failed.seeds, failed.reason) == (None, None, [], reason)
    told = storage_trials(sat.place)[1]
    assert (told.state.name, told.values, told.user_attrs["reason"]) == ("FAIL", None, reason)
    assert sat.backend.starts == [1, 2, 3]  # type: ignore[attr-defined]


def test_a_trial_without_a_champion_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.launcher.stand_in_island.worth", lambda config, seed: (float("nan"), 1.0))
    sat = sitting(folder, known(), 1)
    assert sat.run() == 1
    assert "expected a champion with a held-out mean, got none" in sat.place.read(1).reason


def test_a_trial_that_dies_again_and_again_without_progress_fails_after_a_few_starts_and_others_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "time", Clock())
    stage = Stage({1: [-9] * 50})
    sat = sitting(folder, known(), 3, jobs=2, backend=stage)
    assert sat.run() == 1
    assert [trial.state for trial in sat.place.trials()] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert stage.starts.count(1) == study.FRUITLESS + 1
    assert sat.place.read(1).reason.startswith("killed by signal 9, 3 starts without any progress; ")
    started = [worker["started"] for worker in sat.place.read(1).workers]
    pauses = [later - earlier for earlier, later in zip(started, started[1:], strict=False)]
    assert pauses == sorted(pauses) and pauses[0] >= 2 and pauses[-1] >= 8


def test_a_trial_that_dies_but_comes_farther_every_time_is_started_as_often_as_it_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "time", Clock())

    class Stumbling(Stage):
        def ended(self) -> dict[int, int]:
            codes = super().ended() or dict.fromkeys(list(self._playing), -9)
            for number in codes:
                self.kill(number)
            return codes

    stage = Stumbling()
    sat = sitting(folder, known("generations=12"), 1, backend=stage)
    assert sat.run() == 0
    assert len(stage.starts) >= 12 and sat.place.read(1).generations == 12
    assert [worker["exit_code"] for worker in sat.place.read(1).workers][-2:] == [-9, 0]


def test_a_process_that_finds_the_last_one_still_at_work_tries_again_as_long_as_it_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "time", Clock())
    sat = sitting(folder, known(), 1, backend=Stage({1: [3] * 20}))
    assert sat.run() == 0
    assert len(sat.place.read(1).workers) == 21


@pytest.mark.parametrize("limit", [{"timeout": 30.0}, {"cost_per_hour": 3600.0, "max_cost": 30.0}])
def test_a_limit_stops_the_study_with_checkpoints_and_124_and_the_next_sitting_completes_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any]
) -> None:
    clock = Clock(tick=1.0)
    for module in (study, board):
        monkeypatch.setattr(module, "time", clock)
    first = sitting(folder, known("generations=40"), 2, jobs=2, **limit)
    assert first.run() == 124
    stopped = first.place.trials()
    assert [trial.state for trial in stopped] == ["RUNNING", "RUNNING"]
    assert all(25 < trial.generations < 40 for trial in stopped)
    assert all(trial.seconds == pytest.approx(32, abs=4) for trial in stopped)
    assert files.read_json(first.place.live)["state"] == "stopped"
    again = sitting(folder, known("generations=40"), 2, jobs=2)
    assert again.run() == 0
    for trial in again.place.trials():
        (island,) = populations(again.place, trial)
        assert [line["generation"] for line in files.read_jsonl(island.metrics)] == list(range(40))
    assert [frozen.state.name for frozen in storage_trials(again.place)] == ["COMPLETE", "COMPLETE"]


def test_a_trial_that_does_not_stop_in_time_is_killed_and_resumable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "time", Clock(tick=1.0))

    class Deaf(Stage):
        killed = 0

        def ended(self) -> dict[int, int]:
            return {1: -9} if self.killed else {}

        def kill(self, number: int) -> None:
            self.killed += 1

    stage = Deaf()
    sat = sitting(folder, known(), 1, backend=stage, timeout=5.0)
    begun = sat._began
    assert sat.run() == 124
    assert stage.killed == 1 and study.time.monotonic() - begun > 5 + study.GRACE
    assert sat.place.read(1).state == "RUNNING"


def test_a_pool_of_random_points_needs_no_optuna_and_leaves_none(folder: Path) -> None:
    who = known()
    sat = sitting(folder, who, 4, memory=Forgetful(who.space, who.base, who.seed))
    assert sat.run() == 0
    assert not sat.place.journal.exists()
    assert points(sat.place.trials()) == points([trial_of(who, number) for number in range(1, 5)])


def test_what_a_killed_writer_left_behind_is_swept_away(folder: Path) -> None:
    sat = sitting(folder, known(), 1)
    left = sat.place.path / ".trial_0001.json.0123.tmp"
    left.write_text("half")
    assert sat.run() == 0
    assert not left.exists()


def test_a_finished_study_that_is_continued_starts_nothing_and_says_how_it_stands(folder: Path) -> None:
    sitting(folder, known(), 3).run()
    began = time.monotonic()
    again = sitting(folder, known(), 3)
    assert again.run() == 0 and again.backend.starts == []  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10
    assert files.read_json(again.place.summary)["states"]["COMPLETE"] == 3
    assert files.read_json(again.place.live)["state"] == "done"
