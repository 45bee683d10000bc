"""What a core can do at most: sixteen-lane multiply-adds, and copies."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from islands.kernel import kernel
from islands.lanes import LANES, fma, vload, vstore

CHAINS = 12
"""Multiply-adds that do not wait for each other: enough for two units of latency four and more."""


@kernel
def _multiply_and_add(data: Any, loops: Any) -> Any:
    """`CHAINS` x `loops` multiply-adds of sixteen lanes; data: float32 [(CHAINS + 2) * 16], its last rows a and b."""
    a, b = vload(data, CHAINS * LANES), vload(data, (CHAINS + 1) * LANES)
    c0, c1, c2 = vload(data, 0), vload(data, LANES), vload(data, 2 * LANES)
    c3, c4, c5 = vload(data, 3 * LANES), vload(data, 4 * LANES), vload(data, 5 * LANES)
    c6, c7, c8 = vload(data, 6 * LANES), vload(data, 7 * LANES), vload(data, 8 * LANES)
    c9, c10, c11 = vload(data, 9 * LANES), vload(data, 10 * LANES), vload(data, 11 * LANES)
    for _ in range(loops):
        c0, c1, c2, c3 = fma(c0, a, b), fma(c1, a, b), fma(c2, a, b), fma(c3, a, b)
        c4, c5, c6, c7 = fma(c4, a, b), fma(c5, a, b), fma(c6, a, b), fma(c7, a, b)
        c8, c9, c10, c11 = fma(c8, a, b), fma(c9, a, b), fma(c10, a, b), fma(c11, a, b)
    vstore(data, 0, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)


@kernel
def _copy(source: Any, target: Any, loops: Any) -> Any:
    """Copy a float32 array `loops` times, sixteen lanes at a time, beginning one row further on every other time."""
    for loop in range(loops):
        for at in range((loop & 1) * LANES, len(source) - 4 * LANES, 4 * LANES):
            vstore(target, at, vload(source, at))
            vstore(target, at + LANES, vload(source, at + LANES))
            vstore(target, at + 2 * LANES, vload(source, at + 2 * LANES))
            vstore(target, at + 3 * LANES, vload(source, at + 3 * LANES))


def flops(loops: int) -> float:
    """Operations per CPU second, a multiply-add as two."""
    data = np.full((CHAINS + 2) * LANES, 0.5, np.float32)
    _multiply_and_add(data, 1)
    began = time.process_time()
    _multiply_and_add(data, loops)
    return 2 * LANES * CHAINS * loops / (time.process_time() - began)


def copied(numbers: int, loops: int) -> float:
    """Bytes read and written per CPU second by copying so many float32 numbers."""
    source, target = np.ones(numbers, np.float32), np.zeros(numbers, np.float32)
    _copy(source, target, 1)
    began = time.process_time()
    _copy(source, target, loops)
    return 8 * numbers * loops / (time.process_time() - began)
