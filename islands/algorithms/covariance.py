"""CMA-ES: a normal distribution whose covariance follows the successful steps (Hansen & Ostermeier 2001).

The algorithm is the `cmaes` package's; what it knows between two generations is taken out of it and put back as arrays.
Its eigenvectors come from LAPACK: the same bits again on the same kind of processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cmaes import CMA, SepCMA

from islands.algorithms.progress import Memory
from islands.algorithms.search import Ranked, nearer
from islands.genome.population import Array
from islands.rng import child

_KEPT = {"_mean": "mean", "_pc": "path", "_p_sigma": "step_path", "_c_1d": "covariance", "_C": "covariance"}
"""The package's arrays by the names of ours; the upper triangle of a matrix as one row."""


class CovarianceMatrix:
    """Memory: mean, path, step_path [D]; covariance [D (D + 1) / 2], or [D] if separable; sigma, told [1]."""

    def __init__(self, population: int, separable: bool) -> None:
        self.population, self.kind = population, SepCMA if separable else CMA

    def begin(self, mean: Array, scale: float) -> Memory:
        """See `search.Algorithm`."""
        return _known(self.kind(mean.copy(), scale, population_size=self.population))

    def ask(self, memory: Memory, key: np.uint64) -> Array:
        """See `search.Algorithm`; vector p is drawn from substream p of `key`."""
        optimizer, vectors = self._restored(memory), []
        for p in range(self.population):
            optimizer.reseed_rng(int(child(key, p)) >> 32)
            vectors.append(optimizer.ask())
        return np.array(vectors)

    def tell(self, memory: Memory, ranked: Ranked) -> Memory:
        """See `search.Algorithm`; only ranks are told."""
        optimizer, vectors = self._restored(memory), ranked.vectors
        if ranked.foreign.any():
            vectors = vectors.copy()
            vectors[ranked.foreign] = self._drawn_near(memory, vectors[ranked.foreign])
        optimizer.tell([(vector, float(rank)) for rank, vector in enumerate(vectors)])
        return _known(optimizer)

    def spread(self, memory: Memory) -> float:
        """See `search.Algorithm`."""
        variances = memory["covariance"]
        if self.kind is CMA:
            variances = variances[_diagonal(len(memory["mean"]))]
        return float(memory["sigma"][0] * np.sqrt(max(0.0, float(variances.max()))))

    def _restored(self, memory: Memory) -> Any:
        optimizer = self.kind(memory["mean"].copy(), 1.0, population_size=self.population)
        matrix = "_c_1d" if self.kind is CMA else "_C"
        arrays = {name: memory[_KEPT[name]].copy() for name in ("_mean", "_pc", "_p_sigma", matrix)}
        optimizer.__setstate__({**arrays, "_sigma": float(memory["sigma"][0]), "_g": int(memory["told"][0])})
        return optimizer

    def _drawn_near(self, memory: Memory, vectors: Array) -> Array:
        mean, sigma = memory["mean"], memory["sigma"][0]
        steps = (vectors - mean) / sigma
        if self.kind is CMA:
            matrix = np.zeros((len(mean), len(mean)))
            matrix[np.triu_indices(len(mean))] = memory["covariance"]
            variances, axes = np.linalg.eigh(matrix, UPLO="U")
            along = steps @ axes
        else:
            variances, along = memory["covariance"], steps
        lengths = np.sqrt((along**2 / np.maximum(variances, 1e-300)).sum(axis=1))
        return np.asarray(mean + sigma * nearer(steps, lengths))


def _diagonal(count: int) -> Array:
    """Where the diagonal of a matrix of `count` rows lies in its upper triangle written as one row."""
    rows = np.arange(count)
    return rows * count - rows * (rows - 1) // 2


def _known(optimizer: Any) -> Memory:
    state = optimizer.__getstate__()
    arrays = {_KEPT[name]: np.array(state[name], np.float64) for name in _KEPT if name in state}
    return {**arrays, "sigma": np.array([state["_sigma"]], np.float64), "told": np.array([state["_g"]], np.int64)}
