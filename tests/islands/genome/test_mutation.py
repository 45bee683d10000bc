"""Mutation operators change what they say and nothing else, within bounds and limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.config import AdaptiveConfig, BodyConfig, Config, MutationConfig, NetworkConfig
from islands.genome import marking
from islands.genome.mutation import BODY_BOUNDS, MULTIPLIER_BOUNDS, MUSCLE_BOUNDS
from islands.genome.population import (
    BODY_GENES,
    MULTIPLIER,
    MUSCLE_GENES,
    REST,
    SHARED_GENES,
    Genomes,
    equal,
    flaw,
    take,
)
from islands.reproduction import rates_of
from tests.islands.genome.breeding import WILD, Parts, Stock, configurations, examples, hidden_of, parts
from tests.islands.tasks.creatures import MODES, configured

KEYS = st.integers(0, 2**32)
LONGEST_FIRST_REST = 1.2 * math.sqrt(3.0**2 + 1.95**2 + 3.0**2) + 1e-3


def out_of_bounds(genomes: Genomes) -> str:
    """Which gene is outside its bounds; a rest length may also be a first draw's. Empty when none is."""
    for g, (low, high) in enumerate(BODY_BOUNDS):
        if ((genomes.body_gene[:, g] < low) | (genomes.body_gene[:, g] > high)).any():
            return f"body gene {g}"
    for g, (low, high) in enumerate(MUSCLE_BOUNDS):
        least, most = (0.1, LONGEST_FIRST_REST) if g == REST else (low, high)
        if ((genomes.muscle_gene[:, g] < least) | (genomes.muscle_gene[:, g] > most)).any():
            return f"muscle gene {g}"
    multiplier = genomes.shared[:, MULTIPLIER]
    return "multiplier" if ((multiplier < MULTIPLIER_BOUNDS[0]) | (multiplier > MULTIPLIER_BOUNDS[1])).any() else ""


def cyclic(one: Parts) -> bool:
    """Whether the connections of a genome, disabled ones included, close a cycle."""
    into: dict[int, set[int]] = {}
    for source, target, _, _ in one.connections.values():
        into.setdefault(target, set()).add(source)
    while ready := [node for node, sources in into.items() if not sources & into.keys()]:
        for node in ready:
            del into[node]
    return bool(into)


@given(configurations(), KEYS, st.integers(1, 8), st.sampled_from([0.0, 0.3]))
@examples(40)
def test_genomes_stay_whole_through_any_sequence_of_operators(
    config: Config, key: int, generations: int, recurrent: float
) -> None:
    stock = Stock(config, 6, key)
    stock.age(generations, key, **{**WILD, "recurrent": recurrent})
    assert flaw(stock.genomes, stock.layout) == ""
    assert out_of_bounds(stock.genomes) == ""
    for p in range(stock.count):
        one = parts(stock.genomes, p)
        assert recurrent or not cyclic(one)
        assert 3 <= len(one.body) <= 6 and 1 <= len(one.muscles) <= 9
        assert all(first != second for (first, second), _ in one.muscles.values())
        if stock.layout.hidden == 0:
            outputs = {int(marking.output_mark(np.uint64(muscle))) for muscle in one.muscles}
            assert outputs <= one.neurons.keys()
            assert len(hidden_of(one)) <= config.network.max_hidden
        else:
            assert not one.neurons and not one.connections


@given(configurations(), KEYS)
@examples(10)
def test_at_rates_of_nought_a_child_is_its_parent(config: Config, key: int) -> None:
    stock = Stock(config, 4, key)
    stock.age(3, key)
    children, limited = stock.bred(key=key)
    assert all(equal(children, p, stock.genomes, p) for p in range(4))
    assert set(limited.values()) == {0}


def weights(genomes: Genomes) -> np.ndarray:
    """Every weight and bias."""
    columns = (
        genomes.shared[:, SHARED_GENES:],
        genomes.muscle_gene[:, MUSCLE_GENES:],
        genomes.body_gene[:, BODY_GENES:],
    )
    return np.concatenate([genomes.conn_weight, genomes.node_bias, *(column.ravel() for column in columns)])


def without_weights(genomes: Genomes) -> list[np.ndarray]:
    """Everything else."""
    rest = genomes._replace(
        conn_weight=np.zeros(0), node_bias=np.zeros(0), shared=genomes.shared[:, :SHARED_GENES],
        muscle_gene=genomes.muscle_gene[:, :MUSCLE_GENES], body_gene=genomes.body_gene[:, :BODY_GENES],
    )  # fmt: skip
    return list(rest)


@pytest.mark.parametrize("mode", MODES)
def test_weights_are_perturbed_at_their_rate_by_steps_of_their_scale(mode: str) -> None:
    stock = Stock(configured(mode, felt="all"), 200)
    children, _ = stock.bred(weight_rate=0.6, weight_scale=0.25)
    steps = weights(children).astype(np.float64) - weights(stock.genomes)
    assert np.mean(steps != 0.0) == pytest.approx(0.6, abs=0.02)
    assert steps[steps != 0.0].std() == pytest.approx(0.25, rel=0.03)
    assert steps.mean() == pytest.approx(0.0, abs=0.01)
    for one, other in zip(without_weights(children), without_weights(stock.genomes), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", MODES)
def test_a_replaced_weight_has_nothing_of_the_old_one(mode: str) -> None:
    config = replace(configured(mode), network=NetworkConfig(weight_scale=2.0))
    stock = Stock(config, 200)
    children, _ = stock.bred(weight_rate=1.0, weight_scale=0.1, replace_rate=1.0)
    before, after = weights(stock.genomes), weights(children)
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.03
    assert after.std() == pytest.approx(2.0, rel=0.03)


def test_biases_stay_where_the_configuration_has_none() -> None:
    stock = Stock(configured("neat", bias="input"), 20)
    children, _ = stock.bred(weight_rate=1.0, weight_scale=0.5)
    np.testing.assert_array_equal(children.node_bias, stock.genomes.node_bias)


def test_a_split_connection_keeps_its_weight_behind_the_new_neuron_and_is_switched_off() -> None:
    stock = Stock(configured("neat"), 60)
    children, limited = stock.bred(add_node=1.0)
    assert set(limited.values()) == {0}
    for p in range(60):
        old, new = parts(stock.genomes, p), parts(children, p)
        (node,) = new.neurons.keys() - old.neurons.keys()
        (split,) = [mark for mark in old.connections if old.connections[mark] != new.connections[mark]]
        source, target, weight, _ = old.connections[split]
        assert new.connections[split] == (source, target, weight, 0)
        grown = {mark: new.connections[mark] for mark in new.connections.keys() - old.connections.keys()}
        assert sorted(grown.values()) == sorted([(source, node, 1.0, 1), (node, target, weight, 1)])
        assert new.neurons[node] == 0.0 and new.body == old.body and new.muscles == old.muscles


def test_the_same_split_has_the_same_marking_on_every_island_and_another_split_another() -> None:
    stock = Stock(configured("neat"), 40)
    splits: dict[int, set[tuple[int, ...]]] = {}
    for island in (1, 2, 3):
        children, _ = stock.bred(key=island, add_node=1.0)
        for p in range(40):
            old, new = parts(stock.genomes, p), parts(children, p)
            (split,) = [mark for mark in old.connections if old.connections[mark] != new.connections[mark]]
            added = (new.neurons.keys() - old.neurons.keys()) | (new.connections.keys() - old.connections.keys())
            splits.setdefault(split, set()).add(tuple(sorted(added)))
    assert len(splits) < 120
    assert all(len(found) == 1 for found in splits.values())
    everything = [mark for found in splits.values() for mark in next(iter(found))]
    assert len(set(everything)) == len(everything)


def test_splitting_a_connection_again_makes_a_new_neuron() -> None:
    stock = Stock(configured("neat"), 12)
    one = parts(stock.genomes, 0)
    for _ in range(6 * len(one.connections)):
        stock.generation += 1
        stock.genomes, _ = stock.bred(add_node=1.0, enable=1.0)
    config_limit = stock.config.network.max_hidden
    assert [len(hidden_of(parts(stock.genomes, p))) for p in range(12)] == [config_limit] * 12
    twice = 0
    for p in range(12):
        found = parts(stock.genomes, p)
        sources = [(source, target) for source, target, _, _ in found.connections.values()]
        assert len(set(sources)) == len(sources)
        twice += any(
            int(marking.mark(marking.SPLIT, np.uint64(split), np.uint64(1), marking.depth(split) + np.uint64(1)))
            in found.neurons
            for split in map(np.uint64, found.connections)
        )
    assert twice > 0


def test_a_new_connection_joins_what_was_not_joined_and_closes_no_cycle() -> None:
    stock = Stock(configured("neat", felt="strain"), 60)
    stock.age(4, add_node=1.0, enable=1.0)
    children, _ = stock.bred(add_connection=1.0)
    added = 0
    for p in range(60):
        old, new = parts(stock.genomes, p), parts(children, p)
        fresh = new.connections.keys() - old.connections.keys()
        assert new == new._replace(body=old.body, muscles=old.muscles, neurons=old.neurons, shared=old.shared)
        assert len(fresh) <= 1 and not cyclic(new)
        for mark in fresh:
            source, target, weight, on = new.connections[mark]
            assert on == 1 and weight != 0.0 and target in new.neurons
            assert mark == int(marking.connection_mark(np.uint64(source), np.uint64(target)))
            assert (source, target) not in {link[:2] for link in old.connections.values()}
        added += len(fresh)
    assert added > 50


def test_no_connection_starts_at_an_output_so_a_muscle_can_go_without_changing_the_others() -> None:
    stock = Stock(configured("neat"), 40)
    stock.age(12, add_node=0.3, add_connection=1.0)
    for p in range(40):
        one = parts(stock.genomes, p)
        outputs = one.neurons.keys() - set(hidden_of(one))
        assert not any(source in outputs for source, _, _, _ in one.connections.values())


def test_one_connection_is_switched_at_a_time() -> None:
    stock = Stock(configured("neat"), 30)
    off, _ = stock.bred(disable=1.0)
    for p in range(30):
        rows = slice(off.conn_start[p], off.conn_start[p + 1])
        assert np.sum(off.conn_on[rows] == 0) == 1
    on, _ = stock.bred(off, enable=1.0)
    assert all(equal(on, p, stock.genomes, p) for p in range(30))
    again, _ = stock.bred(on, enable=1.0)
    assert all(equal(again, p, stock.genomes, p) for p in range(30))


@pytest.mark.parametrize("mode", MODES)
def test_body_genes_change_at_their_rate_within_their_bounds_and_weights_do_not(mode: str) -> None:
    stock = Stock(configured(mode, felt="all"), 150)
    children, _ = stock.bred(body_rate=0.4, body_scale=0.2)
    assert out_of_bounds(children) == ""
    np.testing.assert_array_equal(weights(children), weights(stock.genomes))
    used = 6 if mode == "hybrid" else 3
    changed = children.muscle_gene[:, :MUSCLE_GENES] != stock.genomes.muscle_gene[:, :MUSCLE_GENES]
    assert changed[:, :used].mean(axis=0) == pytest.approx([0.4] * used, abs=0.08)
    assert not changed[:, used:].any()
    moved = children.body_gene[:, :BODY_GENES] != stock.genomes.body_gene[:, :BODY_GENES]
    assert moved.mean(axis=0) == pytest.approx([0.4] * BODY_GENES, abs=0.08)
    faster = children.shared[:, MULTIPLIER] != stock.genomes.shared[:, MULTIPLIER]
    assert faster.mean() == pytest.approx(0.4 if mode == "hybrid" else 0.0, abs=0.12)


def test_phases_wrap_round_instead_of_stopping() -> None:
    stock = Stock(configured("hybrid"), 100)
    children, _ = stock.bred(body_rate=1.0, body_scale=0.5)
    phases = children.muscle_gene[:, 5]
    assert phases.min() >= 0.0 and phases.max() <= 2.0 * math.pi
    assert np.mean((phases == 0.0) | (phases >= 2.0 * math.pi - 1e-6)) < 0.01


@pytest.mark.parametrize("mode", MODES)
def test_a_new_muscle_joins_a_pair_that_was_not_joined(mode: str) -> None:
    stock = Stock(configured(mode, felt="strain"), 60)
    children, limited = stock.bred(add_muscle=1.0)
    full = 0
    for p in range(60):
        old, new = parts(stock.genomes, p), parts(children, p)
        fresh = new.muscles.keys() - old.muscles.keys()
        full += not fresh
        for mark in fresh:
            (one, two), genes = new.muscles[mark]
            assert mark == int(marking.muscle_mark(np.uint64(two), np.uint64(one)))
            assert {one, two} <= new.body.keys() and one != two
            assert {one, two} not in [set(ends) for ends, _ in old.muscles.values()]
            places = np.array([new.body[end][2:5] for end in (one, two)])
            distance = float(np.linalg.norm(places[0] - places[1]))
            assert max(0.2, 0.8 * distance) - 1e-4 <= genes[REST] <= min(4.0, max(0.2, 1.2 * distance)) + 1e-4
        assert old.body == new.body and {mark: new.muscles[mark] for mark in old.muscles} == old.muscles
    assert full < 40 and limited["body.max_muscles"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_removed_muscle_takes_its_output_along_and_the_last_one_stays(mode: str) -> None:
    stock = Stock(configured(mode, felt="strain"), 30)
    genomes = stock.genomes
    for key in range(20):
        children, _ = stock.bred(genomes, key=key, remove_muscle=1.0)
        for p in range(30):
            old, new = parts(genomes, p), parts(children, p)
            gone = old.muscles.keys() - new.muscles.keys()
            assert len(gone) == (len(old.muscles) > 1)
            for mark in gone:
                ends = {
                    int(marking.output_mark(np.uint64(mark))),
                    int(marking.mark(marking.STRAIN, np.uint64(mark), 0, 0)),
                }
                assert not ends & new.neurons.keys()
                assert not any({source, target} & ends for source, target, _, _ in new.connections.values())
        genomes = children
    assert (np.diff(genomes.muscle_start) == 1).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_new_body_node_grows_beside_another_and_is_joined_to_it(mode: str) -> None:
    stock = Stock(configured(mode, felt="all"), 60)
    stock.config = replace(stock.config, body=BodyConfig(max_nodes=12, max_muscles=40))
    grown: dict[int, set[int]] = {}
    for island in (1, 2):
        children, _ = stock.bred(key=island, add_body_node=1.0)
        for p in range(60):
            old, new = parts(stock.genomes, p), parts(children, p)
            (node,) = new.body.keys() - old.body.keys()
            (muscle,) = new.muscles.keys() - old.muscles.keys()
            (parent,) = set(new.muscles[muscle][0]) - {node}
            assert parent in old.body and new.body[node][:2] == old.body[parent][:2]
            assert node == int(marking.mark(marking.GROWN, np.uint64(parent), np.uint64(0), np.uint64(1)))
            assert all(gene == 0.0 for gene in new.body[node][BODY_GENES:])
            grown.setdefault(parent, set()).add(node)
    assert all(len(nodes) == 1 for nodes in grown.values()) and len(grown) >= 8


def test_two_nodes_grown_from_one_have_different_markings() -> None:
    stock = Stock(configured("pure"), 4)
    stock.config = replace(stock.config, body=BodyConfig(max_nodes=32, max_muscles=64))
    before = np.diff(stock.genomes.body_start)
    for _ in range(16):
        stock.generation += 1
        stock.genomes, _ = stock.bred(add_body_node=1.0)
    assert flaw(stock.genomes, stock.layout) == ""
    assert (np.diff(stock.genomes.body_start) == before + 16).all()
    second = {int(marking.mark(marking.GROWN, node, np.uint64(1), marking.depth(node) + np.uint64(1)))
              for node in stock.genomes.body_id}  # fmt: skip
    assert second & set(stock.genomes.body_id.tolist())


@pytest.mark.parametrize("mode", MODES)
def test_a_removed_body_node_takes_its_muscles_along_and_the_fewest_stay(mode: str) -> None:
    stock = Stock(configured(mode, felt="all"), 40)
    genomes = stock.genomes
    for key in range(12):
        children, _ = stock.bred(genomes, key=key, remove_body_node=1.0)
        for p in range(40):
            old, new = parts(genomes, p), parts(children, p)
            gone = old.body.keys() - new.body.keys()
            assert len(gone) <= (len(old.body) > 3)
            held = {mark for mark, (ends, _) in old.muscles.items() if set(ends) & gone}
            assert new.muscles == {mark: muscle for mark, muscle in old.muscles.items() if mark not in held}
            assert new.muscles
        genomes = children
        assert flaw(genomes, stock.layout) == ""
    assert np.diff(genomes.body_start).min() == 3


@pytest.mark.parametrize(
    ("limits", "rates", "key"),
    [
        ({"network": NetworkConfig(max_hidden=0)}, {"add_node": 1.0}, "network.max_hidden"),
        ({"body": BodyConfig(min_nodes=4, max_nodes=4)}, {"add_body_node": 1.0}, "body.max_nodes"),
        ({"body": BodyConfig(min_nodes=5, max_muscles=4)}, {"add_muscle": 1.0}, "body.max_muscles"),
        ({"body": BodyConfig(min_nodes=5, max_muscles=4)}, {"add_body_node": 1.0}, "body.max_muscles"),
    ],
)
def test_a_mutation_that_meets_a_limit_is_counted_and_changes_nothing(limits: dict, rates: dict, key: str) -> None:
    stock = Stock(replace(configured("neat"), **limits), 25)
    if key == "body.max_muscles" and "add_body_node" in rates:
        stock = Stock(replace(stock.config, body=BodyConfig(min_nodes=5, max_nodes=8, max_muscles=4)), 200)
        few = np.flatnonzero(np.diff(stock.genomes.body_start) < 8)
        stock.genomes = take(stock.genomes, few)
    children, limited = stock.bred(**rates)
    assert limited[key] == stock.count and sum(limited.values()) == stock.count
    assert all(equal(children, p, stock.genomes, p) for p in range(stock.count))


@given(st.floats(1.0, 100.0))
@examples(20)
def test_adaptive_mutation_multiplies_rates_up_to_one_and_scales(boost: float) -> None:
    config = Config(adaptive=AdaptiveConfig(enabled=True), mutation=MutationConfig(add_node=0.03, weight_scale=0.2))
    plain, boosted = rates_of(config, 1.0), rates_of(config, boost)
    for name in plain._fields:
        one, other = getattr(plain, name), getattr(boosted, name)
        if name in ("weight_scale", "body_scale"):
            assert other == pytest.approx(one * boost)
        elif name in ("replace_rate", "max_hidden", "min_nodes", "max_nodes", "max_muscles"):
            assert other == one
        else:
            assert other == pytest.approx(min(1.0, one * boost))


def test_the_operators_of_these_tests_are_all_there_are() -> None:
    assert {name for name, rate in WILD.items() if rate == 0.0} == {"recurrent", "activation"}
