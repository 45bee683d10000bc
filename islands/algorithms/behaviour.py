"""What genomes did, as numbers that a search for diversity compares: see `Played.behaviour` and each task's file."""

from __future__ import annotations

import importlib.util

import numpy as np

from islands.config import DiversityConfig
from islands.errors import ConfigError
from islands.genome.population import Array


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


def require_ribs(method: str) -> None:
    """Refuse where pyribs, which keeps the archives, is not installed."""
    if importlib.util.find_spec("ribs") is None:
        do = "pip install 'evolution-lab[qd]'"
        raise ConfigError(f"diversity.method {method}", expected="the package ribs", got="none", do=do)
