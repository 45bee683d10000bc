"""Tasks without bodies in PyTorch: the rules of all episodes at once; what the compiled kernels are checked against.

The rules are those that are compiled for the CPU; here a number of the state is a float64 tensor of E episodes.
Episodes that are over leave the batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from islands.genome.population import Array, Genomes, Layout
from islands.networks_torch import memory_size, networks_of, think
from islands.rng import uniform
from islands.tasks import Played
from islands.tasks.plain import translated
from islands.tasks.rules import End, Rules, Shape
from islands.threads import torch_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = torch_module()


def where(condition: Tensor, one: Any, other: Any) -> Tensor:
    """See `rules.where`; numbers are float64."""
    like = torch.zeros((), dtype=torch.float64, device=condition.device)
    return torch.where(condition, torch.as_tensor(one).to(like), torch.as_tensor(other).to(like))


def clip(value: Tensor, low: float, high: float) -> Tensor:
    """See `rules.clip`."""
    return value.clamp(low, high)


def single(value: Tensor) -> Tensor:
    """See `rules.single`."""
    return value.float().double()


TENSORS = {
    "sin": torch.sin, "cos": torch.cos, "exp": torch.exp, "floor": torch.floor, "where": where, "clip": clip,
    "single": single,
}  # fmt: skip
"""The mathematics of `rules` for tensors."""


@functools.cache
def in_tensors(rules: Rules) -> dict[str, Callable[..., Any]]:
    """The rules by role, for tensors."""
    return translated(rules, TENSORS, lambda function: function)


class Batch:
    """Episodes under way: a column of the state a number, all tensors with E rows."""

    def __init__(self, rules: Rules, numbers: Any, shape: Shape, keys: Array, like: Tensor) -> None:
        self.rules, self.numbers, self.shape, self.reasons = in_tensors(rules), numbers, shape, len(rules.reasons)
        drawn = np.array([[uniform(np.uint64(key), i) for i in range(shape.draws)] for key in keys], np.float64)
        draws = torch.as_tensor(drawn.reshape(len(keys), shape.draws)).to(like)
        self.none = torch.zeros(len(keys), dtype=like.dtype, device=like.device)
        self.state: list[Tensor] = [self.none] * shape.state
        self.rules["reset"](self.state, draws.unbind(dim=1), numbers)
        self.state = [self.none + column for column in self.state]  # a rule may have written a plain number
        self.last = torch.zeros((len(keys), shape.window), dtype=like.dtype, device=like.device)
        self.total, self.count, self.reason = self.none, 0, self.none

    def observe(self) -> Tensor:
        """The networks' inputs [E, sensors]."""
        out: list[Any] = [self.none] * self.shape.sensors
        self.rules["observe"](self.state, self.numbers, out)
        return torch.stack([self.none + column for column in out], dim=1)

    def step(self, outputs: Tensor) -> None:
        """One step of every episode."""
        action = self.rules["act"](outputs.unbind(dim=1), self.numbers)
        gain, reason = self.rules["step"](self.state, action, self.numbers)
        self.last[:, self.count % self.shape.window] = gain
        self.total = self.total + gain
        self.count += 1
        self.reason = self.none + reason

    def results(self) -> Tensor:
        """Columns fitness, reason, steps, solved, behaviour: float64 [E, 4 + D]."""
        steps = torch.full_like(self.none, self.count)
        end = End(self.state, self.total, self.last.sum(dim=1), steps, self.reason)
        fitness, solved = self.rules["score"](end, self.numbers)
        columns = [self.none + fitness, self.reason, steps, self.none + solved]
        return torch.stack([*columns, *self.state[: self.shape.behaviour]], dim=1)

    def keep(self, rows: Tensor) -> None:
        """Go on with the episodes `rows` alone."""
        self.state = [column[rows] for column in self.state]
        self.none, self.last, self.total, self.reason = (
            part[rows] for part in (self.none, self.last, self.total, self.reason)
        )


def play(
    rules: Rules, genomes: Genomes, layout: Layout, numbers: Any, shape: Shape, items: Array, keys: Array
) -> Played:  # fmt: skip
    """As `plain.PlainTask.play`."""
    like = torch.zeros(0, dtype=torch.float64)
    with torch.inference_mode():
        batch = Batch(rules, numbers, shape, keys, like)
        table = _play(batch, genomes, layout, torch.as_tensor(np.asarray(items, np.int64)).to(like.device), like)
    found = table.cpu().numpy()
    return Played(
        fitness=found[:, 0].astype(np.float32),
        reason=found[:, 1].astype(np.uint8),
        steps=found[:, 2].astype(np.int32),
        behaviour=found[:, 4:].astype(np.float32),
        solved=found[:, 3] > 0,
    )


def _play(batch: Batch, genomes: Genomes, layout: Layout, items: Tensor, like: Tensor) -> Tensor:
    """Play to the end; returns `Batch.results` of every episode."""
    networks: Any = networks_of(genomes, layout, (0, batch.shape.outputs), like)
    neurons = memory_size(networks)
    networks = type(networks)(*(part[items] for part in networks))
    memory, rows = like.new_zeros((len(items), neurons)), torch.arange(len(items), device=like.device)
    found = like.new_zeros((len(items), 4 + batch.shape.behaviour))
    for number in range(batch.shape.steps):
        heard = batch.observe()
        if layout.constant:
            heard = torch.cat([heard, torch.ones_like(heard[:, :1])], dim=1)
        if batch.shape.forget:
            memory = torch.zeros_like(memory)
        outputs, memory = think(networks, heard, memory, layout.activation)
        batch.step(outputs)
        over = batch.reason > 0 if number + 1 < batch.shape.steps else torch.ones_like(batch.reason, dtype=torch.bool)
        if bool(over.any()):
            found[rows[over]] = batch.results()[over]
            on = torch.nonzero(~over)[:, 0]
            if len(on) == 0:
                break
            batch.keep(on)
            networks, memory, rows = type(networks)(*(part[on] for part in networks)), memory[on], rows[on]
    return found
