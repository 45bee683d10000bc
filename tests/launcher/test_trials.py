"""A trial's record, its runs, and what they say: values, standard error, progress, reasons."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands import files, loading
from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher import objective, presets, study_summary, trials
from launcher.objective import values_of
from launcher.space import Params
from launcher.trials import RunSpec, StudyDir, Trial, config_of, runs_of
from tests.launcher.study_parts import complete, known, populations, trial_of

BASE = presets.resolve("quick", ["migration.islands=2"])


def result(island: IslandDir, validation: float, mean: float | None, **more: Any) -> None:
    """What a finished population leaves."""
    champion = {"mean": mean, "validation": validation, "ci95": [0.0, 1.0], "episodes": 64, "digest": "c" * 64}
    record = {"island": island.name, "seed": 42, "champion": champion, "best_fitness": 99.0, "digest": "d" * 64}
    record |= {"generations": 4, "evaluations": 240, "diversity": 1.0, "behaviour_mean": [], "behaviour_variance": []}
    island.create()
    files.write_json(island.result, record | more)


def a_trial(study: StudyDir, islands: int, seeds: tuple[int, ...] = (42,)) -> Trial:
    trial = trial_of(known(), 1)
    trial.runs = runs_of(seeds, islands, True)
    for island in populations(study, trial):
        island.create()
    return trial


def test_a_trials_record_comes_back_from_its_file_exactly(folder: Path) -> None:
    study = StudyDir(folder)
    trial = complete(trial_of(known(seeds=(1, 2)), 3, optuna=2, intermediate={10: [0.5], 2: [1 / 3]}), 1.25)
    trial.workers.append({"started": 1.5, "ended": 2.75, "exit_code": 0, "pid": 7})
    study.write(trial)
    assert study.read(3) == trial
    stored = files.read_json(folder / "trial_0003.json")
    assert stored["run_paths"] == [str(folder / "trials" / "0003" / "populations")]
    assert {"number", "state", "params", "values", "seeds", "started", "ended", "cores", "cost"} <= set(stored)
    assert trial.seconds_of_workers() == 1.25


def test_numbers_are_those_of_whole_records_alone_and_another_format_is_refused(folder: Path) -> None:
    study = StudyDir(folder)
    for number in (12, 1, 12345):
        study.write(trial_of(known(), number))
    for name in (
        "trial_2.json",
        "trial_0003.json.bak",
        ".trial_0004.json.tmp",
        "trial_000x.json",
        "trial_０００５.json",
    ):
        (folder / name).write_text("{}")
    assert study.numbers() == [1, 12, 12345]
    files.write_json(study.record(12), files.read_json(study.record(12)) | {"format": 2})
    with pytest.raises(EvolabError, match=r"trial_0012.json: expected format 1, got 2"):
        study.trials()


def test_seeds_of_single_populations_are_one_run_and_an_archipelago_has_a_run_for_each_seed() -> None:
    (alone,) = runs_of((42, 123), 1, True)
    assert (alone.command, alone.islands) == ("run", (("seed-42", 42), ("seed-123", 123)))
    runs = runs_of((42, 123), 3, True)
    assert [run.command for run in runs] == ["launch", "launch"]
    assert [{seed for _, seed in run.islands} for run in runs] == [{42}, {123}]
    assert [name for name, _ in runs[0].islands] == ["island-000", "island-001", "island-002"]


def test_a_runs_configuration_is_the_base_with_the_trials_parameters_and_the_runs_seed() -> None:
    params: Params = {"mutation.add_node": 0.25, "network.bias": "none", "crossover.enabled": False}
    flat = loading.flat(config_of(BASE, params, RunSpec("it", "launch", (("island-000", 123),))))
    assert {key: flat[key] for key in flat if flat[key] != loading.flat(BASE)[key]} == {**params, "seed": 123}
    alone = config_of(BASE, params, RunSpec("it", "run", (("seed-7", 7),)))
    assert (alone.migration.every, alone.seed) == (0, 7)


def test_of_several_islands_the_champion_is_chosen_by_validation_and_counts_with_its_held_out_mean(
    folder: Path,
) -> None:
    study = StudyDir(folder)
    trial = a_trial(study, islands=3)
    for island, validation, mean in zip(populations(study, trial), (5.0, 7.0, 6.0), (9.0, 2.0, 8.0), strict=True):
        result(island, validation, mean)
    (seed,) = objective.seed_results(study, trial)
    assert (seed["island"], seed["fitness"], seed["generations"]) == ("island-001", 2.0, 4)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8), st.lists(st.floats(0, 10), min_size=8, max_size=8))
def test_a_value_is_the_mean_over_seeds_with_the_standard_error_of_that_mean(
    fitness: list[float], diversity: list[float]
) -> None:
    seeds = [{"fitness": f, "diversity": d} for f, d in zip(fitness, diversity, strict=False)]
    values, error = values_of(seeds, ("fitness", "diversity"))
    count = len(fitness)
    mean = sum(fitness) / count
    assert values == pytest.approx([mean, statistics.fmean(diversity[:count])], abs=1e-9)
    assert error == pytest.approx(math.sqrt(sum((f - mean) ** 2 for f in fitness) / (count - 1) / count), abs=1e-9)


def test_of_one_seed_the_standard_error_is_that_of_its_champions_episodes() -> None:
    from scipy import stats

    episodes = [1.0, 4.0, 2.5, 0.5, 3.0, 2.0] * 11
    mean, error = statistics.fmean(episodes), statistics.stdev(episodes) / math.sqrt(len(episodes))
    half = stats.t.ppf(0.975, len(episodes) - 1) * error
    seed = {"seed": 42, "fitness": mean, "ci95": [mean - half, mean + half], "episodes": len(episodes)}
    assert values_of([seed], ("fitness",)) == ([mean], pytest.approx(error))
    trial = complete(trial_of(known(), 1), mean)
    trial.seeds, trial.standard_error = [seed], error
    assert study_summary.interval(trial) == pytest.approx(seed["ci95"])
    trial.seeds, trial.standard_error = [seed, seed, seed], 0.5
    assert study_summary.interval(trial) == pytest.approx([mean - 4.302653 * 0.5, mean + 4.302653 * 0.5], abs=1e-5)


def test_the_diversity_of_an_archipelago_is_that_of_all_its_creatures_together(folder: Path) -> None:
    import numpy as np

    study = StudyDir(folder)
    trial = a_trial(study, islands=2)
    creatures = np.random.default_rng(1).normal(size=(2, 50, 3)) * [[[1.0]], [[2.0]]] + [[[0.0]], [[4.0]]]
    for island, described in zip(populations(study, trial), creatures, strict=True):
        mean, variance = described.mean(0).tolist(), described.var(0).tolist()
        result(island, 1.0, 1.0, behaviour_mean=mean, behaviour_variance=variance)
    everyone = creatures.reshape(-1, 3)
    pairs = everyone[:, None] - everyone[None, :]
    (seed,) = objective.seed_results(study, trial)
    assert seed["diversity"] == pytest.approx(math.sqrt((pairs**2).sum(-1).mean()))


def test_only_seeds_whose_islands_have_all_finished_have_results(folder: Path) -> None:
    study = StudyDir(folder)
    trial = a_trial(study, islands=2, seeds=(42, 123))
    first, second, third, _ = populations(study, trial)
    for island in (first, second, third):
        result(island, 1.0, 1.0)
    assert len(objective.seed_results(study, trial)) == 1
    alone = dataclasses.replace(trial, number=2, runs=runs_of((1, 2, 3), 1, True))
    result(populations(study, alone)[1], 1.0, 4.0, seed=2)
    assert [(seed["seed"], seed["fitness"]) for seed in objective.seed_results(study, alone)] == [(2, 4.0)]


def test_a_champion_without_a_held_out_mean_is_an_error_and_no_score(folder: Path) -> None:
    study = StudyDir(folder)
    trial = a_trial(study, islands=1)
    result(populations(study, trial)[0], 1.0, None)
    with pytest.raises(EvolabError, match="expected a champion with a held-out mean, got none"):
        objective.seed_results(study, trial)


def beat(island: IslandDir, done: int, pid: int = 100, state: str = "running", cpu: float = 1.0) -> None:
    pools = {"os": 3, "pools": {"libgomp": 1, "numba": 1}}
    record = {"generation": done - 1 if done else None, "pid": pid, "state": state, "cpu_seconds": cpu}
    files.write_json(island.heartbeat, {**record, "threads": pools, "time": 1.0})


def test_progress_is_that_of_the_slowest_population_and_a_batch_counts_its_process_once(folder: Path) -> None:
    study = StudyDir(folder)
    trial = a_trial(study, islands=1, seeds=(1, 2, 3))
    assert objective.progress_of(study, trial, 10).generations == 0
    one, two, three = populations(study, trial)
    for island, done in ((one, 7), (two, 5), (three, 6)):
        beat(island, done)
    progress = objective.progress_of(study, trial, 10)
    assert (progress.generations, progress.running, progress.pids, progress.threads) == (5, 3, (100,), 1)
    assert progress.cpu == {100: 1.0}
    result(two, 1.0, 1.0)  # it stopped early, for good
    assert objective.progress_of(study, trial, 10).generations == 6


def test_runs_that_follow_one_another_add_up(folder: Path) -> None:
    study = StudyDir(folder)
    trial = a_trial(study, islands=2, seeds=(1, 2, 3))
    for index, island in enumerate(populations(study, trial)):
        if index < 2:
            result(island, 1.0, 1.0)
            beat(island, 10, pid=index + 1, state="done")
        elif index < 4:
            beat(island, 2 + index, pid=index + 1)
    progress = objective.progress_of(study, trial, 10)
    assert (progress.generations, progress.running, progress.pids) == (14, 2, (1, 2, 3, 4))
    assert sum(progress.cpu.values()) == 4.0


def test_seeds_played_one_after_another_make_progress_from_the_first_one_on(folder: Path) -> None:
    study = StudyDir(folder)
    trial = a_trial(study, islands=1, seeds=(1, 2, 3))
    trial.runs = runs_of((1, 2, 3), 1, batched=False)
    one, two, _ = populations(study, trial)
    result(one, 1.0, 1.0)
    beat(two, 5)
    assert objective.progress_of(study, trial, 10).generations == 5


def test_a_reason_names_the_island_its_message_and_the_end_of_the_trials_log(folder: Path) -> None:
    study = StudyDir(folder)
    trial = a_trial(study, islands=2)
    assert objective.complaint_of(study, trial) == "no reason given"
    study.log(1).parent.mkdir()
    study.log(1).write_text("first\n\nsecond\nthird\n  fourth  \n")
    files.write_json(populations(study, trial)[1].error, {"message": "the disk is full"})
    told = objective.complaint_of(study, trial)
    assert told == "island-001: the disk is full | its log ends: second; third; fourth"


def test_studies_are_found_by_name_or_folder_and_listed(folder: Path) -> None:
    from launcher import identity

    for name in ("second", "first"):
        identity.make_or_compare(StudyDir(folder / "studies" / name), dataclasses.replace(known(), name=name))
    (folder / "studies" / "other").mkdir()
    assert trials.find("first").path == Path("studies/first")
    assert trials.find(folder / "studies" / "second").path == folder / "studies" / "second"
    assert [study.path.name for study in trials.every()] == ["first", "second"]
    with pytest.raises(EvolabError, match=r"no study 'third': .*evolab search --list"):
        trials.find("third")
