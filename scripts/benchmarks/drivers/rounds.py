"""What every driver shares: the rules of the comparison, and how a driver answers. Standard library only.

A driver is run by the Python that has its library. It makes ready (imports, compiles, plays a few generations),
prints one JSON line, and then plays a round for every line it reads: a fresh population for so many generations.

The rules: CartPole-v1 (Gymnasium's dynamics and limits, 500 steps), the four numbers of the state as they are, one
output that pushes to the right when it is positive, one episode a genome a generation, and every genome of a generation
begins where `start` says.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

STEPS = 500
WARM_UP = 3
"""Generations of a population, twice, before anything is measured: JAX compiles for each kind of array it meets."""
HIDDEN = 16
"""Of the fixed networks: 4 inputs, so many hidden neurons (tanh), 1 output."""
SCALE = 0.5
"""Standard deviation of a fixed network's first weights."""
GRAVITY, TOTAL, MOMENT, HALF, FORCE, TAU = 9.8, 1.1, 0.05, 0.5, 10.0, 0.02
FARTHEST, STEEPEST = 2.4, 12.0 * 2.0 * 3.141592653589793 / 360.0


class Generation(NamedTuple):
    """What a generation came to. `padded`: steps computed, those of episodes that were over included."""

    live: int
    padded: int
    evaluating: float  # CPU seconds
    species: int = 1
    connections: float = 0.0  # of a genome, mean


Play = Callable[[tuple[float, ...]], Generation]
"""Plays the next generation, from that start, and makes the one after it."""


def start(seed: int, generation: int) -> tuple[float, ...]:
    """The state that every genome of a generation begins with."""
    drawn = random.Random(seed * 1_000_003 + generation)
    return tuple(drawn.uniform(-0.05, 0.05) for _ in range(4))


def round_of(begin: Callable[[int, int], Play], population: int, generations: int, seed: int) -> dict[str, Any]:
    """A fresh population's first `generations`; its making is not counted."""
    play = begin(population, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    played = [play(start(seed, generation)) for generation in range(generations)]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    live = sum(each.live for each in played)
    return {
        "population": population, "generations": generations, "cpu": cpu, "wall": wall, "live": live,
        "padded": sum(each.padded for each in played), "evaluating": sum(each.evaluating for each in played),
        "last_mean": played[-1].live / population, "species": played[-1].species, "connections": played[-1].connections,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }  # fmt: skip


def serve(begin: Callable[[int, int], Play], packages: tuple[str, ...], population: int = 500) -> None:
    """Make ready, say so, and play the rounds that are asked for until the input ends."""
    imported = time.process_time()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    for _ in range(2):
        round_of(begin, population, WARM_UP, 0)
    ready = time.process_time() - imported
    again = round_of(begin, population, WARM_UP, 0)["cpu"]
    versions = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    told = {"versions": versions, "import_cpu": imported, "compile_cpu": max(0.0, ready - 2 * again)}
    print(json.dumps(told), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(round_of(begin, **json.loads(line))), file=answers, flush=True)
