"""Who leaves: the rows of a population that an island publishes."""

from __future__ import annotations

import numpy as np

from islands.config import Config
from islands.genome.distance import Coefficients, distance, scratch
from islands.genome.population import Array, Genomes, equal
from islands.rng import below
from islands.selection import best, ranking

DUPLICATES = 4
"""So many times the number of emigrants are ranked first; where most of them are equal, all are."""


def emigrants(genomes: Genomes, fitness: Array, config: Config, key: np.uint64) -> list[int]:
    """Rows that leave: `best` the best, `random` any, `different` the most different among the better half.

    No two are equal and none has failed. `different` starts from the best and adds the genome whose nearest chosen one
    is farthest away (Araujo et al. 2009 choose by difference above a fitness threshold).
    """
    policy = config.migration
    if policy.select == "best":
        few = _finite(fitness, best(fitness, DUPLICATES * policy.migrants))
        chosen = _distinct(genomes, few, policy.migrants)
        if len(chosen) == policy.migrants:
            return chosen
    ranked = _finite(fitness, ranking(fitness))
    if policy.select == "random":
        ranked = [ranked[i] for i in _shuffled(len(ranked), key)]
    if policy.select == "different" and ranked:
        ranked = _farthest_first(genomes, ranked[: max(1, len(ranked) // 2)], policy.migrants, config)
    return _distinct(genomes, ranked, policy.migrants)


def _finite(fitness: Array, rows: Array) -> list[int]:
    """Those of the rows that have not failed."""
    found: list[int] = rows[np.isfinite(fitness[rows])].tolist()
    return found


def _distinct(genomes: Genomes, rows: list[int], count: int) -> list[int]:
    """The first `count` of these rows of which no two are equal."""
    chosen: list[int] = []
    for row in rows:
        if len(chosen) == count:
            break
        if not any(equal(genomes, row, genomes, other) for other in chosen):
            chosen.append(row)
    return chosen


def _shuffled(count: int, key: np.uint64) -> list[int]:
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = int(below(key, i, i + 1))
        order[i], order[j] = order[j], order[i]
    return order


def distances(genomes: Genomes, row: int, rows: list[int], config: Config) -> Array:
    """Compatibility distances (float32 [len(rows)]) of genome `row` to `rows`, by the configuration's coefficients."""
    pairs = scratch(genomes)
    s = config.speciation
    weights = Coefficients(s.excess, s.disjoint, s.weight)
    return np.array([distance(genomes, row, genomes, other, weights, pairs) for other in rows], np.float32)


def _farthest_first(genomes: Genomes, rows: list[int], count: int, config: Config) -> list[int]:
    chosen = rows[:1]
    nearest = distances(genomes, chosen[0], rows, config)
    while len(chosen) < min(count, len(rows)):
        chosen.append(rows[int(np.argmax(nearest))])
        nearest = np.minimum(nearest, distances(genomes, chosen[-1], rows, config))
        nearest[[rows.index(row) for row in chosen]] = -1.0
    return chosen
