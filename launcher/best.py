"""What a study found, from its trials' files alone: the best trials, a preset made of one, what mattered."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from islands import files, loading
from islands.errors import ConfigError
from launcher import identity, study_summary
from launcher.memory import frozen
from launcher.trials import COMPLETE, StudyDir, Trial, every, find

ENOUGH_TRIALS = 20
"""Below so many complete trials importances are mostly noise."""
METHODS = ("ped-anova", "fanova")


def listing() -> list[dict[str, Any]]:
    """The JSON of `evolab search --list`: one entry a study."""
    entries = []
    for study in every():
        known = identity.read(study)
        summary = files.read_json(study.summary) if study.summary.exists() else {}
        live = files.read_json(study.live) if study.live.exists() else {}
        entries.append(
            {
                "study": known.name,
                "path": str(study.path),
                "mode": known.mode,
                "objectives": list(known.objectives),
                "trials": summary.get("trials", 0),
                "states": summary.get("states", {}),
                "state": live.get("state"),
                "best": summary.get("best"),
            }
        )
    return entries


def best(name: str, count: int) -> dict[str, Any]:
    """The JSON of `evolab best`: the best complete trials, or the Pareto front of several objectives."""
    study = find(name)
    known = identity.read(study)
    trials = study.trials()
    if len(known.objectives) > 1:
        ranked = study_summary.front(trials)
    else:
        complete = [trial for trial in trials if trial.state == COMPLETE and trial.values]
        ranked = sorted(complete, key=lambda trial: -(trial.values or [0.0])[0])
    return {
        "study": known.name,
        "objectives": list(known.objectives),
        "complete": sum(trial.state == COMPLETE for trial in trials),
        "trials": [_told(study, trial) for trial in ranked[:count]],
    }


def _told(study: StudyDir, trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "values": trial.values,
        "standard_error": trial.standard_error,
        "ci95": study_summary.interval(trial),
        "seeds": [{"seed": seed["seed"], "fitness": seed["fitness"]} for seed in trial.seeds],
        "params": trial.params,
        "seconds": trial.seconds,
        "runs": [str(study.run(trial.number, spec).path) for spec in trial.runs],
    }


def export(name: str, path: Path) -> Path:
    """Write the best trial's configuration as a preset that `evolab run -c` takes."""
    study = find(name)
    known = identity.read(study)
    found = best(name, 1)["trials"]
    if not found:
        raise ConfigError(f"study {known.name}", expected="a complete trial", got="none yet", do="wait, or continue it")
    winner = found[0]
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError("--export", expected="a name that ends in .yaml", got=str(path))
    value, error = winner["values"][0], winner["standard_error"]
    measured = f"{known.objectives[0]} {value:.4g}, standard error {error:.2g}"
    text = f"trial {winner['trial']} of study {known.name}: {measured}"
    config = loading.replaced(known.base, {**winner["params"], "description": text})
    files.replace_atomically(path, loading.dump(config).encode())
    return path


def importance(name: str, method: str) -> dict[str, Any]:
    """The JSON of `evolab importance`: each parameter's share in what the first objective came to.

    PED-ANOVA (Watanabe, Bansal & Hutter 2023) asks what the best tenth of the trials have in common, fANOVA (Hutter,
    Hoos & Leyton-Brown 2014) what explains the variance, as Optuna computes them; fANOVA over the parameters that every
    complete trial has, the others are listed as not ranked.
    """
    import optuna
    from optuna import importance as optunas

    study = find(name)
    known = identity.read(study)
    complete = [trial for trial in study.trials() if trial.state == COMPLETE]
    if len(complete) < 2:
        raise ConfigError(f"study {known.name}", expected="at least 2 complete trials", got=str(len(complete)))
    if method == "fanova" and importlib.util.find_spec("sklearn") is None:
        raise ConfigError("--method fanova", expected="scikit-learn", got="none", do="pip install scikit-learn")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    memory = optuna.create_study(directions=["maximize"] * len(known.objectives))
    memory.add_trials([frozen(known.space, trial) for trial in complete])
    evaluator = (
        optunas.FanovaImportanceEvaluator(seed=known.seed)
        if method == "fanova"
        else optunas.PedAnovaImportanceEvaluator()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the lowest targets count as the best: they do here
        found = optunas.get_param_importances(memory, evaluator=evaluator, target=lambda trial: -float(trial.values[0]))
    return {
        "study": known.name,
        "method": method,
        "objective": known.objectives[0],
        "complete": len(complete),
        "importance": {key: float(value) for key, value in found.items()},
        "not_ranked": _conditional(known.space.parameters, found),
        "warning": _doubt(len(complete)),
    }


def _conditional(parameters: Sequence[Any], ranked: dict[str, float]) -> list[str]:
    return [parameter.name for parameter in parameters if parameter.name not in ranked]


def _doubt(count: int) -> str | None:
    if count >= ENOUGH_TRIALS:
        return None
    return f"{count} complete trials are few: below {ENOUGH_TRIALS} these figures are mostly noise"
