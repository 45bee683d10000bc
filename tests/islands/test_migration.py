"""Who is taken in, whom they replace, and what that costs."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islands import migration
from islands.config import MigrationConfig
from islands.errors import EvolabError
from islands.genome.population import concatenate, take
from islands.migration import largest_publication
from islands.tasks import make
from tests.islands.evolving import tiny
from tests.islands.migration_parts import (
    REPLACEMENTS,
    SELECTIONS,
    apart,
    arrivals,
    blobs,
    counting,
    distinct,
    drawn,
    migrator,
    picked,
    population,
    populations,
    reasons,
    serve,
    worth,
)

NAN, INF = float("nan"), float("inf")
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.fixture
def folder(memory_folder):
    return memory_folder


# --- who is taken in, and whom they replace ---


def received(folder, people, came, score=worth, **policy):
    """What comes of a population that a neighbour's genomes reach: the exchange, and the island."""
    config = dataclasses.replace(tiny(), migration=MigrationConfig(every=1, **policy))
    island = migrator(folder, "here", config)
    serve(island.pool, "a", came)
    return island.exchange(1, people, score), island


def test_the_worst_make_room_the_failed_before_the_worst(folder):
    people = population(drawn(8), [3.0, NAN, 9.0, 1.0, 5.0, -7.0, 2.0, 4.0])
    exchange, island = received(folder, people, blobs(drawn(4, 2)), migrants=4)
    assert exchange.slots == [1, 5, 3, 6]
    assert [line["slot"] for line in arrivals(island)] == [1, 5, 3, 6]
    assert exchange.counts == {"received": 4, "admitted": 4, "refused": 0}
    stay = [0, 2, 4, 7]
    assert picked(exchange.population.genomes, *stay) == picked(people.genomes, *stay)
    assert np.array_equal(exchange.population.fitness[stay], people.fitness[stay])


def test_only_who_is_better_than_the_worst_is_taken_where_that_is_the_rule(folder):
    came = drawn(6, 2)
    values = iter([[2.0, 2.0, 3.0, 2.5, 9.0, 4.0]])
    people = population(drawn(8), [2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    exchange, island = received(
        folder, people, blobs(came), lambda genomes: np.array(next(values)), migrants=6, replace="worst-if-better"
    )
    # 2 is better than 1, not than 2; 3 is; 2.5 is not better than 3; 9 is; 4 is not better than 4
    assert reasons(island) == ["", "not better", "", "not better", "", "not better"]
    assert exchange.slots == [1, 0, 2]
    assert exchange.counts == {"received": 6, "admitted": 3, "refused": 3}


def test_a_genome_that_failed_makes_room_for_any_that_did_not(folder):
    people = population(drawn(3), [NAN, 5.0, 6.0])
    exchange, _ = received(
        folder, people, blobs(drawn(1, 2)), lambda g: np.array([-100.0]), migrants=1, replace="worst-if-better"
    )
    assert exchange.slots == [0] and exchange.population.fitness.tolist() == [-100.0, 5.0, 6.0]


@settings(deadline=None, max_examples=25)
@given(populations(least=3, fitness=None), st.integers(4, 9))
def test_the_nearest_by_distance_makes_room_where_that_is_the_rule(people, key):
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        exchange, _ = received(Path(folder), people, blobs(drawn(3, key)), migrants=3, replace="nearest")
    taken = []
    for slot in exchange.slots:
        away = {
            row: apart(exchange.population.genomes, slot, people.genomes, row)
            for row in range(people.genomes.count)
            if row not in taken
        }
        assert away[slot] == min(away.values())
        taken.append(slot)
    assert len(taken) == min(3, people.genomes.count)


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_a_duplicate_of_a_genome_here_or_of_one_just_admitted_is_never_admitted(folder, replace):
    here, new = drawn(6), drawn(2, 2)
    config = tiny("migration.migrants=6", f"migration.replace={replace}", "population=6")
    island = migrator(folder, "here", config)
    serve(island.pool, "a", picked(here, 3, 0) + picked(new, 0))
    serve(island.pool, "b", picked(new, 0, 1) + picked(here, 5))
    people = population(here, [10.0, 11.0, 12.0, 13.0, 14.0, -1.0])
    exchange = island.exchange(10, people, lambda genomes: np.full(genomes.count, 100.0, np.float32))
    assert distinct(exchange.population.genomes) == 6
    assert len(exchange.slots) in (2, 3)  # the third: the genome that has just made room comes back
    assert reasons(island).count("duplicate") == 6 - len(exchange.slots)
    assert len({line["digest"] for line in arrivals(island) if line["admitted"]}) == len(exchange.slots)


def test_a_genome_whose_evaluation_fails_is_refused(folder):
    exchange, island = received(
        folder, population(drawn(4)), blobs(drawn(3, 2)), lambda g: np.array([1, NAN, INF]), migrants=3
    )
    assert sorted(reasons(island)) == ["", "evaluation failed", "evaluation failed"] and len(exchange.slots) == 1


def test_no_slot_is_given_twice_in_one_migration(folder):
    exchange, island = received(folder, population(drawn(2)), blobs(drawn(5, 2)), migrants=5)
    assert sorted(exchange.slots) == [0, 1]
    assert sorted(reasons(island)) == ["", "", "no slot left", "no slot left", "no slot left"]


# --- what arrives is what left ---


@pytest.mark.parametrize("mode", ["neat", "pure", "hybrid"])
def test_a_genome_arrives_bit_for_bit_and_its_fitness_belongs_to_it(folder, mode):
    config = tiny(f"mode={mode}", "migration.migrants=4", "task.proprioception=all")
    there, here = migrator(folder, "there", config), migrator(folder, "here", config)
    away = population(drawn(8, 2, config))
    assert there.publish(10, away) == 4
    exchange = here.exchange(10, population(drawn(8, 1, config)), worth)
    assert np.array_equal(exchange.population.fitness, worth(exchange.population.genomes))
    best = sorted(range(8), key=lambda row: -away.fitness[row])[:4]
    assert set(picked(exchange.population.genomes, *exchange.slots)) == set(picked(away.genomes, *best))
    assert {line["fitness"] for line in arrivals(here)} == {float(away.fitness[row]) for row in best}


def test_a_publishers_lie_about_fitness_changes_nothing(folder):
    came, people = blobs(drawn(4, 2)), population(drawn(8))
    ends = []
    for number, told in enumerate(([1.0, 2.0, 3.0, 4.0], [1e30, -1e30, 0.0, 1e300])):
        config = tiny("migration.migrants=3", "migration.replace=worst-if-better")
        island = migrator(folder / str(number), "here", config)
        serve(island.pool, "a", came, told)
        ends.append(island.exchange(10, people, worth).population.digest())
        assert {line["fitness"] for line in arrivals(island)} <= set(told)
    assert ends[0] == ends[1] != people.digest()


def test_what_is_taken_is_drawn_at_random_from_the_stream_of_island_and_generation(folder):
    def digests(seed, generation, again=""):
        config = tiny("migration.migrants=2", f"seed={seed}")
        island = migrator(folder / f"{seed}-{generation}{again}", "here", config)
        serve(island.pool, "a", blobs(drawn(8, 2)))
        island.exchange(generation, population(drawn(8)), worth)
        return tuple(line["digest"] for line in arrivals(island))

    assert digests(1, 10) == digests(1, 10, again="again")
    assert len({digests(1, generation) for generation in range(10, 130, 10)}) > 6
    assert len({digests(seed, 10) for seed in range(2, 14)}) > 6


# --- variety, size, cost ---


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_migration_alone_never_makes_an_island_poorer_in_distinct_genomes(data):
    """Islands of one small stock, so that duplicates are common; some evaluations fail; nothing varies."""
    fitness = {
        blob: NAN if value % 10 < 2 else value for blob, value in zip(blobs(drawn(12)), worth(drawn(12)), strict=True)
    }

    def score(genomes):
        return np.array([fitness[blob] for blob in blobs(genomes)], np.float32)

    chosen = {
        "select": data.draw(st.sampled_from(SELECTIONS)),
        "replace": data.draw(st.sampled_from(REPLACEMENTS)),
        "topology": data.draw(st.sampled_from(["full", "ring", "star", "random-1", "a>b,b>c,c>a"])),
        "migrants": data.draw(st.integers(1, 6)),
    }
    config = tiny(*(f"migration.{name}={value}" for name, value in chosen.items()))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        islands = {name: migrator(Path(folder), name, config) for name in "abc"}
        people = {}
        for name in islands:
            genomes = take(drawn(12), data.draw(st.lists(st.integers(0, 11), min_size=2, max_size=8)))
            people[name] = population(genomes, score(genomes))
        for generation in range(1, 4):
            for name, island in islands.items():
                island.publish(generation, people[name])
                before, after = people[name], island.exchange(generation, people[name], score).population
                assert distinct(after.genomes) >= distinct(before.genomes)
                assert after.genomes.count == before.genomes.count
                assert np.array_equal(after.fitness, score(after.genomes), equal_nan=True)
                people[name] = after


@pytest.mark.parametrize("population_size", [10, 2000])
def test_the_cost_of_a_migration_is_that_of_its_migrants_and_not_of_the_population(
    folder, monkeypatch, population_size
):
    encoded = []
    whole = migration.encode
    monkeypatch.setattr(migration, "encode", lambda genomes, row: encoded.append(row) or whole(genomes, row))
    config = tiny("migration.migrants=3")
    here, there = migrator(folder, "here", config), migrator(folder, "there", config)
    there.publish(10, population(drawn(12, 2)))
    encoded.clear()
    people = population(drawn(population_size), np.arange(population_size))
    assert here.publish(10, people) == 3 and len(encoded) == 3
    counts, score = counting(worth)
    assert len(here.exchange(10, people, score).slots) == 3 and counts == [3]
    (published,) = (folder / "pool" / "migration_pool" / "here").glob("*.safetensors")
    assert published.stat().st_size < 30_000 and here.log.stat().st_size < 30_000


@pytest.mark.parametrize("mode", ["neat", "pure", "hybrid"])
@pytest.mark.parametrize("felt", ["none", "all"])
def test_the_largest_publication_has_room_for_the_largest_genomes_there_can_be(mode, felt):
    limits = ("body.min_nodes=9", "body.max_nodes=9", "body.max_muscles=30", "network.max_hidden=6")
    config = tiny(f"mode={mode}", f"task.proprioception={felt}", "migration.migrants=7", *limits)
    genomes = drawn(300, 1, config)
    longest = max(map(len, blobs(genomes)))
    assert np.diff(genomes.body_start).max() == 9
    assert 7 * longest < largest_publication(config, make(config).layout) < 100 * 7 * longest


def test_genomes_beyond_this_islands_limits_are_refused_and_left_for_the_others(folder):
    """Their children would be published here, in a publication larger than this island may make."""
    felt = "task.proprioception=all"
    wide = drawn(60, 1, tiny("body.min_nodes=20", "body.max_nodes=20", "body.max_muscles=40", felt))
    island = migrator(folder, "here", tiny("migration.migrants=4", felt))
    small = drawn(6, 1, island.config)
    most = largest_publication(island.config, island.layout)
    large = [blob for blob in blobs(wide) if len(blob) > most / 4][:2]
    serve(island.pool, "wide", large + picked(drawn(1, 7, island.config), 0))
    counts, score = counting(lambda genomes: np.full(genomes.count, 2000.0, np.float32))
    exchange = island.exchange(10, population(small), score)
    assert sorted(reasons(island)) == ["", "limits", "limits"] and counts == [1]
    assert all(line["digest"] for line in arrivals(island))
    assert len(list((island.pool.outboxes / "wide").glob("*.safetensors"))) == 1
    one = take(exchange.population.genomes, exchange.slots)
    children = [one._replace(conn_weight=one.conn_weight + np.float32(n)) for n in range(4)]
    assert island.publish(20, population(concatenate(children))) == 4


# --- who may exchange genomes ---


@pytest.mark.parametrize(
    "other, differs",
    [
        ("mode=pure", "mode: 'neat' / 'pure'"),
        ("task.proprioception=strain", "strain: 0 / 1"),
        ("task.time_encoding=cyclic", "sensors: 7 / 9"),
        ("network.bias=input", "constant: 0 / 1, node_bias: 1 / 0"),
    ],
)
def test_islands_whose_genomes_mean_something_else_refuse_each_other_before_anything_is_written(folder, other, differs):
    migrator(folder, "a", tiny())
    before = sorted(folder.rglob("*"))
    with pytest.raises(EvolabError, match=f"belongs to another archipelago .*{differs}"):
        migrator(folder, "b", tiny(other))
    assert sorted(folder.rglob("*")) == before


def test_islands_of_different_tasks_refuse_each_other(folder):
    migrator(folder, "a", tiny())
    config = tiny()
    another = dataclasses.replace(config, task=dataclasses.replace(config.task, name="cartpole"))
    stranger = migration.Migrator(another, make(config).layout, "b", (1, 1), folder / "b.jsonl")
    with pytest.raises(EvolabError, match="task: 'pellets' / 'cartpole'"):
        stranger.join(folder / "pool", 1, None)
