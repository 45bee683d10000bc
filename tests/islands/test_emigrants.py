"""Who leaves an island at a migration."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islands.config import Config, MigrationConfig
from islands.migration import emigrants
from tests.islands.evolving import tiny
from tests.islands.migration_parts import (
    SELECTIONS,
    apart,
    blobs,
    drawn,
    lines,
    migrator,
    picked,
    population,
    populations,
)

NAN, INF = float("nan"), float("inf")
quickly = settings(deadline=None, max_examples=60)


@pytest.fixture
def folder(memory_folder):
    return memory_folder


def leaving(people, key=1, **policy):
    """The rows that leave under a policy."""
    config = dataclasses.replace(tiny(), migration=MigrationConfig(**policy))
    return emigrants(people.genomes, people.fitness, config, np.uint64(key))


def test_the_defaults_are_the_seeds_every_ten_generations_five_and_the_worst_make_room(tmp_path):
    policy = MigrationConfig()
    assert (policy.every, policy.migrants, policy.select, policy.replace) == (10, 5, "best", "worst")
    assert policy.topology == "full" and Config().migration == policy
    island = migrator(tmp_path, "a", dataclasses.replace(tiny(), migration=policy))
    assert [generation for generation in range(41) if island.due(generation)] == [10, 20, 30, 40]


@pytest.mark.parametrize("off", ["migration.every=0", "migration.migrants=0"])
def test_without_a_period_or_migrants_no_migration_is_ever_due(tmp_path, off):
    island = migrator(tmp_path, "a", tiny(off))
    assert not any(island.due(generation) for generation in range(100))


def test_the_best_leave_best_first():
    people = population(drawn(8), [3.0, NAN, 9.0, -INF, 5.0, 1.0, 5.0, INF])
    assert leaving(people, migrants=5) == [2, 4, 6, 0, 5]
    assert leaving(people, migrants=2) == [2, 4]


@quickly
@given(populations(), st.sampled_from(SELECTIONS), st.integers(1, 8), st.integers(0, 2**63))
def test_emigrants_are_distinct_have_finite_fitness_and_are_at_most_as_many_as_wanted(people, select, most, key):
    rows = leaving(people, key, select=select, migrants=most)
    assert np.isfinite(people.fitness[rows]).all() and len(rows) <= most
    gone = picked(people.genomes, *rows)
    assert len(set(gone)) == len(gone)
    fit = set(picked(people.genomes, *np.flatnonzero(np.isfinite(people.fitness))))
    if select != "different":
        assert len(rows) == min(most, len(fit))
    assert bool(rows) == bool(fit)


@quickly
@given(populations(), st.integers(1, 8))
def test_no_genome_that_stays_is_better_than_one_of_the_best_that_leave(people, most):
    rows = leaving(people, migrants=most)
    gone = set(picked(people.genomes, *rows))
    stay = [row for row, blob in enumerate(blobs(people.genomes)) if blob not in gone]
    worst = min(people.fitness[rows], default=INF)
    assert len(rows) < most or not any(people.fitness[row] > worst for row in stay if np.isfinite(people.fitness[row]))


@pytest.mark.parametrize("select", SELECTIONS)
def test_where_nobody_has_a_fitness_nobody_leaves(folder, select):
    people = population(drawn(4), [NAN, INF, NAN, -INF])
    assert leaving(people, select=select) == []
    island = migrator(folder, "here", tiny(f"migration.select={select}"))
    assert island.publish(10, people) == 0 and list((island.pool.outboxes / "here").glob("0*")) == []


def test_random_emigrants_are_any_of_the_finite_ones_and_depend_on_the_stream_alone():
    people = population(drawn(8), [3.0, NAN, 9.0, 0.0, 5.0, 1.0, 5.0, INF])
    sent = [leaving(people, key, select="random", migrants=2) for key in range(100)]
    assert sent[:20] == [leaving(people, key, select="random", migrants=2) for key in range(20)]
    gone = Counter(row for rows in sent for row in rows)
    assert sorted(gone) == [0, 2, 3, 4, 5, 6] and min(gone.values()) > 200 / 6 / 2


def test_random_emigrants_are_others_at_every_generation_and_the_same_when_one_is_done_again(folder):
    island = migrator(folder, "here", tiny("migration.select=random", "migration.migrants=2"))
    people = population(drawn(8))
    for generation in (*range(1, 11), 10):
        island.publish(generation, people)
    sent = [(line["sequence"], tuple(line["digests"])) for line in lines(island)]
    assert sent[-1] == sent[-2] and len({digests for _, digests in sent}) > 5


@quickly
@given(populations(least=4, most=16), st.integers(2, 6))
def test_the_most_different_of_the_better_half_leave_farthest_first(people, most):
    rows = leaving(people, select="different", migrants=most)
    ranked = sorted(np.flatnonzero(np.isfinite(people.fitness)), key=lambda row: -people.fitness[row])
    half = ranked[: max(1, len(ranked) // 2)]
    assert set(rows) <= set(half) and rows[:1] == half[:1]

    def nearest(row, chosen):
        return min(apart(people.genomes, row, people.genomes, other) for other in chosen)

    for place in range(1, len(rows)):
        farthest = max(nearest(row, rows[:place]) for row in half)
        assert nearest(rows[place], rows[:place]) == farthest
    if len(rows) < min(most, len(half)):
        assert max(nearest(row, rows) for row in half) == 0.0
