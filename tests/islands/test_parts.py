"""Kernels that kernels call: parts of their callers, and compiled for Python only when Python calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from islands.kernel import kernel, kernel_as


@kernel
def half(value: Any) -> Any:
    return value / 2


@kernel
def quarter(value: Any) -> Any:
    return half(half(value))


@kernel_as("float64(float64)")
def third(value: Any) -> Any:
    return value / 3


@kernel
def sixth(value: Any) -> Any:
    return half(third(value))


@kernel
def doubled(values: Any) -> Any:
    twice = np.empty(len(values), np.float64)
    for i in range(len(values)):
        twice[i] = 2 * values[i]
    return twice


@kernel
def doubled_sum(values: Any) -> Any:
    total = 0.0
    for value in doubled(values):
        total += value
    return total


@kernel
def rest(values: Any) -> Any:
    return values[1:]


@kernel
def second(values: Any) -> Any:
    return rest(values)[0]


def test_a_kernel_that_only_kernels_call_is_never_compiled_by_itself() -> None:
    assert quarter(8.0) == 2.0
    assert not half.signatures
    assert half(3.0) == 1.5 and len(half.signatures) == 1


def test_a_part_keeps_the_signature_that_it_was_given() -> None:
    assert sixth(np.float32(1.5)) == 0.25 and sixth(3) == 0.5
    assert len(third.signatures) == 1


def test_a_part_that_makes_arrays_gives_them_back() -> None:
    values = np.arange(1000.0)
    assert [doubled_sum(values) for _ in range(100)] == [999000.0] * 100


@kernel
def same(values: Any) -> Any:
    return values, 1


@kernel
def first(values: Any) -> Any:
    return same(values)[0][0]


def test_a_part_that_would_return_what_nobody_counts_is_refused() -> None:
    with pytest.raises(Exception, match=r"same: a kernel that kernels call cannot return arrays"):
        first(np.arange(3.0))
    with pytest.raises(Exception, match=r"Only accept returning of array passed into the function"):
        second(np.arange(3.0))
    np.testing.assert_array_equal(rest(np.arange(3.0)), [1.0, 2.0])
