"""What a run is made of: small frozen dataclasses, one a concept.

`Config` is the whole; every section is a dataclass of its own. The bounds in a
field's metadata are checked when a configuration is built (see `load`), and
every key is shown to have an effect by `tests/islands/test_config_effects.py`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_BODY_NODES = 32
"""Documented ceiling of `body.max_nodes`; a larger value is an error."""
MAX_MUSCLES = 64
"""Documented ceiling of `body.max_muscles`; a larger value is an error."""
FUNCTIONS = ("tanh", "sigmoid", "relu", "sin", "gaussian", "identity", "abs")
"""What `network.activations` may list, in the order of their numbers in a genome, the first of which is 1."""


def number(default: Any, low: float | None = None, high: float | None = None) -> Any:
    """A field that holds a number from `low` to `high`."""
    return field(default=default, metadata={"min": low, "max": high})


def probability(default: float) -> Any:
    """A field that holds a probability."""
    return number(default, 0.0, 1.0)


@dataclass(frozen=True)
class TaskConfig:
    """What every task has: its name. Each task's parameters are a subclass; `islands.tasks.PARAMETERS` lists them."""

    name: str = ""
    body = False  # whether its genomes have bodies


@dataclass(frozen=True)
class PelletsConfig(TaskConfig):
    """The parameters of `pellets`. Distances in m, times in s, velocities in m/s."""

    name: str = "pellets"
    body = True
    duration: float = number(30.0, 0.1, 600.0)
    time_encoding: Literal["none", "sin", "raw", "cyclic", "sin_raw"] = "none"
    proprioception: Literal["none", "strain", "velocity", "contact", "all"] = "none"
    dead_zone: float = number(0.1, 0.0, 0.99)
    smoothing: float = number(0.15, 0.001, 1.0)
    max_velocity: float = number(5.0, 0.01, 1000.0)
    ground_friction: float = number(0.7, 0.0, 10.0)
    efficiency_penalty: float = number(0.1, 0.0, 10.0)


@dataclass(frozen=True)
class BodyConfig:
    """Limits of a creature's body."""

    min_nodes: int = number(3, 2, MAX_BODY_NODES)
    max_nodes: int = number(8, 2, MAX_BODY_NODES)
    max_muscles: int = number(15, 1, MAX_MUSCLES)


@dataclass(frozen=True)
class NetworkConfig:
    """The network: `layers` of `hidden` neurons of the fixed topology (pure, hybrid); the rest of NEAT's structure.

    `recurrent`: every hidden layer also hears its own values of the step before (Elman 1990). Every neuron's
    `activation` is tanh x, or NEAT's (2002) steep sigmoid 1 / (1 + exp(-4.9 x)). With `activations`, some of
    `FUNCTIONS` with commas between, every new hidden neuron (neat) draws its own of them; outputs keep `activation`.
    """

    hidden: int = number(8, 1, 64)
    layers: int = number(1, 1, 8)
    recurrent: bool = False
    max_hidden: int = number(16, 0, 128)
    connectivity: Literal["full", "sparse_inputs", "sparse_outputs", "none"] = "full"
    weight_scale: float = number(1.0, 0.0, 100.0)
    bias: Literal["node", "input", "none"] = "node"
    activation: Literal["tanh", "sigmoid"] = "tanh"
    activations: str = ""
    output_bias: float = number(0.0, -10.0, 10.0)


@dataclass(frozen=True)
class MutationConfig:
    """Rates are probabilities per offspring, except `weight_rate` and `body_rate`: per gene; `activation`: per hidden
    neuron, of drawing its function anew.

    `weights`: share of offspring whose weights change at all. `recurrent`: share of added connections that close a
    cycle; a network remembers through them.
    """

    weights: float = probability(1.0)
    weight_rate: float = probability(0.8)
    weight_scale: float = number(0.3, 0.0, 100.0)
    replace_rate: float = probability(0.05)
    add_node: float = probability(0.05)
    add_connection: float = probability(0.15)
    recurrent: float = probability(0.0)
    activation: float = probability(0.0)
    enable: float = probability(0.02)
    disable: float = probability(0.01)
    body_rate: float = probability(0.2)
    body_scale: float = number(0.1, 0.0, 10.0)
    add_body_node: float = probability(0.03)
    remove_body_node: float = probability(0.02)
    add_muscle: float = probability(0.05)
    remove_muscle: float = probability(0.03)


@dataclass(frozen=True)
class CrossoverConfig:
    """`rate`: share of offspring with two parents, wherever a second one may breed. `interspecies`: share of partners
    drawn from all species. `eta`: SBX distribution index (pure, hybrid)."""

    enabled: bool = True
    rate: float = probability(0.75)
    disabled_rate: float = probability(0.75)
    interspecies: float = probability(0.001)
    eta: float = number(15.0, 0.0, 1000.0)


@dataclass(frozen=True)
class SpeciationConfig:
    """Compatibility distance and the life of species. `dynamic` moves the threshold towards `target` species."""

    threshold: float = number(3.0, 0.001, 1000.0)
    dynamic: bool = True
    target: int = number(8, 1, 1000)
    excess: float = number(1.0, 0.0, 100.0)
    disjoint: float = number(1.0, 0.0, 100.0)
    weight: float = number(0.4, 0.0, 100.0)
    min_size: int = number(2, 1, 1000)
    stagnation: int = number(15, 1, 100000)


@dataclass(frozen=True)
class SelectionConfig:
    """Who becomes a parent. `cull`: share of the worst (of a species, or of the population) that never breeds."""

    method: Literal["speciation", "tournament", "rank", "truncation"] = "speciation"
    tournament_size: int = number(3, 1, 1000)
    cull: float = number(0.8, 0.0, 0.99)
    elites: int = number(2, 0, 100000)


@dataclass(frozen=True)
class StrategyConfig:
    """How an `algorithm` goes on; one other than ga begins with weights of deviation `network.weight_scale`.

    After `patience` generations without a better best it starts afresh; 0: it never gives up. A fresh start forgets
    what was found, so it is for tasks that say when they are solved. `separable`: cmaes adapts one standard deviation a
    weight instead of a whole matrix, whose cost grows with the weights' number squared.
    """

    patience: int = number(0, 0, 1000000)
    separable: bool = False


@dataclass(frozen=True)
class DiversityConfig:
    """Breeding by what genomes do (a task's descriptors of behaviour) besides what they score.

    novelty: parents by rank of novelty (`weight`) and of fitness (the rest); novelty is the distance to `neighbours` in
    the population and in an archive, which `additions` genomes a generation enter. map-elites: parents are the best of
    each of `cells` cells a descriptor. `descriptors`: the numbers of those that count, as in "0,2"; empty: all for
    novelty, the first two for map-elites.
    """

    method: Literal["none", "novelty", "map-elites"] = "none"
    weight: float = probability(1.0)
    neighbours: int = number(15, 1, 1000)
    additions: int = number(5, 0, 1000)
    cells: int = number(16, 2, 1000)
    descriptors: str = ""


@dataclass(frozen=True)
class AdaptiveConfig:
    """After `patience` generations without a better best, mutation rates and scales are multiplied by `boost`."""

    enabled: bool = False
    patience: int = number(10, 1, 100000)
    boost: float = number(2.0, 1.0, 100.0)


@dataclass(frozen=True)
class MigrationConfig:
    """The archipelago. `islands` 0 means one per usable core; `every` 0 means no migration.

    `stretch`: while migrants bring nothing the interval doubles, up to so many times `every`; it drops back on
    improvement. `restart`: after so many generations without a better best an island starts afresh from its
    immigrants; 0: never. `pbt`: an island beaten by an immigrant takes over the sender's hyperparameters, perturbed.
    """

    islands: int = number(0, 0, 100000)
    every: int = number(10, 0, 1000000)
    migrants: int = number(5, 0, 100000)
    topology: str = "full"
    select: Literal["best", "random", "different"] = "best"
    replace: Literal["worst", "worst-if-better", "nearest"] = "worst"
    stretch: int = number(1, 1, 1000)
    restart: int = number(0, 0, 1000000)
    pbt: bool = False
    keep: int = number(4, 2, 1000)
    lock_timeout: float = number(2.0, 0.01, 60.0)


@dataclass(frozen=True)
class EvaluationConfig:
    """`episodes` per genome and generation; `held_out` fresh ones for the champion (at least 64).

    A population whose task says that it is solved stops there, unless `stop_when_solved` is false.
    """

    episodes: int = number(1, 1, 10000)
    held_out: int = number(64, 64, 100000)
    stagnation_limit: int = number(0, 0, 1000000)
    stop_when_solved: bool = True


@dataclass(frozen=True)
class RecordConfig:
    """`checkpoint_every` generations a checkpoint is written, but not within `checkpoint_seconds` of the one before (of
    many islands each still more seldom: `islands.crowd`); `keep` of them stay."""

    checkpoint_every: int = number(1, 1, 1000000)
    checkpoint_seconds: float = number(0.5, 0.0, 86400.0)
    keep: int = number(2, 2, 1000)


@dataclass(frozen=True)
class Config:
    """A whole configuration; see `configs/` for presets with a reason per line."""

    description: str = ""
    mode: Literal["neat", "pure", "hybrid"] = "neat"
    algorithm: Literal["ga", "cmaes", "snes"] = "ga"
    population: int = number(500, 2, 10_000_000)
    generations: int = number(150, 1, 100_000_000)
    seed: int = number(42, 0, 2**63 - 1)
    device: Literal["cpu", "cuda"] = "cpu"
    task: TaskConfig = field(default_factory=PelletsConfig)
    body: BodyConfig = field(default_factory=BodyConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    mutation: MutationConfig = field(default_factory=MutationConfig)
    crossover: CrossoverConfig = field(default_factory=CrossoverConfig)
    speciation: SpeciationConfig = field(default_factory=SpeciationConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    diversity: DiversityConfig = field(default_factory=DiversityConfig)
    adaptive: AdaptiveConfig = field(default_factory=AdaptiveConfig)
    migration: MigrationConfig = field(default_factory=MigrationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    record: RecordConfig = field(default_factory=RecordConfig)

    def as_dict(self) -> dict[str, Any]:
        """The configuration as nested plain dicts, in declaration order."""
        return dataclasses.asdict(self)
