"""Species: who belongs to which, how the threshold moves, and what stays with a species through the generations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands import loading
from islands.config import Config, SpeciationConfig
from islands.genome.distance import Coefficients, distance, scratch
from islands.genome.population import Genomes, concatenate, rows_equal_to, take
from islands.rng import Purpose, stream
from islands.speciation import (
    CHANGE,
    Species,
    adapted_threshold,
    found_species,
    next_representatives,
    note_progress,
    restrict,
    speciate,
)
from tests.islands.evolving import evolve, history, make_run
from tests.islands.genome.breeding import Stock, examples
from tests.islands.tasks.creatures import MODES, configured

COUNT = 40
MILD = {
    "weight_rate": 0.5,
    "weight_scale": 0.5,
    "body_rate": 0.3,
    "body_scale": 0.1,
    "add_node": 0.3,
    "add_muscle": 0.3,
}
FIXED = SpeciationConfig(threshold=3.0, dynamic=False)
POLICIES = st.builds(
    SpeciationConfig,
    threshold=st.sampled_from([0.001, 0.5, 2.0, 4.0, 1000.0]),
    dynamic=st.booleans(),
    target=st.integers(1, 20),
    excess=st.sampled_from([0.0, 1.0]),
    disjoint=st.sampled_from([0.0, 1.0]),
)


def apart(one: Genomes, p: int, two: Genomes, q: int, policy: SpeciationConfig) -> np.float32:
    weights = Coefficients(policy.excess, policy.disjoint, policy.weight)
    return np.float32(distance(one, p, two, q, weights, scratch(one, two)))


def numbers(species: Species) -> list[int]:
    """Each genome's species, by the number that stays with it."""
    return species.number[species.label].tolist()


def sorted_by_hand(genomes: Genomes, before: Species, policy: SpeciationConfig) -> list[int]:
    """The first species, known or new, whose representative is nearer than the threshold; else one of one's own."""
    near, found, followers = np.float32(before.threshold), [], []
    for row in range(genomes.count):
        known = (
            int(before.number[s])
            for s in range(before.count)
            if apart(genomes, row, before.representative, s, policy) < near
        )
        new = (
            before.following + k for k, other in enumerate(found) if apart(genomes, row, genomes, other, policy) < near
        )
        own = next(known, None)
        own = next(new, None) if own is None else own
        if own is None:
            own = before.following + len(found)
            found.append(row)
        followers.append(own)
    return followers


def check(species: Species, count: int) -> None:
    """What holds of the species of `count` genomes, always."""
    columns = (species.number, species.born, species.best, species.improved, species.representative.shared)
    assert {len(column) for column in columns} == {species.count}
    assert species.label.shape == (count,)
    members = np.bincount(species.label, minlength=species.count)  # a label below 0 raises
    assert len(members) == species.count and (members > 0).all()
    assert (np.diff(members) <= 0).all(), "the largest comes first"
    assert len(set(species.number.tolist())) == species.count
    assert (species.number < species.following).all() and (species.born <= species.improved).all()
    assert 0.0 < species.threshold < np.inf


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threshold", [0.001, 1.5, 4.0, 8.0, 1000.0])
def test_every_genome_is_in_the_first_species_within_the_threshold_or_founds_one(mode: str, threshold: float) -> None:
    policy = replace(FIXED, threshold=threshold)
    stock = Stock(configured(mode), COUNT)
    species = found_species(stock.genomes, policy, 0)
    nobody = replace(species, number=species.number[:0], representative=take(stock.genomes, []), following=0)
    assert numbers(species) == sorted_by_hand(stock.genomes, nobody, policy)
    for generation in (1, 2):
        stock.age(1, **MILD)
        before = next_representatives(species, stock.people(), stream(1, 2, generation, Purpose.PARENTS))
        species = speciate(stock.genomes, before, policy, generation)
        assert numbers(species) == sorted_by_hand(stock.genomes, before, policy)
    if threshold in (0.001, 1000.0):
        assert species.count == {0.001: COUNT, 1000.0: 1}[threshold]


@given(st.sampled_from(MODES), POLICIES, st.integers(0, 2**32))
@examples(12)
def test_through_the_generations_every_label_is_valid_and_every_number_stays(
    mode: str, policy: SpeciationConfig, key: int
) -> None:
    stock = Stock(configured(mode), COUNT, key)
    species = found_species(stock.genomes, policy, 0)
    lived = dict(zip(species.number.tolist(), species.born.tolist(), strict=True))
    for generation in range(1, 5):
        check(species, COUNT)
        alive = restrict(species, np.arange(min(species.count, 6)))
        before = next_representatives(alive, stock.people(), stream(key, 0, generation, Purpose.PARENTS))
        before = replace(before, threshold=adapted_threshold(alive, policy))
        stock.age(1, key, **MILD)
        species = note_progress(speciate(stock.genomes, before, policy, generation), np.zeros(COUNT), generation)
        for number, born in zip(species.number.tolist(), species.born.tolist(), strict=True):
            assert number in before.number or (number >= before.following and born == generation)
            assert lived.setdefault(number, born) == born
        assert species.threshold == before.threshold
    check(species, COUNT)


def test_a_representative_is_a_member_of_its_species_and_each_member_s_turn_comes() -> None:
    stock = Stock(configured("pure"), COUNT)
    species = found_species(stock.genomes, SpeciationConfig(target=4), 0)
    chosen: list[set[int]] = [set() for _ in range(species.count)]
    for draw in range(200):
        after = next_representatives(species, stock.people(), stream(draw, 0, 0, Purpose.PARENTS))
        for s in range(species.count):
            (row,) = rows_equal_to(stock.genomes, after.representative, s)
            assert species.label[row] == s
            chosen[s].add(row)
        assert after.number.tolist() == species.number.tolist() and after.label is species.label
    assert chosen[-1] == set(np.flatnonzero(species.label == species.count - 1).tolist())
    assert len(chosen[0]) > 0.9 * np.count_nonzero(species.label == 0)


def test_a_representative_depends_on_its_species_alone() -> None:
    stock = Stock(configured("pure"), COUNT)
    species = found_species(stock.genomes, SpeciationConfig(target=4), 0)
    key = stream(1, 0, 0, Purpose.PARENTS)
    whole = next_representatives(species, stock.people(), key)
    fewer = next_representatives(restrict(species, np.array([2, 0])), stock.people(), key)
    assert rows_equal_to(whole.representative, fewer.representative, 0) == [2]
    assert rows_equal_to(whole.representative, fewer.representative, 1) == [0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", [1, 3, 8])
def test_a_dynamic_threshold_starts_where_at_most_the_target_arises(mode: str, target: int) -> None:
    policy = SpeciationConfig(target=target)
    genomes = Stock(configured(mode), COUNT).genomes
    species = found_species(genomes, policy, 0)
    assert 1 <= species.count <= target
    lower = replace(policy, dynamic=False, threshold=species.threshold / CHANGE)
    assert found_species(genomes, lower, 0).count > target
    power = np.log(species.threshold / policy.threshold) / np.log(CHANGE)
    assert power == pytest.approx(round(power), abs=1e-9)


def of_so_many(count: int, threshold: float = 3.0) -> Species:
    """Species of which only their number and the threshold matter."""
    stock = Stock(configured("pure"), count)
    species = found_species(stock.genomes, replace(FIXED, threshold=0.001), 0)
    assert species.count == count
    return replace(species, threshold=threshold)


def test_a_dynamic_threshold_takes_one_step_towards_the_target() -> None:
    policy = SpeciationConfig(target=5, dynamic=True)
    assert adapted_threshold(of_so_many(9), policy) == pytest.approx(3.0 * CHANGE)
    assert adapted_threshold(of_so_many(2), policy) == pytest.approx(3.0 / CHANGE)
    assert adapted_threshold(of_so_many(5), policy) == 3.0


@given(st.integers(1, 12), st.floats(0.001, 1000.0), st.integers(1, 12))
@examples(20)
def test_a_fixed_threshold_never_moves(count: int, threshold: float, target: int) -> None:
    assert adapted_threshold(of_so_many(count, threshold), replace(FIXED, target=target)) == threshold


@pytest.mark.parametrize(("count", "edge"), [(9, CHANGE**40), (2, CHANGE**-40)])
def test_a_dynamic_threshold_stays_within_its_bounds(count: int, edge: float) -> None:
    policy, species = SpeciationConfig(target=5, threshold=2.0), of_so_many(count)
    seen = []
    for _ in range(100):
        species = replace(species, threshold=adapted_threshold(species, policy))
        seen.append(species.threshold)
    assert seen[-1] == seen[-2] == pytest.approx(2.0 * edge)
    assert all(2.0 * CHANGE**-40.001 <= value <= 2.0 * CHANGE**40.001 for value in seen)


@given(st.lists(st.integers(0, COUNT - 1), unique=True, min_size=1, max_size=10), st.integers(0, 2**32), POLICIES)
@examples(15)
def test_sorting_some_slots_anew_leaves_the_others_where_they_are(
    rows: list[int], key: int, policy: SpeciationConfig
) -> None:
    stock = Stock(configured("neat"), COUNT)
    species = found_species(stock.genomes, policy, 0)
    newcomers, order = Stock(configured("neat"), COUNT, key).genomes, np.arange(COUNT)
    order[rows] = COUNT + np.arange(len(rows))
    mixed = take(concatenate([stock.genomes, newcomers]), order)
    after = speciate(take(mixed, rows), species, policy, 3, np.array(rows))
    check(after, COUNT)
    was, now = numbers(species), numbers(after)
    assert [now[row] for row in range(COUNT) if row not in rows] == [
        was[row] for row in range(COUNT) if row not in rows
    ]
    expected = sorted_by_hand(take(mixed, rows), species, policy)
    assert [now[row] for row in rows] == expected


def test_a_species_remembers_its_best_and_when_it_last_rose() -> None:
    stock = Stock(configured("pure"), 6)
    species = replace(found_species(stock.genomes, replace(FIXED, threshold=1000.0), 2), label=np.zeros(6, np.int64))
    told = []
    for generation, fitness in enumerate([[1, 5, 2], [5, 5, 5], [np.nan, 1, 2], [6, np.nan, 0], [np.nan] * 3], start=2):
        species = note_progress(species, np.array(fitness * 2, np.float32), generation)
        told.append((float(species.best[0]), int(species.improved[0])))
    assert told == [(5.0, 2), (5.0, 2), (5.0, 2), (6.0, 5), (6.0, 5)]


def test_a_species_whose_members_all_failed_has_no_best() -> None:
    stock = Stock(configured("pure"), 6)
    species = found_species(stock.genomes, replace(FIXED, threshold=1000.0), 0)
    assert note_progress(species, np.full(6, np.nan, np.float32), 0).best.tolist() == [-np.inf]


def test_restricting_keeps_the_wanted_species_whole_and_unlabels_the_others() -> None:
    stock = Stock(configured("neat"), COUNT)
    species = found_species(stock.genomes, SpeciationConfig(target=6), 0)
    kept = restrict(species, np.array([3, 1]))
    assert kept.number.tolist() == [species.number[3], species.number[1]] and kept.following == species.following
    assert kept.label.tolist() == [{3: 0, 1: 1}.get(label, -1) for label in species.label.tolist()]
    assert rows_equal_to(species.representative, kept.representative, 0) == [3]
    again = restrict(kept, np.array([1]))
    assert again.label.tolist() == [{1: 0}.get(label, -1) for label in species.label.tolist()]


def test_at_least_three_species_live_at_generation_25_of_the_default_preset(memory_folder: Path) -> None:
    run = make_run(memory_folder / "run", loading.override(Config(), ["generations=26"]))
    evolve(run)
    lines = history(run)
    assert lines[25]["species"] >= 3
    assert 4 <= np.mean([line["species"] for line in lines]) <= 16
    steps = [b["threshold"] / a["threshold"] for a, b in zip(lines[:-1], lines[1:], strict=True)]
    assert set(np.round(steps, 9)) <= {1.0, round(CHANGE, 9), round(1 / CHANGE, 9)} and len(set(np.round(steps, 9))) > 1
