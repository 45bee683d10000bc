"""Who breeds: ranking, and the share of it from which parents are drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from islands.genome.population import Array
from islands.kernel import kernel
from islands.rng import below, uniform

UNIFORM, TOURNAMENT, RANK = 0, 1, 2
METHODS = {"speciation": UNIFORM, "truncation": UNIFORM, "tournament": TOURNAMENT, "rank": RANK}
"""How a parent is drawn from a pool sorted by fitness, by the name of the selection method."""


def ranking(fitness: Array) -> Array:
    """Rows by descending fitness, ties by row, NaN last (int64 [P])."""
    return np.argsort(_falling(fitness), kind="stable")


def best(fitness: Array, count: int) -> Array:
    """The first `count` of the `ranking`, or all; without ranking the others."""
    return _least(_falling(fitness), count)


def worst(fitness: Array, count: int) -> Array:
    """The last `count` of the `ranking`, or all, the last first; without ranking the others."""
    return len(fitness) - 1 - _least(-_falling(fitness)[::-1], count)


def _falling(fitness: Array) -> Array:
    return np.where(np.isnan(fitness), np.inf, -fitness.astype(np.float64))


def _least(keys: Array, count: int) -> Array:
    """Where the `count` least keys are, the least first, ties by place."""
    last = min(max(1, count), len(keys)) - 1
    rows = np.flatnonzero(keys <= np.partition(keys, last)[last])
    return rows[np.argsort(keys[rows], kind="stable")][:count]


def survivors(ranked: Array, cull: float) -> Array:
    """The rows of `ranked` that may breed: all but the worst share `cull`, at least one."""
    culled = math.floor(len(ranked) * cull + 1e-9)  # a share such as 0.7 is a little less in binary
    return ranked[: max(1, len(ranked) - culled)]


@kernel
def position(method: Any, count: Any, size: Any, key: Any, index: Any) -> Any:
    """A place in a pool of `count` sorted by fitness, best first.

    UNIFORM: any; TOURNAMENT: the best of `size` drawn; RANK: linear ranking, probability proportional to
    count - place - 1/2.
    """
    if method == TOURNAMENT:
        best = count
        for i in range(size):
            best = min(best, below(key, index + 1000 * (i + 1), count))
        return best
    if method == RANK:
        return min(count - 1, np.int64(np.float32(count) * (np.float32(1.0) - np.sqrt(uniform(key, index)))))
    return below(key, index, count)
