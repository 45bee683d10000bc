"""What a report tells of a study, gathered from its trials' files; nothing is drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from islands import files
from islands.errors import EvolabError
from islands.rundir import RunDir
from launcher import best, identity, study_summary
from launcher.identity import Identity
from launcher.space import Parameter
from launcher.trials import COMPLETE, StudyDir, Trial


@dataclass(frozen=True)
class Stay:
    """A trial's process on one core, in seconds since the study's first trial began. `lane`: a core, or a place."""

    trial: Trial
    lane: str
    begin: float
    end: float


@dataclass(frozen=True)
class StudyData:
    """A study. `importance`: the JSON of `evolab importance`, None where there is too little to rank."""

    study: StudyDir
    identity: Identity
    trials: list[Trial]
    summary: dict[str, Any]
    importance: dict[str, Any] | None
    live: dict[str, Any]

    @property
    def complete(self) -> list[Trial]:
        """The trials that have a value."""
        return [trial for trial in self.trials if trial.state == COMPLETE and trial.values]

    @property
    def parameters(self) -> list[Parameter]:
        """Those that some trial drew, in the space's order."""
        drawn = {name for trial in self.trials for name in trial.params}
        return [parameter for parameter in self.identity.space.parameters if parameter.name in drawn]

    def runs(self, trial: Trial) -> list[RunDir]:
        """The trial's runs that there are."""
        runs = (self.study.run(trial.number, spec) for spec in trial.runs)
        return [each for each in runs if each.plan.is_file()]


def gather(study: StudyDir) -> StudyData:
    """Everything that the page of a study is made of."""
    return Gatherer(study).gather()


class Gatherer:
    """Gathers a study as often as one likes; what matters is ranked anew when another trial is over."""

    def __init__(self, study: StudyDir) -> None:
        self.study = study
        self._known: Identity | None = None
        self._importance: tuple[int, dict[str, Any] | None] = (-1, None)

    def gather(self) -> StudyData:
        """The study as it is now."""
        self._known = known = self._known or identity.read(self.study)
        trials = self.study.trials()
        over = sum(trial.finished for trial in trials)
        if over != self._importance[0]:
            self._importance = (over, _importance(self.study))
        summary = study_summary.summary_of(self.study, known, trials)
        live = files.read_json(self.study.live) if self.study.live.exists() else {}
        return StudyData(self.study, known, trials, summary, self._importance[1], live)


def _importance(study: StudyDir) -> dict[str, Any] | None:
    try:
        return best.importance(str(study.path), "ped-anova")
    except (EvolabError, ValueError, RuntimeError):  # too few trials, or all of one value
        return None


def stays(trials: Sequence[Trial], now: float) -> list[Stay]:
    """When which trial's processes ran where: on the cores that they were given, or else on places as few as needed.

    `now`: seconds since 1970, the end of what still runs.
    """
    spans = [
        (float(worker["started"]), float(worker.get("ended") or now), trial, worker.get("cpus") or trial.cpus)
        for trial in trials
        for worker in trial.workers
        if worker.get("started")
    ]
    spans.sort(key=lambda span: span[:2])
    began = min((span[0] for span in spans), default=0.0)
    free: list[float] = []
    found = []
    for begin, end, trial, cpus in spans:
        if cpus:
            lanes = [f"core {cpu}" for cpu in cpus]
        else:
            place = next((i for i, until in enumerate(free) if until <= begin), len(free))
            free[place : place + 1] = [end]
            lanes = [f"place {place + 1}"]
        found += [Stay(trial, lane, begin - began, max(begin, end) - began) for lane in lanes]
    return found
