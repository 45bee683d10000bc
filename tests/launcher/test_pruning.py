"""When a trial is given up, what stays of it, and how it comes back."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from islands import files
from islands.errors import ConfigError
from launcher import pruning
from launcher.flight import Running, Slot
from launcher.pruning import Pruner, milestones, values_at
from launcher.space import Params
from launcher.trials import StudyDir, Trial, runs_of
from tests.launcher.stand_in_island import generations_of, worth
from tests.launcher.study_parts import (
    Stage,
    known,
    populations,
    sitting,
    storage_trials,
    trial_of,
)

GOOD: Params = {"mutation.weight_rate": 0.5, "mutation.weight_scale": 0.7, "crossover.enabled": False}
BAD: Params = {**GOOD, "mutation.weight_scale": 0.2}


def metrics(study: StudyDir, trial: Trial, *levels: list[float]) -> None:
    """What each population's metrics say, generation by generation."""
    for island, values in zip(populations(study, trial), levels, strict=False):
        lines = [
            {"generation": g, "best": 1e6, "mean": level - 1.0, "std": 1.0, "diversity": level / 2}
            for g, level in enumerate(values)
        ]
        files.JsonLines(island.create().metrics, durable=False).extend(lines)


def test_a_milestones_value_is_the_level_of_the_better_part_averaged_over_populations_and_generations(
    folder: Path,
) -> None:
    study, trial = StudyDir(folder), trial_of(known(seeds=(1, 2)), 1)
    metrics(study, trial, [float(g) for g in range(30)], [100.0] * 30)
    expected = statistics.fmean([statistics.fmean(range(10, 20)), 100.0])
    assert values_at(study, trial, 20, 30, ("fitness",)) == [expected]
    assert values_at(study, trial, 20, 30, ("fitness", "diversity")) == [expected, expected / 2]
    assert values_at(study, trial, 3, 30, ("fitness",)) == [(1.0 + 100.0) / 2]


def test_while_metrics_lag_behind_a_milestone_says_nothing_and_a_population_that_ended_counts_with_its_end(
    folder: Path,
) -> None:
    study, trial = StudyDir(folder), trial_of(known(seeds=(1, 2)), 1)
    metrics(study, trial, [4.0] * 30, [2.0] * 5)
    assert values_at(study, trial, 20, 30, ("fitness",)) is None
    files.write_json(populations(study, trial)[1].result, {})  # it stopped, stagnating
    assert values_at(study, trial, 20, 30, ("fitness",)) == [3.0]


def test_milestones_of_archipelagos_that_follow_one_another_go_on_counting(folder: Path) -> None:
    study, trial = StudyDir(folder), trial_of(known(seeds=(1, 2)), 1)
    trial.runs, trial.generations_wanted = runs_of((1, 2), 2, True), 60
    metrics(study, trial, [1.0] * 30, [3.0] * 30, [10.0] * 15, [20.0] * 15)
    found = dict(milestones(Pruner("median", 60), study, trial, 44, 30, ("fitness",)))
    assert list(found) == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44]
    assert found[28] == [2.0]
    assert found[40] == [statistics.fmean([1.0, 3.0, 10.0, 20.0])]
    trial.intermediate = {step: value for step, value in found.items() if step < 40}
    assert list(dict(milestones(Pruner("median", 60), study, trial, 44, 30, ("fitness",)))) == [40, 44]


def test_there_are_no_milestones_without_a_pruner_none_at_the_very_end_and_few_in_short_runs(folder: Path) -> None:
    assert Pruner("none", 100).steps() == []
    assert Pruner("median", 150).steps() == list(range(10, 150, 10))
    assert Pruner("median", 4).steps() == [1, 2, 3]
    assert Pruner("median", 1).steps() == [1]
    study, trial = StudyDir(folder), trial_of(known(), 1, generations_wanted=1)
    metrics(study, trial, [1.0])
    assert list(milestones(Pruner("median", 1), study, trial, 1, 1, ("fitness",))) == []


@pytest.mark.parametrize(
    ("kind", "seeds", "objectives", "line"),
    [
        ("wilcoxon", 4, 1, "--pruner wilcoxon: expected at least 5 seeds to compare, got 4"),
        ("wilcoxon", 6, 2, "--pruner with several objectives: expected median or none, got wilcoxon"),
        ("hyperband", 3, 2, "--pruner with several objectives: expected median or none, got hyperband"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(kind: str, seeds: int, objectives: int, line: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        pruning.check(kind, seeds, objectives)
    assert str(refusal.value) == line
    for good in (("wilcoxon", 5, 1), ("median", 1, 2), ("none", 1, 2), ("hyperband", 1, 1)):
        pruning.check(*good)


def test_the_median_prunes_a_bad_trial_and_the_study_keeps_its_checkpoints(folder: Path, at_once: None) -> None:
    who = known("generations=30")
    study = sitting(folder, who, 20, pruner="median")
    assert study.run() == 0
    pruned = [trial for trial in study.trials.values() if trial.state == "PRUNED"]
    complete = [trial for trial in study.trials.values() if trial.state == "COMPLETE"]
    assert len(pruned) >= 4 and len(complete) >= 8
    for trial in pruned:
        (island,) = populations(study.place, trial)
        assert 6 <= generations_of(island) < 30 and not island.result.exists()
        step = int(trial.reason.split()[-2])
        assert trial.reason == f"pruned by median after {step} generations"
        assert step <= trial.generations == generations_of(island) <= step + 2
        before = [other.intermediate[step][0] for other in complete if other.number < trial.number]
        assert trial.intermediate[step][0] < statistics.median(before)
    values = [trial.values[0] for trial in complete if trial.values]
    best = max(worth_of(trial) for trial in study.trials.values())
    assert max(values) == pytest.approx(best)  # no pruned trial would have been the best
    states = [frozen.state.name for frozen in storage_trials(study.place)]
    assert states == [trial.state for trial in study.trials.values()]
    assert sum(trial.generations for trial in study.trials.values()) < 0.85 * 20 * 30


def worth_of(trial: Trial) -> float:
    from launcher.trials import config_of

    return worth(config_of(known().base, trial.params, trial.runs[0]), 42)[0]


def test_a_pruned_trial_that_is_revived_goes_on_from_its_checkpoint_to_its_end_and_is_told(
    folder: Path, at_once: None
) -> None:
    who = known("generations=30")
    first = sitting(folder, who, 12, pruner="median")
    first.run()
    number = next(trial.number for trial in first.trials.values() if trial.state == "PRUNED")
    (island,) = populations(first.place, first.trials[number])
    reached = generations_of(island)
    again = sitting(folder, who, 12, pruner="median")
    again.revive(number)
    assert again.run() == 0
    revived = again.trials[number]
    assert (revived.state, revived.values) == ("COMPLETE", [pytest.approx(worth_of(revived))])
    assert (revived.reason, revived.generations) == ("", 30)
    lines = [line["generation"] for line in files.read_jsonl(island.metrics)]
    assert lines == list(range(30)) and reached < 30  # no generation was played twice
    assert again.backend.starts == [number]  # type: ignore[attr-defined]
    told_last = storage_trials(again.place)[-1]
    assert (told_last.state.name, told_last.params) == ("COMPLETE", revived.params)
    assert told_last.values == revived.values and revived.optuna == 12
    third = sitting(folder, who, 13, pruner="median")
    assert third.run() == 0 and len(storage_trials(third.place)) == 14


def test_only_a_pruned_trial_can_be_revived(folder: Path, at_once: None) -> None:
    sitting(folder, known(), 1).run()
    study = sitting(folder, known(), 1)
    with pytest.raises(ConfigError, match="--revive 1: expected a trial that was pruned, got COMPLETE"):
        study.revive(1)
    with pytest.raises(ConfigError, match="--revive 9: expected a trial that was pruned, got no such trial"):
        study.revive(9)
    study.place.write(trial_of(known(), 2))
    with pytest.raises(ConfigError, match="--revive 2: expected a trial that was pruned, got RUNNING"):
        study.revive(2)


def test_a_trial_whose_last_process_is_still_there_can_be_pruned_all_the_same(folder: Path, at_once: None) -> None:
    who = known("generations=30")
    sitting(folder, who, 6, pruner="median").run()
    trial = trial_of(who, 7, params=BAD, generations_wanted=30)
    study = sitting(folder, who, 7, pruner="median", backend=Stage({7: [None, 3]}))
    metrics(study.place, trial, [0.1 * g for g in range(12)])
    files.write_json(populations(study.place, trial)[0].heartbeat, {"generation": 11, "pid": None})
    study.place.write(trial)
    assert study.run() == 0
    assert study.trials[7].state == "PRUNED"


@pytest.mark.filterwarnings("error")
def test_wilcoxon_stops_a_bad_trial_after_a_few_seeds_which_are_played_one_after_another(
    folder: Path, at_once: None
) -> None:
    who = known(seeds=(42, 123, 456, 789, 1337, 1338))
    study = sitting(folder, who, 14, pruner="wilcoxon")
    assert study.run() == 0
    pruned = [trial for trial in study.trials.values() if trial.state == "PRUNED"]
    assert pruned and all(not spec.batched for trial in pruned for spec in trial.runs)
    bests = {trial.number: trial.values[0] for trial in study.trials.values() if trial.values}
    for trial in pruned:
        finished = [island.result.exists() for island in populations(study.place, trial)]
        assert finished[:2] == [True, True] and not finished[-1]
        assert trial.reason.startswith("pruned by wilcoxon after ") and trial.reason.endswith(" seeds")
        assert worth_of(trial) < max(value for number, value in bests.items() if number < trial.number)
    complete = next(trial for trial in study.trials.values() if trial.values)
    seeds = {step: [seed["fitness"]] for step, seed in enumerate(complete.seeds[:-1], 1)}
    assert complete.intermediate == seeds


def test_with_several_objectives_a_trial_below_the_median_in_every_one_is_pruned() -> None:
    rule = Pruner("median", 100)
    rule.seen = {number: {40: [float(number), 10.0 - number]} for number in range(5)}
    assert rule.dominated(9, 40, [1.5, 7.5])
    assert not rule.dominated(9, 40, [1.5, 8.5])  # good in one
    assert not rule.dominated(9, 40, [2.0, 7.0])  # at the median in one
    assert not rule.dominated(9, 20, [0.0, 0.0])  # too early, and nobody else was seen there
    assert not rule.dominated(4, 40, [0.0, 0.0])  # four others are too few
    rule.seen[5] = {15: [9.0, 9.0]}
    rule.seen |= {number: {15: [9.0, 9.0], **at} for number, at in rule.seen.items()}
    assert not rule.dominated(9, 15, [0.0, 0.0])


def test_a_study_with_two_objectives_prunes_by_our_rule_and_its_storage_has_the_state(
    folder: Path, at_once: None
) -> None:
    who = known("generations=30", objectives=("fitness", "diversity"))
    study = sitting(folder, who, 16, pruner="median")
    assert study.run() == 0
    pruned = [trial for trial in study.trials.values() if trial.state == "PRUNED"]
    assert pruned
    for trial in pruned:
        step = int(trial.reason.split()[-2])
        others = [other.intermediate[step] for other in study.trials.values() if other.number < trial.number
                  and step in other.intermediate]  # fmt: skip
        medians = [statistics.median(column) for column in zip(*others, strict=True)]
        assert all(mine < theirs for mine, theirs in zip(trial.intermediate[step], medians, strict=True))
    stored = storage_trials(study.place)
    assert [frozen.state.name for frozen in stored] == [trial.state for trial in study.trials.values()]


def test_hyperband_runs_too(folder: Path, at_once: None) -> None:
    study = sitting(folder, known("generations=30"), 10, pruner="hyperband")
    assert study.run() == 0
    assert {trial.state for trial in study.trials.values()} <= {"COMPLETE", "PRUNED"}


def test_a_revived_trial_is_left_alone(folder: Path, at_once: None) -> None:
    study = sitting(folder, known("generations=30"), 6, pruner="median")
    study.run()
    trial = trial_of(known(), 7, params=BAD, revived=True, generations_wanted=30)
    metrics(study.place, trial, [0.0] * 20)
    running = Running(trial, Slot(None, 1), 0.0, alive=True)
    study.prune(running)
    assert running.pruned == "" and trial.intermediate == {}
