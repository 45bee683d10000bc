"""Kernels that kernels call: parts of their callers, and compiled for Python only when Python calls them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from islands.kernel import hot_kernel, kernel, kernel_as


@kernel
def half(value: Any) -> Any:
    return value / 2


@kernel
def quarter(value: Any) -> Any:
    return half(half(value))


@kernel_as("float64(float64)")
def third(value: Any) -> Any:
    return value / 3


@kernel_as("float64(float64)")
def fifth(value: Any) -> Any:
    return value / 5


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
def long_sum(unused: Any, values: Any, more: Any, scale: Any) -> Any:
    """Too long to become one with four callers."""
    total = 0.0
    for i in range(len(values)):
        x = values[i] * scale
        for j in range(3):
            x = x * x - x / (1.0 + x * x) + np.sqrt(abs(x)) * np.exp(-x * x) + np.sin(x) * np.cos(x + j)
            if x > 10.0 or x < -10.0:
                x = np.log1p(abs(x)) - np.floor(x / 3.0)
        total += x
    return total + more[0] + np.tanh(total) * np.arctan(total)


@hot_kernel
def hot(values: Any, more: Any) -> Any:
    few = long_sum(1.0, values, more, 0.5) + long_sum(2.0, values, more, 0.25) * long_sum(3.0, values, more, 0.125)
    return few - long_sum(4.0, values, more, 0.1)


@kernel
def cold(values: Any, more: Any) -> Any:
    few = long_sum(1.0, more, values, 0.75) + long_sum(2.0, values, more, 0.3) * long_sum(3.0, more, values, 0.2)
    return few - long_sum(4.0, values, more, 0.15)


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


def test_a_kernel_keeps_the_signature_that_it_was_given_as_a_part_and_for_python() -> None:
    assert sixth(np.float32(1.5)) == 0.25 and sixth(3) == 0.5
    assert not third.signatures
    assert third(np.float32(1.5)) == 0.5 and third(3) == 1.0 and len(third.signatures) == 1


def test_threads_that_call_a_kernel_for_the_first_time_at_once_compile_it_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(fifth, range(0, 40, 5))) == [float(n) for n in range(8)]
    assert len(fifth.signatures) == 1


@pytest.mark.parametrize(("given", "compiled"), [(1, {"taken"}), (None, {"left"}), (2.5, {"taken"})])
def test_a_branch_on_none_is_compiled_only_where_it_can_be_taken(given: Any, compiled: set[str]) -> None:
    compiled_here: set[str] = set()

    @kernel
    def taken(value: Any) -> Any:
        return value + 1

    @kernel
    def left(value: Any) -> Any:
        return value + 2

    @kernel
    def either(value: Any, given: Any) -> Any:
        return taken(value) if given is not None else left(value)

    for name, each in (("taken", taken), ("left", left)):
        template = each.get_call_template
        each.get_call_template = lambda *a, name=name, made=template: compiled_here.add(name) or made(*a)
    assert either(1, given) == (3 if given is None else 2)
    assert compiled_here == compiled


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


def test_a_hot_kernel_keeps_what_it_made_of_its_parts_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM may leave an argument out of them, and others call them with all."""
    given = np.linspace(0.0, 1.0, 7), np.ones(2)
    found = [hot(*given), cold(*given), long_sum(1.0, *given, 0.5)]
    monkeypatch.setitem(globals(), "long_sum", long_sum.py_func)
    assert found == pytest.approx([hot.py_func(*given), cold.py_func(*given), long_sum(1.0, *given, 0.5)])
