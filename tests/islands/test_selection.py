"""Ranking, who survives to breed, and how a place in a ranking is drawn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from islands.config import SelectionConfig
from islands.loading import keys
from islands.rng import Purpose, stream, substream
from islands.selection import METHODS, RANK, TOURNAMENT, UNIFORM, best, position, ranking, survivors, worst

SCORES = st.lists(st.one_of(st.sampled_from([0.0, 1.0, -2.5]), st.floats(width=32, allow_infinity=False)), max_size=40)
KEY = stream(1, 2, 3, Purpose.PARENTS)


@given(SCORES)
def test_a_ranking_holds_every_row_once_by_falling_fitness_ties_by_row_and_failures_last(scores: list[float]) -> None:
    fitness = np.array(scores, np.float32)
    ranked = ranking(fitness)
    assert ranked.dtype == np.int64
    assert ranked.tolist() == sorted(
        range(len(scores)), key=lambda row: (np.isnan(fitness[row]), -np.nan_to_num(fitness[row]), row)
    )


@given(SCORES.filter(len), st.integers(0, 50))
def test_the_best_and_the_worst_are_the_ends_of_the_ranking(scores: list[float], count: int) -> None:
    fitness = np.array(scores, np.float32)
    ranked = ranking(fitness).tolist()
    assert best(fitness, count).tolist() == ranked[:count]
    assert worst(fitness, count).tolist() == ranked[::-1][:count]


def test_a_ranking_tells_float32_neighbours_apart() -> None:
    one = np.float32(1.0)
    assert ranking(np.array([one, np.nextafter(one, np.float32(2.0)), one], np.float32)).tolist() == [1, 0, 2]


@given(st.integers(1, 500), st.integers(0, 99))
def test_the_worst_share_is_culled_and_somebody_always_survives(count: int, percent: int) -> None:
    ranked = np.random.default_rng(count).permutation(count)
    left = survivors(ranked, percent / 100)
    expected = max(1, count - int(Fraction(percent, 100) * count))
    np.testing.assert_array_equal(left, ranked[:expected])


def draws(method: int, count: int, size: int = 3, times: int = 20_000) -> np.ndarray:
    """How often each place of `count` is drawn."""
    places = [position(method, count, size, np.uint64(substream(KEY, i)), 0) for i in range(times)]
    return np.bincount(places, minlength=count)


def agrees(found: np.ndarray, weight: np.ndarray) -> bool:
    assert len(found) == len(weight)
    return len(found) == 1 or float(chisquare(found, weight / weight.sum() * found.sum()).pvalue) > 1e-4


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_uniform_selection_gives_every_place_the_same_chance(count: int) -> None:
    assert agrees(draws(UNIFORM, count), np.ones(count))


@pytest.mark.parametrize("count", [1, 2, 7, 40])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_tournament_is_won_by_the_best_of_so_many_drawn(count: int, size: int) -> None:
    nobody_better = (np.arange(count, -1, -1) / count) ** size  # than the k-th place, k = 0, 1, …, count
    assert agrees(draws(TOURNAMENT, count, size), -np.diff(nobody_better))


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_chances_fall_linearly_with_the_rank(count: int) -> None:
    assert agrees(draws(RANK, count), count - np.arange(count) - 0.5)


def test_the_two_draws_of_a_slot_are_independent() -> None:
    for method in (UNIFORM, TOURNAMENT, RANK):
        own = [np.uint64(substream(KEY, i)) for i in range(4000)]
        pairs = [(position(method, 50, 3, key, 0), position(method, 50, 3, key, 3)) for key in own]
        assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 0.06


def test_every_method_of_the_configuration_is_known() -> None:
    method = next(key for key in keys() if key.name == "selection.method")
    assert set(METHODS) == set(method.type.__args__)
    assert SelectionConfig().method in METHODS
