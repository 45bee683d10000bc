"""What a run came to, from its result files: the JSON of `run`, `launch`, `show` and `results`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from islands import files
from islands.rundir import IslandDir, RunDir
from launcher import states
from launcher.run import read
from launcher.status import island_status

if TYPE_CHECKING:
    from launcher.drive import Outcome

SOLUTION = ("solved", "evaluations_to_solve", "generalisation", "hidden_nodes")
HISTORY = ("generation", "best", "mean", "median", "species")


def of_run(run: RunDir) -> dict[str, Any]:
    """The JSON of `evolab run`: one entry a seed, with its history."""
    plan, _ = read(run)
    return {
        "run": str(run.path),
        "config": plan.get("config"),
        "seeds": [_seed(run.island(entry["name"]), int(entry["seed"])) for entry in plan["islands"]],
    }


def of_launch(run: RunDir, outcome: Outcome) -> dict[str, Any]:
    """The JSON of `evolab launch` (and `evolve`)."""
    islands = [_island(island, outcome) for island in run.islands()]
    return {
        "run": str(run.path),
        "islands": islands,
        "champion": best_champion(islands),
        "utilisation": round(outcome.utilisation, 4),
        "seconds": round(outcome.seconds, 3),
    }


def of_show(run: RunDir) -> dict[str, Any]:
    """The JSON of `evolab show`: plan, configuration, every island's state and result."""
    plan, config = read(run)
    islands = []
    for entry in plan["islands"]:
        island = run.island(entry["name"])
        status = island_status(island)
        own = entry.get("overrides", {})
        islands.append({**status, "seed": entry["seed"], "overrides": own, **_outcome(_result(island))})
    return {
        "run": str(run.path),
        "command": plan["command"],
        "config": plan.get("config"),
        "created": plan["created"],
        "state": states.of_run([str(island["state"]) for island in islands]),
        "migration_dir": plan["migration_dir"],
        "islands": islands,
        "champion": best_champion(islands),
        "configuration": config.as_dict(),
    }


def of_results(runs: Sequence[RunDir]) -> list[dict[str, Any]]:
    """The JSON of `evolab results`: one entry a run, with its best champion."""
    entries = []
    for run in runs:
        plan = files.read_json(run.plan)
        islands = [{"island": island.name, **_outcome(_result(island))} for island in run.islands()]
        finished = [island for island in islands if island["champion"]]
        entries.append(
            {
                "run": str(run.path),
                "command": plan["command"],
                "config": plan.get("config"),
                "created": plan["created"],
                "islands": len(islands),
                "finished": len(finished),
                "generations": max((island["generations"] for island in finished), default=None),
                "best_fitness": max((island["best_fitness"] for island in finished), default=None),
                "champion": best_champion(islands),
            }
        )
    return entries


def best_champion(islands: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The champion of all islands, with its island: chosen by validation, so that its held-out mean stays unbiased."""
    known = [entry for entry in islands if entry["champion"] and entry["champion"]["mean"] is not None]
    if not known:
        return None
    best = max(known, key=lambda entry: float(entry["champion"].get("validation", entry["champion"]["mean"])))
    return {"island": best["island"], **best["champion"]}


def _seed(island: IslandDir, seed: int) -> dict[str, Any]:
    result = _result(island)
    metrics = files.read_jsonl(island.metrics) if island.metrics.exists() else []
    return {
        "seed": seed,
        "generations": result.get("generations"),
        "best_fitness": result.get("best_fitness"),
        "champion": result.get("champion"),
        **{key: result.get(key) for key in SOLUTION},
        "history": [{key: record.get(key) for key in HISTORY} for record in metrics],
        "digest": result.get("digest"),
        "seconds": result.get("seconds"),
    }


def _island(island: IslandDir, outcome: Outcome) -> dict[str, Any]:
    return {
        "island": island.name,
        **_outcome(_result(island)),
        "restarts": outcome.restarts.get(island.name, 0),
        "cpu_utilisation": round(outcome.cpu_utilisation.get(island.name, 0.0), 4),
        "state": outcome.states[island.name],
    }


def _outcome(result: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("generations", "best_fitness", "champion", "sent", "received", "admitted", "refused", "digest", "stopped")
    return {key: result.get(key) for key in keys}


def _result(island: IslandDir) -> dict[str, Any]:
    return files.read_json(island.result) if island.result.exists() else {}
