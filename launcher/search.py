"""What `evolab search` does: resolve the study, claim cores, sit until its trials are done."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands.config import Config
from islands.errors import ConfigError
from islands.rundir import check_name
from launcher import backends, claims, cores, identity, memory, presets, pruning, space, study_show, study_summary
from launcher import run as runs
from launcher.flight import Options, Slot
from launcher.identity import SEARCHED, Identity
from launcher.memory import SAMPLERS, Forgetful, Memory, OptunaMemory
from launcher.space import ISLANDS
from launcher.study import Study, revivable
from launcher.trials import OBJECTIVES, STUDIES, StudyDir
from launcher.trying import refuse_unplayable

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Request:
    """What the user asked for; None: not said."""

    study: str
    mode: str | None = None
    preset: str | None = None
    overrides: tuple[str, ...] = ()
    trials: int = 50
    seeds: int = 3
    backend: str | None = None
    jobs: int | None = None
    islands: str | None = None
    threads: int = 1
    oversubscribe: bool = False
    multi_objective: bool = False
    sampler: str | None = None
    pruner: str = "none"
    storage: str | None = None
    timeout: float | None = None
    cost_per_hour: float | None = None
    max_cost: float | None = None
    space: Path | None = None
    out: Path | None = None
    seed: int = 42
    address: str | None = None
    revive: int | None = None

    @property
    def place(self) -> StudyDir:
        """The study's folder."""
        return StudyDir((self.out or STUDIES / check_name(self.study, "study")).absolute())

    @property
    def concurrent(self) -> int:
        """Trials at a time."""
        return 1 if self.jobs is None else self.jobs

    @property
    def chosen_backend(self) -> str:
        """The backend, which `--n-jobs 2` or more makes `processes` where none is named."""
        return self.backend or ("processes" if self.concurrent > 1 else "sequential")


def search(request: Request) -> tuple[dict[str, Any], int]:
    """Run the study, or continue it: its summary, and the exit code."""
    _check(request)
    place = request.place
    old = identity.read(place) if place.identity.is_file() else None
    with ExitStack() as stack:
        if old:
            stack.enter_context(identity.held(place))
        slots = stack.enter_context(claimed(request, old))
        wanted = identity_of(request, old, slots)
        if request.storage is not None:
            memory.reach(request.storage, wanted.name, wanted.study_id)
        known = identity.make_or_compare(place, wanted)
        if not old:
            stack.enter_context(identity.held(place))
        show = stack.enter_context(study_show.showing())
        show.event(_announcement(request, known, slots))
        study = _study(request, known, slots, show)
        if request.revive is not None:
            study.revive(request.revive)
        code = study.run()
        summary = study_summary.summary_of(place, known, [study.trials[n] for n in sorted(study.trials)])
    return summary, code


def _study(request: Request, known: Identity, slots: tuple[Slot, ...], show: study_show.Show) -> Study:
    place, kind = request.place, request.chosen_backend
    trials = request.trials if request.revive is None else len(place.numbers())
    options = Options(
        trials, kind, slots, known.threads, request.timeout, request.cost_per_hour, request.max_cost
    )  # fmt: skip
    runs_a_trial = len(known.seeds) if known.islands != 1 else 1
    pruner = pruning.Pruner(request.pruner, known.base.generations * runs_a_trial)
    remembers = _memory(request, known, pruner)
    granted = sum(slot.cores for slot in slots)
    backend = backends.make(kind, request.concurrent, granted, request.address)
    return Study(place, known, options, remembers, pruner, backend, show)


def _memory(request: Request, known: Identity, pruner: pruning.Pruner) -> Memory:
    if request.chosen_backend == "pool":
        return Forgetful(known.space, known.base, known.seed)
    sampler = request.sampler or ("nsga2" if len(known.objectives) > 1 else "tpe")
    return OptunaMemory(
        request.place, known.name, known.study_id, known.space, known.base, known.objectives, sampler, pruner,
        request.storage, known.seed, request.concurrent, request.trials,
    )  # fmt: skip


def identity_of(request: Request, known: Identity | None, slots: Sequence[Slot]) -> Identity:
    """What the study asked for is made of; what was not said is as it was."""
    base = base_of(request, known)
    islands = _islands(request, known, slots[0].cores)
    count = 1 if islands == SEARCHED else islands
    base = dataclasses.replace(base, migration=dataclasses.replace(base.migration, islands=count))
    explicit = base.seed if base.seed != runs.SEEDS[0] else None
    fixed = [text.partition("=")[0].strip() for text in request.overrides]
    fixed += [] if islands == SEARCHED else [ISLANDS]
    mode = base.mode
    path = request.space or space.path_of(mode)
    searched = known.space if known and not request.space else space.load(path, base, fixed)
    if islands == SEARCHED and ISLANDS not in {parameter.name for parameter in searched.parameters}:
        raise ConfigError("--islands search", expected=f"{ISLANDS} in the space {path}", got="none")
    return Identity(
        name=known.name if known else (request.out.absolute().name if request.out else request.study),
        study_id=known.study_id if known else identity.new_id(),
        mode=mode,
        preset=request.preset or (known.preset if known else f"{mode}_baseline"),
        base=base,
        space=searched.without(fixed).possible(base),
        seeds=tuple(runs.seeds(request.seeds, explicit)),
        islands=islands,
        threads=request.threads,
        objectives=OBJECTIVES if request.multi_objective else OBJECTIVES[:1],
        seed=request.seed,
    )


def base_of(request: Request, known: Identity | None) -> Config:
    """The configuration that all trials share."""
    name = request.preset or (known.preset if known else f"{request.mode or 'neat'}_baseline")
    base = presets.resolve(name, request.overrides)
    if request.mode and base.mode != request.mode:
        raise ConfigError(f"--mode {request.mode}", expected=f"the mode of {name} ({base.mode})", do="leave --mode out")
    if base.device != "cpu":
        raise ConfigError("device", expected="cpu: trials share the cores", got=base.device)
    refuse_unplayable(base)
    return base


def _islands(request: Request, known: Identity | None, cores_of_a_trial: int) -> int:
    if request.islands is None and known is not None:
        return known.islands
    if request.islands == "search":
        return SEARCHED
    return _number(request) or max(1, cores_of_a_trial // request.threads)


def _number(request: Request) -> int | None:
    """The number of islands that was said, if one was."""
    if request.islands in (None, "auto", "search"):
        return None
    try:
        number = int(request.islands or 0)
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigError("--islands", expected="a number from 1, auto or search", got=repr(request.islands))
    return number


@contextmanager
def claimed(request: Request, known: Identity | None) -> Iterator[tuple[Slot, ...]]:
    """Within, the study's cores are claimed and shared out among its concurrent trials."""
    usable, jobs, threads = cores.usable(), request.concurrent, request.threads
    islands = _number(request) or (known.islands if known and request.islands is None else None) or None
    if request.address:
        yield tuple(Slot(None, (islands or 1) * threads) for _ in range(jobs))
        return
    _refuse_too_many(request, usable.count, "usable cores")
    wanted = usable.count if islands is None else min(usable.count, jobs * islands * threads)
    if request.oversubscribe:
        yield _shared(usable, jobs, max(1, usable.count // jobs if islands is None else islands * threads))
        return
    with claims.claimed(usable.cpus, wanted) as claim:
        count = min(len(claim.mine), usable.count)
        left = f"cores left ({len(claim.taken)} of {len(usable.cpus)} are held by other launchers)"
        _refuse_too_many(request, count, left)
        share = count // jobs if islands is None else min(count // jobs, islands * threads)
        pinned = not usable.limited_by_quota
        yield tuple(Slot(claim.mine[job * share : (job + 1) * share] if pinned else None, share) for job in range(jobs))


def _shared(usable: cores.Cores, jobs: int, share: int) -> tuple[Slot, ...]:
    """Places that overlap, round-robin over the usable cores."""
    count = len(usable.cpus)
    cpus = [tuple(usable.cpus[(job * share + k) % count] for k in range(min(share, count))) for job in range(jobs)]
    return tuple(Slot(None if usable.limited_by_quota else each, min(share, count)) for each in cpus)


def _refuse_too_many(request: Request, count: int, noun: str) -> None:
    needed = request.concurrent * request.threads
    if needed > count and not request.oversubscribe:
        what = f"{request.concurrent} trials at a time × {request.threads} threads"
        raise ConfigError(
            what, expected=f"at most {count} {noun}", got=str(needed), do="ask for fewer, or --oversubscribe"
        )


def _check(request: Request) -> None:
    """Refuse what cannot be, before anything is written."""
    kind = request.chosen_backend
    if kind not in backends.NAMES:
        raise ConfigError("--backend", expected=f"one of {', '.join(backends.NAMES)}", got=repr(kind))
    for name, value in (("--n-jobs or --workers", request.concurrent), ("--trials", request.trials),
                        ("--seeds", request.seeds), ("--threads-per-worker", request.threads)):  # fmt: skip
        if value < 1:
            raise ConfigError(name, expected="at least 1", got=str(value))
    if kind == "sequential" and request.concurrent > 1:
        raise ConfigError("--backend sequential", expected="one trial at a time", got=str(request.concurrent),
                          do="take --backend processes")  # fmt: skip
    if request.address and kind != "ray":
        raise ConfigError("--address", expected="--backend ray", got=kind)
    if any(text.partition("=")[0].strip() == ISLANDS for text in request.overrides):
        raise ConfigError(f"--set {ISLANDS}", expected="--islands to say how many", got="--set")
    if request.max_cost is not None and request.cost_per_hour is None:
        raise ConfigError("--max-cost", expected="--cost-per-hour with it", got="none")
    objectives = 2 if request.multi_objective else 1
    pruning.check(request.pruner, request.seeds, objectives)
    if request.sampler not in (None, *SAMPLERS):
        raise ConfigError("--sampler", expected=f"one of {', '.join(SAMPLERS)}", got=repr(request.sampler))
    if kind == "pool" and (request.sampler not in (None, "random") or request.pruner != "none" or request.storage):
        raise ConfigError("--backend pool", expected="no sampler but random, no pruner and no storage", got="one",
                          do="it is the baseline without Optuna: take --backend processes")  # fmt: skip
    if objectives > 1 and request.sampler == "cmaes":
        raise ConfigError("--sampler cmaes", expected="one objective", got="two", do="take nsga2, tpe, gp or random")
    if request.sampler == "cmaes":
        memory.needs_package("--sampler cmaes", "cmaes")
    if request.revive is not None:
        if not request.place.identity.is_file():
            raise ConfigError(f"--revive {request.revive}", expected="a study that exists", got=str(request.place.path))
        revivable(request.place, request.revive)
    backends.check(kind)


def _announcement(request: Request, known: Identity, slots: Sequence[Slot]) -> str:
    granted = sum(slot.cores for slot in slots)
    islands = "a searched number of islands" if known.islands == SEARCHED else f"{known.islands} islands each"
    what = "single populations" if known.islands == 1 else islands
    return (
        f"{request.place.path}: {counted(request.trials, 'trial')} of {counted(len(known.seeds), 'seed')}, {what};"
        f" {len(slots)} at a time ({request.chosen_backend}) on {counted(granted, 'core')};"
        f" {counted(len(known.space.parameters), 'parameter')}"
    )


def counted(number: int, noun: str) -> str:
    """`1 core`, `2 cores`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def seconds_of(text: str) -> float:
    """`90`, `90s`, `30m`, `2h` or `1d` in seconds."""
    match = _DURATION.fullmatch(text.strip())
    if not match or float(match[1]) <= 0:
        raise ConfigError("--timeout", expected="a duration such as 90, 30m or 2h", got=repr(text))
    return float(match[1]) * _UNITS[match[2] or "s"]
