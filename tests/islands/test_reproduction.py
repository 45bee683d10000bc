"""Who breeds: parents by fitness, shares by species, and nobody by a number that is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, spearmanr

from islands.config import SelectionConfig
from islands.genome.population import rows_equal_to
from islands.loop import breeding_of
from islands.reproduction import CHAMPION_FROM, reproduce, shares, without_stagnant
from islands.selection import METHODS, ranking, survivors
from islands.speciation import Species
from tests.islands.genome.breeding import QUIET, Stock, examples
from tests.islands.parenthood import floors, offspring, planned, policies, selecting, societies, sorted_into
from tests.islands.tasks.creatures import configured

METHOD_NAMES = sorted(METHODS)


def breeders(fitness: np.ndarray, species: Species, method: str, cull: float) -> list[set[int]]:
    """Who may breed, pool by pool."""
    ranked = [row for row in ranking(fitness) if np.isfinite(fitness[row])]
    if method != "speciation":
        return [set(survivors(np.array(ranked), cull).tolist())]
    pools = [[row for row in ranked if species.label[row] == s] for s in range(species.count)]
    return [set(survivors(np.array(pool, np.int64), cull).tolist()) for pool in pools]


@pytest.mark.parametrize("cull", [0.8, 0.5])
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_fitter_genomes_have_more_offspring(method: str, cull: float) -> None:
    random = np.random.default_rng(3)
    fitness, species = random.gamma(1.0, 20.0, 300), sorted_into(np.sort(random.integers(0, 6, 300)))
    counts = sum(offspring(planned(fitness, species, selecting(method, cull), key), 300) for key in range(20))
    assert spearmanr(fitness, counts).statistic > 0.6


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_fitter_leave_more_descendants_in_the_next_generation(method: str) -> None:
    """Through `reproduce` itself, recognising children because nothing mutates."""
    stock = Stock(configured("neat"), 150)
    config = replace(
        selecting(method, rate=0.0), mutation=replace(stock.config.mutation, **QUIET)
    )  # fmt: skip
    fitness = np.random.default_rng(5).permutation(150).astype(np.float32)
    species = sorted_into(np.arange(150) % 4, of=stock.genomes)
    after = reproduce(stock.people(fitness), species, breeding_of(config, stock.task), 1.0, (1, 0, 4)).genomes
    copies = np.array([len(rows_equal_to(after, stock.genomes, row)) for row in range(150)])
    assert copies.sum() == 150
    assert spearmanr(fitness, copies).statistic > 0.5


@pytest.mark.parametrize("method", ["tournament", "rank"])
def test_without_culling_these_methods_still_prefer_the_fitter(method: str) -> None:
    fitness = np.random.default_rng(4).permutation(200)
    species = sorted_into([0] * 200)
    counts = sum(offspring(planned(fitness, species, selecting(method, 0.0), key), 200) for key in range(50))
    assert spearmanr(fitness, counts).statistic > 0.9
    chance = (2 * (np.arange(200) + 1) - 1) / 200**2 if method == "rank" else np.diff((np.arange(201) / 200) ** 3)
    firsts = [planned(fitness, species, selecting(method, 0.0, rate=0.0), key).first for key in range(50)]
    by_fitness = np.bincount(fitness[np.concatenate(firsts)], minlength=200).reshape(20, 10).sum(axis=1)
    assert chisquare(by_fitness, chance.reshape(20, 10).sum(axis=1) * 200 * 50).pvalue > 1e-4


@given(st.data(), societies())
@examples(150)
def test_whoever_is_culled_or_failed_never_breeds(data: st.DataObject, society: tuple[np.ndarray, Species]) -> None:
    fitness, species = society
    config = data.draw(policies(len(fitness)))
    chosen = planned(fitness, species, config, data.draw(st.integers(0, 99)))
    pools = breeders(fitness, species, config.selection.method, config.selection.cull)
    allowed = set.union(*pools)
    for first, second, copied in zip(*(column.tolist() for column in chosen), strict=True):
        assert np.isfinite(fitness[first])
        if copied:
            assert second == -1
            continue
        assert first in allowed and (second == -1 or second in allowed) and first != second
        if config.crossover.interspecies == 0.0:
            assert any({first, second} - {-1} <= pool for pool in pools)


@given(st.data(), societies())
@examples(150)
def test_elites_and_champions_of_large_species_are_passed_on(
    data: st.DataObject, society: tuple[np.ndarray, Species]
) -> None:
    fitness, species = society
    config = data.draw(policies(len(fitness)))
    chosen = planned(fitness, species, config)
    ranked = [int(row) for row in ranking(fitness) if np.isfinite(fitness[row])]
    wanted = set(ranked[: config.selection.elites])
    if config.selection.method == "speciation":
        quota = shares(species, fitness, len(fitness), config.speciation.min_size)
        for s in range(species.count):
            members = [row for row in ranked if species.label[row] == s]
            if len(members) > CHAMPION_FROM and quota[s]:
                wanted.add(members[0])
    assert sorted(chosen.first[chosen.copied == 1].tolist()) == sorted(wanted)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_what_is_passed_on_is_unchanged_bit_for_bit_while_all_else_mutates(method: str) -> None:
    stock = Stock(configured("neat"), 60)
    stock.age(3)
    wild = replace(stock.config.mutation, weight_rate=1.0, body_rate=1.0)
    config = replace(selecting(method, elites=3), mutation=wild)
    fitness = np.random.default_rng(2).permutation(60).astype(np.float32)
    label = np.repeat([0, 1, 2], [40, 15, 5])
    after = reproduce(
        stock.people(fitness), sorted_into(label, of=stock.genomes), breeding_of(config, stock.task), 1.0, (1, 0, 3)
    ).genomes
    kept = [row for row in range(60) if rows_equal_to(after, stock.genomes, row)]
    champions = [int(np.flatnonzero(label == s)[np.argmax(fitness[label == s])]) for s in (0, 1)]
    elites = np.argsort(-fitness)[:3].tolist()
    assert kept == sorted({*elites, *(champions if method == "speciation" else [])})
    assert all(len(rows_equal_to(after, stock.genomes, row)) == 1 for row in kept)


@given(societies(), st.integers(0, 99), st.data())
@examples(80)
def test_the_fitter_parent_comes_first_and_of_equals_the_smaller(
    society: tuple[np.ndarray, Species], key: int, data: st.DataObject
) -> None:
    fitness, species = society
    genes = data.draw(st.lists(st.integers(3, 5), min_size=len(fitness), max_size=len(fitness)))
    config = data.draw(policies(len(fitness), rate=1.0, interspecies=0.5))
    chosen = planned(fitness, species, config, key, genes)
    for first, second in zip(chosen.first, chosen.second, strict=True):
        if second >= 0:
            assert (fitness[first], -genes[first]) >= (fitness[second], -genes[second])


def test_both_parents_take_part_whichever_was_drawn_first() -> None:
    fitness = np.arange(100)
    chosen = planned(fitness, sorted_into([0] * 100), selecting("truncation", 0.0, rate=1.0))
    two = chosen.second >= 0
    assert fitness[chosen.first[two]].mean() == pytest.approx(200 / 3, abs=8)
    assert fitness[chosen.second[two]].mean() == pytest.approx(100 / 3, abs=8)


@given(societies(failures=False), st.data())
@examples(150)
def test_species_have_offspring_by_their_mean_fitness_above_a_floor(
    society: tuple[np.ndarray, Species], data: st.DataObject
) -> None:
    fitness, species = society
    total, least = len(fitness), data.draw(floors(len(fitness)))
    counts = shares(species, fitness, total, least)
    assert counts.sum() == total and (counts >= 0).all()
    above = fitness.astype(np.float64) - fitness.min()
    mean = np.array([above[species.label == s].mean() for s in range(species.count)])
    if least * species.count <= total:
        weight = mean / mean.sum() if mean.sum() else np.full(species.count, 1 / species.count)
        exact = least + weight * (total - least * species.count)
        assert (counts >= least).all() and (np.abs(counts - exact) < 1.0).all()
    else:
        served = counts[np.argsort(-mean, kind="stable")]
        assert (served[: total // least] == least).all() and (np.diff(served) <= 0).all()


@given(societies(), st.data())
@examples(80)
def test_a_species_without_a_success_has_no_offspring_and_the_others_have_them_all(
    society: tuple[np.ndarray, Species], data: st.DataObject
) -> None:
    fitness, species = society
    counts = shares(species, fitness, len(fitness), data.draw(floors(len(fitness))))
    assert counts.sum() == len(fitness)
    successful = {int(s) for s in species.label[np.isfinite(fitness)]}
    assert set(np.flatnonzero(counts).tolist()) <= successful


@given(societies(failures=False), st.data())
@examples(80)
def test_the_offspring_of_a_species_are_its_share_and_its_members_parents(
    society: tuple[np.ndarray, Species], data: st.DataObject
) -> None:
    fitness, species = society
    least = data.draw(floors(len(fitness)))
    chosen = planned(fitness, species, selecting("speciation", least=least))
    found = np.bincount(species.label[chosen.first], minlength=species.count)
    assert found.tolist() == shares(species, fitness, len(fitness), least).tolist()


def test_a_species_share_does_not_grow_with_its_size_alone() -> None:
    fitness = np.array([2.0] * 90 + [6.0] * 9 + [0.0])
    counts = shares(sorted_into([0] * 90 + [1] * 9 + [2]), fitness, 100, 2)
    assert counts.tolist() == [25, 73, 2] or counts.tolist() == [26, 72, 2]  # 2 + 94 / 4, 2 + 94 * 3 / 4, 2


def test_stagnant_species_lose_their_share_and_the_best_two_stay() -> None:
    best, improved = [5.0, 9.0, 1.0, 7.0, 3.0], [1, 0, 8, 0, 11]
    stock = Stock(configured("pure"), 20)
    species, fitness = sorted_into([0, 1, 2, 3, 4] * 4, best, improved, stock.genomes), np.ones(20)
    assert without_stagnant(species, fitness, 10, 10).number.tolist() == [10, 11, 12, 13, 14]
    assert without_stagnant(species, fitness, 5, 12).number.tolist() == [
        11,
        12,
        13,
        14,
    ]  # 1 and 3: the best; 2, 4: rose
    assert without_stagnant(species, fitness, 1, 50).number.tolist() == [11, 13]


def test_the_best_two_are_counted_among_species_that_can_breed() -> None:
    fitness = np.array([np.nan, np.nan, 1.0, 2.0, 3.0, np.nan])
    genomes = Stock(configured("pure"), 6).genomes
    species = sorted_into([0, 1, 2, 2, 3, 3], best=[90.0, 80.0, 2.0, 3.0], of=genomes)
    assert without_stagnant(species, fitness, 1, 50).number.tolist() == [12, 13]


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_only_speciation_lets_stagnant_species_die(method: str) -> None:
    stock = Stock(configured("neat"), 40)
    fitness = np.arange(40, dtype=np.float32)
    label = np.arange(40) % 4
    species = sorted_into(label, best=[36.0, 37.0, 38.0, 39.0], improved=[0, 0, 0, 0], of=stock.genomes)
    config = selecting(method, 0.0, rate=0.0)
    quiet = replace(config, mutation=replace(config.mutation, **QUIET), selection=SelectionConfig(method, cull=0.0))  # type: ignore[arg-type]
    after = reproduce(stock.people(fitness), species, breeding_of(quiet, stock.task), 1.0, (1, 0, 99))
    living = {int(label[row]) for row in range(40) if rows_equal_to(after.genomes, stock.genomes, row)}
    assert living == ({2, 3} if method == "speciation" else {0, 1, 2, 3})
    assert after.species.number.tolist() == ([12, 13] if method == "speciation" else [10, 11, 12, 13])
