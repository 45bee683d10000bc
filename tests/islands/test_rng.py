"""Random numbers are a function of who draws them and why, and look like random numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from scipy import stats

from islands.rng import Purpose, below, bits, child, island_number, normal, stream, substream, uniform

COUNT = 100_000
KEYS = [0, 1, 2**63, 2**64 - 1, int(stream(42, 0, 0, Purpose.BODY))]
WORD = st.integers(0, 2**64 - 1)


@njit
def uniforms(key, count):  # type: ignore[no-untyped-def]
    out = np.empty(count, np.float32)
    for i in range(count):
        out[i] = uniform(key, i)
    return out


@njit
def normals(key, count):  # type: ignore[no-untyped-def]
    out = np.empty(count, np.float32)
    for i in range(count):
        out[i] = normal(key, i)
    return out


@njit
def belows(key, count, limit):  # type: ignore[no-untyped-def]
    out = np.empty(count, np.int64)
    for i in range(count):
        out[i] = below(key, i, limit)
    return out


@njit
def words(key, count):  # type: ignore[no-untyped-def]
    out = np.empty(count, np.uint64)
    for i in range(count):
        out[i] = bits(key, i)
    return out


@njit
def firsts(key, count, index):  # type: ignore[no-untyped-def]
    """Draw `index` of the first `count` substreams."""
    out = np.empty(count, np.float32)
    for i in range(count):
        out[i] = uniform(substream(key, i), index)
    return out


def test_the_numbers_are_those_of_every_other_machine_and_release() -> None:
    splitmix64_seeded_with_0 = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [bits(np.uint64(0), i) for i in range(3)] == splitmix64_seeded_with_0
    assert stream(42, 0, 0, Purpose.BODY) == 0xC17860FC8E6E2EC7
    assert substream(np.uint64(1), 2) == 0xD6BB3E9C8C828E2F
    assert [uniform(np.uint64(7), i) for i in range(3)] == [
        0.38982969522476196,
        0.016788244247436523,
        0.9007606506347656,
    ]
    assert [normal(np.uint64(7), i) for i in range(3)] == [-0.2797943949699402, -2.1253669261932373, 1.286043643951416]
    assert [below(np.uint64(7), i, 1000) for i in range(3)] == [389, 16, 900]


def test_a_purpose_keeps_its_number_for_good() -> None:
    assert [(purpose.name, purpose.value) for purpose in Purpose][:11] == [
        ("BODY", 1), ("NETWORK", 2), ("PELLETS", 3), ("PARENTS", 4), ("CROSSOVER", 5), ("MUTATION", 6),
        ("EMIGRANTS", 7), ("IMMIGRANTS", 8), ("VALIDATION", 9), ("HELD_OUT", 10), ("REPLACEMENT", 11),
    ]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_uniform_numbers_are_uniform(key: int) -> None:
    values = uniforms(np.uint64(key), COUNT)
    assert values.min() >= 0.0 and values.max() < 1.0
    assert values.mean() == pytest.approx(0.5, abs=4.0 * np.sqrt(1.0 / 12.0 / COUNT))
    assert values.var() == pytest.approx(1.0 / 12.0, rel=0.02)
    assert stats.chisquare(np.bincount((values * 64).astype(int), minlength=64)).pvalue > 1e-4
    pairs = np.bincount((values[:-1] * 16).astype(int) * 16 + (values[1:] * 16).astype(int), minlength=256)
    assert stats.chisquare(pairs).pvalue > 1e-4
    for lag in (1, 2, 3, 7):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4.0 / np.sqrt(COUNT)


@pytest.mark.parametrize("key", KEYS)
def test_every_bit_of_a_word_is_a_fair_coin(key: int) -> None:
    ones = np.unpackbits(words(np.uint64(key), COUNT).view(np.uint8).reshape(COUNT, 8), axis=1).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5.0 * 0.5 / np.sqrt(COUNT)


@pytest.mark.parametrize("key", KEYS)
def test_normal_numbers_have_the_moments_of_a_standard_normal(key: int) -> None:
    values = normals(np.uint64(key), COUNT).astype(np.float64)
    assert values.mean() == pytest.approx(0.0, abs=4.0 / np.sqrt(COUNT))
    assert values.var() == pytest.approx(1.0, abs=0.02)
    assert stats.skew(values) == pytest.approx(0.0, abs=0.04)
    assert stats.kurtosis(values) == pytest.approx(0.0, abs=0.1)
    assert stats.kstest(values, "norm").statistic < 2.0 / np.sqrt(COUNT)
    assert np.abs(values).max() < 3.9


@pytest.mark.parametrize("key", KEYS)
def test_substreams_are_independent_of_each_other_and_of_their_parent(key: int) -> None:
    parent = uniforms(np.uint64(key), COUNT)
    across = [firsts(np.uint64(key), COUNT, index) for index in range(3)]
    for values in across:
        assert stats.chisquare(np.bincount((values * 64).astype(int), minlength=64)).pvalue > 1e-4
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4.0 / np.sqrt(COUNT)
    for one, other in ((parent, across[0]), (across[0], across[1]), (across[1], across[2])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.0 / np.sqrt(COUNT)
    neighbours = [uniforms(np.uint64(substream(np.uint64(key), i)), COUNT // 10) for i in range(2)]
    assert abs(np.corrcoef(neighbours)[0, 1]) < 4.0 / np.sqrt(COUNT // 10)


def test_streams_that_differ_in_anything_differ() -> None:
    base = (42, 1, 2, Purpose.MUTATION, 3)
    others = [
        (43, 1, 2, Purpose.MUTATION, 3),
        (42, 2, 2, Purpose.MUTATION, 3),
        (42, 1, 3, Purpose.MUTATION, 3),
        (42, 1, 2, Purpose.CROSSOVER, 3),
        (42, 1, 2, Purpose.MUTATION, 4),
        (421, 2, 2, Purpose.MUTATION, 3),
    ]
    keys = {int(stream(*arguments)) for arguments in (base, *others)}
    assert len(keys) == 7 and stream(*base) == stream(*base)
    many = [int(stream(s, i, g, Purpose.PELLETS)) for s in range(20) for i in range(20) for g in range(20)]
    assert len(set(many)) == len(many)
    ones = np.unpackbits(np.array(many, np.uint64).view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5.0 * 0.5 / np.sqrt(len(many))


@settings(max_examples=200, deadline=None)
@given(key=WORD, index=st.integers(0, 2**40), limit=st.integers(1, 2**31 - 1))
def test_an_integer_below_a_limit_is_below_it(key: int, index: int, limit: int) -> None:
    assert 0 <= below(np.uint64(key), index, limit) < limit


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_integers_below_a_limit_are_equally_likely(limit: int) -> None:
    counts = np.bincount(belows(np.uint64(9), COUNT, limit), minlength=limit)
    assert len(counts) == limit
    assert limit == 1 or stats.chisquare(counts).pvalue > 1e-4


@settings(max_examples=100, deadline=None)
@given(key=WORD, index=st.integers(0, 2**40))
def test_a_child_is_the_substream_as_a_word(key: int, index: int) -> None:
    found = child(np.uint64(key), index)
    assert isinstance(found, np.uint64) and int(found) == int(substream(np.uint64(key), index))


def test_an_islands_number_comes_from_its_name_alone() -> None:
    assert island_number("seed-42") == island_number("island-000") == 0
    assert [island_number(f"island-{i:03}") for i in (1, 17, 1234)] == [1, 17, 1234]
    others = [island_number(name) for name in ("island-a", "alice", "bob", "island-")]
    assert len(set(others)) == 4 and min(others) > 10**6
    assert others[1] == island_number("alice")
