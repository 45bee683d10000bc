"""What the tests of searches build with: every kind of search, tiny configurations, populations that were scored."""

from __future__ import annotations

from typing import Any

import numpy as np

from islands import loading
from islands.algorithms import Told, breeder_of
from islands.algorithms.search import Search, vectors_of
from islands.config import Config
from islands.genome.population import Population
from islands.loop import breeding_of
from islands.tasks import make

KINDS = ("cmaes", "separable", "snes")
TINY = ("task.name=cartpole", "task.steps=60", "mode=pure", "network.hidden=2", "population=8", "generations=6")


def settings_of(kind: str) -> list[str]:
    """The assignments that choose one of `KINDS`, or ga."""
    return ["algorithm=cmaes", "strategy.separable=true"] if kind == "separable" else [f"algorithm={kind}"]


def searching(kind: str, *assignments: str) -> Config:
    """A configuration of a few milliseconds that searches by `kind`."""
    return loading.override(Config(), [*TINY, *settings_of(kind), "evaluation.stop_when_solved=false", *assignments])


def search(kind: str, *assignments: str) -> Search:
    """The breeder of such a configuration."""
    config = searching(kind, *assignments)
    breeder = breeder_of(breeding_of(config, make(config)))
    assert isinstance(breeder, Search)
    return breeder


def told(offspring: Any, fitness: Any, immigrants: tuple[int, ...] = ()) -> Told:
    """A generation with its scores."""
    population = Population(offspring.genomes, np.array(fitness, np.float32))
    return Told(population, offspring.species, offspring.memory, list(immigrants))


def bowl(offspring: Any, centre: float = 0.7) -> Any:
    """Minus the squared distance of each genome's weights from `centre` (float32 [P])."""
    return -((vectors_of(offspring.genomes) - centre) ** 2).sum(axis=1)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two memories are the same, bit for bit."""
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)
