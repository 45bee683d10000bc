"""What the tests of reproduction build with: populations sorted into species by hand, and plans over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from islands.config import Config, CrossoverConfig, SelectionConfig, SpeciationConfig
from islands.genome.population import Genomes, take
from islands.reproduction import Plan, plan
from islands.rng import Purpose, stream
from islands.selection import METHODS
from islands.speciation import Species
from tests.islands.genome.breeding import Stock
from tests.islands.tasks.creatures import configured

NOBODY = take(Stock(configured("pure"), 1).genomes, [])


def selecting(
    method: str = "speciation", cull: float = 0.8, elites: int = 0, least: int = 1, **crossover: float
) -> Config:
    """A configuration of who breeds; crossover as in the default but between species never, unless told."""
    return replace(
        configured("neat"),
        selection=SelectionConfig(method=method, cull=cull, elites=elites),  # type: ignore[arg-type]
        speciation=SpeciationConfig(min_size=least),
        crossover=CrossoverConfig(**{"interspecies": 0.0, **crossover}),  # type: ignore[arg-type]
    )


def sorted_into(
    label: Sequence[int], best: Sequence[float] = (), improved: Sequence[int] = (), of: Genomes = NOBODY
) -> Species:
    """Species by the label of each genome; `of`: the genomes, where their representatives matter."""
    rows = np.asarray(label, np.int64)
    count = int(rows.max()) + 1
    firsts = [int(np.argmax(rows == s)) for s in range(count)] if of.count else np.arange(0)
    return Species(
        label=rows,
        number=np.arange(count) + 10,
        born=np.zeros(count, np.int64),
        best=np.asarray(best or [0.0] * count, np.float32),
        improved=np.asarray(improved or [0] * count, np.int64),
        representative=take(of, firsts) if of.count else take(of, []),
        threshold=3.0,
        following=count + 10,
    )


def planned(
    fitness: Sequence[float] | np.ndarray, species: Species, config: Config, key: int = 0, genes: Sequence[int] = ()
) -> Plan:
    """The parents of a generation, by the randomness of `key`."""
    sizes = np.asarray(genes or [9] * len(fitness), np.int64)
    return plan(np.asarray(fitness, np.float32), sizes, species, config, stream(key, 0, 0, Purpose.PARENTS))


def offspring(chosen: Plan, count: int) -> np.ndarray:
    """How often each of `count` genomes is a parent (what is copied has none)."""
    bred = chosen.copied == 0
    second = chosen.second[bred]
    return np.bincount(chosen.first[bred], minlength=count) + np.bincount(second[second >= 0], minlength=count)


@st.composite
def societies(draw: st.DrawFn, failures: bool = True) -> tuple[np.ndarray, Species]:
    """Fitness and species of 2 to 40 genomes: ties, failures (somebody always succeeds), species of any size."""
    count, kinds = draw(st.integers(2, 40)), draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    drawn = random.integers(0, kinds, count).tolist()
    fitness = np.round(random.gamma(1.0, 50.0, count), draw(st.sampled_from([-2, -1, 3]))).astype(np.float32)
    if failures:
        failed = (random.random(count) < draw(st.sampled_from([0.0, 0.3, 0.9]))) | (np.array(drawn) % 3 == 2)
        failed[draw(st.integers(0, count - 1))] = False
        fitness[failed] = np.nan
    by_size = sorted(set(drawn), key=lambda s: (-drawn.count(s), s))
    return fitness, sorted_into([by_size.index(s) for s in drawn])


def floors(count: int) -> st.SearchStrategy[int]:
    """The least offspring of a species: a few, or any number there can be."""
    return st.one_of(st.integers(1, min(3, count)), st.integers(1, count))


@st.composite
def policies(draw: st.DrawFn, count: int, **fixed: float) -> Config:
    """Any way to choose parents among `count` genomes."""
    return selecting(
        draw(st.sampled_from(sorted(METHODS))),
        draw(st.sampled_from([0.0, 0.2, 0.8, 0.99])),
        draw(st.integers(0, count)),
        draw(floors(count)),
        **{"rate": draw(st.sampled_from([0.0, 0.75, 1.0])), "interspecies": draw(st.sampled_from([0.0, 0.5])), **fixed},
    )
