"""From an evaluated population to the next one: plan who breeds with whom, then breed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from islands.config import Config
from islands.genome.crossover import cross, spreads_of
from islands.genome.draft import Draft, Room, load, make_draft, make_genomes, nobody, store, trim
from islands.genome.initial import FirstDraw
from islands.genome.mutation import LIMIT_KINDS, Rates, mutate
from islands.genome.population import Array, Genomes, Layout, Population, has
from islands.kernel import kernel
from islands.networks import input_slots
from islands.rng import Purpose, stream, substream, uniform
from islands.selection import METHODS, position, ranking, survivors
from islands.speciation import Species, adapted_threshold, next_representatives, restrict

LIMITS = ("network.max_hidden", "body.max_nodes", "body.max_muscles")
"""The configured limits in the order in which operators count them."""
CHAMPION_FROM = 5
"""A species larger than this passes its champion on unchanged."""


class Plan(NamedTuple):
    """The parents of P offspring: rows of the current population."""

    first: Array  # int64 [P]: the fitter parent
    second: Array  # int64 [P]: the other, -1 for none
    copied: Array  # uint8 [P]: 1 where `first` is passed on unchanged


@dataclass(frozen=True)
class Breeding:
    """What reproduction needs besides the population, fixed for a run."""

    config: Config
    layout: Layout
    first: FirstDraw


@dataclass(frozen=True)
class Offspring:
    """The next generation's genomes, the species they start from, and the mutations that met a limit.

    `memory`: what an algorithm that remembers more than its population has to know when these are evaluated.
    """

    genomes: Genomes
    species: Species
    limited: dict[str, int]
    memory: dict[str, Array] = field(default_factory=dict)


def rates_of(config: Config, boost: float) -> Rates:
    """The mutation rates of a generation; `boost` multiplies rates (up to 1) and scales."""
    m, b = config.mutation, config.body

    def more(rate: float) -> float:
        return min(1.0, rate * boost)

    return Rates(
        weights=more(m.weights),
        weight_rate=more(m.weight_rate),
        weight_scale=m.weight_scale * boost,
        replace_rate=m.replace_rate,
        add_node=more(m.add_node),
        add_connection=more(m.add_connection),
        recurrent=m.recurrent,
        activation=more(m.activation),
        enable=more(m.enable),
        disable=more(m.disable),
        body_rate=more(m.body_rate),
        body_scale=m.body_scale * boost,
        add_body_node=more(m.add_body_node),
        remove_body_node=more(m.remove_body_node),
        add_muscle=more(m.add_muscle),
        remove_muscle=more(m.remove_muscle),
        max_hidden=config.network.max_hidden,
        min_nodes=b.min_nodes,
        max_nodes=b.max_nodes,
        max_muscles=b.max_muscles,
    )


def shares(species: Species, fitness: Array, total: int, least: int) -> Array:
    """Offspring of each species (int64 [S], sum `total`): in proportion to mean fitness, at least `least` each.

    Fitness sharing: a member's fitness counts divided by its species' size, so a species' share is its mean. Fitness is
    shifted so that the worst counts 0. When `least` for all exceeds `total`, the best species are served first. A
    species of which every evaluation failed has no offspring.
    """
    breeds = _breeding(species, fitness)
    value = np.where(np.isfinite(fitness), fitness, np.nan).astype(np.float64)
    value = np.nan_to_num(value - np.nanmin(value), nan=0.0)
    members = np.bincount(species.label[species.label >= 0], minlength=species.count)
    sums = np.bincount(species.label[species.label >= 0], weights=value[species.label >= 0], minlength=species.count)
    mean = sums / np.maximum(members, 1)
    order = np.argsort(-mean, kind="stable")
    counts = np.zeros(species.count, np.int64)
    for row in order[breeds[order]]:
        counts[row] = min(least, total - counts.sum())
    rest = total - int(counts.sum())
    weight = mean / mean.sum() if mean.sum() > 0 else breeds / breeds.sum()
    exact = weight * rest
    counts += exact.astype(np.int64)
    behind = np.argsort(np.where(breeds, exact.astype(np.int64) - exact, 1.0), kind="stable")
    counts[behind[: total - int(counts.sum())]] += 1
    return counts


def _breeding(species: Species, fitness: Array) -> Array:
    """Which species have a member whose evaluation succeeded (bool [S])."""
    succeeded = species.label[np.isfinite(fitness) & (species.label >= 0)]
    return np.bincount(succeeded, minlength=species.count) > 0


def without_stagnant(species: Species, fitness: Array, limit: int, generation: int) -> Species:
    """Only the species that improved within `limit` generations; the two best that can breed always stay."""
    best_two = np.argsort(np.where(_breeding(species, fitness), -species.best, np.inf), kind="stable")[:2]
    alive = generation - species.improved < limit
    alive[best_two] = True
    return species if alive.all() else restrict(species, np.flatnonzero(alive))


def plan(fitness: Array, genes: Array, species: Species, config: Config, key: np.uint64) -> Plan:
    """Choose the parents of a whole generation; `genes` int64 [P]: genome sizes, which break ties of fitness."""
    total = len(fitness)
    ranked = ranking(fitness)
    ranked = ranked[np.isfinite(fitness[ranked])]
    elites = list(ranked[: min(config.selection.elites, total)])
    pools, counts = [survivors(ranked, config.selection.cull)], [total]
    if config.selection.method == "speciation":
        quota = shares(species, fitness, total, config.speciation.min_size)
        pools, counts = [], []
        for row in range(species.count):
            members = ranked[species.label[ranked] == row]
            if len(members) == 0 or quota[row] == 0:
                continue
            if len(members) > CHAMPION_FROM and members[0] not in elites:
                elites.append(members[0])
            pools.append(survivors(members, config.selection.cull))
            counts.append(int(quota[row]))
    flat, start = np.concatenate(pools), np.concatenate([[0], np.cumsum([len(pool) for pool in pools])])
    first = np.empty(total, np.int64)
    second = np.full(total, -1, np.int64)
    copied = np.zeros(total, np.uint8)
    owner = np.repeat(np.arange(len(pools)), counts)
    owner = np.concatenate([owner, np.zeros(max(0, total - len(owner)), np.int64)])[:total]
    crossover = config.crossover
    _draw_parents(
        key, METHODS[config.selection.method], config.selection.tournament_size, flat, start, owner,
        crossover.rate if crossover.enabled else 0.0, crossover.interspecies, first, second,
    )  # fmt: skip
    elites = elites[:total]
    slots = _elite_slots(owner, elites, pools)
    first[slots], second[slots], copied[slots] = elites, -1, 1
    return fitter_first(first, second, copied, fitness, genes)


def fitter_first(first: Array, second: Array, copied: Array, fitness: Array, genes: Array) -> Plan:
    """The plan with the fitter of two parents first; of equal ones the one of fewer `genes` (see `plan`)."""
    one, two = first, np.maximum(second, 0)
    swap = (second >= 0) & (
        (fitness[two] > fitness[one]) | ((fitness[two] == fitness[one]) & (genes[two] < genes[one]))
    )
    return Plan(np.where(swap, two, one), np.where(swap, one, second), copied)


def _elite_slots(owner: Array, elites: list[int], pools: list[Array]) -> Array:
    """One slot for each elite, from its own species' share where that has any left."""
    home = {int(row): index for index, pool in enumerate(pools) for row in pool}
    free = {index: list(np.flatnonzero(owner == index)[::-1]) for index in range(len(pools))}
    slots, homeless = {}, []
    for place, row in enumerate(elites):
        own = free.get(home.get(int(row), -1), [])
        if own:
            slots[place] = own.pop()
        else:
            homeless.append(place)
    left = [slot for own in free.values() for slot in own]
    for place in homeless:
        slots[place] = left.pop()
    return np.array([slots[place] for place in range(len(elites))], np.int64)


@kernel
def _draw_parents(
    key: Any, method: Any, size: Any, flat: Any, start: Any, owner: Any, rate: Any, abroad: Any, first: Any, second: Any
) -> Any:
    for slot in range(len(first)):
        own = substream(key, slot)
        low, count = start[owner[slot]], start[owner[slot] + 1] - start[owner[slot]]
        first[slot] = flat[low + position(method, count, size, own, 0)]
        if uniform(own, 1) < rate:
            drawn = method
            if len(start) > 2 and uniform(own, 2) < abroad:
                low, count, drawn = 0, len(flat), 0
            place = position(drawn, count, size, own, 3)
            if flat[low + place] == first[slot]:  # nobody mates with itself: the next in the ranking, if there is one
                place += 1 if place + 1 < count else -1
            second[slot] = flat[low + place] if place >= 0 else -1


@kernel
def _breed(
    genomes: Any, newcomers: Any, plan: Any, crossing: Any, mutating: Any, layout: Any, first: Any, rates: Any, d: Any,
    out: Any, limited: Any, marks: Any, disabled_rate: Any, spreads: Any, body: Any, fixed: Any,
) -> Any:  # fmt: skip
    born = len(genomes.shared)
    for slot in range(len(plan.first)):
        one, two = plan.first[slot], plan.second[slot]
        if one < born:
            load(d, genomes, one)
        else:
            load(d, newcomers, one - born)
        if not plan.copied[slot]:
            if two >= born:
                cross(d, newcomers, two - born, substream(crossing, slot), disabled_rate, spreads, fixed)
            elif two >= 0:
                cross(d, genomes, two, substream(crossing, slot), disabled_rate, spreads, fixed)
            mutate(d, substream(mutating, slot), layout, first, rates, limited, marks, body, fixed)
        store(d, out, slot)


def draft_room(layout: Layout, *parents: Genomes) -> tuple[Room, int]:
    """Rows a child of these parents can need, and the input slots of its network."""
    each = [[int(np.diff(start).max(initial=0)) for start in some if start.dtype == np.int64] for some in parents]
    most = list(map(max, zip(*each, strict=True)))
    slots = input_slots(layout, most[0] + 2, most[1] + 3)
    return Room(most[0] + 2, most[1] + 3, most[2] + 5, most[3] + 4 + 2 * slots), slots


def sizes(genomes: Genomes) -> Array:
    """Genes of each genome (int64 [P]): rows of all tables."""
    return np.asarray(sum(np.diff(start) for start in genomes if start.dtype == np.int64))


def breed(
    genomes: Genomes, chosen: Plan, breeding: Breeding, boost: float, key: tuple[int, int, int],
    newcomers: Genomes | None = None,
) -> tuple[Genomes, dict[str, int]]:  # fmt: skip
    """The offspring of a plan; `key` = (seed, island, generation). A child depends on its parents and slot alone.

    The plan's rows are those of `genomes`, followed by those of `newcomers`.
    """
    layout, crossover = breeding.layout, breeding.config.crossover
    room, slots = draft_room(layout, *filter(None, (genomes, newcomers)))
    count = len(chosen.first)
    out = make_genomes(count, Room(*(count * rows for rows in room)), layout)
    limited = np.zeros(LIMIT_KINDS, np.int64)
    draft: Draft = make_draft(room, layout)
    _breed(
        genomes, newcomers or nobody(layout), chosen, stream(*key, Purpose.CROSSOVER), stream(*key, Purpose.MUTATION),
        layout, breeding.first, rates_of(breeding.config, boost), draft, out, limited, np.zeros(slots + 1, np.uint64),
        crossover.disabled_rate, spreads_of(crossover.eta), *has(layout),
    )  # fmt: skip
    return trim(out), dict(zip(LIMITS, limited.tolist(), strict=True))


def reproduce(
    population: Population, species: Species, breeding: Breeding, boost: float, key: tuple[int, int, int]
) -> Offspring:
    """The next generation of an evaluated and speciated population (cost O(genes), at most 5 us a genome)."""
    config, generation, fitness = breeding.config, key[2], population.fitness
    alive = species
    if config.selection.method == "speciation":
        alive = without_stagnant(species, fitness, config.speciation.stagnation, generation)
    chosen = plan(fitness, population.measured(sizes), alive, config, stream(*key, Purpose.PARENTS))
    newcomers = None
    if population.newcomers is not None:
        newcomers, rows = population.newcomers.genomes, population.rows
        chosen = Plan(rows[chosen.first], np.where(chosen.second < 0, -1, rows[chosen.second]), chosen.copied)
    offspring, limited = breed(population.born, chosen, breeding, boost, key, newcomers)
    following = next_representatives(alive, population, stream(*key, Purpose.PARENTS, slot=1))
    following = replace(following, threshold=adapted_threshold(alive, config.speciation))
    return Offspring(offspring, following, limited)
