"""Tasks: what a genome is scored on. One task, one file; `make` finds it by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from islands.config import Config
from islands.errors import ConfigError

if TYPE_CHECKING:
    from islands.genome.population import Array, Genomes, Layout

NAMES = ("pellets",)
"""Every task there is."""


@dataclass(frozen=True)
class Played:
    """What E episodes gave, in the order asked for."""

    fitness: Array  # float32 [E]; higher is better, NaN: the evaluation failed
    reason: Array  # uint8 [E]: index into the task's `reasons`, 0: the episode ran its course
    steps: Array  # int32 [E]: steps simulated
    behaviour: Array  # float32 [E, D]: what the creature did, in the task's own descriptors


class Task(Protocol):
    """A batched evaluation."""

    sensors: int
    outputs: int
    body: bool

    @property
    def reasons(self) -> tuple[str, ...]:
        """What ends an episode, by the numbers in `Played.reason`; the first is that it ran its course."""
        ...

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """Play episode i with genome `items[i]` (int64 [E]) and the randomness of stream `keys[i]` (uint64 [E])."""
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
    if config.task.name == "pellets":
        from islands.tasks.pellets import Pellets

        return Pellets(config)
    raise ConfigError("task.name", expected=f"one of {', '.join(NAMES)}", got=repr(config.task.name))
