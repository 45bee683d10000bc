"""What a study came to so far: its best trial, its Pareto front, summary.json and trials.csv."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from islands import files
from launcher.identity import Identity
from launcher.trials import COMPLETE, FAIL, PRUNED, RUNNING, StudyDir, Trial


def best_of(trials: Sequence[Trial]) -> dict[str, Any] | None:
    """The complete trial with the highest first value."""
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.values]
    if not complete:
        return None
    best = max(complete, key=lambda trial: (trial.values or [-math.inf])[0])
    return {"trial": best.number, "values": best.values, "standard_error": best.standard_error,
            "ci95": interval(best), "params": best.params}  # fmt: skip


def interval(trial: Trial) -> list[float] | None:
    """The 95 % interval of a trial's first value: Student's t over its seeds; of one seed, over its episodes."""
    if not trial.values or trial.standard_error is None:
        return None
    from scipy.special import stdtrit

    size = len(trial.seeds) if len(trial.seeds) > 1 else int(trial.seeds[0]["episodes"])
    half = float(stdtrit(size - 1, 0.975)) * trial.standard_error
    return [trial.values[0] - half, trial.values[0] + half]


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The complete trials that no other dominates, by descending first value."""
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.values]

    def dominated(one: Trial) -> bool:
        mine = one.values or []
        for other in complete:
            theirs = other.values or []
            pairs = list(zip(theirs, mine, strict=True))
            if all(a >= b for a, b in pairs) and any(a > b for a, b in pairs):
                return True
        return False

    return sorted((trial for trial in complete if not dominated(trial)), key=lambda trial: -(trial.values or [0.0])[0])


def summary_of(study: StudyDir, identity: Identity, trials: Sequence[Trial]) -> dict[str, Any]:
    """The JSON of summary.json and of `evolab search --json`."""
    counts = Counter(trial.state for trial in trials)
    costs = [trial.cost for trial in trials if trial.cost is not None]
    return {
        "format": 1,
        "study": identity.name,
        "path": str(study.path),
        "mode": identity.mode,
        "config": identity.preset,
        "objectives": list(identity.objectives),
        "seeds": list(identity.seeds),
        "islands": identity.islands or "search",
        "trials": len(trials),
        "states": {state: counts[state] for state in (RUNNING, COMPLETE, PRUNED, FAIL)},
        "best": best_of(trials),
        "pareto_front": [
            {"trial": trial.number, "values": trial.values, "params": trial.params} for trial in front(trials)
        ]
        if len(identity.objectives) > 1
        else None,
        "seconds": sum(trial.seconds for trial in trials),
        "cpu_seconds": sum(trial.cpu_seconds for trial in trials),
        "generations": sum(trial.generations for trial in trials),
        "cost": sum(costs) if costs else None,
    }


def write_summary(study: StudyDir, identity: Identity, trials: Sequence[Trial]) -> None:
    """Replace summary.json and trials.csv, each at once."""
    files.write_json(study.summary, summary_of(study, identity, trials))
    text = io.StringIO()
    names = [parameter.name for parameter in identity.space.parameters]
    fixed = ["number", "state", *identity.objectives, "standard_error", "seconds", "cpu_seconds", "cores", "cost",
             "generations", "started", "ended", "reason"]  # fmt: skip
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*fixed, *names])
    for trial in trials:
        values: Sequence[float | None] = trial.values or [None] * len(identity.objectives)
        row = [trial.number, trial.state, *values, trial.standard_error, round(trial.seconds, 3),
               round(trial.cpu_seconds, 3), trial.cores, trial.cost, trial.generations, trial.started, trial.ended,
               trial.reason]  # fmt: skip
        writer.writerow([*row, *(trial.params.get(name) for name in names)])
    files.replace_atomically(study.table, text.getvalue().encode())
