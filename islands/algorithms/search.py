"""A search over vectors of weights as a breeder: tell it what a generation scored, ask it for the next one.

A vector is all that evolves of a fixed network: the shared weights and those of each output, in the order of a genome's
arrays. Vectors are told best first; equal scores stand in an order that their content decides and their slots do not,
and a failed evaluation is worse than any other. A generation is one species, and every one another: none of its genomes
has lived before, so that its best may be put to a task's examination.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from islands.algorithms import Key, Told
from islands.algorithms.progress import Memory, begun, noted
from islands.genome.initial import FULL, draw_genomes
from islands.genome.population import MULTIPLIER, MUSCLE_GENES, SHARED_GENES, Array, Genomes, take
from islands.reproduction import Breeding, Offspring
from islands.rng import Purpose, stream
from islands.speciation import Species, sole_species

_AFTER, _FIRST = range(2)  # slots of the streams: the ask after a tell, and the first one


class Ranked(NamedTuple):
    """An evaluated generation, best first."""

    vectors: Array  # float64 [P, D]
    foreign: Array  # bool [P]: an immigrant


class Algorithm(Protocol):
    """Ask and tell over P vectors of D weights; pure functions of what they are given."""

    def begin(self, mean: Array, scale: float) -> Memory:
        """What it knows before anything is told: to look around `mean` (float64 [D]), `scale` far."""
        ...

    def ask(self, memory: Memory, key: np.uint64) -> Array:
        """The vectors of the next generation (float64 [P, D])."""
        ...

    def tell(self, memory: Memory, ranked: Ranked) -> Memory:
        """What it knows after the generation that it was asked for."""
        ...

    def spread(self, memory: Memory) -> float:
        """How far it looks: the largest standard deviation of a weight."""
        ...


def vectors_of(genomes: Genomes) -> Array:
    """The weights of P fixed networks (float32 [P, D])."""
    outputs = genomes.muscle_gene[:, MUSCLE_GENES:].reshape(genomes.count, -1)
    return np.concatenate([genomes.shared[:, SHARED_GENES:], outputs], axis=1)


def genomes_of(vectors: Array, pattern: Genomes) -> Genomes:
    """P genomes like the only one of `pattern`, with the weights `vectors` ([P, D])."""
    count, shared = len(vectors), pattern.shared.shape[1] - SHARED_GENES
    genomes = take(pattern, np.zeros(count, np.int64))
    genomes.shared[:, MULTIPLIER] = 1.0  # of no effect without a body
    genomes.shared[:, SHARED_GENES:] = vectors[:, :shared]
    genomes.muscle_gene[:, MUSCLE_GENES:] = vectors[:, shared:].reshape(len(genomes.muscle_gene), -1)
    return genomes


def ranked(vectors: Array, fitness: Array, immigrants: list[int]) -> Ranked:
    """A generation (vectors [P, D], fitness [P]) best first, whatever the order of its slots."""
    foreign = np.zeros(len(fitness), bool)
    foreign[immigrants] = True
    content = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in vectors]
    tie = np.frombuffer(b"".join(content), np.uint64)
    value = fitness.astype(np.float64)
    order = np.lexsort((foreign, tie, np.where(np.isnan(value), np.inf, -value)))
    return Ranked(vectors[order].astype(np.float64), foreign[order])


def nearer(steps: Array, lengths: Array) -> Array:
    """Immigrants' steps from the mean (float64 [M, D]) of such `lengths` ([M], in standard deviations), none too long.

    Hansen (2011, Injecting external solutions into CMA-ES): at most sqrt(D) + 2 D / (D + 2).
    """
    count = steps.shape[1]
    limit = math.sqrt(count) + 2 * count / (count + 2)
    return np.asarray(steps * np.minimum(1.0, limit / np.maximum(lengths, 1e-300))[:, None])


class Search:
    """An `Algorithm` as a `Breeder`, with fresh starts."""

    mutates = needs_behaviour = False
    NARROW, WIDE = 1e-9, 1e4
    """A search that looks less or farther than so many times its first scale has collapsed, or diverged."""

    def __init__(self, breeding: Breeding, algorithm: Algorithm) -> None:
        self.algorithm, self.patience = algorithm, breeding.config.strategy.patience
        self.scale = breeding.config.network.weight_scale
        still = breeding.first._replace(weight_scale=0.0, connectivity=FULL)
        self.pattern = draw_genomes(1, np.uint64(0), breeding.layout, still)

    def first(self, key: Key) -> Offspring:
        """See `islands.algorithms.Breeder`."""
        memory = self._begun(0)
        genomes = self._asked(memory, stream(*key, Purpose.STRATEGY, slot=_FIRST))
        return Offspring(genomes, sole_species(genomes, 0, 0), {}, memory)

    def breed(self, told: Told, boost: float, key: Key) -> Offspring:
        """See `islands.algorithms.Breeder`."""
        memory = self._noted(told)
        if self._is_spent(memory):
            memory = self._begun(int(memory["restarts"][0]) + 1)
        genomes = self._asked(memory, stream(*key, Purpose.STRATEGY, slot=_AFTER))
        return Offspring(genomes, sole_species(genomes, key[2] + 1, key[2] + 1), {}, memory)

    def sort(self, genomes: Genomes, species: Species, generation: int, rows: Array | None = None) -> Species:
        """The one species that there is."""
        return species

    def words(self, memory: Memory) -> dict[str, Any]:
        """How far the generation was spread, and how many fresh starts there were before it."""
        return {"strategy": {"spread": self.algorithm.spread(memory), "restarts": int(memory["restarts"][0])}}

    def _begun(self, restarts: int) -> Memory:
        mean = vectors_of(self.pattern)[0].astype(np.float64)
        known = self.algorithm.begin(mean, self.scale)
        return {**known, **begun(restarts)}

    def _noted(self, told: Told) -> Memory:
        """What is known once the generation is told, and for how long its best has not risen."""
        fitness, before = told.population.fitness, told.memory
        known = self.algorithm.tell(before, ranked(vectors_of(told.population.genomes), fitness, told.immigrants))
        return {**known, **noted(before, fitness)}

    def _is_spent(self, memory: Memory) -> bool:
        spread = self.algorithm.spread(memory)
        if not self.NARROW * self.scale <= spread <= self.WIDE * self.scale:
            return True
        return bool(self.patience and memory["stale"][0] >= self.patience)

    def _asked(self, memory: Memory, key: np.uint64) -> Genomes:
        return genomes_of(self.algorithm.ask(memory, key).astype(np.float32), self.pattern)
