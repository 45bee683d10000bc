"""What follows from a migration besides its immigrants: the next interval, a fresh start, other hyperparameters.

All of it is a function of the island's state and of what was admitted, so a replay repeats it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from islands.config import Config, CrossoverConfig, MigrationConfig, MutationConfig, SelectionConfig
from islands.loading import flat
from islands.rng import uniform

Hyperparameters = dict[str, float]
PERTURBED = (0.8, 1.25)
"""Factors, even odds, on hyperparameters that were taken over (Jaderberg et al. 2017, population based training)."""


def _bounds() -> dict[str, tuple[float, float]]:
    """The hyperparameters that travel and their bounds: rates and scales of variation and selection."""
    found = {}
    for section, cls in (("mutation", MutationConfig), ("crossover", CrossoverConfig), ("selection", SelectionConfig)):
        for field in dataclasses.fields(cls):
            if isinstance(field.default, float):
                found[f"{section}.{field.name}"] = (field.metadata["min"], field.metadata["max"])
    return found


BOUNDS = _bounds()


def due(config: MigrationConfig, generation: int, marks: Mapping[str, int]) -> bool:
    """Whether migrants are exchanged after this generation; `marks`: what `after` said last."""
    if not (config.every and config.migrants and generation):
        return False
    if config.stretch > 1:
        return generation >= marks.get("next", config.every)
    return generation % config.every == 0


def after(
    config: MigrationConfig, generation: int, improved: int, brought: bool, marks: Mapping[str, int]
) -> dict[str, int]:
    """The marks after a migration. `improved`: generation of the best's last rise; `brought`: an immigrant beat it.

    The interval doubles while migrants bring nothing, up to `stretch` times `every`, and drops back on improvement. An
    island whose best has not risen for `restart` generations starts afresh (`restarted` is then this generation).
    """
    kept = dict(marks)
    if config.stretch > 1:
        better = brought or improved > marks.get("last", 0)
        longest = config.every * config.stretch
        interval = config.every if better else min(longest, 2 * marks.get("interval", config.every))
        kept |= {"interval": interval, "next": generation + interval, "last": generation}
    if config.restart and generation - max(improved, marks.get("restarted", 0)) >= config.restart:
        kept["restarted"] = generation
    return kept


def told(config: Config, own: Hyperparameters) -> Hyperparameters | None:
    """The hyperparameters that an island publishes with its emigrants; None where they do not travel."""
    if not config.migration.pbt:
        return None
    values = flat(config)
    return {key: own.get(key, float(values[key])) for key in BOUNDS}


def taken_over(theirs: Mapping[str, Any], key: np.uint64, config: Config) -> Hyperparameters:
    """Another island's hyperparameters, each perturbed by the draws of stream `key`, within its bounds.

    What is no hyperparameter of this configuration, or no finite number, is left out: nothing read from a file is
    trusted.
    """
    found = {}
    for i, (name, (low, high)) in enumerate(BOUNDS.items()):
        value = theirs.get(name)
        if name == "mutation.activation" and not config.network.activations:
            continue  # there is nothing to draw from
        if isinstance(value, float) and math.isfinite(value):
            found[name] = min(high, max(low, value * PERTURBED[int(uniform(key, i) < 0.5)]))
    return found
