"""CoSyNE: one subpopulation a weight, recombined by shuffling (Gomez, Schmidhuber & Miikkulainen 2008).

The best share of networks (`selection.cull`) breeds as many children, which take the place of the worst; then each
weight's subpopulation is shuffled, so that the weights of the next networks come from different ones.
"""

from __future__ import annotations

import math

import numpy as np

from islands.algorithms.draws import normals, uniforms
from islands.algorithms.search import Memory, Ranked
from islands.config import Config
from islands.genome.population import Array
from islands.rng import child
from islands.selection import survivors


class Synapses:
    """Memory: vectors float64 [P, D], best first, and their fitness [P]; none before the first is told."""

    mutates = True

    def __init__(self, config: Config) -> None:
        self.config, self.population = config, config.population

    def begin(self, mean: Array, scale: float, key: np.uint64) -> Memory:
        """See `search.Algorithm`."""
        return {"vectors": mean + scale * normals(key, self.population, len(mean)), "fitness": np.empty(0)}

    def ask(self, memory: Memory, boost: float, key: np.uint64) -> Array:
        """See `search.Algorithm`."""
        if not len(memory["fitness"]):
            return memory["vectors"]
        vectors = memory["vectors"].copy()
        breeding = len(survivors(np.arange(self.population), self.config.selection.cull))
        children = min(breeding, self.population - 1)  # the best network stays
        vectors[self.population - children :] = self._children(vectors[:breeding], children, boost, child(key, 0))
        return _shuffled(vectors, self._moving(memory["fitness"], children, vectors.shape[1], child(key, 1)), key)

    def tell(self, memory: Memory, ranked: Ranked) -> Memory:
        """See `search.Algorithm`."""
        return {"vectors": ranked.vectors, "fitness": ranked.fitness}

    def spread(self, memory: Memory) -> float:
        """See `search.Algorithm`."""
        return math.nan

    def _children(self, parents: Array, count: int, boost: float, key: np.uint64) -> Array:
        """One-point crossover, then Cauchy-distributed changes (`mutation.weight_rate`, `mutation.weight_scale`)."""
        size, crossover, mutation = parents.shape[1], self.config.crossover, self.config.mutation
        chosen = uniforms(child(key, 0), count, 4)
        one, two = (np.minimum((chosen[:, i] * len(parents)).astype(int), len(parents) - 1) for i in (0, 1))
        crossed = chosen[:, 2] < (crossover.rate if crossover.enabled else 0.0)
        cut = np.where(crossed, (chosen[:, 3] * size).astype(int), size)
        born = np.where(np.arange(size) < cut[:, None], parents[one], parents[two])
        changed = uniforms(child(key, 1), count, size) < min(1.0, mutation.weight_rate * boost)
        steps = np.tan(np.pi * (uniforms(child(key, 2), count, size) + 2.0**-25 - 0.5))
        return np.asarray(np.where(changed, born + mutation.weight_scale * boost * steps, born))

    def _moving(self, fitness: Array, children: int, size: int, key: np.uint64) -> Array:
        """Which weights are shuffled (bool [P, D]): every child's, and of the others those of a bad network more often.

        The probability is 1 - ((f - min) / (max - min))^(1 / D) for a network of fitness f.
        """
        known = np.where(np.isnan(fitness), np.nanmin(fitness), fitness)
        low, high = known.min(), known.max()
        stays = ((known - low) / (high - low)) ** (1 / size) if high > low else np.zeros(len(known))
        stays[len(stays) - children :] = 0.0
        return uniforms(key, len(known), size) >= stays[:, None]


def _shuffled(vectors: Array, moving: Array, key: np.uint64) -> Array:
    """`vectors` with the weights that are `moving` in a random order within each column."""
    drawn, out = uniforms(child(key, 2), *vectors.shape), vectors.copy()
    for column in range(vectors.shape[1]):
        rows = np.flatnonzero(moving[:, column])
        out[rows, column] = vectors[rows[np.argsort(drawn[rows, column], kind="stable")], column]
    return out
