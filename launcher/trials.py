"""A study on disk: its folder, its trials' records, and what a trial's runs say.

studies/<name>/study.json            what makes trials comparable; written once
               journal.log           Optuna's journal (default storage)
               trial_0001.json       one a trial, rewritten when its state changes; the truth about the trial
               summary.json          after every trial: counts, best, Pareto front
               trials.csv            the same as a table, a row a trial
               report.html           the study's report, if one was written
               live.json             what runs at this moment
               trials/0001/<run>/    the trial's whole runs
               trials/0001/worker.json   the process that runs it
               trials/0001/stop      there ⇔ it was asked to stop
               logs/trial_0001.log   what that process said

Trial states are Optuna's: RUNNING, COMPLETE, PRUNED, FAIL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from islands import files, loading
from islands.config import Config
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher.space import Params

STUDIES = Path("studies")
"""Where studies lie unless told otherwise: a folder of the current one."""
FORMAT = 1
RUNNING, COMPLETE, PRUNED, FAIL = "RUNNING", "COMPLETE", "PRUNED", "FAIL"
OBJECTIVES = ("fitness", "diversity")
"""What `--multi-objective` maximises; without it the first alone."""
_RECORD = re.compile(r"trial_(\d{4,9})\.json", re.ASCII)


@dataclass(frozen=True)
class RunSpec:
    """One whole run of a trial: a folder below the trial's, its populations as (name, seed)."""

    name: str
    command: str  # "run": a population a seed, no migration; "launch": an archipelago
    islands: tuple[tuple[str, int], ...]
    batched: bool = True


@dataclass
class Trial:
    """A trial's record. `number` counts from 1; `optuna` is its number in Optuna's storage, from 0."""

    number: int
    params: Params
    runs: list[RunSpec]
    state: str = RUNNING
    optuna: int | None = None
    values: list[float] | None = None
    standard_error: float | None = None
    seeds: list[dict[str, Any]] = field(default_factory=list)
    backend: str = ""
    cores: int = 1
    cpus: list[int] | None = None
    threads: int = 1
    workers: list[dict[str, Any]] = field(default_factory=list)
    started: float = 0.0
    ended: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    cost: float | None = None
    generations: int = 0
    generations_wanted: int = 0
    intermediate: dict[int, list[float]] = field(default_factory=dict)
    reason: str = ""
    revived: bool = False

    @property
    def finished(self) -> bool:
        """Whether it will not go on by itself."""
        return self.state != RUNNING

    def seconds_of_workers(self) -> float:
        """Wall seconds that its processes have run, as far as they have ended."""
        return sum(max(0.0, float(worker["ended"] - worker["started"])) for worker in self.workers if "ended" in worker)

    def as_dict(self, study: StudyDir) -> dict[str, Any]:
        """The JSON of its file."""
        record = {"format": FORMAT, **asdict(self)}
        record["run_paths"] = [str(study.run(self.number, spec).path) for spec in self.runs]
        record["intermediate"] = {str(step): values for step, values in self.intermediate.items()}
        return record


@dataclass(frozen=True)
class StudyDir:
    """Where a study keeps its files."""

    path: Path

    @property
    def identity(self) -> Path:
        """What makes trials comparable."""
        return self.path / "study.json"

    @property
    def journal(self) -> Path:
        """Optuna's journal; the path is absolute, since locks beside it are found by name."""
        return (self.path / "journal.log").absolute()

    @property
    def live(self) -> Path:
        """What runs at this moment."""
        return self.path / "live.json"

    @property
    def summary(self) -> Path:
        """Counts, best and front after the last trial."""
        return self.path / "summary.json"

    @property
    def table(self) -> Path:
        """All trials, a row each."""
        return self.path / "trials.csv"

    @property
    def report(self) -> Path:
        """The study's report, if one was written."""
        return self.path / "report.html"

    def record(self, number: int) -> Path:
        """A trial's file."""
        return self.path / f"trial_{number:04d}.json"

    def folder(self, number: int) -> Path:
        """The folder of a trial's runs."""
        return self.path / "trials" / f"{number:04d}"

    def worker(self, number: int) -> Path:
        """What the process that runs a trial says of itself."""
        return self.folder(number) / "worker.json"

    def stop(self, number: int) -> Path:
        """There if and only if the trial was asked to stop."""
        return self.folder(number) / "stop"

    def log(self, number: int) -> Path:
        """What a trial's process said."""
        return self.path / "logs" / f"trial_{number:04d}.log"

    def run(self, number: int, spec: RunSpec) -> RunDir:
        """One of a trial's runs."""
        return RunDir(self.folder(number) / spec.name)

    def write(self, trial: Trial) -> None:
        """Replace a trial's file, durably."""
        files.write_json(self.record(trial.number), trial.as_dict(self))

    def read(self, number: int) -> Trial:
        """The trial `number`."""
        record = files.read_json(self.record(number))
        if record.get("format") != FORMAT:
            raise ConfigError(str(self.record(number)), expected=f"format {FORMAT}", got=f"{record.get('format')!r}")
        record = {name: record[name] for name in Trial.__dataclass_fields__}
        record["runs"] = [
            RunSpec(each["name"], each["command"], tuple((n, s) for n, s in each["islands"]), each["batched"])
            for each in record["runs"]
        ]
        record["intermediate"] = {int(step): values for step, values in record["intermediate"].items()}
        return Trial(**record)

    def numbers(self) -> list[int]:
        """The numbers of all trials, sorted."""
        names = (_RECORD.fullmatch(path.name) for path in self.path.iterdir())
        return sorted(int(match[1]) for match in names if match)

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return [self.read(number) for number in self.numbers()]

    def runs(self) -> list[RunDir]:
        """All runs of all trials that there are."""
        found = (self.run(trial.number, spec) for trial in self.trials() for spec in trial.runs)
        return [each for each in found if each.plan.is_file()]


def find(name: str | Path, root: Path = STUDIES) -> StudyDir:
    """The study called `name`: a study's folder, or one in studies/."""
    for path in (Path(name), root / name):
        study = StudyDir(path)
        if study.identity.is_file():
            return study
    raise ConfigError(
        f"no study {str(name)!r}", expected="a study's folder or a name in studies/", do="see evolab search --list"
    )


def exists(name: str | Path) -> bool:
    """Whether `find` would find a study called `name`."""
    return any(StudyDir(path).identity.is_file() for path in (Path(name), STUDIES / name))


def every(root: Path = STUDIES) -> list[StudyDir]:
    """All studies under `root`, by name."""
    if not root.is_dir():
        return []
    return [study for study in map(StudyDir, sorted(root.iterdir())) if study.identity.is_file()]


def runs_of(seeds: Sequence[int], islands: int, batched: bool) -> list[RunSpec]:
    """A trial's runs: with one island all seeds are one run of single populations, otherwise an archipelago a seed."""
    if islands == 1:
        return [RunSpec("populations", "run", tuple((f"seed-{seed}", seed) for seed in seeds), batched)]
    return [
        RunSpec(f"archipelago-{seed}", "launch", tuple((f"island-{index:03}", seed) for index in range(islands)))
        for seed in seeds
    ]


def config_of(base: Config, params: Params, spec: RunSpec) -> Config:
    """The configuration of one of a trial's runs."""
    single = {"migration.every": 0} if spec.command == "run" else {}
    return loading.replaced(base, {**params, **single, "seed": spec.islands[0][1]})
