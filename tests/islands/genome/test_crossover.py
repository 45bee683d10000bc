"""A child of two has the fitter one's structure, and genes of either where both have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.config import Config, CrossoverConfig
from islands.genome.crossover import CELLS, spreads_of
from islands.genome.population import (
    BODY_GENES,
    MULTIPLIER,
    MUSCLE_GENES,
    REST,
    SHARED_GENES,
    equal,
    flaw,
)
from tests.islands.genome.breeding import Stock, configurations, examples, parts
from tests.islands.tasks.creatures import MODES, configured

KEYS = st.integers(0, 2**32)


def mated(stock: Stock, key: int = 1) -> tuple[list, list, list]:
    """(fitter parents, other parents, children) by parts; every genome is mated with the next."""
    partners = np.roll(np.arange(stock.count), -1)
    children, _ = stock.bred(second=partners, key=key)
    assert flaw(children, stock.layout) == ""
    return tuple([parts(genomes, p) for p in rows] for genomes, rows in (
        (stock.genomes, range(stock.count)), (stock.genomes, partners), (children, range(stock.count)),
    ))  # fmt: skip


@given(configurations(), KEYS, st.integers(0, 5))
@examples(25)
def test_the_child_has_the_fitter_parents_structure_and_every_gene_from_a_parent(
    config: Config, key: int, generations: int
) -> None:
    stock = Stock(config, 6, key)
    stock.age(generations, key)
    for fitter, other, child in zip(*mated(stock, key), strict=True):
        assert child.body.keys() == fitter.body.keys()
        assert child.muscles.keys() == fitter.muscles.keys()
        assert child.neurons.keys() == fitter.neurons.keys()
        assert child.connections.keys() == fitter.connections.keys()
        for node, genes in child.body.items():
            assert genes[:BODY_GENES] in {fitter.body[node][:BODY_GENES], other.body.get(node, ())[:BODY_GENES]}
        for muscle, (ends, genes) in child.muscles.items():
            assert ends == fitter.muscles[muscle][0]
            parental = [parent.muscles[muscle][1] for parent in (fitter, other) if muscle in parent.muscles]
            assert genes[:MUSCLE_GENES] in [one[:MUSCLE_GENES] for one in parental]
        for neuron, bias in child.neurons.items():
            assert bias in {fitter.neurons[neuron], other.neurons.get(neuron)}
        for mark, (source, target, weight, on) in child.connections.items():
            mine, theirs = fitter.connections[mark], other.connections.get(mark, fitter.connections[mark])
            assert (source, target) == mine[:2] and weight in (mine[2], theirs[2])
            if mine[3] and theirs[3]:
                assert on == 1
            if mark not in other.connections:
                assert on == mine[3]
        assert child.shared[MULTIPLIER] in {fitter.shared[MULTIPLIER], other.shared[MULTIPLIER]}


@given(configurations(), KEYS)
@examples(10)
def test_a_child_of_two_equal_parents_is_like_them(config: Config, key: int) -> None:
    stock = Stock(config, 3, key)
    stock.age(2, key)
    stock.config = replace(stock.config, crossover=CrossoverConfig(disabled_rate=1.0))
    children, _ = stock.bred(second=range(3), key=key)
    for name, column in children._asdict().items():
        np.testing.assert_allclose(column, getattr(stock.genomes, name), rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_inherited_rest_lengths_are_kept_as_they_are_wherever_the_nodes_come_from(mode: str) -> None:
    stock = Stock(configured(mode), 60)
    mixed = 0
    for fitter, other, child in zip(*mated(stock), strict=True):
        for muscle, (ends, genes) in child.muscles.items():
            rests = {parent.muscles[muscle][1][REST] for parent in (fitter, other) if muscle in parent.muscles}
            assert genes[REST] in rests
            mixed += any(child.body[end] != fitter.body[end] for end in ends)
    assert mixed > 50


def test_matching_genes_come_from_either_parent_evenly() -> None:
    stock = Stock(configured("neat"), 400)
    weights, bodies, muscles, biases = [], [], [], []
    stock.genomes, _ = stock.bred(weight_rate=1.0, weight_scale=0.3)
    for _fitter, other, child in zip(*mated(stock), strict=True):
        weights += [
            child.connections[m][2] == other.connections[m][2] for m in child.connections.keys() & other.connections
        ]
        bodies += [child.body[n] == other.body[n] for n in child.body.keys() & other.body]
        muscles += [child.muscles[m][1] == other.muscles[m][1] for m in child.muscles.keys() & other.muscles]
        biases += [child.neurons[n] == other.neurons[n] for n in child.neurons.keys() & other.neurons]
    for chosen in (weights, bodies, muscles, biases):
        assert np.mean(chosen) == pytest.approx(0.5, abs=3.0 * 0.5 / len(chosen) ** 0.5)


@pytest.mark.parametrize("rate", [0.75, 0.2, 0.0, 1.0])
def test_a_gene_that_either_parent_has_disabled_is_disabled_in_that_share_of_children(rate: float) -> None:
    stock = Stock(configured("neat"), 400)
    assert stock.config.crossover.disabled_rate == 0.75
    stock.config = replace(stock.config, crossover=CrossoverConfig(disabled_rate=rate))
    for key in range(8):
        stock.genomes, _ = stock.bred(key=key, disable=1.0)
    off = {"fitter": [], "other": [], "both": []}
    for fitter, other, child in zip(*mated(stock), strict=True):
        for mark in child.connections.keys() & other.connections:
            mine, theirs = fitter.connections[mark][3], other.connections[mark][3]
            if not (mine and theirs):
                which = "both" if not (mine or theirs) else "other" if mine else "fitter"
                off[which].append(child.connections[mark][3] == 0)
    for found in off.values():
        assert len(found) > 50
        assert np.mean(found) == pytest.approx(rate, abs=3.5 * (rate * (1 - rate) / len(found)) ** 0.5 + 1e-9)


@pytest.mark.parametrize("mode", ["pure", "hybrid"])
def test_weights_of_fixed_topologies_meet_by_sbx_part_by_part(mode: str) -> None:
    stock = Stock(configured(mode, felt="all"), 200)
    stayed, spread = [], []
    for fitter, other, child in zip(*mated(stock), strict=True):
        rows = [(fitter.shared[SHARED_GENES:], other.shared[SHARED_GENES:], child.shared[SHARED_GENES:])]
        rows += [tuple(one.muscles[m][1][MUSCLE_GENES:] for one in (fitter, other, child))
                 for m in child.muscles.keys() & other.muscles]  # fmt: skip
        rows += [
            tuple(one.body[n][BODY_GENES:] for one in (fitter, other, child)) for n in child.body.keys() & other.body
        ]
        for mine, theirs, got in rows:
            mine, theirs, got = map(np.array, (mine, theirs, got))
            apart = np.abs(mine - theirs) > 0.2
            stayed += (got == mine)[apart].tolist()
            spread += (np.abs(2 * got - mine - theirs) / np.abs(mine - theirs))[apart & (got != mine)].tolist()
        for m in child.muscles.keys() - other.muscles.keys():
            assert child.muscles[m] == fitter.muscles[m]
    assert np.mean(stayed) == pytest.approx(0.5, abs=0.02)
    beta = np.sort(spread)
    # P(beta <= 1) = 1/2, and beta^(eta + 1) is twice a uniform number below 1
    assert np.mean(beta <= 1.0) == pytest.approx(0.5, abs=0.02)
    assert np.mean(beta[beta <= 1.0] ** 16.0) == pytest.approx(0.5, abs=0.02)


@given(st.floats(0.0, 1000.0))
@examples(20)
def test_sbx_spreads_are_the_quantiles_of_their_distribution(eta: float) -> None:
    spreads = spreads_of(eta).astype(np.float64)
    assert len(spreads) == CELLS and (np.diff(spreads) >= 0.0).all()
    assert spreads[CELLS // 2 - 1] <= 1.0 <= spreads[CELLS // 2]
    np.testing.assert_allclose(spreads * spreads[::-1], 1.0, rtol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_the_widest_sbx_never_makes_a_weight_that_is_not_a_number(eta: float) -> None:
    stock = Stock(replace(configured("pure"), crossover=CrossoverConfig(eta=eta)), 40)
    for generation in range(300):
        stock.generation = generation
        stock.genomes, _ = stock.bred(second=np.roll(np.arange(40), 1 + generation % 39))
        assert flaw(stock.genomes, stock.layout) == ""


def test_a_partner_of_minus_one_means_no_crossover() -> None:
    stock = Stock(configured("neat"), 10)
    children, _ = stock.bred(second=[-1] * 10)
    assert all(equal(children, p, stock.genomes, p) for p in range(10))
