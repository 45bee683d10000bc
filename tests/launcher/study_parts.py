"""What the tests of studies build with: a small space, studies played in this process, and real `evolab search`."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from islands import files, loading
from islands.config import Config
from islands.errors import STOPPED
from islands.rundir import IslandDir
from launcher import identity, presets, run
from launcher.flight import Options, Slot
from launcher.identity import Identity
from launcher.memory import Forgetful, Memory, OptunaMemory
from launcher.objective import islands_of
from launcher.pruning import Pruner
from launcher.space import from_dict
from launcher.study import Study
from launcher.trials import OBJECTIVES, RunSpec, StudyDir, Trial, config_of
from tests.launcher import launches
from tests.launcher.stand_in_island import generations_of, heartbeat, play

ROOT = Path(__file__).parents[2]
SPACE: dict[str, dict[str, Any]] = {
    "mutation.weight_rate": {"type": "float", "low": 0.1, "high": 0.9},
    "mutation.weight_scale": {"type": "float", "low": 0.1, "high": 0.8},
    "crossover.enabled": {"type": "categorical", "choices": [True, False]},
    "crossover.rate": {"type": "float", "low": 0.2, "high": 0.8, "when": {"crossover.enabled": True}},
}
"""Of the first two alone depends what a stand-in is worth."""
QUICK = ("-c", "quick", "--space", "space.yaml", "--islands", "1", "-s", "1")
"""Arguments of a search with stand-ins."""
ENOUGH_CORES = len(os.sched_getaffinity(0)) >= 2
TWO = ("-w", "2") if ENOUGH_CORES else ("-w", "2", "--oversubscribe")
"""Two trials at a time, wherever the tests run."""
NO_PROCESS = 1 << 22
"""Linux gives out smaller numbers."""


def write_space(path: Path, space: Mapping[str, Any] = SPACE) -> Path:
    """A space as the file that a user writes."""
    path.write_text(yaml.safe_dump(dict(space), sort_keys=False))
    return path


@functools.cache
def quick(*sets: str) -> Config:
    """The quick preset with `sets` on top."""
    return presets.resolve("quick", sets)


def known(*sets: str, seeds: Sequence[int] = (42,), space: Mapping[str, Any] = SPACE, **more: Any) -> Identity:
    """What a study called `study` is; its trials have 4 generations unless `sets` say otherwise."""
    base = quick("generations=4", "migration.islands=1", *sets)
    fields: dict[str, Any] = {"islands": 1, "threads": 1, "objectives": OBJECTIVES[:1], "seed": 42, **more}
    return Identity("study", "i" * 32, base.mode, "quick", base, from_dict(space, base), tuple(seeds), **fields)


def optunas(place: StudyDir, who: Identity, **more: Any) -> OptunaMemory:
    """The study's memory in its journal."""
    options: dict[str, Any] = {"sampler": "random", "pruner": Pruner("none", 4), "storage": None, "jobs": 1}
    options |= {"trials": 10, **more}
    return OptunaMemory(place, who.name, who.study_id, who.space, who.base, who.objectives, seed=who.seed, **options)


def trial_of(who: Identity, number: int, *, seed: int | None = None, **fields: Any) -> Trial:
    """A trial as a study asks for it, at a random point."""
    params, _ = Forgetful(who.space, who.base, who.seed if seed is None else seed).ask(number)
    specs = [RunSpec("populations", "run", tuple((f"seed-{each}", each) for each in who.seeds))]
    return Trial(**{"number": number, "params": params, "runs": specs, "started": time.time(), **fields})


def complete(trial: Trial, *values: float) -> Trial:
    """The same trial, done."""
    trial.state, trial.values, trial.standard_error = "COMPLETE", list(values), 0.1
    trial.seeds = [{"seed": 42, "fitness": values[0], "ci95": [values[0] - 1, values[0] + 1], "episodes": 64}]
    trial.ended, trial.generations = trial.started + 1.0, 4
    return trial


class Stage:
    """A backend whose trials are played here by stand-ins, a generation of every population at each look.

    `faults`: what comes of a trial at its first looks, before it has done anything: an exit code of its process (which
    is then started again), or None for a moment more.
    """

    def __init__(self, faults: Mapping[int, Sequence[int | None]] | None = None) -> None:
        self.faults = {number: list(codes) for number, codes in (faults or {}).items()}
        self.starts: list[int] = []
        self.most = 0
        self._playing: dict[int, Generator[None, None, int]] = {}

    def start(self, study: Path, number: int, threads: int) -> None:
        self.starts.append(number)
        self._playing[number] = played(StudyDir(study), number)
        self.most = max(self.most, len(self._playing))

    def ended(self) -> dict[int, int]:
        codes = {}
        for number in list(self._playing):
            if self.faults.get(number):
                if (code := self.faults[number].pop(0)) is not None:
                    codes[number] = code
                continue
            try:
                next(self._playing[number])
            except StopIteration as end:
                codes[number] = end.value
        for number in codes:
            del self._playing[number]
        return codes

    def kill(self, number: int) -> None:
        self._playing.pop(number, None)

    def close(self) -> None:
        self._playing.clear()


def played(study: StudyDir, number: int) -> Generator[None, None, int]:
    """A trial's process, a generation at a time; it returns its exit code."""
    trial, pid = study.read(number), NO_PROCESS + number
    base = loading.from_dict(files.read_json(study.identity)["configuration"])
    files.write_json(study.worker(number), {"format": 1, "pid": pid, "host": "here", "cpus": [0]})
    for spec in trial.runs:
        config = config_of(base, trial.params, spec)
        plan = run.Plan(spec.command, "study", spec.islands, spec.batched)
        directory = run.make_or_continue(study.run(number, spec).path, config, plan)
        entries = directory.read_plan()["islands"]
        todo = [(each, entry) for each, entry in zip(directory.islands(), entries, strict=True)]
        together = [todo] if spec.batched else [[each] for each in todo]
        for batch in together:
            plays = [play(island, entry, config, pid) for island, entry in batch if not island.result.exists()]
            while plays:
                plays = [each for each in plays if next(each, None) is not None]
                yield
                if study.stop(number).exists():
                    for island, _ in batch:
                        heartbeat(island, "stopped", generations_of(island), config.generations, pid)
                    return STOPPED
    return 0


class Silent:
    """A show that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.states: list[dict[str, Any]] = []

    def event(self, text: str) -> None:
        self.events.append(text)

    def update(self, state: dict[str, Any]) -> None:
        self.states.append(state)

    def close(self) -> None:
        pass


def sitting(
    folder: Path,
    who: Identity,
    trials: int,
    *,
    backend: Any = None,
    memory: Memory | None = None,
    pruner: str = "none",
    jobs: int = 1,
    sampler: str = "random",
    slots: Sequence[Slot] = (),
    **options: Any,
) -> Study:
    """A study in `folder`/study, ready to run in this process; without `slots`, `jobs` of them with a core each."""
    place = StudyDir(folder / "study")
    identity.make_or_compare(place, who)
    runs = len(who.seeds) if who.islands != 1 else 1
    rule = Pruner(pruner, who.base.generations * runs)
    memory = memory or optunas(place, who, sampler=sampler, pruner=rule, jobs=jobs, trials=trials)
    places = tuple(slots or (Slot((job,), 1) for job in range(jobs)))
    wanted = Options(trials, "processes", places, **options)
    return Study(place, who, wanted, memory, rule, backend or Stage(), Silent())


class Search:
    """`evolab search` in a process of its own: with stand-in islands, or `real` ones."""

    def __init__(
        self, folder: Path, *arguments: object, faults: str = "", seconds: float = 0.005, real: bool = False,
        command: str = "search", **environment: str,
    ) -> None:  # fmt: skip
        script = ["-m", "launcher"] if real else [str(Path(__file__).with_name("search_stand_ins.py"))]
        variables = {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "STAND_IN": faults, **environment}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, *script, command, *map(str, arguments)], cwd=folder, stdout=pipe, stderr=pipe, text=True,
            env={**os.environ, **variables, "STAND_IN_SECONDS": str(seconds)}, start_new_session=True,
        )  # fmt: skip

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def end(self, within: float = 120.0) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=within)
        return self.process.returncode, out, err

    def summary(self) -> dict[str, Any]:
        """The summary of a study that ended well."""
        code, out, err = self.end()
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def refusal(self) -> str:
        """The one line of a search that was refused."""
        code, out, err = self.end()
        assert (code, out) == (2, ""), err
        assert len(err.splitlines()) == 1 and err.startswith("evolab: "), err
        return err

    def close(self) -> None:
        """Kill it if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=30)  # what it started has ended too, or would hold the pipes open


def wait_for(condition: Callable[[], Any], within: float = 60.0) -> Any:
    """What `condition` says once it is true; studies start slower than runs."""
    return launches.wait_for(condition, within)


def beats(place: StudyDir, number: int) -> list[dict[str, Any]]:
    """The heartbeats of a trial's populations, as far as there are any."""
    if not place.record(number).exists():
        return []
    found = populations(place, place.read(number))
    return [files.read_json(island.heartbeat) for island in found if island.heartbeat.exists()]


def going(place: StudyDir, *numbers: int, generation: int = 3) -> Callable[[], bool]:
    """Whether all these trials have come so far."""

    def look() -> bool:
        found = [beat for number in numbers for beat in beats(place, number)]
        return len(found) == len(numbers) and all((beat["generation"] or 0) >= generation for beat in found)

    return look


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything that still works in the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []) and process.status() != "zombie":
            found.append(process)
    return found


def populations(study: StudyDir, trial: Trial) -> list[IslandDir]:
    """All populations of a trial."""
    return [island for spec in trial.runs for island in islands_of(study, trial, spec)]


def storage_trials(place: StudyDir, name: str = "study") -> list[Any]:
    """What Optuna finds in the study's journal, opened as anybody would."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(place.journal)))
    return optuna.load_study(study_name=name, storage=storage).get_trials()
