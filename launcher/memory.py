"""What a study remembers and how it chooses its next point: Optuna, or dice that remember nothing.

Trials' own files are the truth; the storage is the history that samplers learn from. On resume the two are reconciled:
a result that only the file has is told, a trial that only the storage thinks is running has failed. One parent process
asks and tells, so the journal has one writer, and a line that a crash tore is cut off before the next one is written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from islands import files
from islands.config import Config
from islands.errors import ConfigError
from launcher.pruning import Pruner
from launcher.space import Dice, Parameter, Params, Space
from launcher.trials import COMPLETE, PRUNED, StudyDir, Trial

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "gp", "cmaes", "nsga2", "random")
STARTUP = 10
"""Random trials before a model is asked."""


class Memory(Protocol):
    """Chooses points and hears of results."""

    def recover(self, trials: Sequence[Trial]) -> None:
        """Make what is remembered agree with the trials' files; `optuna` of a trial may change."""

    def ask(self, number: int) -> tuple[Params, int | None]:
        """The parameters of trial `number`, and its number in Optuna's storage."""

    def report(self, trial: Trial, step: int, values: Sequence[float]) -> bool:
        """Hear how a trial does at `step` generations; whether to prune it."""

    def tell(self, trial: Trial) -> None:
        """Hear how a trial ended."""


class Forgetful:
    """Uniform random points (`--backend pool`): no Optuna, nothing learned, nothing pruned."""

    def __init__(self, space: Space, base: Config, seed: int) -> None:
        self.space, self.base, self.seed = space, base, seed

    def recover(self, trials: Sequence[Trial]) -> None:
        """Nothing to do."""

    def ask(self, number: int) -> tuple[Params, int | None]:
        """A point that depends on the study's seed and the trial's number alone."""
        return self.space.draw(Dice(self.seed, number), self.base), None

    def report(self, trial: Trial, step: int, values: Sequence[float]) -> bool:
        """Never."""
        return False

    def tell(self, trial: Trial) -> None:
        """Nothing to do."""


class OptunaMemory:
    """A study in an Optuna storage."""

    def __init__(
        self, place: StudyDir, name: str, study_id: str, space: Space, base: Config, objectives: Sequence[str],
        sampler: str, pruner: Pruner, storage: str | None, seed: int, jobs: int, trials: int,
    ) -> None:  # fmt: skip
        self.space, self.base, self.sampler, self.pruner = space, base, sampler, pruner
        self.seed, self.jobs, self.wanted = seed, jobs, trials
        self._running: dict[int, optuna.trial.Trial] = {}
        with _quiet(), _reached(storage):
            import optuna

            self.study = optuna.create_study(
                study_name=name, storage=_storage(place, storage), directions=["maximize"] * len(objectives),
                load_if_exists=True,
            )  # fmt: skip
            known = self.study.user_attrs.get("evolab")
            if known is None and not self.study.get_trials(deepcopy=False):
                self.study.set_metric_names(list(objectives))
                self.study.set_user_attr("evolab", study_id)
            elif known != study_id:
                raise _another(storage or str(place.journal), name)

    def recover(self, trials: Sequence[Trial]) -> None:
        """Tell what only the files know, fail what only the storage thinks is running."""
        import optuna

        stored = self.study.get_trials(deepcopy=False)
        known = {trial.number: _stored(trial, stored) for trial in trials}
        ours = {frozen.number for frozen in known.values() if frozen}
        for frozen in stored:
            if not frozen.state.is_finished() and frozen.number not in ours:
                state = optuna.trial.TrialState.FAIL
                self.study._storage.set_trial_state_values(frozen._trial_id, state=state)
        for trial in trials:
            mine = known[trial.number]
            if mine is None:
                self._add(trial)
                continue
            trial.optuna = mine.number
            if not mine.state.is_finished():
                self._running[trial.number] = optuna.trial.Trial(self.study, mine._trial_id)
                if trial.finished:
                    self.tell(trial)

    def ask(self, number: int) -> tuple[Params, int | None]:
        """The next point; the sampler is made anew for every trial, so that resuming neither repeats nor changes it."""
        with _quiet():
            self.study.sampler = self._sampler(number)
            trial, params = self._draw(number, by_dice=self.sampler == "random")
            if self.sampler != "random" and self._tried(trial, params):
                self._end(trial, "a point that was tried before; a random one takes its place")
                trial, params = self._draw(number, by_dice=True)
            trial.set_user_attr("trial", number)
        self._running[number] = trial
        return params, trial.number

    def _draw(self, number: int, by_dice: bool) -> tuple[optuna.trial.Trial, Params]:
        """A new trial of the storage with its point: the sampler's, or one that follows from seed and number alone."""
        if by_dice:
            self.study.enqueue_trial(self.space.draw(Dice(self.seed, number), self.base))
        trial = self.study.ask()
        return trial, self.space.draw(trial, self.base)

    def _tried(self, trial: optuna.trial.Trial, params: Params) -> bool:
        """Whether another trial has this very point: NSGA-II hands parents on unchanged, which costs a whole trial."""
        import optuna

        others = (each for each in self.study.get_trials(deepcopy=False) if each.number != trial.number)
        return any(each.params == params for each in others if each.state != optuna.trial.TrialState.FAIL)

    def _end(self, trial: optuna.trial.Trial, reason: str) -> None:
        """Fail a trial of the storage that never becomes one of the study's."""
        import optuna

        trial.set_user_attr("reason", reason)
        self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def report(self, trial: Trial, step: int, values: Sequence[float]) -> bool:
        """By Optuna's pruner with one objective; Optuna has none for several, so there by ours."""
        asked = self._running.get(trial.number)
        if asked is None:
            return False
        if len(values) > 1:
            return self.pruner.dominated(trial.number, step, values)
        with _quiet():
            self.study.pruner = self.pruner.of_optuna()
            asked.report(values[0], step)
            return bool(asked.should_prune())

    def tell(self, trial: Trial) -> None:
        """Tell the storage; a trial that it does not know, or has ended otherwise, is added."""
        import optuna

        asked = self._running.pop(trial.number, None)
        if asked is None:
            self._add(trial)
            return
        with _quiet():
            for name, value in _attributes(trial).items():
                asked.set_user_attr(name, value)
            values = trial.values if trial.state == COMPLETE else None
            state = optuna.trial.TrialState[trial.state]
            self.study.tell(asked.number, values=values, state=state)

    def _add(self, trial: Trial) -> None:
        import optuna

        with _quiet():
            self.study.add_trial(frozen(self.space, trial))
            added = self.study.get_trials(deepcopy=False)[-1]
            trial.optuna = added.number
            if not trial.finished:
                self._running[trial.number] = optuna.trial.Trial(self.study, added._trial_id)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        from optuna import samplers

        digest = hashlib.blake2b(f"{self.seed}/{number}".encode(), digest_size=4).digest()
        seed = int.from_bytes(digest, "little") >> 1
        if self.sampler == "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)
        if self.sampler == "cmaes":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        if self.sampler == "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, self.wanted // 4)))
        if self.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=self.jobs > 1,
            warn_independent_sampling=False,
        )  # fmt: skip


def distributions(space: Space, params: Params) -> dict[str, Any]:
    """Optuna's distributions of the parameters that a trial has."""
    from optuna import distributions as d

    def of(p: Parameter) -> d.BaseDistribution:
        if p.kind == "categorical":
            return d.CategoricalDistribution(p.choices)
        if p.kind == "int":
            return d.IntDistribution(int(p.low), int(p.high), log=p.log)
        return d.FloatDistribution(p.low, p.high, log=p.log)

    return {name: of(space.parameter(name)) for name in params}


def frozen(space: Space, trial: Trial) -> optuna.trial.FrozenTrial:
    """A trial as Optuna describes it, from its file alone."""
    import optuna

    state = optuna.trial.TrialState[trial.state]
    return optuna.trial.create_trial(
        state=state, values=trial.values if trial.state == COMPLETE else None, params=dict(trial.params),
        distributions=distributions(space, trial.params), user_attrs=_attributes(trial),
        intermediate_values={step: values[0] for step, values in trial.intermediate.items() if len(values) == 1},
    )  # fmt: skip


def _stored(trial: Trial, stored: Sequence[optuna.trial.FrozenTrial]) -> optuna.trial.FrozenTrial | None:
    """The trial as the storage has it: the one that its file names or, where that one has ended otherwise or is not
    there, another that was told for it. A pruned trial that goes on is still the one that was pruned."""
    same = [frozen for frozen in stored if frozen.params == trial.params]
    named = next((frozen for frozen in same if frozen.number == trial.optuna), None)
    if named and not (trial.finished and named.state.is_finished() and named.state.name != trial.state):
        return named
    told = [frozen for frozen in same if frozen.user_attrs.get("trial") == trial.number]
    return next((frozen for frozen in reversed(told) if frozen.state.name == trial.state), None)


def _attributes(trial: Trial) -> dict[str, Any]:
    """What a person who opens the study in optuna-dashboard wants to know."""
    attributes: dict[str, Any] = {"trial": trial.number}
    if trial.state == COMPLETE:
        attributes["standard_error"] = trial.standard_error
        attributes["seeds"] = {str(seed["seed"]): seed["fitness"] for seed in trial.seeds}
    if trial.state in (COMPLETE, PRUNED):
        attributes["generations"] = trial.generations
    if trial.reason:
        attributes["reason"] = trial.reason[:500]
    return attributes


def _storage(place: StudyDir, url: str | None) -> Any:
    """The storage: the study's own journal, or whatever Optuna can open by URL."""
    from optuna.storages import JournalStorage, get_storage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    if url is not None:
        return get_storage(url)
    path = str(place.journal)
    if place.journal.exists():
        files.cut_torn_tail(place.journal)
    files.remove(place.journal.with_name(place.journal.name + ".lock"))  # a dead parent's: this one holds the study
    return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))


def reach(url: str, name: str, study_id: str) -> None:
    """Refuse a storage that cannot be reached, or that has another study called `name`, before anything is written."""
    with _quiet(), _reached(url):
        from optuna.storages import get_storage

        storage = get_storage(url)
        with suppress(KeyError):  # there is none of that name
            found = storage.get_study_id_from_name(name)
            known = storage.get_study_user_attrs(found).get("evolab")
            if known != study_id and (known is not None or storage.get_all_trials(found, deepcopy=False)):
                raise _another(url, name)


def _another(storage: str, name: str) -> ConfigError:
    do = "choose another name for the study, or another --storage"
    return ConfigError(f"the storage {storage} holds another study called {name!r}", do=do)


def needs_package(option: str, package: str) -> None:
    """Refuse an `option` whose `package` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(option, expected=f"the package {package}", got="none", do=f"pip install {package}")


@contextmanager
def _reached(url: str | None) -> Iterator[None]:
    """Within, what a storage says when it cannot be used becomes one line."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        if url is None and not isinstance(error, OSError | ValueError | KeyError):
            raise
        told = str(error).strip().splitlines() or [type(error).__name__]
        expected = "an Optuna storage that can be reached, such as sqlite:////absolute/path.db"
        raise ConfigError(f"--storage {url}", expected=expected, got=told[0][:200]) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, Optuna neither logs its trials nor warns of what is experimental."""
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
