"""A population's state on disk, and back.

One safetensors file a generation, replaced atomically, with a SHA-256 of all that
it says in the header. What lies there is the state after evaluation, sorting into
species and recording: everything that the rest of the run follows from. There
is no generator state, because draws are keyed by generation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from islands.errors import ConfigError, DiskError
from islands.files import move, remove, replace_atomically, told_in_one_line
from islands.files import read as read_file
from islands.genome import tensors
from islands.genome.population import Array, Genomes, Population, read_back, written
from islands.rundir import checkpoints_in
from islands.speciation import Species

FORMAT = 1
NOTHING = np.zeros((0, 0), np.float32)
"""No behaviour: nobody needs it."""


@dataclass(frozen=True)
class State:
    """One population in the middle of its evolution: generation `generation` is evaluated."""

    generation: int
    population: Population
    species: Species
    best: float  # best fitness of all generations
    improved: int  # generation in which `best` last rose
    evaluations: int
    seconds: float  # of wall time, all incarnations
    cpu_seconds: float
    counts: dict[str, int]  # sent, received, admitted, refused
    record: dict[str, Any]  # the metrics line of this generation
    marks: dict[str, int] = field(default_factory=dict)  # of migrations, see `policies.after`
    hyperparameters: dict[str, float] = field(default_factory=dict)  # taken over; they stand above the configuration's
    behaviour: Array = field(
        default_factory=lambda: NOTHING
    )  # float32 [P, D]: what genomes did, where their breeder needs it
    memory: dict[str, Array] = field(default_factory=dict)  # what its algorithm knew when it asked for this generation


def write(folder: Path, state: State, owner: dict[str, Any], keep: int) -> None:
    """Write `state` and prune to the newest `keep`; `owner` (run id, island, seed) says whose it is."""
    arrays = _arrays(state)
    plain = {
        "format": FORMAT,
        "owner": owner,
        "threshold": state.species.threshold,
        "following": state.species.following,
        **{name: getattr(state, name) for name in _PLAIN},
    }
    plain["sha256"] = _digest(arrays, plain)
    with told_in_one_line(folder, "write a checkpoint to"):
        data = tensors.written(arrays, {"state": json.dumps(plain)})
        replace_atomically(folder / f"{state.generation:08d}.safetensors", data)
        for path in checkpoints_in(folder)[keep:]:
            remove(path)


def read_newest(folder: Path, owner: dict[str, Any], tell: Callable[[str], None]) -> State | None:
    """The newest good state, or None where there is no checkpoint; each damaged one is told and passed over."""
    paths, refused = checkpoints_in(folder), None
    for path in paths:
        try:
            return read(path, owner)
        except DiskError as error:
            refused = error
            tell(f"{error}; falling back to the one before it")
        except ValueError as error:
            tell(f"checkpoint {path} is damaged ({error}); falling back to the one before it")
    if refused:
        raise refused
    if paths:
        raise ConfigError(
            f"checkpoints in {folder}",
            expected="at least one good one",
            got=f"{len(paths)} damaged",
            do="remove the folder to start this island afresh",
        )
    return None


def set_aside_damaged(folder: Path, good: State) -> None:
    """Rename what is newer than the newest `good` state, so that it does not count as one of those that are kept."""
    with told_in_one_line(folder, "tidy"):
        for path in checkpoints_in(folder):
            if int(path.stem) > good.generation:
                move(path, path.with_suffix(".damaged"))


def read(path: Path, owner: dict[str, Any]) -> State:
    """The state in one checkpoint; ValueError says what is wrong with it, ConfigError that it is somebody else's."""
    data = read_file(path)
    try:
        arrays, plain = _parse(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"unreadable: {error}") from error
    if plain.get("format") != FORMAT:
        raise ValueError(f"format {plain.get('format')!r}, this version reads {FORMAT}")
    if plain.pop("sha256", None) != _digest(arrays, plain):
        raise ValueError("its content does not have the digest it states")
    if plain["owner"] != owner:
        raise ConfigError(f"checkpoint {path}", expected=f"one of {owner}", got=f"{plain['owner']}")
    genomes = _group(arrays, "genomes")
    species = Species(
        representative=_group(arrays, "representative"),
        threshold=plain["threshold"],
        following=plain["following"],
        **{name: arrays[f"species.{name}"] for name in _SPECIES},
    )
    return State(
        population=Population(genomes, arrays["fitness"]),
        species=species,
        behaviour=arrays.get("behaviour", NOTHING),
        memory={name.removeprefix(_MEMORY): array for name, array in arrays.items() if name.startswith(_MEMORY)},
        **{name: plain[name] for name in _PLAIN if name in plain or name not in _NEW},
    )


_MEMORY = "memory."
_SPECIES = ("label", "number", "born", "best", "improved")
_PLAIN = tuple(f.name for f in fields(State) if f.name not in ("population", "species", "behaviour", "memory"))
_NEW = ("marks", "hyperparameters")
"""What checkpoints of earlier versions lack."""


def _arrays(state: State) -> dict[str, Array]:
    arrays = {f"genomes.{name}": array for name, array in written(state.population.genomes).items()}
    arrays |= {f"representative.{name}": array for name, array in written(state.species.representative).items()}
    arrays |= {f"species.{name}": getattr(state.species, name) for name in _SPECIES}
    arrays |= {_MEMORY + name: array for name, array in state.memory.items()}
    arrays["fitness"] = state.population.fitness
    if state.behaviour.size:
        arrays["behaviour"] = state.behaviour
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _digest(arrays: dict[str, Array], plain: dict[str, Any]) -> str:
    state = hashlib.sha256(json.dumps(plain).encode())
    for name in sorted(arrays):
        state.update(f"{name} {arrays[name].shape}".encode())
        state.update(np.ascontiguousarray(arrays[name]).data)
    return state.hexdigest()


def _parse(data: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays = {name: array.copy() for name, array in tensors.read(data).items()}
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = header["__metadata__"]["state"]
    plain = json.loads(text)
    if not isinstance(plain, dict):
        raise ValueError("no state in its header")
    if json.dumps(plain) != text:  # a digit too many of a number may be another one and mean the same
        raise ValueError("its header is not spelled as it is written")
    return arrays, plain


def _group(arrays: dict[str, Array], name: str) -> Genomes:
    return read_back({field: arrays[f"{name}.{field}"] for field in Genomes._fields if f"{name}.{field}" in arrays})
