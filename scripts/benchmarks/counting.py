"""Floating-point operations and bytes of a creature's step in pellets, counted by running the kernels on counters.

The kernels' own Python source runs with stand-ins for sixteen-lane values, each of which notes what is done with it; so
a count changes when a kernel does. Counted are additions, subtractions, multiplications, divisions, square roots,
minima and maxima (a multiply-add is two), and the bytes loaded and stored: float32, a lane each. Not counted:
comparisons, selections, and what happens once an episode.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from islands import networks_lanes
from islands.genome.population import Layout
from islands.gpu.translation import translated
from islands.lanes import LANES
from islands.networks import input_slots
from islands.tasks import pellets_kernel, pellets_physics
from islands.tasks.pellets_kernel import TICK, Parameters
from islands.tasks.pellets_physics import make_lanes


class Work(NamedTuple):
    """What a lane does: operations, and bytes moved between memory (or cache) and registers."""

    flops: float
    bytes: float


class Tally:
    """Counts what is done to the values that it hands out."""

    def __init__(self) -> None:
        self.flops = 0
        self.bytes = 0

    def value(self, flops: int = 0, moved: int = 0) -> Value:
        """A value that took so much."""
        self.flops += flops
        self.bytes += moved
        return Value(self)

    def names(self) -> dict[str, Any]:
        """Stand-ins for what `islands.lanes` offers to kernels."""
        return {
            "vload": lambda array, offset: self.value(moved=4),
            "vstore": lambda array, offset, value: self.value(moved=4),
            "fill": lambda number: self.value(),
            "fma": lambda a, b, c: self.value(2),
            "select": lambda mask, a, b: self.value(),
            **dict.fromkeys(("vmin", "vmax"), lambda a, b: self.value(1)),
            **dict.fromkeys(("vsqrt", "vabs", "vfloor"), lambda a: self.value(1)),
        }


class Value:
    """A lane's number, or a mask, that is nowhere but in the tally."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def _operated(self, other: Value) -> Value:
        return self.tally.value(1)

    def _compared(self, other: Value) -> Value:
        return self.tally.value()

    __add__ = __sub__ = __mul__ = __truediv__ = _operated
    __lt__ = __le__ = __gt__ = __ge__ = __and__ = __or__ = _compared


def counting(kernel: Any, names: dict[str, Any]) -> Any:
    """The Python source of a kernel, and of all that it calls, with `names` for what it would find under them."""
    return translated(kernel, names, lambda function: function)


@functools.cache
def work_of_a_step(
    nodes: int, muscles: int, neurons: int, connections: int, layout: Layout, parameters: Parameters
) -> Work:
    """What one creature takes for one physics step, a third of a control tick included."""
    tally = Tally()
    names = {**tally.names(), "add_up": lambda brain, k: None}
    room, slots = (nodes, muscles), input_slots(layout, nodes, muscles)
    state, brain = make_lanes(nodes, muscles), networks_lanes.make_brain(slots, layout, neurons, connections, muscles)
    brain.count[:] = neurons
    counting(pellets_kernel.sense, names)(state, brain, layout, parameters, room, room)
    if layout.hidden:
        counting(networks_lanes.think_fixed, names)(brain, layout, slots, room, room)
    else:
        counting(networks_lanes.think_neat, names)(brain, layout, slots, room)
        tally.value(2 * connections, 12 * connections + 8 * neurons)  # weight, source, value; bias and sum (`add_up`)
    counting(pellets_kernel.act, names)(state, brain, muscles, np.ones(LANES), parameters, np.zeros(LANES))
    tick = Work(tally.flops, tally.bytes)
    tally.flops = tally.bytes = 0
    counting(pellets_physics.pull_muscles, names)(state, nodes, nodes, muscles, layout.mode == 2)
    counting(pellets_physics.move_nodes, names)(state, nodes, nodes, muscles)
    return Work(tally.flops + tick.flops / TICK, tally.bytes + tick.bytes / TICK)
