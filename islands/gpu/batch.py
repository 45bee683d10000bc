"""Play a batch of episodes on a device: memory for every thread, genomes there, results back."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from islands.genome.population import Array, Genomes, Layout, has, inverse
from islands.gpu import lane, pellets, plain
from islands.gpu.machine import Machine
from islands.networks import Desk, input_slots
from islands.networks_lanes import Brain, make_brain
from islands.tasks import Played
from islands.tasks import plain as plain_task
from islands.tasks.pellets_episodes import make_out
from islands.tasks.pellets_kernel import Parameters
from islands.tasks.pellets_physics import Lanes, make_lanes
from islands.tasks.rules import Rules, Shape

ROUND = 16
"""Room for neurons and connections is made in steps of so many, so that memory serves for several generations."""
T = TypeVar("T", bound=tuple[Any, ...])


class Threads:
    """What a task's threads keep their networks and bodies in, from one batch to the next while it is large enough."""

    def __init__(self, machine: Machine, make: Callable[..., tuple[Any, ...]]) -> None:
        """make(lanes, *sizes): arrays for so many threads, on the host; sizes are the task's."""
        self.machine, self._make = machine, make
        self.sizes: tuple[int, ...] = ()
        self.lanes, self.arrays = 0, ()  # type: int, Any

    def grow(self, *sizes: int) -> None:
        """Make sure of room for these sizes at least."""
        if self.sizes and all(size <= held for size, held in zip(sizes, self.sizes, strict=True)):
            return
        self.sizes = tuple(map(max, self.sizes, sizes)) if self.sizes else sizes
        self.arrays = ()
        one = sum(array.nbytes for array in _flat(self._make(lane.BLOCK, *self.sizes))) // lane.BLOCK
        self.lanes = self.machine.lanes_for(one)
        self.arrays = self.machine.put_all(self._make(self.lanes, *self.sizes))


def _flat(parts: Any) -> list[Array]:
    return [array for part in parts for array in (_flat(part) if isinstance(part, tuple) else [part])]


def room_to_think(lanes: int, slots: int, layout: Layout, neurons: int, connections: int, outputs: int) -> Brain:
    """As `make_brain`, with a desk for every lane; one place of a lane's list lies LANES from the next here, too."""
    brain: Brain = _for_lanes(make_brain, lanes)(slots, layout, neurons, connections, outputs)
    lists = {name: _lists(getattr(brain, name), lanes) for name in ("first", "source", "weight", "marks", "order")}
    return brain._replace(**lists, desk=Desk(*(_lists(part, lanes) for part in brain.desk)))


def room_to_move(lanes: int, nodes: int, muscles: int) -> tuple[Lanes, Array, Array]:
    """As `make_lanes`, laid out as `lane.apart` and `lane.pull_ends` want it; and what `act` is told of each lane."""
    body: Lanes = _for_lanes(make_lanes, lanes)(nodes, muscles)
    forces = {name: np.zeros(max(nodes, muscles) * lanes, np.float32) for name in ("gx", "gy", "gz")}
    ends = np.zeros(2 * muscles * lanes, np.float32)
    return body._replace(signs=ends, **forces), np.zeros(lanes, np.float32), np.zeros(lanes, np.float32)


def _for_lanes(function: Any, lanes: int) -> Any:
    return FunctionType(function.__code__, {**function.__globals__, "LANES": lanes}, function.__name__)


def _lists(like: Array, lanes: int) -> Array:
    return np.zeros((lanes, like.shape[-1]), like.dtype, order="F")


def _largest(start: Array, step: int = 1) -> int:
    """The most parts of a genome, rounded up."""
    return max(1, -(-int(np.diff(start).max()) // step)) * step


class Pellets:
    """Plays pellets; see `tasks.pellets.Pellets.play`."""

    def __init__(self, machine: Machine, layout: Layout) -> None:
        self.machine, self.layout = machine, layout
        self.threads = Threads(machine, self._make)

    def _make(self, lanes: int, neurons: int, connections: int, nodes: int, muscles: int) -> tuple[Any, ...]:
        slots = input_slots(self.layout, nodes, muscles)
        brain = room_to_think(lanes, slots, self.layout, neurons, connections, muscles)
        return (brain, *room_to_move(lanes, nodes, muscles))

    def play(self, genomes: Genomes, parameters: Parameters, items: Array, keys: Array) -> Played:
        """Every episode by a thread; the largest creatures together."""
        starts = (genomes.body_start, genomes.muscle_start)
        self.threads.grow(
            _largest(genomes.node_start, ROUND), _largest(genomes.conn_start, ROUND), *map(_largest, starts)
        )
        room = self.threads.sizes[2:]
        order = np.lexsort([np.diff(start)[items] for start in (genomes.conn_start, *starts)])
        count = len(items)
        out = make_out(count)
        brain, body, counts, fresh = self.threads.arrays
        put, there, fixed = self.machine.put_all, self.machine.put_all(out), has(self.layout)[1]
        kernel = self.machine.compiled(
            f"pellets {fixed}",
            self.threads.lanes,
            pellets.play_episodes,
            lambda: {"play_one": pellets.play_one, "FIXED": fixed},
        )
        kernel(
            min(count, self.threads.lanes), put(genomes), *put((items[order], keys[order])), self.layout, parameters,
            body, brain, room, input_slots(self.layout, *room), counts, fresh, there,
        )  # fmt: skip
        return Played(*_restored(self.machine, there, order))


class Plain:
    """Plays a task without bodies; see `tasks.plain.PlainTask.play`."""

    def __init__(self, machine: Machine, rules: Rules, layout: Layout, shape: Shape) -> None:
        self.machine, self.rules, self.layout, self.shape = machine, rules, layout, shape
        self.slots = input_slots(layout, 0, shape.outputs)
        self.threads = Threads(machine, self._make)

    def _make(self, lanes: int, neurons: int, connections: int) -> tuple[Any, ...]:
        return (room_to_think(lanes, self.slots, self.layout, neurons, connections, self.shape.outputs),)

    def _names(self) -> dict[str, Any]:
        mathematics = {
            **plain_task.COMPILED, "sin": math.sin, "cos": math.cos, "exp": math.exp,
            "floor": self.machine.names["libdevice"].floor,
        }  # fmt: skip
        rules = plain_task.translated(self.rules, mathematics, self.machine.inner)
        return {**plain.sizes(self.shape), **rules, "FIXED": has(self.layout)[1]}

    def play(self, genomes: Genomes, numbers: Any, shape: Shape, items: Array, keys: Array) -> Played:
        """Every episode by a thread; the largest networks together."""
        self.threads.grow(_largest(genomes.node_start, ROUND), _largest(genomes.conn_start, ROUND))
        order, count = np.argsort(np.diff(genomes.conn_start)[items], kind="stable"), len(items)
        out = plain.Out(
            np.empty(count, np.float32), np.empty(count, np.uint8), np.empty(count, np.int32),
            np.empty((count, shape.behaviour), np.float32), np.empty(count, np.uint8),
        )  # fmt: skip
        put, there = self.machine.put_all, self.machine.put_all(out)
        name = f"{self.rules.parameters.name} {has(self.layout)[1]} {plain.sizes(self.shape)}"
        kernel = self.machine.compiled(name, self.threads.lanes, plain.play_episodes, self._names)
        kernel(
            min(count, self.threads.lanes), put(genomes), *put((items[order], keys[order])), self.layout, numbers,
            shape, *self.threads.arrays, self.slots, there,
        )  # fmt: skip
        fitness, reason, steps, behaviour, solved = _restored(self.machine, there, order)
        return Played(fitness, reason, steps, behaviour, solved > 0)


def _restored(machine: Machine, there: tuple[Any, ...], order: Array) -> list[Array]:
    """Results in the episodes' own order."""
    back = inverse(order)
    return [machine.fetch(column)[back] for column in there]
