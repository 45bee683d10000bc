"""What genomes did, as numbers that a search for diversity compares: see `Played.behaviour` and each task's file."""

from __future__ import annotations

import importlib.util

import numpy as np

from islands.algorithms import Genetic, Told
from islands.config import DiversityConfig
from islands.errors import ConfigError
from islands.genome.population import Array
from islands.reproduction import Breeding


def columns_of(config: DiversityConfig, count: int, usual: int | None = None) -> list[int]:
    """The descriptors that count, of the `count` that a task has; unless told otherwise the first `usual`, or all."""
    if not config.descriptors:
        return list(range(min(count, usual or count)))
    chosen = [int(text) for text in config.descriptors.split(",")]
    if max(chosen) >= count:
        expected = f"numbers from 0 to {count - 1}: so many has what this task tells of a genome's behaviour"
        raise ConfigError("diversity.descriptors", expected=expected, got=config.descriptors)
    return chosen


def known(measures: Array, fitness: Array) -> Array:
    """Which genomes have a fitness and finite measures (bool [P])."""
    return np.asarray(np.isfinite(fitness) & np.isfinite(measures).all(axis=1))


class ByBehaviour(Genetic):
    """The genetic algorithm, told what genomes did; pyribs, which keeps the archives, has to be installed."""

    needs_behaviour = True
    usual: int | None = None  # descriptors that count unless told otherwise; None: all

    def __init__(self, breeding: Breeding) -> None:
        super().__init__(breeding)
        self.diversity = self.config.diversity
        if importlib.util.find_spec("ribs") is None:
            what, do = f"diversity.method {self.diversity.method}", "pip install 'evolution-lab[qd]'"
            raise ConfigError(what, expected="the package ribs", got="none", do=do)

    def measures(self, told: Told) -> Array:
        """What each genome did, by the descriptors that count (float64 [P, D])."""
        columns = columns_of(self.diversity, told.behaviour.shape[1], self.usual)
        return np.asarray(told.behaviour[:, columns].astype(np.float64))
