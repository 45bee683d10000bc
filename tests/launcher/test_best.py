"""What is said of a study afterwards: its best trials, its front, a preset to run, what mattered."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands import files, loading
from launcher import best, identity, presets, study_summary
from launcher.identity import Identity
from launcher.trials import StudyDir, Trial
from tests.launcher.study_parts import SPACE, Search, complete, known, populations, sitting, trial_of

Evolab = Callable[..., tuple[int, str, str]]
VALUES = st.lists(
    st.tuples(st.one_of(st.integers(0, 4), st.floats(-5, 5)), st.integers(0, 4)).map(list), min_size=0, max_size=25
)


def study_of(folder: Path, values: list[tuple[float, ...]], who: Identity | None = None) -> StudyDir:
    """A study called `study` whose trials came to `values`."""
    who = who or known()
    place = StudyDir(folder / "studies" / "study")
    identity.make_or_compare(place, who)
    trials = [complete(trial_of(who, number), *each) for number, each in enumerate(values, 1)]
    for trial in trials:
        place.write(trial)
    study_summary.write_summary(place, who, trials)
    return place


def mattering(count: int) -> list[tuple[float, ...]]:
    """Values of so many trials in which the scale of weights alone matters."""
    scales = [float(trial_of(known(), number).params["mutation.weight_scale"]) for number in range(1, count + 1)]
    return [(10 * scale,) for scale in scales]


@given(VALUES)
def test_no_trial_of_the_front_is_dominated_and_every_other_one_is(values: list[list[float]]) -> None:
    trials = [Trial(number, {}, [], "COMPLETE", values=each) for number, each in enumerate(values, 1)]
    trials.append(Trial(99, {}, [], "PRUNED"))
    front = study_summary.front(trials)

    def dominates(one: Trial, two: Trial) -> bool:
        mine, theirs = one.values or [], two.values or []
        return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))

    for trial in trials[:-1]:
        assert (trial in front) == (not any(dominates(other, trial) for other in trials[:-1]))
    assert [trial.values for trial in front] == sorted((trial.values for trial in front), key=lambda v: -(v or [0])[0])


def test_the_best_trials_are_listed_with_interval_seeds_parameters_and_runs(evolab: Evolab, folder: Path) -> None:
    place = study_of(folder, [(3.0,), (9.0,), (5.0,), (7.0,)])
    place.write(dataclasses.replace(trial_of(known(), 5), state="FAIL", reason="it broke"))
    code, out, err = evolab("best", "study", "-n", 2, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["study"], found["complete"], found["objectives"]) == ("study", 4, ["fitness"])
    assert [(each["trial"], each["values"]) for each in found["trials"]] == [(2, [9.0]), (4, [7.0])]
    first = found["trials"][0]
    assert first["ci95"][0] < 9.0 < first["ci95"][1] and first["seeds"] == [{"seed": 42, "fitness": 9.0}]
    assert first["params"] == trial_of(known(), 2).params
    assert first["runs"] == ["studies/study/trials/0002/populations"]
    table = evolab("best", "study")[1]
    assert "9 ± 0.1998" in table and "parameters of trial 2:" in table and "mutation.weight_rate" in table


def test_of_several_objectives_the_front_is_listed(evolab: Evolab, folder: Path) -> None:
    study_of(folder, [(3.0, 1.0), (1.0, 3.0), (0.5, 2.0), (2.0, 2.0)], known(objectives=("fitness", "diversity")))
    found = json.loads(evolab("best", "study", "--json")[1])
    assert [each["trial"] for each in found["trials"]] == [1, 4, 2]
    assert "diversity" in evolab("best", "study")[1]


def test_a_study_without_a_complete_trial_has_nothing_to_show_or_export(evolab: Evolab, folder: Path) -> None:
    study_of(folder, [])
    assert json.loads(evolab("best", "study", "--json")[1])["trials"] == []
    assert evolab("best", "study")[:2] == (0, "nothing yet\n")
    for arguments in (("best", "study", "--export", "mine.yaml"), ("importance", "study")):
        code, out, err = evolab(*arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1) and "complete trial" in err
    study_of(folder, [(1.0,)])
    assert "expected a name that ends in .yaml, got mine.txt" in evolab("best", "study", "--export", "mine.txt")[2]
    assert not list(folder.glob("mine.*"))


@pytest.mark.usefixtures("at_once")
def test_the_exported_preset_is_the_best_trials_configuration(evolab: Evolab, folder: Path) -> None:
    sat = sitting(folder, known("mutation.add_node=0.07"), 4)
    sat.run()
    code, _, err = evolab("best", "study", "--export", "mine.yaml")
    assert (code, err) == (0, "wrote mine.yaml\n")
    winner = max(sat.place.trials(), key=lambda trial: trial.values or [])
    config = presets.resolve("mine.yaml")
    assert f"trial {winner.number} of study study: fitness {(winner.values or [0])[0]:.4g}" in config.description
    expected = presets.resolve("quick", ["generations=4", "migration.islands=1", "mutation.add_node=0.07"])
    told = [f"{name}={str(value).lower()}" for name, value in winner.params.items()]
    assert presets.resolve("mine.yaml", ["description=x"]) == loading.override(expected, [*told, "description=x"])


def test_a_real_run_of_the_exported_preset_repeats_the_best_trial(search: Callable[..., Search], folder: Path) -> None:
    tiny = ("-c", "quick", "-p", 30, "-g", 3, "--set", "task.duration=1", "-n", 1, "-s", 1, "--islands", 1, "--json")
    search("it", *tiny, real=True).summary()
    place = StudyDir(folder / "studies" / "it")
    (trial,) = place.trials()
    assert search("it", "--export", "mine.yaml", "--json", real=True, command="best").end()[0] == 0
    run = search("-c", "mine.yaml", "-s", 1, "--json", real=True, command="run").summary()
    assert [seed["champion"]["mean"] for seed in run["seeds"]] == trial.values
    assert [seed["digest"] for seed in run["seeds"]] == trial.seeds[0]["digests"]
    assert files.read_json(populations(place, trial)[0].result)["digest"] == run["seeds"][0]["digest"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("objectives", [1, 2])
def test_importance_finds_what_mattered_and_warns_where_trials_are_few(
    evolab: Evolab, folder: Path, objectives: int
) -> None:
    who = known(objectives=("fitness", "diversity")[:objectives])
    study_of(folder, [(*value, 1.0)[:objectives] for value in mattering(25)], who)
    code, out, err = evolab("importance", "study", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["method"], found["complete"], found["warning"]) == ("ped-anova", 25, None)
    assert next(iter(found["importance"])) == "mutation.weight_scale"
    assert sum(found["importance"].values()) == pytest.approx(1.0)
    assert set(found["importance"]) == set(SPACE) and found["not_ranked"] == []
    assert "importance (ped-anova, 25 trials)" in evolab("importance", "study")[1]
    for path in (folder / "studies" / "study").glob("trial_002?.json"):
        path.unlink()
    code, out, err = evolab("importance", "study", "--json")
    assert err == "evolab: warning: 19 complete trials are few: below 20 these figures are mostly noise\n"
    assert json.loads(out)["warning"] in err


def test_what_mattered_is_what_the_best_trials_have_in_common_and_not_the_worst(evolab: Evolab, folder: Path) -> None:
    values: list[tuple[float, ...]] = []
    for number in range(1, 81):
        params = trial_of(known(), number).params
        good, bad = float(params["mutation.weight_scale"]) > 0.7, float(params["mutation.weight_rate"]) < 0.2
        values.append((10.0 * good - 10.0 * bad + number / 1000,))
    study_of(folder, values)
    found = json.loads(evolab("importance", "study", "--json")[1])["importance"]
    assert found["mutation.weight_scale"] > 2 * found["mutation.weight_rate"]


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_importance_of_few_trials_is_told_with_the_warning(evolab: Evolab, folder: Path, count: int) -> None:
    study_of(folder, mattering(count))
    code, out, err = evolab("importance", "study", "--json")
    assert (code, len(err.splitlines())) == (0, 1) and f"{count} complete trials are few" in err
    assert set(json.loads(out)["importance"]) <= set(SPACE)


def test_fanova_needs_scikit_learn_and_says_so(evolab: Evolab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study_of(folder, mattering(25))
    if importlib.util.find_spec("sklearn") is not None:
        found = json.loads(evolab("importance", "study", "--method", "fanova", "--json")[1])
        assert next(iter(found["importance"])) == "mutation.weight_scale"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, out, err = evolab("importance", "study", "--method", "fanova")
    assert (code, out) == (2, "")
    assert err == "evolab: --method fanova: expected scikit-learn, got none; pip install scikit-learn\n"


def test_studies_are_listed_with_states_and_best(evolab: Evolab, folder: Path) -> None:
    assert evolab("search", "--list") == (0, "nothing yet\n", "")
    place = study_of(folder, [(3.0,), (9.0,)])
    identity.make_or_compare(StudyDir(folder / "studies" / "new"), dataclasses.replace(known(), name="new"))
    files.write_json(place.live, {"state": "done"})
    new, listed = json.loads(evolab("search", "--list", "--json")[1])
    assert (new["study"], new["trials"], new["best"], new["state"]) == ("new", 0, None, None)
    assert (listed["study"], listed["trials"], listed["best"]["trial"], listed["state"]) == ("study", 2, 2, "done")
    table: Any = evolab("search", "--list")[1]
    assert "2 COMPLETE" in table and "9 ± 0.1998" in table
    assert best.listing() == [new, listed]
