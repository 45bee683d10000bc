"""Species: who is near enough to whom, how long a species has been without progress.

Genomes are compared with one representative a species, drawn at random from its
members of the generation before (Stanley & Miikkulainen 2002). Cost O(P x S)
distances of O(genes) each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from islands.config import SpeciationConfig
from islands.genome.distance import Coefficients, distance, scratch
from islands.genome.population import Array, Genomes, Population, concatenate, take
from islands.kernel import kernel
from islands.rng import child, uniform

CHANGE = 1.1
"""Factor by which a dynamic threshold moves in a generation."""
_SEARCH = 20


@dataclass(frozen=True)
class Species:
    """The species of one population: S of them, P labels."""

    label: Array  # int64 [P]: row of each genome's species
    number: Array  # int64 [S]: a name that stays with the species
    born: Array  # int64 [S]: generation
    best: Array  # float32 [S]: best fitness ever seen in the species
    improved: Array  # int64 [S]: generation in which `best` last rose
    representative: Genomes  # S genomes
    threshold: float
    following: int  # the next number

    @property
    def count(self) -> int:
        """The number of species S."""
        return len(self.number)


@kernel
def _assign(
    genomes: Any, rows: Any, known: Any, coefficients: Any, threshold: Any, pairs: Any, label: Any, found: Any
) -> Any:
    """Label `rows`: the first known species (the largest first) within the threshold, else a new one.

    Written: label int64 [P] (known species first, then new ones), found int64: the genome that founded each new one.
    Returns how many are new.
    """
    before = len(known.shared)
    new = 0
    for row in rows:
        label[row] = -1
        for s in range(before):
            if distance(genomes, row, known, s, coefficients, pairs, threshold) < threshold:
                label[row] = s
                break
        if label[row] >= 0:
            continue
        for s in range(new):
            if distance(genomes, row, genomes, found[s], coefficients, pairs, threshold) < threshold:
                label[row] = before + s
                break
        if label[row] < 0:
            found[new] = row
            label[row] = before + new
            new += 1
    return new


def _coefficients(config: SpeciationConfig) -> Coefficients:
    return Coefficients(config.excess, config.disjoint, config.weight)


def found_species(genomes: Genomes, config: SpeciationConfig, generation: int) -> Species:
    """The species of a first generation; a dynamic threshold is first set so that about `target` arise."""
    nobody = take(genomes, np.empty(0, np.int64))
    empty = Species(
        label=np.empty(0, np.int64),
        number=np.empty(0, np.int64),
        born=np.empty(0, np.int64),
        best=np.empty(0, np.float32),
        improved=np.empty(0, np.int64),
        representative=nobody,
        threshold=config.threshold,
        following=0,
    )
    if config.dynamic:
        empty = replace(empty, threshold=_fitting_threshold(genomes, nobody, config))
    return speciate(genomes, empty, config, generation)


def renumbered(species: Species, taken: int) -> Species:
    """The species of a fresh start, with other numbers than the `taken` that have been given out."""
    return replace(species, number=species.number + taken, following=species.following + taken)


def sole_species(genomes: Genomes, number: int, generation: int) -> Species:
    """All `genomes` as one species, called `number`; its threshold is 0, since nobody is compared."""
    return Species(
        label=np.zeros(genomes.count, np.int64),
        number=np.array([number]),
        born=np.array([generation]),
        best=np.full(1, -np.inf, np.float32),
        improved=np.array([generation]),
        representative=take(genomes, [0]),
        threshold=0.0,
        following=number + 1,
    )


def _fitting_threshold(genomes: Genomes, nobody: Genomes, config: SpeciationConfig) -> float:
    """The threshold nearest the configured one, on a scale of `CHANGE`, at which at most `target` species arise."""
    rows, pairs = np.arange(genomes.count), scratch(genomes)
    label, found = np.empty(genomes.count, np.int64), np.empty(genomes.count, np.int64)

    def arising(power: int) -> int:
        threshold = np.float32(config.threshold * CHANGE**power)
        return int(_assign(genomes, rows, nobody, _coefficients(config), threshold, pairs, label, found))

    low, high = -40, 40
    while low < high:
        middle = (low + high) // 2
        if arising(middle) <= config.target:
            high = middle
        else:
            low = middle + 1
    return config.threshold * CHANGE**low


def speciate(
    genomes: Genomes, before: Species, config: SpeciationConfig, generation: int, rows: Array | None = None
) -> Species:
    """Sort genomes into the species of `before` and new ones; with `rows`, they are those of these slots alone."""
    count = genomes.count
    label, found = np.empty(count, np.int64), np.empty(count, np.int64)
    known, every = before.representative, np.arange(count)
    pairs = scratch(genomes, known)
    new = int(_assign(genomes, every, known, _coefficients(config), np.float32(before.threshold), pairs, label, found))
    if rows is not None:
        some, label = label, before.label.copy()
        label[rows] = some
    species = replace(
        before,
        label=label,
        number=np.concatenate([before.number, before.following + np.arange(new)]),
        born=np.concatenate([before.born, np.full(new, generation)]),
        best=np.concatenate([before.best, np.full(new, -np.inf, np.float32)]),
        improved=np.concatenate([before.improved, np.full(new, generation)]),
        representative=concatenate([known, take(genomes, found[:new])]) if new else known,
        following=before.following + new,
    )
    return _largest_first(species)


def _largest_first(species: Species) -> Species:
    """Without the species that nobody belongs to, by size: most genomes then meet their species at the first try."""
    members = np.bincount(species.label, minlength=species.count)
    order = np.argsort(-members, kind="stable")
    kept = order[: np.count_nonzero(members)]
    return species if np.array_equal(kept, np.arange(species.count)) else restrict(species, kept)


def restrict(species: Species, kept: Array) -> Species:
    """Only the species in rows `kept`; labels of the others' members become -1."""
    place = np.full(species.count, -1, np.int64)
    place[kept] = np.arange(len(kept))
    return replace(
        species,
        label=np.where(species.label >= 0, place[species.label], -1),
        number=species.number[kept],
        born=species.born[kept],
        best=species.best[kept],
        improved=species.improved[kept],
        representative=take(species.representative, kept),
    )


def note_progress(species: Species, fitness: Array, generation: int) -> Species:
    """Update each species' best fitness and the generation in which it last rose."""
    best, improved = species.best.copy(), species.improved.copy()
    known = np.isfinite(fitness)
    top = np.full(species.count, -np.inf, np.float32)
    np.maximum.at(top, species.label[known], fitness[known])
    risen = top > best
    best[risen], improved[risen] = top[risen], generation
    return replace(species, best=best, improved=improved)


def next_representatives(species: Species, population: Population, key: np.uint64) -> Species:
    """A random member of each species stands for it in the next generation."""
    chosen = np.empty(species.count, np.int64)
    for row in range(species.count):
        members = np.flatnonzero(species.label == row)
        chosen[row] = members[int(uniform(child(key, int(species.number[row])), 0) * len(members))]
    return replace(species, representative=population.take(chosen))


def adapted_threshold(species: Species, config: SpeciationConfig) -> float:
    """The next generation's threshold: one step towards `target` species when dynamic, unchanged otherwise."""
    if not config.dynamic or species.count == config.target:
        return species.threshold
    factor = CHANGE if species.count > config.target else 1 / CHANGE
    return float(np.clip(species.threshold * factor, config.threshold * CHANGE**-40, config.threshold * CHANGE**40))
