"""`evolab plan`: measure here, estimate for every machine, and say which to rent."""

from __future__ import annotations

import dataclasses
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from launcher import cores, host, machines, plan, presets, rehearsal
from launcher.plan import Estimate, Machine, Pace, Work
from launcher.plan_words import Basis, Request, command, notes

CHAMPION = 16 * 16
"""Validation of the champion: evaluations of one episode (see islands.loop.champion_of); held-out ones come on top."""
START, DISK, DISK_A_GENOME, END = 1.8, 1e-3, 8e-6, 0.4
"""Seconds where they are not measured: to start a run; a generation's files, and each genome's part of them; to end."""
STUDY = 2.0
"""Seconds that a study takes besides its trials: Optuna's import, its files."""
LEAST, MOST = 4.0, 30.0
"""Seconds of generations in a rehearsal."""


def plan_for(request: Request) -> dict[str, Any]:
    """The JSON of `evolab plan`."""
    config = presets.resolve(request.name, request.overrides)
    _check(request, config)
    work = Work(request.trials, request.seeds, _islands(request, config), config.generations, request.at_most)
    if work.islands == 1:  # single populations, as a study has them
        config = loading.replaced(config, {"migration.every": 0})
    offers = machines.chosen(machines.read(request.table), request.names)
    with _interruptible():
        basis = _given(request.creatures_per_second, config, work) or _measured(config, work)
        efficiency = _efficiency(request, basis)
        here = machines.here(basis.crowded, request.cost_per_hour, efficiency)
        setup = request.setup_minutes / 60
        rows = [plan.estimate(work, basis.pace, offer.machine(efficiency, setup)) for offer in offers]
        mine = plan.estimate(work, basis.pace, here)
        checked = _checked(config, work, basis, mine, here) if request.check else None
    return {
        "config": request.name,
        "population": config.population,
        "generations": config.generations,
        "trials": work.trials,
        "seeds": work.seeds,
        "islands": work.islands,
        "basis": _basis(basis, work),
        "assumptions": {"smt_efficiency": efficiency, "setup_minutes": request.setup_minutes},
        "machines": [_row(row) for row in rows],
        "here": _row(mine),
        "cheapest": _name(plan.cheapest(rows)),
        "fastest": _name(plan.fastest(rows)),
        "max_hours": request.max_hours,
        "cheapest_in_time": _name(plan.cheapest(rows, request.max_hours)) if request.max_hours else None,
        "commands": {row.machine.name: command(request, config, work, row) for row in (*rows, mine) if row.fits},
        "notes": notes(request, config, work, basis, efficiency),
        "check": checked,
    }


def _measured(config: Config, work: Work) -> Basis:
    """Benchmark one island alone and as many as there are cores, then rehearse with all of them."""
    usable = cores.usable().count
    private, _ = plan.footprint(config.population, 1)
    count = max(1, min(usable, int(1e3 * (host.memory().available - plan.RESERVED_GB) / (2 * private))))
    with tempfile.TemporaryDirectory(prefix="evolab-plan-") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(loading.dump(config))
        _say("measuring one island alone")
        figures, used = rehearsal.sized(config, path)
        if count > 1:
            _say(f"measuring {count} at once")
        crowded = rehearsal.crowding(config, path, int(figures["generations"]), used, count)
    played = rehearsal.length(float(figures["seconds_per_generation"]), config.generations, LEAST, MOST)
    _say(f"rehearsing: {count} island{'s' * (count != 1)}, {played} of {config.generations} generations")
    found = rehearsal.rehearse(config, count, played)
    private, launcher = plan.footprint(config.population, work.islands)
    if found.private is not None and found.launcher is not None:
        private, launcher = found.private, found.launcher + found.inherited
        if work.islands == 1:  # not forked, as those of the rehearsal were
            private, launcher = found.private + found.inherited, found.launcher
    pace = Pace(
        generation=(found.generation if work.islands == 1 else found.slowest) * crowded,
        start=found.start * crowded,
        end=found.end * crowded,
        private=_private(private, config, work),
        shared=found.shared or plan.SHARED,
        launcher=launcher,
        study=STUDY if work.trials > 1 else 0.0,
    )
    return Basis(pace, config.population / pace.generation, crowded, found)


def _given(creatures_per_second: float | None, config: Config, work: Work) -> Basis | None:
    """From a figure that the user brought (`creatures_per_second` of `evolab benchmark`); nothing is run."""
    if creatures_per_second is None:
        return None
    private, launcher = plan.footprint(config.population, work.islands)
    evaluations = CHAMPION + config.evaluation.held_out
    pace = Pace(
        generation=config.population / creatures_per_second + DISK + DISK_A_GENOME * config.population,
        start=START,
        end=END + evaluations / (creatures_per_second * config.evaluation.episodes),
        private=_private(private, config, work),
        shared=plan.SHARED,
        launcher=launcher,
        study=STUDY if work.trials > 1 else 0.0,
    )
    return Basis(pace, creatures_per_second)


def _private(one: float, config: Config, work: Work) -> float:
    """Memory of a process, in which all seeds of a trial live together where they are single populations."""
    return one + (plan.PRIVATE_A_GENOME * config.population * (work.seeds - 1) if work.islands == 1 else 0.0)


def _efficiency(request: Request, basis: Basis) -> float:
    """What was said; what was measured, where this machine shows its hyper-threads; what is assumed."""
    if request.smt_efficiency is not None:
        return request.smt_efficiency
    if basis.crowded is not None and machines.shows_hyperthreads():
        return min(1.0, max(0.5, basis.crowded))
    return plan.SMT_EFFICIENCY


def _checked(config: Config, work: Work, basis: Basis, mine: Estimate, here: Machine) -> dict[str, Any]:
    """One run with as many islands as the plan keeps busy here, for real, against its prediction."""
    count = max(1, mine.at_once * work.islands)
    one = Work(1, 1, count, config.generations)
    predicted = plan.seconds(one, dataclasses.replace(basis.pace, study=0.0), here, 1)
    _say(f"checking: {count} island{'s' * (count != 1)}, {config.generations} generations, about {predicted:.0f} s")
    real = rehearsal.rehearse(config, count, config.generations)
    return {
        "islands": count,
        "generations": config.generations,
        "predicted_seconds": predicted,
        "seconds": real.seconds,
        "error": predicted / real.seconds - 1.0,
        "others": real.others,
        "undisturbed_seconds": real.undisturbed,
        "undisturbed_error": predicted / real.undisturbed - 1.0,
    }


def _islands(request: Request, config: Config) -> int:
    return request.islands or config.migration.islands or 1


def _check(request: Request, config: Config) -> None:
    """Refuse what cannot be, before anything is measured."""
    for name, value in (
        ("--trials", request.trials),
        ("--seeds", request.seeds),
        ("--islands", request.islands),
        ("--workers", request.at_most),
    ):
        if value is not None and not 1 <= value <= 100_000:
            raise ConfigError(name, expected="a number from 1 to 100000", got=str(value))
    for name, number, low, high in (
        ("--creatures-per-second", request.creatures_per_second, 1e-6, 1e12),
        ("--smt-efficiency", request.smt_efficiency, 0.5, 1.0),
        ("--setup-minutes", request.setup_minutes, 0.0, 1e5),
        ("--max-hours", request.max_hours, 1e-6, 1e6),
        ("--cost-per-hour", request.cost_per_hour, 0.0, 1e6),
    ):
        if number is not None and not low <= number <= high:
            raise ConfigError(name, expected=f"a number from {low:g} to {high:g}", got=f"{number:g}")
    if config.device != "cpu":
        raise ConfigError("device", expected="cpu: the plan counts cores", got=config.device)
    if request.check and request.creatures_per_second is not None:
        raise ConfigError("--check", expected="figures measured here", got="--creatures-per-second", do="drop one")


def _basis(basis: Basis, work: Work) -> dict[str, Any]:
    pace, found = basis.pace, basis.phases
    return {
        "creatures_per_second": basis.creatures_per_second,
        "generation_seconds": pace.generation,
        "start_seconds": pace.start,
        "end_seconds": pace.end,
        "trial_seconds": plan.trial_seconds(work, pace),
        "private_mb": pace.private,
        "shared_mb": pace.shared,
        "launcher_mb": pace.launcher,
        "measured": found is not None,
        "speed_with_all_cores_busy": basis.crowded,
        "rehearsed": None if found is None else {"islands": found.islands, "generations": found.generations},
        "others": None if found is None else found.others,
    }


def _row(row: Estimate) -> dict[str, Any]:
    return {
        "machine": row.machine.name,
        "vcpus": row.machine.vcpus,
        "at_full_speed": row.machine.at_full_speed,
        "memory_gb": row.machine.memory_gb,
        "dollars_per_hour": row.machine.dollars_per_hour,
        "fits": row.fits,
        "islands": row.islands,
        "trials_at_once": row.at_once,
        "memory_needed_gb": row.memory_gb,
        "hours": row.hours,
        "dollars": row.dollars,
        "dollars_a_trial": row.dollars_a_trial,
        "utilisation": row.utilisation,
        "idle_places_at_the_end": row.idle_at_the_end,
    }


def _say(line: str) -> None:
    """A sign of life for whoever waits."""
    print(f"evolab: {line}", file=sys.stderr, flush=True)


def _name(row: Estimate | None) -> str | None:
    return None if row is None else row.machine.name


@contextmanager
def _interruptible() -> Iterator[None]:
    """Within, SIGTERM ends the plan as Ctrl-C does: what was started is stopped, and what was written removed."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
