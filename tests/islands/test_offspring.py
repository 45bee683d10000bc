"""The children: how many have two parents and from where, what they depend on, and the limits that they meet."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.config import BodyConfig, Config, CrossoverConfig, MutationConfig, NetworkConfig
from islands.genome.population import Newcomers, Population, concatenate, equal, take
from islands.loop import breeding_of
from islands.reproduction import LIMITS, Plan, breed, plan, rates_of, reproduce, sizes
from islands.rng import Purpose, stream
from islands.speciation import adapted_threshold
from tests.islands.evolving import evolve, history, make_run, tiny
from tests.islands.genome.breeding import QUIET, WILD, Stock, configurations, examples, parts
from tests.islands.parenthood import planned, selecting, sorted_into
from tests.islands.tasks.creatures import MODES, configured

COUNT = 1000


def within(share: float, expected: float, cases: int) -> bool:
    """Whether a share of so many cases is as near to what is expected as chance allows, 4 sigmas of it."""
    return bool(abs(share - expected) <= 4.0 * (expected * (1.0 - expected) / cases) ** 0.5 + 1e-12)


@pytest.mark.parametrize("method", ["truncation", "tournament", "rank", "speciation"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.75, 1.0])
def test_the_share_of_children_with_two_parents_is_the_rate(method: str, rate: float) -> None:
    for label, cull in (([0, 1] * 500, 0.0), (list(range(200)) * 5, 0.6)):  # large pools, pools of two
        chosen = planned(np.arange(COUNT), sorted_into(label), selecting(method, cull, rate=rate))
        assert within(np.mean(chosen.second[chosen.copied == 0] >= 0), rate, COUNT - 2)
        assert (chosen.first != chosen.second).all()


def test_without_crossover_nobody_has_two_parents() -> None:
    config = replace(selecting("speciation", rate=1.0), crossover=CrossoverConfig(enabled=False, rate=1.0))
    assert (planned(np.arange(COUNT), sorted_into([0, 1] * 500), config).second == -1).all()


def test_nobody_mates_with_itself_and_a_genome_alone_has_no_partner() -> None:
    fitness, species = np.arange(10), sorted_into([0] * 10)
    chosen = [planned(fitness, species, selecting("truncation", 0.8, rate=1.0), key) for key in range(300)]
    first, second = (np.concatenate([getattr(one, name) for one in chosen]) for name in ("first", "second"))
    assert set(first.tolist()) == {9} and set(second.tolist()) == {8}  # two survive the culling, the fitter comes first
    alone = planned([1.0, 2.0, 3.0], sorted_into([0, 0, 0]), selecting("truncation", 0.8, rate=1.0))
    assert alone.first.tolist() == [2, 2, 2] and alone.second.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.2, 1.0])
def test_a_partner_from_any_species_is_as_frequent_as_the_interspecies_rate(rate: float) -> None:
    label = np.repeat([0, 1, 2, 3], COUNT // 4)
    species, config = sorted_into(label), selecting("speciation", 0.0, rate=1.0, interspecies=rate)
    mixed, pairs = 0, 0
    for key in range(10):
        chosen = planned(np.tile(np.arange(COUNT // 4), 4), species, config, key)
        two = chosen.second >= 0
        mixed += np.count_nonzero(label[chosen.first[two]] != label[chosen.second[two]])
        pairs += np.count_nonzero(two)
    assert within(mixed / pairs, rate * 0.75, pairs)  # a quarter of the partners from anywhere are one's own kind


@pytest.mark.parametrize("method", ["truncation", "tournament", "rank"])
def test_methods_without_species_mate_everybody_with_everybody(method: str) -> None:
    label = np.arange(COUNT) % 4
    chosen = planned(np.arange(COUNT), sorted_into(label), selecting(method, 0.0, rate=1.0))
    two = chosen.second >= 0
    assert within(np.mean(label[chosen.first[two]] != label[chosen.second[two]]), 0.75, COUNT)


def some_plan(count: int, key: int) -> Plan:
    """Parents at random: alone, in pairs and copied."""
    random = np.random.default_rng(key)
    second = random.integers(-1, count, count)
    copied = (random.random(count) < 0.2).astype(np.uint8)
    return Plan(random.integers(0, count, count), np.where(copied == 1, -1, second), copied)


@given(configurations(), st.integers(0, 2**32), st.integers(1, 11))
@examples(15)
def test_a_child_depends_on_its_parents_and_its_slot_alone(config: Config, key: int, fewer: int) -> None:
    stock = Stock(replace(config, mutation=MutationConfig(**WILD)), 12, key)
    stock.age(2, key)
    breeding, chosen = breeding_of(stock.config, stock.task), some_plan(12, key)
    children, _ = breed(stock.genomes, chosen, breeding, 1.0, (key, 0, 5))
    strangers = Stock(stock.config, 7, key + 1)
    strangers.age(5, key)
    moved = concatenate([strangers.genomes, take(stock.genomes, np.arange(12)[::-1])])  # row r is now 18 - r
    elsewhere = Plan(18 - chosen.first, np.where(chosen.second >= 0, 18 - chosen.second, -1), chosen.copied)
    some, _ = breed(moved, Plan(*(column[:fewer] for column in elsewhere)), breeding, 1.0, (key, 0, 5))
    assert some.count == fewer
    assert all(equal(some, slot, children, slot) for slot in range(fewer))


@given(configurations(), st.integers(0, 2**32), st.lists(st.integers(0, 11), unique=True, min_size=1, max_size=12))
@examples(15)
def test_newcomers_breed_as_if_copied_into_their_slots(config: Config, key: int, slots: list[int]) -> None:
    stock, strangers = (Stock(replace(config, mutation=MutationConfig(**WILD)), 12, key + one) for one in (0, 1))
    stock.age(2, key)
    strangers.age(4, key)
    came = take(strangers.genomes, np.arange(len(slots)))
    fitness = np.random.default_rng(key).permutation(12).astype(np.float32)
    mixed = Population(stock.genomes, fitness, Newcomers(came, np.array(slots)))
    order = np.arange(12)
    order[slots] = 12 + np.arange(len(slots))
    copied = Population(take(concatenate([stock.genomes, came]), order), fitness)
    assert mixed.digest() == copied.digest()
    breeding, species = breeding_of(stock.config, stock.task), sorted_into(np.arange(12) % 4, of=stock.genomes)
    one, other = (reproduce(population, species, breeding, 1.0, (key, 0, 5)) for population in (mixed, copied))
    for a, b in ((one.genomes, other.genomes), (one.species.representative, other.species.representative)):
        assert Population(a, fitness).digest() == Population(b, fitness).digest()
    assert one.limited == other.limited


def test_children_of_another_slot_island_generation_or_seed_differ() -> None:
    stock = Stock(configured("neat"), 1)
    breeding = breeding_of(stock.config, stock.task)
    twins = Plan(np.zeros(2, np.int64), np.full(2, -1), np.zeros(2, np.uint8))
    born = [breed(stock.genomes, twins, breeding, 1.0, key)[0] for key in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4))]
    siblings = concatenate(born)
    assert not any(equal(siblings, one, siblings, two) for one in range(8) for two in range(one))
    again = breed(stock.genomes, twins, breeding, 1.0, (1, 2, 3))[0]
    assert all(equal(again, slot, born[0], slot) for slot in range(2))


def test_a_copied_genome_is_the_same_and_a_quiet_child_too() -> None:
    stock = Stock(configured("neat"), 12)
    stock.age(3)
    chosen = some_plan(12, 3)
    wild = breeding_of(replace(stock.config, mutation=MutationConfig(**WILD)), stock.task)
    children, _ = breed(stock.genomes, chosen, wild, 1.0, (1, 0, 5))
    same = [equal(children, slot, stock.genomes, int(chosen.first[slot])) for slot in range(12)]
    assert same == (chosen.copied == 1).tolist()


LIMITED = {
    "network.max_hidden": ({"add_node": 1.0}, replace(configured("neat"), network=NetworkConfig(max_hidden=0))),
    "body.max_nodes": ({"add_body_node": 1.0}, replace(configured("neat"), body=BodyConfig(min_nodes=5, max_nodes=5))),
    "body.max_muscles": ({"add_muscle": 1.0}, replace(configured("neat"), body=BodyConfig(max_nodes=8, max_muscles=1))),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_mutation_that_meets_a_limit_changes_nothing_and_is_counted(limit: str) -> None:
    rates, config = LIMITED[limit]
    stock = Stock(config, 30)
    children, limited = stock.bred(**rates)
    assert limited == {name: 30 if name == limit else 0 for name in LIMITS}
    assert all(equal(children, p, stock.genomes, p) for p in range(30))
    wide = replace(config, network=NetworkConfig(), body=BodyConfig(max_nodes=20, max_muscles=40))
    stock.config = wide
    grown, limited = stock.bred(**rates)
    assert set(limited.values()) == {0} and not any(equal(grown, p, stock.genomes, p) for p in range(30))


def test_what_met_a_limit_stands_in_the_log_of_its_generation(memory_folder: Path) -> None:
    none = [f"mutation.{name}=0" for name in QUIET]
    run = make_run(memory_folder / "run", tiny(*none, "mutation.add_muscle=1", "body.max_muscles=3", "body.max_nodes=4",
                                               "selection.elites=0", "speciation.stagnation=1000"))  # fmt: skip
    evolve(run)
    lines = history(run)
    assert [line["limited"] for line in lines[:1]] == [{}]
    assert all(set(line["limited"]) == set(LIMITS) for line in lines[1:])
    assert max(line["muscles"] for line in lines) <= 3.0
    assert sum(line["limited"]["body.max_muscles"] for line in lines[1:]) > 20
    assert all(line["limited"]["body.max_nodes"] == line["limited"]["network.max_hidden"] == 0 for line in lines[1:])


@given(st.floats(1.0, 100.0))
def test_a_boost_multiplies_rates_up_to_certainty_and_scales_without_end(boost: float) -> None:
    config = Config(mutation=MutationConfig(add_node=0.5))
    plain, boosted = rates_of(config, 1.0), rates_of(config, boost)
    for name in (field.name for field in fields(MutationConfig)):
        own, factor = getattr(config.mutation, name), 1.0 if name == "replace_rate" else boost
        assert getattr(plain, name) == own
        assert getattr(boosted, name) == (own * factor if name.endswith("scale") else min(1.0, own * factor))
    assert (boosted.max_hidden, boosted.min_nodes, boosted.max_nodes, boosted.max_muscles) == (16, 3, 8, 15)


@pytest.mark.parametrize("mode", MODES)
def test_reproduction_is_a_plan_carried_out_and_species_that_go_on(mode: str) -> None:
    stock = Stock(configured(mode), 40)
    fitness = np.random.default_rng(1).permutation(40).astype(np.float32)
    species = sorted_into(np.arange(40) % 5, best=[1.0] * 5, improved=[3] * 5, of=stock.genomes)
    breeding, key = breeding_of(stock.config, stock.task), (4, 2, 9)
    after = reproduce(stock.people(fitness), species, breeding, 1.0, key)
    chosen = plan(fitness, sizes(stock.genomes), species, breeding.config, stream(*key, Purpose.PARENTS))
    children, limited = breed(stock.genomes, chosen, breeding, 1.0, key)
    assert after.genomes.count == 40 and after.limited == limited
    assert all(equal(after.genomes, p, children, p) for p in range(40))
    assert after.species.number.tolist() == species.number.tolist()
    assert after.species.threshold == adapted_threshold(species, stock.config.speciation) < species.threshold
    for s in range(5):
        members = [p for p in range(40) if species.label[p] == s]
        assert any(equal(after.species.representative, s, stock.genomes, p) for p in members)


def test_a_genome_s_size_is_the_number_of_its_parts() -> None:
    stock = Stock(configured("neat"), 10)
    stock.age(3)
    for p, size in enumerate(sizes(stock.genomes).tolist()):
        one = parts(stock.genomes, p)
        assert size == len(one.body) + len(one.muscles) + len(one.neurons) + len(one.connections)
