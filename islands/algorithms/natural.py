"""SNES: a normal distribution with one standard deviation a weight, moved along the natural gradient.

Schaul, Glasmachers & Schmidhuber (2011), with the utilities and learning rates of Wierstra et al. (2014).
"""

from __future__ import annotations

import math

import numpy as np

from islands.algorithms.draws import normals
from islands.algorithms.progress import Memory
from islands.algorithms.search import Ranked, nearer
from islands.genome.population import Array


class NaturalEvolution:
    """Memory: mean and deviation (float64 [D])."""

    def __init__(self, population: int) -> None:
        self.population = population
        raw = np.maximum(0.0, math.log(population / 2 + 1) - np.log(np.arange(1, population + 1)))
        self.utilities = raw / raw.sum() - 1 / population  # by rank, best first

    def begin(self, mean: Array, scale: float) -> Memory:
        """See `search.Algorithm`."""
        return {"mean": mean.copy(), "deviation": np.full(len(mean), scale)}

    def ask(self, memory: Memory, key: np.uint64) -> Array:
        """See `search.Algorithm`."""
        mean, deviation = memory["mean"], memory["deviation"]
        return np.asarray(mean + deviation * normals(key, self.population, len(mean)))

    def tell(self, memory: Memory, ranked: Ranked) -> Memory:
        """mean += deviation * sum(u s); deviation *= exp(rate / 2 * sum(u (s^2 - 1))), s the steps in deviations."""
        mean, deviation, count = memory["mean"], memory["deviation"], len(memory["mean"])
        steps = (ranked.vectors - mean) / deviation
        far = ranked.foreign
        steps[far] = nearer(steps[far], np.sqrt((steps[far] ** 2).sum(axis=1)))
        u, rate = self.utilities[:, None], (3 + math.log(count)) / (5 * math.sqrt(count))
        return {
            "mean": mean + deviation * (u * steps).sum(axis=0),
            "deviation": deviation * np.exp(rate / 2 * (u * (steps**2 - 1)).sum(axis=0)),
        }

    def spread(self, memory: Memory) -> float:
        """See `search.Algorithm`."""
        return float(memory["deviation"].max())
