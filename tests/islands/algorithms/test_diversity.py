"""Novelty search and MAP-Elites: what an archive keeps, who breeds, and that nothing is lost by interruption."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from islands import loading
from islands.algorithms import Told
from islands.algorithms.elites import MapElites, elites_in, range_of
from islands.algorithms.novelty import REMEMBERED, Novelty, blended, novelty_of, ranks
from islands.config import Config
from islands.errors import ConfigError
from islands.genome.initial import draw_genomes
from islands.genome.population import Population, rows_equal_to
from islands.loop import breeding_of
from islands.speciation import found_species, note_progress
from islands.tasks import make
from tests.islands.evolving import after, digests, evolve, history, log, make_run
from tests.islands.stories import story
from tests.islands.test_replay import replayed

METHODS = ("novelty", "map-elites")
BASE = (
    "task.name=cartpole", "task.steps=60", "population=20", "generations=7", "speciation.target=3",
    "evaluation.stop_when_solved=false",
)  # fmt: skip


def diverse(method: str, *assignments: str) -> Config:
    """A tiny run that breeds by behaviour."""
    return loading.override(Config(), [*BASE, f"diversity.method={method}", "diversity.cells=3", *assignments])


def told(config: Config, fitness, behaviour, memory=None) -> Told:
    """A generation that scored and did what is given."""
    task = make(config)
    genomes = draw_genomes(len(fitness), np.uint64(1), task.layout, breeding_of(config, task).first)
    fitness = np.asarray(fitness, np.float32)
    species = note_progress(found_species(genomes, config.speciation, 0), fitness, 0)
    behaviour = np.asarray(behaviour, np.float32)
    return Told(Population(genomes, fitness), species, memory or {}, [], {}, behaviour)


def breeder(kind, config: Config):
    return kind(breeding_of(config, make(config)))


POINTS = arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=st.floats(-50, 50, width=32))


@given(POINTS, st.integers(1, 6))
def test_novelty_is_the_mean_distance_to_the_nearest_others(points, neighbours):
    scale = points.std(axis=0)
    scale[scale == 0] = 1
    apart = np.linalg.norm((points[:, None] - points[None]) / scale, axis=2)
    count = min(neighbours, len(points) - 1)
    expected = np.sort(apart, axis=1)[:, 1 : count + 1].mean(axis=1)
    found = novelty_of(points, np.empty((0, points.shape[1])), neighbours)
    assert np.allclose(found, expected, atol=1e-9)


def test_what_the_archive_has_seen_is_new_no_more():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [10.0, 10.0]])
    before = novelty_of(points, np.empty((0, 2)), 2)
    after_ = novelty_of(points, np.array([[10.0, 10.1], [10.1, 10.0], [9.9, 10.0]]), 2)
    assert np.argmax(before) == 2 and np.argmin(after_) == 2


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-9, 9)))
def test_ranks_follow_the_order_and_equal_values_share_theirs(values):
    found = ranks(values)
    assert found.min() == 0 and found.max() <= 1
    assert np.array_equal(found[:, None] < found[None], values[:, None] < values[None])


def test_the_best_by_fitness_always_has_the_greatest_merit_and_a_failure_none():
    merit = blended(np.array([3.0, 2.0, 1.0, np.nan]), np.array([1.0, 2.0, 9.0, np.nan]), 1.0)
    assert np.argsort(-merit[:3]).tolist() == [2, 0, 1] and np.isnan(merit[3])


def test_the_archive_grows_by_the_additions_and_is_bounded():
    config = diverse("novelty", "diversity.additions=3")
    seen = told(config, np.arange(20), np.random.default_rng(1).normal(size=(20, 4)))
    first = breeder(Novelty, config).breed(seen, 1.0, (1, 0, 0))
    assert first.memory["archive"].shape == (3, 4)
    full = {"archive": np.zeros((REMEMBERED, 4)), "novelty": np.zeros(1)}
    assert (
        len(breeder(Novelty, config).breed(seen._replace(memory=full), 1.0, (1, 0, 1)).memory["archive"]) == REMEMBERED
    )


def test_a_cell_keeps_its_best_and_the_best_of_all_is_passed_on():
    config = diverse("map-elites", "population=4", "selection.elites=0", "migration.migrants=1")
    places = [[0.0, 0.0], [0.01, 0.01], [1.0, 1.0], [1.01, 1.01]]
    seen = told(config, [1.0, 2.0, 4.0, 3.0], places)
    made = breeder(MapElites, config).breed(seen, 1.0, (1, 0, 0))
    assert sorted(elites_in(made.memory).fitness.tolist()) == [2.0, 4.0]
    assert rows_equal_to(made.genomes, seen.population.genomes, 2)[0] == 0
    worse = told(config, [0.5, 0.5, 0.5, 9.0], [*places[:3], [0.0, 1.0]], made.memory)
    later = elites_in(breeder(MapElites, config).breed(worse, 1.0, (1, 0, 1)).memory)
    assert sorted(later.fitness.tolist()) == [2.0, 4.0, 9.0]


def test_what_failed_or_did_nothing_finite_is_no_elite():
    config = diverse("map-elites", "population=4", "selection.elites=0", "migration.migrants=1")
    seen = told(config, [1.0, np.nan, 3.0, 2.0], [[0, 0], [1, 1], [np.nan, 0], [1, 0]])
    assert sorted(elites_in(breeder(MapElites, config).breed(seen, 1.0, (1, 0, 0)).memory).fitness) == [1.0, 2.0]


@given(POINTS)
def test_the_range_holds_nine_tenths_of_the_first_generation_and_is_never_empty(points):
    low, high = range_of(points)
    assert (high > low).all()
    middle = np.quantile(points, 0.5, axis=0)
    assert (low <= middle).all() and (middle <= high).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_run_interrupted_after_any_generation_and_resumed_equals_one_without_a_break(memory_folder, method):
    config = diverse(method, "record.checkpoint_every=2")
    whole = make_run(memory_folder / "whole", config)
    evolve(whole)
    for generation in range(1, 7):
        run = make_run(memory_folder / str(generation), config)
        evolve(run, halted=after(generation))
        evolve(run)
        assert story(run) == story(whole)


@pytest.mark.parametrize("method", METHODS)
def test_islands_exchange_genomes_with_what_they_did_and_replay(memory_folder, method):
    names = ("ant", "bee")
    config = diverse(method, "migration.every=1", "migration.migrants=2")
    run = make_run(memory_folder / "run", config, names, (5, 6), memory_folder / "pool")
    evolve(run)
    assert any(line.get("admitted") for line in log(run, "ant"))
    for name in names:
        assert replayed(run, name, memory_folder / f"replay-{name}") == digests(run, name)


def test_the_metrics_tell_of_the_archive(memory_folder):
    run = make_run(memory_folder / "run", diverse("map-elites"))
    evolve(run)
    told_ = [line["elites"] for line in history(run) if "elites" in line]
    assert len(told_) == 6 and all(0 < line["coverage"] <= 1 for line in told_)
    counts = [line["count"] for line in told_]
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        (["diversity.descriptors=x"], "diversity.descriptors: expected numbers from 0 on"),
        (["diversity.method=novelty", "mode=pure", "algorithm=snes"], "expected no diversity.method"),
    ],
)
def test_what_cannot_be_is_one_clear_line(assignments, says):
    with pytest.raises(ConfigError) as refusal:
        loading.override(Config(), [*BASE, "migration.migrants=2", *assignments])
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_descriptor_that_the_task_has_not_is_refused_by_what_it_has(memory_folder):
    run = make_run(memory_folder / "run", diverse("novelty", "diversity.descriptors=0,9"))
    with pytest.raises(ConfigError, match="numbers from 0 to 3"):
        evolve(run)
