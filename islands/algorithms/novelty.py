"""Novelty search: whoever does what nobody has done breeds (Lehman & Stanley 2011).

A genome's novelty is the mean distance of its behaviour to the `neighbours` nearest of the population and of an
archive. The archive is pyribs' `ProximityArchive`; a few random genomes of each generation enter it (Gomes, Mariano &
Christensen 2015 find that no worse than a threshold), the newest `REMEMBERED` stay. Descriptors are scaled by their
standard deviation, since their units differ.

Parents are chosen by rank: `weight` of the rank of novelty and the rest of the rank of fitness. The best by fitness is
always passed on; species do not stagnate, since novelty does not rise for ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from islands.algorithms import Key, Told
from islands.algorithms.behaviour import ByBehaviour, known
from islands.genome.population import Array
from islands.reproduction import Offspring
from islands.rng import Purpose, stream, uniform

REMEMBERED = 2000


class Novelty(ByBehaviour):
    """The genetic algorithm, breeding by novelty."""

    def breed(self, told: Told, boost: float, key: Key) -> Offspring:
        """See `Breeder`."""
        fitness = told.population.fitness
        measures = self.measures(told)
        archive = told.memory.get("archive", np.empty((0, measures.shape[1])))
        good = known(measures, fitness)
        novelty = np.full(len(fitness), np.nan)
        novelty[good] = novelty_of(measures[good], archive, self.diversity.neighbours)
        merit = blended(novelty, np.where(good, fitness, np.nan), self.diversity.weight)
        species = replace(told.species, improved=np.full_like(told.species.improved, key[2]))
        made = super().breed(
            told._replace(population=replace(told.population, fitness=merit), species=species), boost, key
        )
        entering = self._drawn(np.flatnonzero(good), stream(*key, Purpose.DIVERSITY))
        kept = np.concatenate([archive, measures[entering]])[-REMEMBERED:]
        return replace(made, memory={"archive": kept, "novelty": np.array([np.nanmean(novelty)])})

    def _drawn(self, rows: Array, key: np.uint64) -> Array:
        """`diversity.additions` of `rows` at random."""
        dice = np.array([uniform(key, int(row)) for row in rows])
        return np.sort(rows[np.argsort(dice, kind="stable")[: self.diversity.additions]])

    def words(self, memory: dict[str, Array]) -> dict[str, Any]:
        """How much the archive holds, and the mean novelty of the generation before."""
        if not memory:
            return {}
        return {"novelty": {"archive": len(memory["archive"]), "mean": float(memory["novelty"][0])}}


def novelty_of(measures: Array, archive: Array, neighbours: int) -> Array:
    """Mean distance of each row of `measures` (float64 [P, D]) to the nearest others, `archive` ([N, D]) included."""
    from ribs.archives import ProximityArchive

    everyone = np.concatenate([archive, measures])
    scale = everyone.std(axis=0)
    scale[scale == 0.0] = 1.0
    count = min(neighbours + 1, len(everyone))  # a genome is its own nearest, at distance 0
    store = ProximityArchive(
        solution_dim=1, measure_dim=measures.shape[1], k_neighbors=count, novelty_threshold=0.0, dtype=np.float64
    )
    store.add(np.arange(len(everyone))[:, None], np.zeros(len(everyone)), everyone / scale)
    found = np.asarray(store.compute_novelty(measures / scale), np.float64)
    return found * count / max(1, count - 1)


def blended(novelty: Array, fitness: Array, weight: float) -> Array:
    """Ranks from 0 to 1 of novelty and fitness, weighed (float32 [P]); NaN where there is none, the fittest 2."""
    good = np.isfinite(fitness)
    merit = np.full(len(fitness), np.nan, np.float32)
    merit[good] = weight * ranks(novelty[good]) + (1.0 - weight) * ranks(fitness[good])
    merit[int(np.nanargmax(np.where(good, fitness, np.nan)))] = 2.0
    return merit


def ranks(values: Array) -> Array:
    """The rank of each value, from 0 (the least) to 1; equal values have the same (float64 [P])."""
    _, place = np.unique(values, return_inverse=True)
    return np.asarray(place / max(1, int(np.max(place))))
