"""What a run left behind, without how long it took: equal stories, equal runs bit for bit."""

from __future__ import annotations

import dataclasses
from typing import Any

from islands import checkpoint
from islands.checkpoint import State
from islands.rundir import RunDir
from tests.islands.evolving import history, result

_TAKES_TIME = ("seconds", "cpu_seconds", "time", "evaluate_seconds", "reproduce_seconds", "checkpoint_seconds")


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its times."""
    return {name: value for name, value in record.items() if name not in (*_TAKES_TIME, "migrate_seconds", "index")}


def owner(run: RunDir, name: str = "island-000") -> dict[str, Any]:
    """What an island's checkpoints say they belong to."""
    plan = run.read_plan()
    (seed,) = (entry["seed"] for entry in plan["islands"] if entry["name"] == name)
    return {"run": plan["run_id"], "island": name, "seed": seed}


def checkpoints(run: RunDir, name: str = "island-000") -> list[Any]:
    """An island's checkpoints, oldest first."""
    return sorted(run.island(name).checkpoints.glob("*.safetensors"))


def newest(run: RunDir, name: str = "island-000") -> tuple[State, list[str]]:
    """The newest good state of an island, and what is told of the others."""
    told: list[str] = []
    state = checkpoint.read_newest(run.island(name).checkpoints, owner(run, name), told.append)
    assert state is not None
    return state, told


def states(run: RunDir, name: str = "island-000") -> list[State]:
    """The states in an island's checkpoints, oldest first."""
    return [checkpoint.read(path, owner(run, name)) for path in checkpoints(run, name)]


def content(state: State) -> dict[str, Any]:
    """Everything in a state that is not a time, arrays as (type, shape, bytes)."""
    species = {f.name: getattr(state.species, f.name) for f in dataclasses.fields(state.species)}
    arrays = {
        **{f"genomes.{name}": array for name, array in state.population.genomes._asdict().items()},
        **{f"representative.{name}": array for name, array in species.pop("representative")._asdict().items()},
        **{name: species.pop(name) for name in ("label", "number", "born", "best", "improved")},
        **{f"memory.{name}": array for name, array in state.memory.items()},
        "fitness": state.population.fitness,
        "behaviour": state.behaviour,
    }
    plain = timeless({f.name: getattr(state, f.name) for f in dataclasses.fields(state)})
    del plain["population"], plain["species"], plain["memory"], plain["behaviour"]
    plain["record"] = timeless(plain["record"])
    return {
        **{name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()},
        "state": plain,
        "species": species,
    }


def story(run: RunDir, name: str = "island-000") -> dict[str, Any]:
    """Metrics, last state, champion and result of a finished island."""
    place = run.island(name)
    assert not place.error.exists()
    return {
        "metrics": [timeless(line) for line in history(run, name)],
        "state": content(newest(run, name)[0]),
        "champion": place.champion.read_bytes(),
        "result": timeless(result(run, name)),
    }
