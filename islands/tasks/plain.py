"""A task without bodies, played by its `Rules`: compiled for the CPU or, by `islands.gpu`, for a GPU."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from islands.config import Config
from islands.genome.population import Array, Genomes, Layout, has, inverse, layout_of, take
from islands.kernel import kernel
from islands.networks import input_slots
from islands.networks_lanes import largest, make_brain
from islands.rng import substream
from islands.tasks import Played, Task, Verdict, plain_kernel
from islands.tasks.rules import Examination, Rules, Shape

ROLES = ("reset", "observe", "act", "step", "score")


@kernel
def where(condition: Any, one: Any, other: Any) -> Any:
    """See `rules.where`."""
    return one if condition else other


@kernel
def clip(value: Any, low: Any, high: Any) -> Any:
    """See `rules.clip`."""
    return min(max(value, low), high)


@kernel
def single(value: Any) -> Any:
    """See `rules.single`."""
    return np.float64(np.float32(value))


COMPILED = {
    "sin": math.sin, "cos": math.cos, "exp": math.exp, "floor": np.floor, "where": where, "clip": clip,
    "single": single,
}  # fmt: skip
"""The mathematics of `rules` for compiled code."""


def _modules_of(module: ModuleType) -> list[ModuleType]:
    """The task files that a task's file takes functions from, and itself: the last, so that its own names win."""
    found: list[ModuleType] = []
    for value in vars(module).values():
        other = sys.modules.get(value.__module__) if isinstance(value, FunctionType) else None
        if other is not None and other is not module and other.__name__.startswith("islands.tasks."):
            found += [each for each in _modules_of(other) if each not in found]
    return [*found, module]


def renewed(function: Any, space: dict[str, Any], name: str) -> FunctionType:
    """`function` with other globals. Numba keeps compiled code by a function's file, line and this `name`."""
    made = FunctionType(function.__code__, space, function.__name__, function.__defaults__)
    made.__qualname__ = name
    return made


def translated(
    rules: Rules, mathematics: Mapping[str, Any], make: Callable[[FunctionType], Any]
) -> dict[str, Callable[..., Any]]:
    """The rules by role, with other mathematics: every function of the task's files made anew in one space of names."""
    modules = _modules_of(sys.modules[rules.parameters.__module__])
    space: dict[str, Any] = {}
    for module in modules:
        space |= vars(module)
    for module in modules:
        for name, function in vars(module).items():
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                space[name] = make(renewed(function, space, f"{modules[-1].__name__}.{name}"))
    space |= mathematics
    return {role: space[getattr(rules, role).__name__] for role in ROLES}


@functools.cache
def compiled(name: str) -> Callable[..., None]:
    """`plain_kernel.play_lanes` for the task `name`."""
    from islands.tasks import RULES

    space = {**vars(plain_kernel), **translated(RULES[name], COMPILED, kernel)}
    made: Callable[..., None] = kernel(renewed(plain_kernel.play_lanes, space, f"play_lanes.{name}"))
    return made


class PlainTask:
    """A task without bodies; see `islands.tasks.Task`."""

    parts: Mapping[str, Task] = {}
    worth = None

    def __init__(self, rules: Rules, config: Config) -> None:
        self.rules, self.name, self.device = rules, config.task.name, config.device
        self.reasons = rules.reasons
        self.shape: Shape = rules.shape(config.task)
        self.numbers = rules.numbers(config.task)
        self.sensors, self.outputs = self.shape.sensors, self.shape.outputs
        self.random = self.shape.draws > 0
        self.examination: Examination | None = rules.examination(config.task)
        self.shown = rules.shown(config.task)
        self.solvable = self.shown or self.examination is not None
        self._layout = layout_of(config, self.sensors, self.outputs)

    @property
    def layout(self) -> Layout:
        """How this task's genomes are built."""
        return self._layout

    @functools.cached_property
    def _on_gpu(self) -> Any:
        from islands.gpu import batch, machine

        return batch.Plain(machine.gpu(), self.rules, self.layout, self.shape)

    def warm_up(self, genomes: Genomes) -> None:
        """Compile and load the kernels of episodes and of examinations: one step of the first genome."""
        first, shape = np.arange(genomes.count)[:1], self.shape._replace(steps=1)
        keys = first.astype(np.uint64)
        self.play(genomes, first, keys, shape)
        if self.device != "cpu" and self.examination is not None:
            self.play_compiled(genomes, first, keys, shape)

    def play(self, genomes: Genomes, items: Array, keys: Array, shape: Shape | None = None) -> Played:
        """Play the episodes; on the CPU a genome's numbers do not depend on the others', bit for bit."""
        shape = shape or self.shape
        if self.device == "cpu":
            played = self.play_compiled(genomes, items, keys, shape)
        else:
            played = self._on_gpu.play(genomes, self.numbers, shape, items, keys)
        return played if self.shown else replace(played, solved=None)

    def play_compiled(
        self, genomes: Genomes, items: Array, keys: Array, shape: Shape, starts: Array | None = None
    ) -> Played:
        """As `play`, on the CPU. `starts`: float64 [E, S], the first numbers of each state where it is not drawn."""
        starts = np.zeros((len(items), 0)) if starts is None else starts
        order = np.argsort(np.diff(genomes.conn_start)[items], kind="stable")
        count, slots = len(items), input_slots(self.layout, 0, shape.outputs)
        brain = make_brain(slots, self.layout, *largest(genomes), shape.outputs)
        fitness, reason = np.empty(count, np.float32), np.empty(count, np.uint8)
        steps, behaviour = np.empty(count, np.int32), np.empty((count, shape.behaviour), np.float32)
        solved = np.empty(count, np.uint8)
        compiled(self.name)(
            genomes, np.asarray(items, np.int64)[order], np.asarray(keys, np.uint64)[order], starts[order], self.layout,
            has(self.layout)[1], self.numbers, shape, brain, slots, fitness, reason, steps, behaviour, solved,
        )  # fmt: skip
        back = inverse(order)
        return Played(fitness[back], reason[back], steps[back], behaviour[back], solved[back] > 0)

    def examine(self, genomes: Genomes, row: int, key: np.uint64) -> Verdict:
        """Put genome `row` to the task's examination, on the CPU, with the randomness of stream `key`."""
        test, one = self.examination, take(genomes, [row])
        assert test is not None
        if test.episodes:
            keys = np.array([substream(key, e) for e in range(test.episodes)], np.uint64)
            played = self.play_compiled(one, np.zeros(test.episodes, np.int64), keys, self.shape)
            return Verdict(float(played.fitness.mean(dtype=np.float64)) >= test.goal, None)
        first, keys = np.zeros(1, np.int64), np.zeros(1, np.uint64)
        if self.play_compiled(one, first, keys, self.shape._replace(steps=test.endurance)).reason[0]:
            return Verdict(False, None)
        starts, shape = np.array(test.starts), self.shape._replace(steps=test.steps)
        played = self.play_compiled(one, first.repeat(len(starts)), keys.repeat(len(starts)), shape, starts)
        passed = int((played.reason == 0).sum())
        return Verdict(passed >= test.passes, passed)
