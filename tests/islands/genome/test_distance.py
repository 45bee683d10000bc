"""Compatibility distance: c1 E / N + c2 D / N + c3 W, over connections, body nodes and muscles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.config import Config
from islands.genome.distance import Coefficients, distance, scratch
from islands.genome.mutation import BODY_BOUNDS, MUSCLE_BOUNDS
from islands.genome.population import BODY_GENES, MUSCLE_GENES, SHARED_GENES, concatenate, take
from tests.islands.genome.breeding import Parts, Stock, configurations, distances, examples, parts
from tests.islands.tasks.creatures import MODES, configured

KEYS = st.integers(0, 2**32)
WHOLE = Coefficients(1.3, 0.7, 0.4)


def row_difference(one: tuple[float, ...], two: tuple[float, ...], bounds: np.ndarray) -> float:
    own = len(bounds)
    body = np.mean([abs(a - b) / (high - low) for a, b, (low, high) in zip(one[:own], two[:own], bounds, strict=True)])
    weights = [abs(a - b) for a, b in zip(one[own:], two[own:], strict=True)]
    return float(body) + (float(np.mean(weights)) if weights else 0.0)


def by_sets(one: Parts, two: Parts, c: Coefficients) -> float:
    """The distance by its definition, with sets."""
    excess, disjoint, differences = 0, 0, []
    for table in ("body", "muscles", "connections"):
        mine, theirs = getattr(one, table), getattr(two, table)
        for own, others in ((mine, theirs), (theirs, mine)):
            deepest = max((mark >> 56 for mark in others), default=0)
            for mark in own.keys() - others.keys():
                excess, disjoint = (excess + 1, disjoint) if mark >> 56 > deepest else (excess, disjoint + 1)
        for mark in mine.keys() & theirs.keys():
            if table == "connections":
                differences.append(abs(mine[mark][2] - theirs[mark][2]))
            elif table == "body":
                differences.append(row_difference(mine[mark], theirs[mark], BODY_BOUNDS))
            else:
                differences.append(row_difference(mine[mark][1], theirs[mark][1], MUSCLE_BOUNDS))
    weights = [abs(a - b) for a, b in zip(one.shared[SHARED_GENES:], two.shared[SHARED_GENES:], strict=True)]
    if weights:
        differences.append(float(np.mean(weights)))
    genes = max(len(parent.body) + len(parent.muscles) + len(parent.connections) for parent in (one, two))
    larger = max(1.0, genes / 20.0)
    return (c.excess * excess + c.disjoint * disjoint) / larger + c.weight * (
        np.mean(differences) if differences else 0
    )


@given(configurations(), KEYS, st.integers(0, 6))
@examples(25)
def test_the_distance_is_its_definition_symmetric_and_nought_to_oneself(config: Config, key: int, age: int) -> None:
    stock = Stock(config, 6, key)
    stock.age(age, key)
    other = take(stock.genomes, np.roll(np.arange(6), 1))
    expected = [by_sets(parts(stock.genomes, p), parts(other, p), WHOLE) for p in range(6)]
    np.testing.assert_allclose(distances(stock.genomes, other, WHOLE), expected, rtol=2e-5, atol=1e-5)
    np.testing.assert_array_equal(distances(stock.genomes, other, WHOLE), distances(other, stock.genomes, WHOLE))
    assert (distances(stock.genomes, stock.genomes, WHOLE) == 0.0).all()


@given(configurations(), KEYS, st.floats(0.1, 20.0))
@examples(15)
def test_a_limit_saves_time_and_changes_no_decision(config: Config, key: int, limit: float) -> None:
    stock = Stock(config, 8, key)
    stock.age(3, key)
    other, pairs, bound = take(stock.genomes, np.roll(np.arange(8), 3)), scratch(stock.genomes), np.float32(limit)
    whole = distances(stock.genomes, other, WHOLE)
    cut = [float(distance(stock.genomes, p, other, p, WHOLE, pairs, bound)) for p in range(8)]
    assert [value < bound for value in cut] == [value < bound for value in whole]


def test_genes_deeper_than_all_of_the_other_are_excess_and_the_rest_disjoint() -> None:
    stock = Stock(configured("neat"), 30)
    split, _ = stock.bred(add_node=1.0)
    genes = np.array([sum(np.diff(start)[p] for start in (stock.genomes.body_start, stock.genomes.muscle_start,
                                                          split.conn_start)) for p in range(30)])  # fmt: skip
    larger = np.maximum(1.0, genes / 20.0)
    excess = distances(stock.genomes, split, Coefficients(1.0, 0.0, 0.0))
    np.testing.assert_allclose(excess * larger, 2.0, rtol=1e-5)
    assert (distances(stock.genomes, split, Coefficients(0.0, 1.0, 0.0)) == 0.0).all()
    fewer, _ = stock.bred(remove_muscle=1.0)
    lost = (np.diff(stock.genomes.conn_start) - np.diff(fewer.conn_start)) + 1
    genes = np.array([np.diff(start) for start in (stock.genomes.body_start, stock.genomes.muscle_start,
                                                   stock.genomes.conn_start)]).sum(axis=0)  # fmt: skip
    disjoint = distances(stock.genomes, fewer, Coefficients(0.0, 1.0, 0.0))
    np.testing.assert_allclose(disjoint * np.maximum(1.0, genes / 20.0), lost, rtol=1e-5)
    assert (distances(stock.genomes, fewer, Coefficients(1.0, 0.0, 0.0)) == 0.0).all()
    twice, _ = stock.bred(key=2, add_node=1.0)
    both = [by_sets(parts(split, p), parts(twice, p), Coefficients(1.0, 0.0, 0.0)) for p in range(30)]
    assert both == [0.0] * 30


@pytest.mark.parametrize("mode", MODES)
def test_the_weight_coefficient_measures_differences_of_matching_genes_alone(mode: str) -> None:
    stock = Stock(configured(mode, felt="all"), 20)
    heavier, _ = stock.bred(weight_rate=1.0, weight_scale=0.4)
    assert (distances(stock.genomes, heavier, Coefficients(5.0, 5.0, 0.0)) == 0.0).all()
    one = distances(stock.genomes, heavier, Coefficients(0.0, 0.0, 1.0))
    assert (one > 0.05).all()
    np.testing.assert_allclose(distances(stock.genomes, heavier, Coefficients(0.0, 0.0, 3.0)), 3.0 * one, rtol=1e-5)
    shaped, _ = stock.bred(body_rate=1.0, body_scale=0.2)
    assert (distances(stock.genomes, shaped, Coefficients(0.0, 0.0, 1.0)) > 0.0).all()


def test_bodies_count_also_where_networks_are_alike() -> None:
    stock = Stock(replace(configured("pure")), 20)
    stock.config = replace(stock.config, body=replace(stock.config.body, max_nodes=20))
    grown, _ = stock.bred(add_body_node=1.0)
    assert (distances(stock.genomes, grown, Coefficients(1.0, 0.0, 0.0)) > 0.5).all()


def test_distances_do_not_depend_on_the_batch() -> None:
    stock = Stock(configured("neat", felt="all"), 6)
    stock.age(4)
    other = take(stock.genomes, [5, 4, 3, 2, 1, 0])
    joined = concatenate([other, stock.genomes])
    pairs = scratch(joined)
    for p in range(6):
        found = distance(joined, p, joined, 6 + p, WHOLE, pairs)
        assert found == np.float32(distances(other, stock.genomes, WHOLE)[p])


def test_genes_of_no_other_kind_enter() -> None:
    assert len(BODY_BOUNDS) == BODY_GENES and len(MUSCLE_BOUNDS) == MUSCLE_GENES
