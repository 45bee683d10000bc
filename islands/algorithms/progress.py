"""For how long a search has found nothing better, and how often it has started afresh."""

from __future__ import annotations

import numpy as np

from islands.genome.population import Array

Memory = dict[str, Array]
"""What an algorithm knows: arrays of at least one dimension, as they lie in a checkpoint."""


def begun(restarts: int) -> Memory:
    """At the start, the `restarts`-th fresh one."""
    return {"best": np.array([-np.inf]), "stale": np.zeros(1, np.int64), "restarts": np.array([restarts])}


def noted(memory: Memory, fitness: Array) -> Memory:
    """After a generation that scored `fitness` ([P], NaN: failed); `stale` counts those without a better best."""
    top = float(np.nanmax(fitness))
    risen = top > memory["best"][0]
    return {
        "best": np.array([top]) if risen else memory["best"],
        "stale": np.zeros(1, np.int64) if risen else memory["stale"] + 1,
        "restarts": memory["restarts"],
    }
