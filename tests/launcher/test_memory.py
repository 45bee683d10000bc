"""What a study remembers: Optuna's journal and the trials' files, and how the two are brought together again."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from islands.errors import ConfigError
from launcher import identity, memory
from launcher.identity import Identity
from launcher.memory import Forgetful, OptunaMemory
from launcher.pruning import Pruner
from launcher.trials import StudyDir, Trial
from tests.launcher.study_parts import complete, known, optunas, storage_trials, trial_of


@pytest.fixture
def place(folder: Path) -> StudyDir:
    place = StudyDir(folder / "study")
    identity.make_or_compare(place, known())
    return place


def asked(heard: OptunaMemory, number: int, who: Identity | None = None) -> Trial:
    """A trial as a study asks for it."""
    params, optuna_number = heard.ask(number)
    return dataclasses.replace(trial_of(who or known(), number), params=params, optuna=optuna_number)


def played(place: StudyDir, count: int, running: int = 1, **more: Any) -> list[Trial]:
    """A study with `count` trials that are done, and some that run; their files are written as a study does it."""
    heard = optunas(place, known(), **more)
    trials = []
    for number in range(1, count + running + 1):
        trial = asked(heard, number)
        place.write(trial)
        if number <= count:
            place.write(complete(trial, float(number)))
            heard.tell(trial)
        trials.append(trial)
    return trials


def recovered(place: StudyDir, **more: Any) -> tuple[OptunaMemory, list[Trial]]:
    """The study taken up again, as `Study.recover` does it."""
    heard, trials = optunas(place, known(), **more), place.trials()
    heard.recover(trials)
    for trial in trials:
        place.write(trial)
    return heard, trials


def agree(place: StudyDir, trials: Sequence[Trial]) -> None:
    """The storage has every trial, in its state, once: whatever else it has, has failed."""
    stored = {frozen.number: frozen for frozen in storage_trials(place)}
    for trial in trials:
        assert trial.optuna is not None
        frozen = stored.pop(trial.optuna)
        assert (frozen.state.name, frozen.params) == (trial.state, trial.params)
        assert frozen.values == trial.values
    assert {frozen.state.name for frozen in stored.values()} <= {"FAIL"}


def test_anybody_can_open_the_study_with_optuna(place: StudyDir) -> None:
    heard = optunas(place, known(), pruner=Pruner("median", 4))
    one, two, three = asked(heard, 1), asked(heard, 2), asked(heard, 3)
    heard.tell(complete(one, 2.5))
    assert heard.report(two, 2, [0.25]) is False
    two.state, two.reason = "PRUNED", "pruned by median after 2 generations"
    heard.tell(two)
    three.state, three.reason = "FAIL", "island-000: the disk is full"
    heard.tell(three)
    first, second, third = storage_trials(place)
    assert [trial.state.name for trial in (first, second, third)] == ["COMPLETE", "PRUNED", "FAIL"]
    assert [trial.params for trial in (first, second, third)] == [one.params, two.params, three.params]
    assert (first.values, second.intermediate_values, third.values) == ([2.5], {2: 0.25}, None)
    assert first.user_attrs == {"trial": 1, "standard_error": 0.1, "seeds": {"42": 2.5}, "generations": 4}
    assert second.user_attrs["reason"] == two.reason and third.user_attrs["reason"] == three.reason


def test_the_journal_lies_at_an_absolute_path_and_a_dead_parents_lock_is_removed(place: StudyDir) -> None:
    relative = StudyDir(Path("study"))
    assert relative.journal == place.journal and relative.journal.is_absolute()
    trials = played(place, 2, running=0)
    lock = Path(f"{place.journal}.lock")
    lock.touch()
    recovered(place)
    agree(place, trials)
    assert not lock.exists()


def test_a_random_study_draws_the_points_of_the_pool_and_no_sampler_repeats_a_point_on_resume(place: StudyDir) -> None:
    who = known()
    pool = Forgetful(who.space, who.base, who.seed)
    assert [trial.params for trial in played(place, 5, running=0)] == [pool.ask(number)[0] for number in range(1, 6)]
    for sampler in ("tpe", "random"):
        for _ in range(3):  # each of these is a new process, with the same seed
            heard, trials = recovered(place, sampler=sampler)
            trial = asked(heard, len(trials) + 1)
            place.write(complete(trial, 1.0))
            heard.tell(trial)
    points = [json.dumps(trial.params) for trial in place.trials()]
    assert len(set(points)) == len(points) == 11


@pytest.mark.parametrize(
    ("sampler", "objectives"), [("tpe", 1), ("tpe", 2), ("gp", 1), ("nsga2", 1), ("nsga2", 2), ("random", 2)]
)
def test_every_sampler_asks_for_points_of_the_space_before_and_after_its_startup(
    folder: Path, sampler: str, objectives: int
) -> None:
    who = known(objectives=("fitness", "diversity")[:objectives])
    place = StudyDir(folder / "study")
    heard = optunas(place_of(place, who), who, sampler=sampler)
    for number in range(1, 13):
        trial = asked(heard, number, who)
        assert (("crossover.rate" in trial.params), len(trial.params)) in ((True, 4), (False, 3))
        assert 0.1 <= float(trial.params["mutation.weight_rate"]) <= 0.9
        heard.tell(complete(trial, *[1.0 / number, float(number)][:objectives]))
    points = {json.dumps(frozen.params) for frozen in storage_trials(place)}
    assert len(points) >= (10 if sampler == "nsga2" else 12)  # a genetic algorithm's offspring may be like a parent


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_no_point_is_paid_for_twice(place: StudyDir, sampler: str) -> None:
    heard = optunas(place, known(), sampler=sampler, trials=16)
    trials = []
    for number in range(1, 41):
        trials.append(asked(heard, number))
        heard.tell(complete(trials[-1], float(number % 7)))
    points = [json.dumps(trial.params, sort_keys=True) for trial in trials]
    assert len(set(points)) == 40
    repeated = [frozen for frozen in storage_trials(place) if frozen.state.name == "FAIL"]
    assert all("tried before" in frozen.user_attrs["reason"] for frozen in repeated)
    assert repeated or sampler == "tpe"


def place_of(place: StudyDir, who: Identity) -> StudyDir:
    identity.make_or_compare(place, who)
    return place


def test_a_result_that_only_the_file_has_is_told_and_a_trial_that_only_the_storage_runs_fails_once(
    place: StudyDir,
) -> None:
    one, two, three = played(place, 1, running=2)
    place.write(complete(two, 7.0))  # the parent died before it could tell
    asked(optunas(place, known()), 4)  # … and after asking, before writing a file
    heard, trials = recovered(place)
    agree(place, trials)
    states = [frozen.state.name for frozen in storage_trials(place)]
    assert states == ["COMPLETE", "COMPLETE", "RUNNING", "FAIL"]
    recovered(place)
    assert [frozen.state.name for frozen in storage_trials(place)] == states  # nothing is told twice
    heard.tell(complete(three, 8.0))
    assert [frozen.state.name for frozen in storage_trials(place)] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]


def test_a_point_that_was_only_enqueued_when_the_parent_died_is_asked_for_again(place: StudyDir) -> None:
    trials = played(place, 2, running=0)
    heard = optunas(place, known())
    wanted, _ = Forgetful(known().space, known().base, 42).ask(3)
    heard.study.enqueue_trial(wanted)
    heard, trials = recovered(place)
    trial = asked(heard, 3)
    assert trial.params == wanted
    agree(place, [*trials, trial])


def test_a_journal_cut_at_every_byte_of_its_last_record_is_whole_after_the_next_start(place: StudyDir) -> None:
    for count, running in ((3, 0), (2, 1)):  # the last record is a result, or a parameter of a trial that runs
        shutil.rmtree(place.path)
        identity.make_or_compare(place, known())
        played(place, count, running)
        whole = place.journal.read_bytes()
        start = whole.rindex(b"\n", 0, -1) + 1
        for end in range(start, len(whole)):
            place.journal.write_bytes(whole[:end])
            heard, trials = recovered(place)
            for trial in trials:
                if not trial.finished:
                    heard.tell(complete(trial, 3.0))
                    place.write(trial)
            agree(place, trials)
            assert [trial.state for trial in trials] == ["COMPLETE"] * 3
            assert len(trials) == 3
            for trial in trials[count:]:
                trial.state, trial.values = "RUNNING", None
                place.write(trial)


def test_a_journal_that_lacks_whole_records_gets_them_back_from_the_files(place: StudyDir) -> None:
    played(place, 3, running=1)
    lines = place.journal.read_bytes().splitlines(keepends=True)
    records = {path: path.read_bytes() for path in place.path.glob("trial_*.json")}
    for kept in range(len(lines)):
        for path, content in records.items():
            path.write_bytes(content)
        place.journal.write_bytes(b"".join(lines[:kept]))
        heard, trials = recovered(place)
        agree(place, trials)
        (trial,) = [trial for trial in trials if not trial.finished]
        heard.tell(complete(trial, 4.0))
        agree(place, trials)
    place.journal.unlink()
    agree(place, recovered(place)[1])


def test_a_parent_that_dies_again_between_telling_and_noting_it_tells_nothing_twice(place: StudyDir) -> None:
    trials = played(place, 3, running=0)
    place.journal.unlink()
    heard = optunas(place, known())
    heard.recover(place.trials())  # adds them; their new numbers are not written
    first = [frozen.params for frozen in storage_trials(place)]
    _, trials = recovered(place)
    agree(place, trials)
    assert [frozen.params for frozen in storage_trials(place)] == first


def test_a_pruned_trial_that_was_revived_is_told_wherever_the_parent_died(place: StudyDir) -> None:
    (trial,) = played(place, 0, running=1)
    heard, _ = recovered(place)
    trial.state, trial.reason = "PRUNED", "pruned"
    heard.tell(trial)
    trial.state, trial.revived, trial.reason = "RUNNING", True, ""
    place.write(trial)
    heard, (revived,) = recovered(place)
    assert [frozen.state.name for frozen in storage_trials(place)] == ["PRUNED"]
    place.write(complete(revived, 5.0))  # the parent dies before it can tell
    journal = place.journal.read_bytes()
    heard.tell(revived)  # … or before it can note the new number
    told = place.journal.read_bytes()
    for content in (journal, told):
        place.journal.write_bytes(content)
        place.write(complete(trial, 5.0))
        heard, (found,) = recovered(place)
        assert [frozen.state.name for frozen in storage_trials(place)] == ["PRUNED", "COMPLETE"]
        assert found.optuna == 1


def test_what_a_trial_had_at_milestones_comes_back_too(place: StudyDir) -> None:
    (trial,) = played(place, 0, running=1, pruner=Pruner("median", 4))
    trial.intermediate = {1: [0.5], 2: [0.75]}
    place.write(trial)
    place.journal.unlink()
    recovered(place)
    (frozen,) = storage_trials(place)
    assert (frozen.state.name, frozen.intermediate_values) == ("RUNNING", {1: 0.5, 2: 0.75})


def test_a_study_begun_without_optuna_goes_on_with_it(place: StudyDir) -> None:
    who = known()
    pool = Forgetful(who.space, who.base, who.seed)
    pool.recover([])
    for number in (1, 2):
        trial = dataclasses.replace(trial_of(who, number), params=pool.ask(number)[0])
        pool.tell(complete(trial, float(number)))
        place.write(trial)
    assert pool.report(trial, 2, [0.0]) is False
    heard, trials = recovered(place)
    agree(place, trials)
    agree(place, [*trials, asked(heard, 3)])


@pytest.mark.parametrize("url", ["sqlite:////none/here/x.db", "nonsense", "mysql://nobody@localhost/none", ""])
def test_a_storage_that_cannot_be_reached_is_one_line(place: StudyDir, url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        optunas(place, known(), storage=url)
    line = str(refusal.value)
    assert line.startswith(f"--storage {url}: expected an Optuna storage that can be reached") and "\n" not in line


def test_any_storage_of_optuna_works_and_another_study_of_that_name_in_it_is_not_touched(
    place: StudyDir, folder: Path
) -> None:
    url = f"sqlite:///{folder / 'mine.db'}"
    trials = played(place, 2, running=1, storage=url)
    heard, found = recovered(place, storage=url)
    assert [trial.optuna for trial in found] == [trial.optuna for trial in trials]
    heard.tell(complete(found[-1], 3.0))
    stored = optuna.load_study(study_name="study", storage=url)
    assert [frozen.values for frozen in stored.trials] == [[1.0], [2.0], [3.0]]
    assert stored.metric_names == ["fitness"]
    other = dataclasses.replace(known(), study_id="other")
    with pytest.raises(ConfigError, match=r"holds another study called 'study'; choose another name"):
        optunas(place, other, storage=url)
    assert len(optuna.load_study(study_name="study", storage=url).trials) == 3
    assert not place.journal.exists()


def test_the_liar_speaks_only_where_several_trials_run_at_once(place: StudyDir) -> None:
    for jobs, lies in ((1, False), (2, True)):
        with memory._quiet():
            sampler = optunas(place, known(), sampler="tpe", jobs=jobs)._sampler(1)
        assert isinstance(sampler, optuna.samplers.TPESampler)
        assert sampler._constant_liar is lies
