"""The first generation's bodies are those of the task's table, and none of them is dead by construction."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from islands.config import BodyConfig
from islands.genome.population import (
    AMPLITUDE,
    DAMPING,
    FREQUENCY,
    FRICTION,
    MULTIPLIER,
    PHASE,
    POSITION_X,
    POSITION_Z,
    REST,
    SIZE,
    STIFFNESS,
    Genomes,
    equal,
    take,
)
from islands.tasks.pellets import Pellets
from tests.islands.tasks.creatures import MODES, Lanes16, configured, first_draw

COUNT = 2000


@cache
def drawn() -> tuple[Pellets, Genomes]:
    return first_draw(configured("hybrid"), COUNT)


def ends(genomes: Genomes, p: int) -> list[tuple[int, int]]:
    """The muscles of a genome as pairs of rows of its body nodes."""
    ids = genomes.body_id[genomes.body_start[p] : genomes.body_start[p + 1]]
    pairs = genomes.muscle_ends[genomes.muscle_start[p] : genomes.muscle_start[p + 1]]
    return [tuple(sorted(np.searchsorted(ids, pair).tolist())) for pair in pairs]


def muscles_expected(nodes: int) -> float:
    """Mean of: a spanning tree, then random pairs until one is joined already; at most 15."""
    pairs, further = nodes * (nodes - 1) // 2, 0.0
    for joined in reversed(range(nodes - 1, min(15, pairs))):
        further = (1.0 - joined / pairs) * (1.0 + further)
    return nodes - 1 + further


def test_bodies_have_5_5_nodes_and_a_little_more_muscles_on_average() -> None:
    _, genomes = drawn()
    nodes, muscles = np.diff(genomes.body_start), np.diff(genomes.muscle_start)
    assert stats.chisquare(np.bincount(nodes, minlength=9)[3:]).pvalue > 1e-3
    assert len(np.bincount(nodes)) == 9
    assert nodes.mean() == pytest.approx(5.5, abs=0.12)
    assert np.mean([muscles_expected(count) for count in range(3, 9)]) == pytest.approx(5.7, abs=0.06)
    for count in range(3, 9):
        assert muscles[nodes == count].mean() == pytest.approx(muscles_expected(count), abs=0.25)
    assert muscles.mean() == pytest.approx(5.7, abs=0.15)
    assert (muscles >= nodes - 1).all() and muscles.max() <= 15


def test_muscles_join_every_node_and_no_pair_twice() -> None:
    _, genomes = drawn()
    for p in range(300):
        pairs, reached = ends(genomes, p), {0}
        assert len(set(pairs)) == len(pairs) and all(one != two for one, two in pairs)
        for _ in pairs:
            reached |= {node for pair in pairs if reached & set(pair) for node in pair}
        assert reached == set(range(genomes.body_start[p + 1] - genomes.body_start[p]))


@pytest.mark.parametrize(
    ("table", "column", "low", "high"),
    [
        ("body_gene", SIZE, 0.2, 0.6),
        ("body_gene", FRICTION, 0.3, 0.9),
        ("body_gene", POSITION_X, -1.5, 1.5),
        ("body_gene", POSITION_X + 1, 0.3, 2.25),
        ("body_gene", POSITION_Z, -1.5, 1.5),
        ("muscle_gene", STIFFNESS, 50.0, 200.0),
        ("muscle_gene", DAMPING, 2.0, 4.0),
        ("muscle_gene", FREQUENCY, 0.5, 3.0),
        ("muscle_gene", AMPLITUDE, 0.1, 0.5),
        ("muscle_gene", PHASE, 0.0, 2.0 * math.pi),
        ("shared", MULTIPLIER, 0.8, 1.2),
    ],
)
def test_genes_are_uniform_over_their_ranges(table: str, column: int, low: float, high: float) -> None:
    values = getattr(drawn()[1], table)[:, column].astype(np.float64)
    assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6
    far = stats.kstest((values - low) / (high - low), "uniform").statistic
    # Stiffness and damping are redrawn for the one body in sixteen that could be unstable; the other genes are exact.
    assert far < (0.035 if column in (STIFFNESS, DAMPING) and table == "muscle_gene" else 1.95 / math.sqrt(len(values)))


def test_a_muscles_rest_length_is_its_nodes_distance_within_a_fifth() -> None:
    _, genomes = drawn()
    ratios = []
    for p in range(400):
        place = genomes.body_gene[genomes.body_start[p] : genomes.body_start[p + 1], POSITION_X : POSITION_Z + 1]
        rests = genomes.muscle_gene[genomes.muscle_start[p] : genomes.muscle_start[p + 1], REST]
        for (one, two), rest in zip(ends(genomes, p), rests, strict=True):
            distance = float(np.linalg.norm(place[one] - place[two]))
            if distance > 0.13:
                ratios.append(rest / distance)
            assert rest >= 0.1
    assert min(ratios) >= 0.8 - 1e-5 and max(ratios) <= 1.2 + 1e-5
    assert stats.kstest((np.array(ratios) - 0.8) / 0.4, "uniform").pvalue > 1e-3


def test_a_node_weighs_ten_times_its_volume_and_half_a_kilogram_at_least() -> None:
    task, genomes = drawn()
    some = take(genomes, range(16))
    lanes = Lanes16(task, some, range(16))
    for p in range(16):
        radius = some.body_gene[some.body_start[p] : some.body_start[p + 1], SIZE].astype(np.float64) / 2.0
        expected = np.maximum(0.5, 10.0 * 4.0 / 3.0 * math.pi * radius**3)
        np.testing.assert_allclose(lanes.view("mass")[p, : len(radius)], expected, rtol=1e-5)
        assert (lanes.view("mass")[p, len(radius) :] == 0.0).all()
    assert lanes.view("mass").max() > 0.55 and lanes.view("mass")[:, 0].min() == 0.5


@pytest.mark.parametrize("mode", MODES)
def test_no_creature_of_the_first_generation_is_disqualified(mode: str) -> None:
    task, genomes = first_draw(configured(mode), COUNT, key=5)
    played = task.play(genomes, np.arange(COUNT), np.full(COUNT, 3, np.uint64))
    assert set(played.reason) == {0} and set(played.steps) == {900}
    assert np.isfinite(played.fitness).all() and np.isfinite(played.behaviour).all()
    assert (played.fitness > 0.0).mean() > 0.2


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_bodies_that_may_be_drawn_live_too(mode: str) -> None:
    config = replace(configured(mode, "sin", "all"), body=BodyConfig(min_nodes=2, max_nodes=32, max_muscles=64))
    task, genomes = first_draw(config, 64)
    assert np.diff(genomes.body_start).max() > 25
    played = task.play(genomes, np.arange(64), np.full(64, 3, np.uint64), task.parameters._replace(steps=300))
    assert set(played.reason) == {0}


def test_a_genome_depends_on_its_number_and_key_alone() -> None:
    config = configured("neat")
    (_, few), (_, many), (_, others) = (first_draw(config, count, key) for count, key in ((5, 1), (50, 1), (5, 2)))
    assert all(equal(few, p, many, p) for p in range(5))
    assert not any(equal(few, p, others, p) for p in range(5))
    assert len({few.body_gene[few.body_start[p], POSITION_X] for p in range(5)}) == 5
