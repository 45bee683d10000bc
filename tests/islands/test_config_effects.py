"""No key of a configuration is without effect: for every key, each of its values gives another result.

`EFFECTS` says for each key which values to try, what else has to be set for the key to matter, and what to look at.
Everything is really run, in this process: tiny populations, short episodes.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.genome.initial import draw_genomes
from islands.loop import breeding_of
from islands.rng import Purpose, stream
from islands.rollout import evaluate
from islands.rundir import RunDir
from islands.tasks import NAMES, make
from islands.tasks.cartpole import CartPole
from launcher import presets, start
from launcher.drive import Settings
from tests.islands.evolving import digests, evolve, history, log, make_run, result
from tests.islands.tasks.creatures import first_draw
from tests.launcher.launch_stand_ins import STAND_IN

BASE = ("population=24", "generations=6", "task.duration=2", "speciation.target=4", "migration.every=0")
NAMED = ("ant", "bee", "cat")
Seen = Callable[[Config, Path], object]


def evolved(config: Config, folder: Path) -> RunDir:
    run = make_run(folder / "run", config)
    evolve(run)
    return run


def archipelago(config: Config, folder: Path) -> RunDir:
    """Three islands that migrate, one seed for all."""
    run = make_run(folder / "run", config, NAMED, shared=folder / "shared")
    evolve(run)
    return run


def final(config: Config, folder: Path) -> object:
    """The last population, bit for bit."""
    return digests(evolved(config, folder))[-1]


def finals(config: Config, folder: Path) -> object:
    """The last population of each island."""
    run = archipelago(config, folder)
    return [digests(run, name)[-1] for name in NAMED]


def scores(config: Config, folder: Path) -> object:
    """What the genomes of the first generation score: the same ones, whatever the key of the task."""
    task, genomes = first_draw(config, 40)
    keys = np.array([stream(1, 0, 0, Purpose.PELLETS)], np.uint64)
    return evaluate(task, genomes, keys, config.evaluation.episodes)[0].fitness.tolist()


def sizes(config: Config, folder: Path) -> object:
    """How many genomes are evaluated."""
    return history(evolved(config, folder))[-1]["evaluations"]


def generations(config: Config, folder: Path) -> object:
    """How many generations there were, and why no more."""
    run = evolved(config, folder)
    return len(history(run)), result(run)["stopped"]


def checkpoints(config: Config, folder: Path) -> object:
    """The checkpoints that were kept."""
    return sorted(path.name for path in evolved(config, folder).island("island-000").checkpoints.iterdir())


def champion(config: Config, folder: Path) -> object:
    """On how many episodes the champion was judged."""
    return result(evolved(config, folder))["champion"]["episodes"]


def boosts(config: Config, folder: Path) -> object:
    """The factor on mutation, generation by generation."""
    return [line["mutation_boost"] for line in history(evolved(config, folder))]


def sent(config: Config, folder: Path) -> object:
    """How many genomes the islands sent."""
    run = archipelago(config, folder)
    return [result(run, name)["sent"] for name in NAMED]


def sources(config: Config, folder: Path) -> object:
    """Where each island's immigrants came from."""
    run = archipelago(config, folder)
    return [sorted({line["source"] for line in log(run, name) if line.get("source")}) for name in NAMED]


def admitted(config: Config, folder: Path) -> object:
    """Which slots the immigrants of each island took."""
    run = archipelago(config, folder)
    return [[line["slot"] for line in log(run, name) if "slot" in line] for name in NAMED]


def migrations(config: Config, folder: Path) -> object:
    """After which generations the islands migrated."""
    run = archipelago(config, folder)
    return [[line["generation"] for line in log(run, name) if line.get("event") == "complete"] for name in NAMED]


def published(config: Config, folder: Path) -> object:
    """Whether hyperparameters lie in the pool, and what the islands' metrics tell of their own."""
    run = archipelago(config, folder)
    found = [path.read_bytes() for path in (folder / "shared" / "migration_pool").glob("*/*.safetensors")]
    return [b"mutation.add_node" in data for data in found], [history(run, n)[-1].get("hyperparameters") for n in NAMED]


def outboxes(config: Config, folder: Path) -> object:
    """How many publications stay in each outbox."""
    archipelago(config, folder)
    return [len(list((folder / "shared" / "migration_pool" / name).glob("*.safetensors"))) for name in NAMED]


def skipped(config: Config, folder: Path) -> object:
    """Why an island whose outbox somebody else holds locked does not publish."""
    run = make_run(folder / "run", config, NAMED[:1], shared=folder / "shared")
    lock = FileLock(folder / "shared" / "migration_pool" / NAMED[0] / ".lock")
    evolve(run, halted=lambda: not lock.acquire())
    lock.release(force=True)
    reasons = [line["reason"] for line in log(run, NAMED[0]) if line["event"] == "skipped"]
    return [reason.partition(".lock: ")[2] for reason in reasons]


def evaluator(config: Config, folder: Path) -> object:
    """Who evaluates: the compiled kernel, the GPU, or nobody where there is none."""
    try:
        scores(config, folder)
    except ConfigError as error:
        return error.what, error.expected
    return "CPU" if config.device == "cpu" else "GPU"


def playable(config: Config, folder: Path) -> object:
    """What is played: what the first genomes score."""
    task = make(config)
    genomes = draw_genomes(5, np.uint64(1), task.layout, breeding_of(config, task).first)
    return task.play(genomes, np.arange(5), np.zeros(5, np.uint64)).fitness.tolist()


def solved_or_not(config: Config, folder: Path) -> object:
    """How long a population goes on with a task that its first genomes solve."""
    return generations(dataclasses.replace(config, task=CartPole(steps=20)), folder)


def listed(config: Config, folder: Path) -> object:
    """The line of `evolab configs`, by a launcher whose presets lie in `folder`."""
    for name in ("launcher", "configs"):
        (folder / name).mkdir()
    shutil.copy(presets.__file__, folder / "launcher")
    (folder / "configs" / "mine.yaml").write_text(loading.dump(config))
    spec = importlib.util.spec_from_file_location("elsewhere", folder / "launcher" / "presets.py")
    assert spec and spec.loader
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    return [tuple(preset) for preset in elsewhere.describe_all()]


def launched(config: Config, folder: Path) -> object:
    """The islands that `evolab launch` starts (as stand-ins: what they do matters elsewhere)."""
    (folder / "mine.yaml").write_text(loading.dump(config))
    request = start.Request(str(folder / "mine.yaml"), out=folder / "run")
    run, outcome = start.launch(request, settings=Settings(account=False, program=STAND_IN))
    return sorted(outcome.states.items())


@dataclass(frozen=True)
class Effect:
    """What to look at to see a key's effect; `given`: what makes it matter; `refused`: values that are an error."""

    values: tuple[object, ...]
    seen: Seen = final
    given: tuple[str, ...] = ()
    refused: tuple[object, ...] = ()


ON_OFF = ("true", "false")
STRUCTURE = ("mutation.add_node=0.9", "mutation.add_connection=0.5")
MIGRATING = ("migration.every=2", "migration.migrants=2")
STUCK = ("adaptive.enabled=true", "adaptive.patience=1", "adaptive.boost=3", "task.duration=0.1")
STRICT = ("speciation.dynamic=false",)
FIXED = ("mode=pure", "task.name=pendulum")
MATING = ("selection.cull=0", "speciation.target=2")

NOVEL = ("diversity.method=novelty",)

EFFECTS: dict[str, Effect] = {
    "description": Effect(("one", "another"), listed),
    "mode": Effect(("neat", "pure", "hybrid")),
    "algorithm": Effect(("ga", "cmaes", "snes"), given=FIXED),
    "population": Effect((24, 30), sizes),
    "generations": Effect((3, 5), generations),
    "seed": Effect((1, 2)),
    "device": Effect(("cpu", "cuda"), evaluator),
    "task.name": Effect(NAMES, playable, refused=("chess",)),
    "task.duration": Effect((1, 2), scores),
    "task.time_encoding": Effect(("none", "sin", "raw", "cyclic", "sin_raw")),
    "task.proprioception": Effect(("none", "strain", "velocity", "contact", "all")),
    "task.dead_zone": Effect((0, 0.3), scores),
    "task.smoothing": Effect((0.1, 0.5), scores),
    "task.max_velocity": Effect((0.5, 5), scores),
    "task.ground_friction": Effect((0.2, 0.9), scores),
    "task.efficiency_penalty": Effect((0, 0.01), scores),
    "body.min_nodes": Effect((3, 6)),
    "body.max_nodes": Effect((6, 8)),
    "body.max_muscles": Effect((5, 15)),
    "network.hidden": Effect((2, 3), given=("mode=pure",)),
    "network.layers": Effect((1, 2, 3), given=("mode=pure",)),
    "network.recurrent": Effect(ON_OFF, given=("mode=pure",)),
    "network.max_hidden": Effect((0, 1, 16), given=STRUCTURE),
    "network.connectivity": Effect(("full", "sparse_inputs", "sparse_outputs", "none")),
    "network.weight_scale": Effect((0.5, 2)),
    "network.bias": Effect(("node", "input", "none")),
    "network.activation": Effect(("tanh", "sigmoid")),
    "network.activations": Effect(("", "tanh", "sin,gaussian"), given=STRUCTURE, refused=("cosine",)),
    "network.output_bias": Effect((0, 1)),
    "mutation.weights": Effect((0, 0.5)),
    "mutation.weight_rate": Effect((0.2, 0.8)),
    "mutation.weight_scale": Effect((0.1, 0.5)),
    "mutation.replace_rate": Effect((0, 0.5)),
    "mutation.add_node": Effect((0, 0.5)),
    "mutation.add_connection": Effect((0, 0.9), given=("network.connectivity=sparse_inputs",)),
    "mutation.recurrent": Effect((0, 0.9), given=STRUCTURE),
    "mutation.activation": Effect((0, 0.9), given=(*STRUCTURE, "network.activations=tanh,sin")),
    "mutation.enable": Effect((0, 0.9), given=("mutation.disable=0.9",)),
    "mutation.disable": Effect((0, 0.5)),
    "mutation.body_rate": Effect((0.1, 0.5)),
    "mutation.body_scale": Effect((0.05, 0.5)),
    "mutation.add_body_node": Effect((0, 0.5)),
    "mutation.remove_body_node": Effect((0, 0.5)),
    "mutation.add_muscle": Effect((0, 0.5)),
    "mutation.remove_muscle": Effect((0, 0.5)),
    "crossover.enabled": Effect(ON_OFF, given=MATING),
    "crossover.rate": Effect((0.2, 0.9), given=MATING),
    "crossover.disabled_rate": Effect((0, 1), given=("mutation.disable=0.9", *MATING)),
    "crossover.interspecies": Effect((0, 1), given=("selection.cull=0", "crossover.rate=1")),
    "crossover.eta": Effect((2, 15), given=("mode=pure", *MATING)),
    "speciation.threshold": Effect((2, 8), given=STRICT),
    "speciation.dynamic": Effect(ON_OFF, given=("speciation.threshold=5",)),
    "speciation.target": Effect((2, 8)),
    "speciation.excess": Effect((0, 5), given=("speciation.threshold=10", *STRICT, *STRUCTURE)),
    "speciation.disjoint": Effect((0, 1), given=STRICT),
    "speciation.weight": Effect((0, 10), given=("speciation.threshold=10", *STRICT)),
    "speciation.min_size": Effect((1, 5)),
    "speciation.stagnation": Effect((1, 100), given=("speciation.target=8",)),
    "selection.method": Effect(("speciation", "tournament", "rank", "truncation")),
    "selection.tournament_size": Effect((1, 4), given=("selection.method=tournament",)),
    "selection.cull": Effect((0.2, 0.8)),
    "selection.elites": Effect((0, 5)),
    "strategy.patience": Effect((0, 1, 2), given=("algorithm=snes", *FIXED)),
    "strategy.separable": Effect(ON_OFF, given=("algorithm=cmaes", *FIXED)),
    "diversity.method": Effect(("none", "novelty", "map-elites")),
    "diversity.weight": Effect((0, 1), given=NOVEL),
    "diversity.neighbours": Effect((1, 15), given=NOVEL),
    "diversity.additions": Effect((0, 9), given=("diversity.neighbours=2", *NOVEL)),
    "diversity.cells": Effect((2, 16), given=("diversity.method=map-elites",)),
    "diversity.descriptors": Effect(("0", "1,2"), given=NOVEL),
    "adaptive.enabled": Effect(ON_OFF, boosts, STUCK),
    "adaptive.patience": Effect((1, 3), boosts, STUCK),
    "adaptive.boost": Effect((2, 3), given=STUCK),
    "migration.islands": Effect((1, 2), launched),
    "migration.every": Effect((0, 1, 2), finals, MIGRATING),
    "migration.migrants": Effect((1, 3), sent, MIGRATING),
    "migration.topology": Effect(("full", "ring", "star", "isolated", "ant>cat"), sources, MIGRATING),
    "migration.select": Effect(("best", "random", "different"), finals, MIGRATING),
    "migration.replace": Effect(("worst", "worst-if-better", "nearest"), admitted, ("task.duration=0.1", *MIGRATING)),
    "migration.stretch": Effect((1, 3), migrations, ("task.duration=0.1", "migration.every=1", "migration.migrants=2")),
    "migration.restart": Effect((0, 1), finals, ("task.duration=0.1", *MIGRATING)),
    "migration.pbt": Effect(ON_OFF, published, MIGRATING),
    "migration.keep": Effect((2, 3), outboxes, ("migration.every=1", "migration.migrants=2")),
    "migration.lock_timeout": Effect((0.01, 0.02), skipped, MIGRATING),
    "evaluation.episodes": Effect((1, 2), scores),
    "evaluation.held_out": Effect((64, 70), champion),
    "evaluation.stagnation_limit": Effect((0, 1, 2), generations, ("task.duration=0.1",)),
    "evaluation.stop_when_solved": Effect(ON_OFF, solved_or_not),
    "record.checkpoint_every": Effect((1, 3), checkpoints, ("record.checkpoint_seconds=0",)),
    "record.checkpoint_seconds": Effect((0.0, 1000.0), checkpoints),
    "record.keep": Effect((2, 4), checkpoints, ("record.checkpoint_seconds=0",)),
}  # fmt: skip
KEYS = loading.keys()


def seen(name: str, value: object, folder: Path) -> object:
    """What is to be seen when the key `name` has this value."""
    effect = EFFECTS[name]
    folder.mkdir()
    if value in effect.refused:
        with pytest.raises(ConfigError) as refusal:
            loading.override(Config(), [f"{name}={value}"])
        return str(refusal.value)
    another = any(each.startswith("task.name=") for each in (f"{name}=", *effect.given))
    base = [each for each in BASE if not another or not each.startswith("task.")]
    return effect.seen(loading.override(Config(), [*base, *effect.given, f"{name}={value}"]), folder)


def test_every_key_there_is_has_its_effect_told_here() -> None:
    assert list(EFFECTS) == [key.name for key in KEYS]


@pytest.mark.parametrize("key", KEYS, ids=[key.name for key in KEYS])
def test_each_value_of_a_key_gives_another_result_and_the_same_value_the_same(
    key: loading.Key, memory_folder: Path, signals_kept: None
) -> None:
    values = [*EFFECTS[key.name].values, *EFFECTS[key.name].refused]
    found = [seen(key.name, value, memory_folder / str(index)) for index, value in enumerate(values)]
    assert len(values) >= 2 and all(found)
    for index, result_ in enumerate(found):
        assert result_ not in found[:index], f"{key.name}: {values[index]} is like {values[found.index(result_)]}"
    assert seen(key.name, values[0], memory_folder / "again") == found[0]


def test_of_keys_with_choices_every_choice_is_looked_at() -> None:
    choices = {
        key.name: set(typing.get_args(key.type)) for key in KEYS if typing.get_origin(key.type) is typing.Literal
    }
    assert len(choices) >= 9 and {name: set(EFFECTS[name].values) for name in choices} == choices
    switches = [key.name for key in KEYS if key.type is bool]
    assert all(EFFECTS[name].values == ON_OFF for name in switches)
