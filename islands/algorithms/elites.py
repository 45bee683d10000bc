"""MAP-Elites: the best of every kind of behaviour, and offspring of them all (Mouret & Clune 2015).

The archive is pyribs' `GridArchive`: `cells` cells a descriptor, over the range that nine tenths of the first
generation had, widened to twice its width; what lies beyond is counted at the edge. Parents are drawn evenly from
the elites; the best elite is always passed on. The elites are genomes of any structure, so NEAT grows them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from islands.algorithms import Key, Told
from islands.algorithms.behaviour import ByBehaviour, known
from islands.algorithms.progress import Memory
from islands.genome.population import Array, Genomes, Population, concatenate, read_back, take, written
from islands.reproduction import Offspring, Plan, breed, fitter_first, sizes
from islands.rng import Purpose, below, child, stream, uniform
from islands.speciation import adapted_threshold, next_representatives

_GENOME = "elite."


class MapElites(ByBehaviour):
    """The genetic algorithm, breeding elites."""

    usual = 2

    def breed(self, told: Told, boost: float, key: Key) -> Offspring:
        """See `Breeder`."""
        memory = self._updated(told)
        elites = elites_in(memory)
        chosen = self._parents(elites, stream(*key, Purpose.DIVERSITY))
        genomes, limited = breed(elites.genomes, chosen, self.breeding_for(told), boost, key)
        following = next_representatives(told.species, told.population, stream(*key, Purpose.PARENTS, slot=1))
        following = replace(following, threshold=adapted_threshold(told.species, self.config.speciation))
        return Offspring(genomes, following, limited, memory)

    def _parents(self, elites: Population, key: np.uint64) -> Plan:
        """Elites drawn evenly; the best one's copy in the first slot."""
        total, count, mating = self.config.population, elites.genomes.count, self.config.crossover
        draws = [child(key, slot) for slot in range(total)]
        first = np.array([int(below(own, 0, count)) for own in draws])
        rate = mating.rate if mating.enabled and count > 1 else 0.0
        second = np.array([int(below(own, 2, count)) if uniform(own, 1) < rate else -1 for own in draws])
        second[second == first] = -1
        copied = np.zeros(total, np.uint8)
        first[0], second[0], copied[0] = int(np.argmax(elites.fitness)), -1, 1
        return fitter_first(first, second, copied, elites.fitness, sizes(elites.genomes))

    def _updated(self, told: Told) -> Memory:
        """The archive with the evaluated generation."""
        from ribs.archives import GridArchive

        measures = self.measures(told)
        rows = np.flatnonzero(known(measures, told.population.fitness))
        new = Population(take(told.population.genomes, rows), told.population.fitness[rows])
        genomes, fitness, measures = new.genomes, new.fitness, measures[rows]
        low, high = told.memory.get("low"), told.memory.get("high")
        if low is None or high is None:
            low, high = range_of(measures)
        else:
            old = elites_in(told.memory)
            genomes = concatenate([old.genomes, genomes])
            fitness = np.concatenate([old.fitness, fitness])
            measures = np.concatenate([told.memory["measures"], measures])
        grid = GridArchive(
            solution_dim=1, dims=[self.diversity.cells] * measures.shape[1], ranges=list(zip(low, high, strict=True)),
            dtype=np.float64,
        )  # fmt: skip
        grid.add(np.arange(len(fitness))[:, None], fitness.astype(np.float64), measures)
        found = grid.data(["solution", "index"])
        kept = found["solution"][:, 0].astype(np.int64)[np.argsort(found["index"], kind="stable")]
        best = take(genomes, kept)
        return {
            **{_GENOME + name: array for name, array in written(best).items()},
            "fitness": fitness[kept], "measures": measures[kept], "low": low, "high": high,
            "coverage": np.array([float(grid.stats.coverage)]),
        }  # fmt: skip

    def words(self, memory: Memory) -> dict[str, Any]:
        """The elites, the share of the cells that they fill, their mean fitness."""
        if not memory:
            return {}
        mean = float(memory["fitness"].mean(dtype=np.float64))
        return {"elites": {"count": len(memory["fitness"]), "coverage": float(memory["coverage"][0]), "mean": mean}}


def elites_in(memory: Memory) -> Population:
    """The elites that a memory holds, in the order of their cells."""
    arrays = {name.removeprefix(_GENOME): array for name, array in memory.items() if name.startswith(_GENOME)}
    genomes: Genomes = read_back(arrays)
    return Population(genomes, memory["fitness"])


def range_of(measures: Array) -> tuple[Array, Array]:
    """The archive's range in each descriptor (float64 [D], [D]), from the first generation's measures."""
    low, high = np.quantile(measures, 0.05, axis=0), np.quantile(measures, 0.95, axis=0)
    half = np.maximum((high - low) / 2.0, 1e-6)
    return low - half, high + half
