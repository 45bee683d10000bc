"""Sixteen lanes compute what NumPy's float32 computes sixteen times, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from islands.curves import gaussian_of, sine_of, sine_of_turns, tanh_of
from islands.lanes import (
    LANES,
    any_lane,
    fill,
    fma,
    select,
    vabs,
    vfloor,
    vload,
    vmax,
    vmin,
    vsqrt,
    vstore,
)

F = np.float32
ROW = st.lists(st.floats(width=32), min_size=LANES, max_size=LANES).map(lambda row: np.array(row, F))
FINITE = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=LANES, max_size=LANES).map(
    lambda row: np.array(row, F)
)
relaxed = settings(max_examples=60, deadline=None)


@njit
def arithmetic(a, b, out):  # type: ignore[no-untyped-def]
    x, y = vload(a, 0), vload(b, 0)
    vstore(out, 0, x + y)
    vstore(out, 16, x - y)
    vstore(out, 32, x * y)
    vstore(out, 48, x / y)
    vstore(out, 64, vmin(x, y))
    vstore(out, 80, vmax(x, y))
    vstore(out, 96, vabs(x))
    vstore(out, 112, vsqrt(x))
    vstore(out, 128, vfloor(x))


@njit
def comparisons(a, b, out):  # type: ignore[no-untyped-def]
    x, y = vload(a, 0), vload(b, 0)
    one, none = fill(F(1.0)), fill(F(0.0))
    vstore(out, 0, select(x < y, one, none))
    vstore(out, 16, select(x <= y, one, none))
    vstore(out, 32, select(x > y, one, none))
    vstore(out, 48, select(x >= y, one, none))
    vstore(out, 64, select((x < y) & (x > none), one, none))
    vstore(out, 80, select((x < y) | (x > none), one, none))
    return any_lane(x < y), any_lane((x < y) & (x > y))


@njit
def fused(a, b, c, out):  # type: ignore[no-untyped-def]
    vstore(out, 0, fma(vload(a, 0), vload(b, 0), vload(c, 0)))


@njit
def copied(a, source, out, goal, value):  # type: ignore[no-untyped-def]
    vstore(out, goal, vload(a, source))
    vstore(out, goal + 16, fill(value))


@njit
def curves(a, out):  # type: ignore[no-untyped-def]
    vstore(out, 0, sine_of_turns(vload(a, 0)))
    vstore(out, 16, tanh_of(vload(a, 0)))
    vstore(out, 32, sine_of(vload(a, 0)))
    vstore(out, 48, gaussian_of(vload(a, 0)))


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal bits, any NaN being as good as any other."""
    number = ~np.isnan(expected)
    return bool(
        (np.isnan(found) == ~number).all() and (found[number].view(np.uint32) == expected[number].view(np.uint32)).all()
    )


@relaxed
@given(a=ROW, b=ROW)
def test_arithmetic_is_ieee_in_every_lane(a: np.ndarray, b: np.ndarray) -> None:
    out = np.zeros(144, F)
    arithmetic(a, b, out)
    with np.errstate(all="ignore"):
        expected = [a + b, a - b, a * b, a / b, np.fmin(a, b), np.fmax(a, b), np.abs(a), np.sqrt(a), np.floor(a)]
    for index, values in enumerate(expected):
        found = out[16 * index : 16 * index + 16]
        if index in (4, 5):  # which of two zeros is the smaller is nobody's business
            found, values = found + F(0.0), values + F(0.0)
        assert same(found, values), index


@relaxed
@given(a=ROW, b=ROW)
def test_comparisons_are_false_for_what_is_no_number(a: np.ndarray, b: np.ndarray) -> None:
    out = np.zeros(96, F)
    some, none = comparisons(a, b, out)
    expected = [a < b, a <= b, a > b, a >= b, (a < b) & (a > 0), (a < b) | (a > 0)]
    for index, values in enumerate(expected):
        assert (out[16 * index : 16 * index + 16] == values).all(), index
    assert (some, none) == (bool((a < b).any()), False)


def rounded_once(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c of float32 with one rounding: exact product in float64, sum rounded to odd, then to float32."""
    product, addend = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    total = product + addend
    back = total - product
    lost = (product - (total - back)) + (addend - back)
    even = (total.view(np.int64) & 1) == 0
    toward = np.where(lost > 0.0, np.inf, -np.inf)
    return np.where((lost != 0.0) & even, np.nextafter(total, toward), total).astype(F)


@relaxed
@given(a=FINITE, b=FINITE, c=FINITE)
def test_fma_rounds_once(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    out = np.zeros(16, F)
    fused(a, b, c, out)
    with np.errstate(all="ignore"):
        assert same(out, rounded_once(a, b, c))


def test_fma_keeps_what_two_roundings_lose() -> None:
    tiny = F(2.0**-12)
    a = np.full(16, F(1.0) + tiny)
    out = np.zeros(16, F)
    fused(a, a, -(a * a), out)
    assert (out == F(2.0**-24)).all()
    assert (a * a - a * a == 0.0).all()


@pytest.mark.parametrize("strange", [np.nan, np.inf, -1.0, 1e38, 1e-45])
@pytest.mark.parametrize("lane", [0, 7, 15])
def test_what_happens_in_one_lane_stays_in_it(strange: float, lane: int) -> None:
    calm, out, other = np.linspace(0.5, 2.0, 16).astype(F), np.zeros(144, F), np.zeros(144, F)
    arithmetic(calm, calm[::-1].copy(), out)
    touched = calm.copy()
    touched[lane] = strange
    arithmetic(touched, calm[::-1].copy(), other)
    rest = np.arange(16) != lane
    assert (out.reshape(-1, 16)[:, rest] == other.reshape(-1, 16)[:, rest]).all()


@given(source=st.integers(0, 48), goal=st.integers(0, 40))
@relaxed
def test_loads_and_stores_touch_sixteen_numbers_at_any_offset(source: int, goal: int) -> None:
    numbers, out = np.arange(64, dtype=F), np.full(72, F(-1.0))
    copied(numbers, source, out, goal, F(0.25))
    expected = np.full(72, F(-1.0))
    expected[goal : goal + 16], expected[goal + 16 : goal + 32] = numbers[source : source + 16], F(0.25)
    np.testing.assert_array_equal(out, expected)


@relaxed
@given(
    row=st.lists(st.floats(-300.0, 300.0, width=32), min_size=LANES, max_size=LANES).map(lambda row: np.array(row, F))
)
def test_sines_tanh_and_the_bell_are_right_to_the_last_digits(row: np.ndarray) -> None:
    out = np.zeros(64, F)
    curves(row, out)
    wide = row.astype(np.float64)
    np.testing.assert_allclose(out[:16], np.sin(2.0 * np.pi * wide), atol=3e-7)
    np.testing.assert_allclose(out[16:32], np.tanh(wide), atol=3e-7)
    np.testing.assert_allclose(out[32:48], np.sin(wide), atol=1e-6)
    np.testing.assert_allclose(out[48:], np.exp(-(wide**2)), atol=1e-6)
    assert (np.abs(out) <= 1.0 + 3e-7).all()
