"""Tasks: what a genome is scored on. One task, one file; `make` finds it by name.

A task without bodies states its parameters and its rules in its file (see `islands.tasks.rules`) and is listed in
`RULES`. Nothing here imports what computes: configurations are read with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from islands.config import Config, PelletsConfig, TaskConfig
from islands.errors import ConfigError
from islands.tasks import (
    acrobot,
    cartpole,
    cartpole_swing_up,
    double_pole,
    families,
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
    families.Digits.name: families.Digits,
}
"""The parameters of every task with a plain name; see `parameters_of` for the others."""
NAMES = tuple(PARAMETERS)
"""Every plain name."""


def parameters_of(name: str) -> type[TaskConfig]:
    """The parameters of the task `name`; a ConfigError with the nearest name where there is none."""
    if name in PARAMETERS:
        return PARAMETERS[name]
    if family := families.family_of(name):
        return family.parameters
    if name in families.installed():
        return families.User
    prefix, colon, rest = name.partition(":")
    known = [*NAMES, *families.installed(), *(f"{each}:{rest}" for each in families.FAMILIES if colon)]
    near = difflib.get_close_matches(name, known, n=1)
    forms = [family.form for family in families.FAMILIES.values()]
    raise ConfigError(
        "task.name",
        expected=f"one of {', '.join([*NAMES, *families.installed(), *forms])}",
        got=repr(name),
        do=f"did you mean {near[0]}?" if near else "",
    )


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


@dataclass(frozen=True)
class Worth:
    """What a genome is worth: a mean and its 95 % confidence interval, of so many fresh episodes (or rows)."""

    mean: float
    low: float
    high: float
    episodes: int


class Task(Protocol):
    """A batched evaluation.

    Where the champion is chosen and judged on something else than the episodes that breed it, `parts` says so: the task
    "validation", and "held out", whose `worth` (of genome `row`, with the randomness of a stream) is its own.
    """

    sensors: int
    outputs: int  # 0: as many as its body has muscles
    random: bool  # whether one episode differs from another
    solvable: bool  # whether it says when it is solved: in `Played.solved`, or by `examine`

    @property
    def parts(self) -> Mapping[str, Task]:
        """What else there is to be played; usually nothing."""
        ...

    @property
    def worth(self) -> Callable[[Genomes, int, np.uint64], Worth] | None:
        """The task's own measure of a champion; None: the mean of fresh episodes."""
        ...

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
        """Make sure that what `play` needs is compiled and loaded, at the cost of a few steps.

        On the CPU there need be no genome to take them.
        """
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
    if families.is_foreign(config.task):
        return _foreign(config)
    from islands.tasks.plain import PlainTask

    return PlainTask(RULES[config.task.name], config)


def check_device(config: Config) -> None:
    """A ConfigError where this machine cannot evaluate the configuration's task on its `device`."""
    if config.device == "cpu":
        return
    if families.is_foreign(config.task):
        from islands.threads import device_of

        device_of(config.device)  # its networks are PyTorch's there
    else:
        from islands.gpu.machine import numba_cuda

        numba_cuda()


def _foreign(config: Config) -> Task:
    """A task whose rules come from elsewhere."""
    if isinstance(config.task, families.Gym):
        from islands.tasks.gym import GymTask

        return GymTask(config)
    if isinstance(config.task, families.User):
        from islands.tasks.users import UserTask

        return UserTask(config)
    from islands.tasks.supervised import supervised

    return supervised(config)
