"""A random matrix: row r is a function of (key, r) alone, so that genome r does not depend on how many there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from islands.genome.population import Array
from islands.kernel import kernel
from islands.rng import normal, substream


@kernel
def _fill(key: Any, out: Any) -> Any:
    for row in range(out.shape[0]):
        own = substream(key, row)
        for i in range(out.shape[1]):
            out[row, i] = normal(own, i)


def normals(key: np.uint64, rows: int, columns: int) -> Array:
    """Standard normal numbers from the stream `key` (float64 [rows, columns])."""
    out = np.empty((rows, columns))
    _fill(key, out)
    return out
