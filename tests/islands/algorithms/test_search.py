import math

import numpy as np
import pytest
from cmaes import CMA
from hypothesis import given, settings
from hypothesis import strategies as st

from islands.algorithms.search import genomes_of, nearer, ranked, vectors_of
from islands.genome.population import equal, flaw, take
from islands.genome.population import replace as replace_genomes
from islands.rng import Purpose, child, stream
from islands.tasks import make
from tests.islands.algorithms.searches import KINDS, bowl, same, search, searching, told
from tests.islands.migration_parts import drawn

every_kind = pytest.mark.parametrize("kind", KINDS)


@settings(deadline=None, max_examples=20)
@given(
    hidden=st.integers(1, 5),
    bias=st.sampled_from(["node", "input", "none"]),
    layers=st.integers(1, 3),
    recurrent=st.sampled_from(["true", "false"]),
    seed=st.integers(0, 9),
)
def test_weights_taken_out_of_genomes_and_put_back_are_the_same(hidden, bias, layers, recurrent, seed):
    shape = (f"network.hidden={hidden}", f"network.bias={bias}", f"network.layers={layers}")
    shape = (*shape, f"network.recurrent={recurrent}")
    config = searching("snes", *shape)
    genomes, pattern = drawn(5, seed, config), search("snes", *shape).pattern
    vectors = vectors_of(genomes)
    back = genomes_of(vectors, pattern)
    own = layers * hidden**2 if recurrent == "true" else 0
    deeper = (layers - 1) * hidden * (hidden + (bias == "node"))
    assert vectors.shape[1] == hidden * (4 + (bias != "none")) + deeper + own + hidden + (bias == "node")
    assert flaw(back, make(config).layout) == "" and np.array_equal(vectors_of(back), vectors)
    genomes.shared[:, 0] = 1.0  # the multiplier of bodies' frequencies
    assert all(equal(back, row, genomes, row) for row in range(5))


@every_kind
def test_a_generation_is_a_function_of_what_is_known_and_of_the_key(kind):
    one = search(kind)
    first = one.first((1, 0, 0))
    assert equal(first.genomes, 3, search(kind).first((1, 0, 0)).genomes, 3)
    scored = told(first, bowl(first))
    children = [one.breed(scored, 1.0, (seed, 0, 0)) for seed in (1, 2, 1)]
    assert same(children[0].memory, children[2].memory)
    assert np.array_equal(vectors_of(children[0].genomes), vectors_of(children[2].genomes))
    assert not np.array_equal(vectors_of(children[0].genomes), vectors_of(children[1].genomes))
    assert not np.array_equal(vectors_of(children[0].genomes), vectors_of(first.genomes))


@every_kind
@settings(deadline=None, max_examples=15)
@given(order=st.permutations(range(8)), fitness=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=8, max_size=8))
def test_what_is_known_does_not_depend_on_the_slots(kind, order, fitness):
    one = search(kind)
    first = one.first((1, 0, 0))
    moved = first.__class__(take(first.genomes, order), first.species, {}, first.memory)
    here = one.breed(told(first, fitness, (2,)), 1.0, (1, 0, 0))
    there = one.breed(told(moved, np.array(fitness)[list(order)], (order.index(2),)), 1.0, (1, 0, 0))
    assert same(here.memory, there.memory)


@every_kind
def test_a_search_finds_the_bottom_of_a_bowl(kind):
    one = search(kind, "population=20")
    generation = one.first((1, 0, 0))
    start = bowl(generation).max()
    for number in range(80):
        generation = one.breed(told(generation, bowl(generation)), 1.0, (1, 0, number))
    assert bowl(generation).max() > 0.1 * start > -10


@every_kind
def test_a_failed_evaluation_counts_as_the_worst_and_the_order_of_the_others_is_all_that_counts(kind):
    one = search(kind)
    first = one.first((1, 0, 0))
    fitness = np.arange(8.0)
    failed = np.where(fitness == 0, np.nan, fitness)
    here, there = (one.breed(told(first, values), 1.0, (1, 0, 0)) for values in (failed, fitness))
    assert np.array_equal(vectors_of(here.genomes), vectors_of(there.genomes))
    assert np.isfinite(vectors_of(here.genomes)).all()
    cubed = one.breed(told(first, fitness**3), 1.0, (1, 0, 0))
    assert np.array_equal(vectors_of(cubed.genomes), vectors_of(there.genomes))


def test_equal_scores_are_not_told_by_their_slots():
    vectors = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    there = ranked(vectors[::-1], np.zeros(30), [])
    here = ranked(vectors, np.zeros(30), [])
    assert np.array_equal(here.vectors, there.vectors) and not np.array_equal(here.vectors, vectors)


@every_kind
def test_an_immigrant_from_afar_draws_a_search_towards_it_but_not_out_of_its_range(kind):
    one = search(kind)
    first = one.first((1, 0, 0))
    stranger = genomes_of(np.full((1, vectors_of(first.genomes).shape[1]), 1e6, np.float32), one.pattern)
    joined = first.__class__(replace_genomes(first.genomes, [3], stranger), first.species, {}, first.memory)
    fitness = np.where(np.arange(8) == 3, 9.0, np.arange(8.0))
    without, within = (
        one.breed(told(first, fitness), 1.0, (1, 0, 0)),
        one.breed(told(joined, fitness, (3,)), 1.0, (1, 0, 0)),
    )
    assert not same(without.memory, within.memory)
    assert 0 < np.linalg.norm(within.memory["mean"] - without.memory["mean"]) < 20


def test_no_step_of_an_immigrant_is_longer_than_hansens_bound():
    steps = np.array([[30.0, 40.0], [0.3, 0.4]])
    near = nearer(steps, np.linalg.norm(steps, axis=1))
    assert np.linalg.norm(near[0]) == pytest.approx(math.sqrt(2) + 1) and near[0][0] / near[0][1] == pytest.approx(0.75)
    assert np.array_equal(near[1], steps[1])


def test_between_generations_nothing_of_the_package_s_search_is_lost():
    """Taken apart and put together again each generation, it goes the way of one that lives on."""
    one = search("cmaes", "network.weight_scale=0.5")
    generation = one.first((3, 0, 0))
    whole = CMA(generation.memory["mean"].copy(), 0.5, population_size=8)
    key = stream(3, 0, 0, Purpose.STRATEGY, slot=1)
    for number in range(30):
        asked = []
        for p in range(8):
            whole.reseed_rng(int(child(key, p)) >> 32)
            asked.append(whole.ask())
        vectors = vectors_of(generation.genomes)
        assert np.allclose(vectors, np.array(asked, np.float32), rtol=1e-4, atol=1e-5)
        scores = bowl(generation)
        whole.tell([(vectors[row].astype(np.float64), -float(scores[row])) for row in range(8)])
        generation = one.breed(told(generation, scores), 1.0, (3, 0, number))
        key = stream(3, 0, number, Purpose.STRATEGY)
    assert whole.generation == generation.memory["told"][0] == 30


@every_kind
def test_a_search_without_progress_starts_afresh_and_every_generation_is_a_species(kind):
    one = search(kind, "strategy.patience=3")
    generation, told_of = one.first((1, 0, 0)), []
    for number in range(9):
        told_of.append((one.words(generation.memory)["strategy"]["restarts"], int(generation.species.number[0])))
        generation = one.breed(told(generation, np.zeros(8)), 1.0, (1, 0, number))
    assert told_of == list(zip([0, 0, 0, 0, 1, 1, 1, 1, 2], range(9), strict=True))


@every_kind
@pytest.mark.parametrize("factor", [1e-12, 1e6])
def test_a_search_that_has_collapsed_or_diverged_starts_afresh_without_being_told_to(kind, factor):
    one = search(kind)
    first = one.first((1, 0, 0))
    name = "deviation" if kind == "snes" else "sigma"
    scored = told(first, bowl(first))._replace(memory={**first.memory, name: first.memory[name] * factor})
    assert one.breed(scored, 1.0, (1, 0, 0)).memory["restarts"].tolist() == [1]
