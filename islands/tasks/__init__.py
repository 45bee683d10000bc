"""Tasks: what a genome is scored on. One task, one file; `make` finds it by name.

A task without bodies states its parameters and its rules in its file (see `islands.tasks.rules`) and is listed in
`RULES`. Nothing here imports what computes: configurations are read with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from islands.config import Config, PelletsConfig, TaskConfig
from islands.tasks import (
    acrobot,
    cartpole,
    cartpole_swing_up,
    double_pole,
    mountain_car,
    mountain_car_continuous,
    multiplexer,
    parity,
    pendulum,
    xor,
)
from islands.tasks.rules import Rules

if TYPE_CHECKING:
    import numpy as np

    from islands.genome.population import Array, Genomes, Layout

_LISTED = (
    xor, parity, multiplexer, cartpole, cartpole_swing_up, acrobot, mountain_car, mountain_car_continuous, pendulum,
    double_pole,
)  # fmt: skip
RULES: dict[str, Rules] = {module.RULES.parameters.name: module.RULES for module in _LISTED}
"""Every task without bodies, by name."""
PARAMETERS: dict[str, type[TaskConfig]] = {
    PelletsConfig.name: PelletsConfig,
    **{name: rules.parameters for name, rules in RULES.items()},
}
"""The parameters of every task, by name."""
NAMES = tuple(PARAMETERS)
"""Every task there is."""


@dataclass(frozen=True)
class Played:
    """What E episodes gave, in the order asked for."""

    fitness: Array  # float32 [E]; higher is better, NaN: the evaluation failed
    reason: Array  # uint8 [E]: index into the task's `reasons`, 0: the episode ran its course
    steps: Array  # int32 [E]: steps simulated
    behaviour: Array  # float32 [E, D]: what the genome did, in the task's own descriptors
    solved: Array | None = None  # bool [E]; None: an episode does not show whether the task is solved


class Verdict(NamedTuple):
    """What an examination says of a genome."""

    solved: bool
    generalisation: int | None  # starts that it managed, where the task has others than the usual one


class Task(Protocol):
    """A batched evaluation."""

    sensors: int
    outputs: int  # 0: as many as its body has muscles
    random: bool  # whether one episode differs from another
    solvable: bool  # whether it says when it is solved: in `Played.solved`, or by `examine`

    @property
    def reasons(self) -> tuple[str, ...]:
        """What ends an episode, by the numbers in `Played.reason`; the first is that it ran its course."""
        ...

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """Play episode i with genome `items[i]` (int64 [E]) and the randomness of stream `keys[i]` (uint64 [E])."""
        ...

    def examine(self, genomes: Genomes, row: int, key: np.uint64) -> Verdict:
        """Whether genome `row` solves the task, where that takes more than an evaluation."""
        ...

    def warm_up(self, genomes: Genomes) -> None:
        """Make sure that what `play` needs is compiled and loaded, at the cost of a few steps."""
        ...

    @property
    def layout(self) -> Layout:
        """How this task's genomes are built."""
        ...


def make(config: Config) -> Task:
    """The task a configuration names."""
    if config.task.name == PelletsConfig.name:
        from islands.tasks.pellets import Pellets

        return Pellets(config)
    from islands.tasks.plain import PlainTask

    return PlainTask(RULES[config.task.name], config)
