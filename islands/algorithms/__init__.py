"""Who makes the next generation: the genetic algorithm, or a search over vectors of weights.

The loop knows a `Breeder`. `Genetic` breeds species (see `islands.reproduction`), `Novelty` and `MapElites` do it by
what genomes do; cmaes and snes are each told what the last generation scored, immigrants included, and asked for the
next one (`islands.algorithms.search`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from islands.algorithms.progress import begun, noted
from islands.checkpoint import NOTHING
from islands.genome.initial import draw_genomes
from islands.genome.population import Array, Genomes, Population
from islands.loading import replaced
from islands.reproduction import Breeding, Offspring, reproduce
from islands.rng import Purpose, stream
from islands.speciation import Species, found_species, renumbered, speciate

Key = tuple[int, int, int]
"""(seed, island, generation): with a purpose, the name of a stream of random numbers."""


class Told(NamedTuple):
    """An evaluated generation."""

    population: Population
    species: Species
    memory: dict[str, Array]  # `Offspring.memory` of the time when it was made
    immigrants: list[int]  # slots that migrants have taken since
    hyperparameters: Mapping[str, float] = {}  # taken over from other islands; they stand above the configuration's
    behaviour: Array = NOTHING  # float32 [P, D]: what they did; where the breeder needs it


class Breeder(Protocol):
    """Makes generations. Everything is a function of the arguments, so that nothing has to be kept but `Told`."""

    mutates: bool  # whether `adaptive` boosts it
    needs_behaviour: bool  # whether it has to be told what genomes did

    def first(self, key: Key) -> Offspring:
        """The first generation."""
        ...

    def breed(self, told: Told, boost: float, key: Key) -> Offspring:
        """The generation after the evaluated one; `key` has the number of that one."""
        ...

    def sort(self, genomes: Genomes, species: Species, generation: int, rows: Array | None = None) -> Species:
        """The genomes in species: `species` and new ones. `rows`: they are those of these slots, which have changed."""
        ...

    def words(self, memory: dict[str, Array]) -> dict[str, Any]:
        """What a generation's metrics line says of the algorithm."""
        ...


class Genetic:
    """The genetic algorithm, with fresh starts where `strategy.patience` says so."""

    mutates, needs_behaviour = True, False

    def __init__(self, breeding: Breeding) -> None:
        self.breeding, self.config = breeding, breeding.config
        self.patience = breeding.config.strategy.patience

    def first(self, key: Key) -> Offspring:
        """See `Breeder`."""
        own = stream(*key, Purpose.BODY)
        genomes = draw_genomes(self.config.population, own, self.breeding.layout, self.breeding.first)
        species = found_species(genomes, self.config.speciation, 0)
        return Offspring(genomes, species, {}, begun(0) if self.patience else {})

    def breed(self, told: Told, boost: float, key: Key) -> Offspring:
        """See `Breeder`."""
        memory = noted(told.memory or begun(0), told.population.fitness) if self.patience else {}
        if self.patience and memory["stale"][0] >= self.patience:
            made = self.first(key)
            species = renumbered(made.species, told.species.following)
            return replace(made, species=species, memory=begun(int(memory["restarts"][0]) + 1))
        made = reproduce(told.population, told.species, self.breeding_for(told), boost, key)
        return replace(made, memory=memory)

    def breeding_for(self, told: Told) -> Breeding:
        """The configuration's, or by hyperparameters that were taken over."""
        if not told.hyperparameters:
            return self.breeding
        return replace(self.breeding, config=replaced(self.config, told.hyperparameters))

    def sort(self, genomes: Genomes, species: Species, generation: int, rows: Array | None = None) -> Species:
        """See `Breeder`."""
        return speciate(genomes, species, self.config.speciation, generation, rows)

    def words(self, memory: dict[str, Array]) -> dict[str, Any]:
        """How many fresh starts there were, where there may be any."""
        return {"restarts": int(memory["restarts"][0])} if "restarts" in memory else {}


def breeder_of(breeding: Breeding) -> Breeder:
    """The breeder that the configuration names."""
    config = breeding.config
    if config.diversity.method == "novelty":
        from islands.algorithms.novelty import Novelty

        return Novelty(breeding)
    if config.diversity.method == "map-elites":
        from islands.algorithms.elites import MapElites

        return MapElites(breeding)
    if config.algorithm == "ga":
        return Genetic(breeding)
    from islands.algorithms.covariance import CovarianceMatrix
    from islands.algorithms.natural import NaturalEvolution
    from islands.algorithms.search import Search

    if config.algorithm == "snes":
        return Search(breeding, NaturalEvolution(config.population))
    return Search(breeding, CovarianceMatrix(config.population, config.strategy.separable))
