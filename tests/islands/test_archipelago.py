"""Whole islands that exchange genomes through a pool: what goes where, and who serves whom."""

import hashlib
import os
from collections import Counter

import numpy as np
import pytest

from islands import checkpoint
from islands.genome.population import encode
from islands.loop import Evolution
from islands.rng import Purpose, stream
from islands.rollout import evaluate
from islands.rundir import RunDir
from islands.tasks import make
from islands.tasks.pellets import Pellets
from islands.topology import neighbours
from tests.islands.evolving import after, digests, evolve, log, never, result, start, tiny
from tests.islands.migration_parts import EVERY, NAMES, alone, apart, archipelago, arrived, outbox


@pytest.fixture
def folder(memory_folder):
    return memory_folder


# --- the seed's way ---


def test_by_default_the_top_five_go_out_every_ten_generations_and_five_come_in_for_the_worst(folder):
    config = tiny("generations=22", "task.duration=2.0")
    run = archipelago(folder, config)
    evolve(run)
    for name in NAMES[:2]:
        published = [line for line in log(run, name) if line.get("event") == "published"]
        assert [(line["generation"], len(line["digests"])) for line in published] == [(10, 5), (20, 5), (21, 5)]
    served = {line["sequence"]: line["digests"] for line in log(run, NAMES[0]) if line.get("event") == "published"}
    came = arrived(run, NAMES[1])
    assert Counter(line["generation"] for line in came) == {10: 5, 20: 5}
    assert all(line["digest"] in served[line["sequence"]] and line["source"] == NAMES[0] for line in came)
    assert all(line["slot"] is not None for line in came if line["admitted"])
    end = result(run, NAMES[1])
    assert (end["sent"], end["received"], end["admitted"] + end["refused"]) == (15, 10, 10)


def test_migration_changes_the_course_of_evolution(folder):
    config = tiny(*EVERY)
    run = archipelago(folder, config)
    evolve(run)
    course = digests(run)
    still = alone(folder, config)
    assert course[:2] == still[:2] and course[2:] != still[2:]  # the first arrivals come at generation 1


class Watched(Pellets):
    """The real task; keeps the genomes and the streams of each batch that it played."""

    def __init__(self, config):
        super().__init__(config)
        self.batches = []

    def play(self, genomes, items, keys, *given):
        self.batches.append((genomes, set(keys.tolist())))
        return super().play(genomes, items, keys, *given)


def test_immigrants_meet_the_episodes_of_the_generation_that_they_join(folder):
    tasks = []
    config = tiny(*EVERY, "migration.migrants=3")
    run = archipelago(folder, config)
    evolve(run, halted=after(4), played_by=lambda config: tasks.append(Watched(config)) or tasks[0])
    counts = [genomes.count for genomes, _ in tasks[0].batches]
    assert counts == [24, 24, 6, 24, 6, 24]  # both islands' generations, and what both took in
    keys = [streams for _, streams in tasks[0].batches]
    assert keys[2] == keys[1] and keys[4] == keys[3] and len(keys[1]) == 2 and keys[1].isdisjoint(keys[3])


def test_immigrants_are_in_the_population_that_breeds_and_in_its_species(folder):
    config = tiny(*EVERY, "migration.migrants=6")
    both = evolve(archipelago(folder, config), halted=after(4))
    island, task = both[0], make(config)
    before = island.state
    Evolution(config, task, both, never).migrate(both)
    state, came = island.state, arrived(RunDir(folder / "run"), NAMES[0], 3)
    slots = [line["slot"] for line in came if line["admitted"]]
    people, species = state.population, state.species
    assert len(slots) > 3 and people.digest() != before.population.digest()
    key = stream(*island.key(3), Purpose.PELLETS)
    assert np.array_equal(people.fitness, evaluate(task, people.genomes, np.array([key]), 1)[0].fitness)
    for slot in slots:
        away = apart(people.genomes, slot, species.representative, species.label[slot])
        assert away < species.threshold and species.best[species.label[slot]] >= people.fitness[slot]
    stay = [row for row in range(12) if row not in slots]
    assert np.array_equal(species.number[species.label[stay]], before.species.number[before.species.label[stay]])
    assert state.counts["admitted"] == before.counts["admitted"] + len(slots)


# --- everybody is served, and nobody has to be ---


@pytest.mark.parametrize("topology", ["full", "ring", "star", "torus", "random-2", "0>1,2>1,1>3"])
def test_every_neighbour_serves_its_share_and_nobody_else(folder, topology):
    config = tiny(*EVERY, "migration.migrants=6", f"migration.topology={topology}")
    run = archipelago(folder, config, NAMES)
    evolve(run)
    for number, name in enumerate(NAMES):
        sources = neighbours(topology, NAMES, name, number + 1)
        for generation in (2, 3):
            served = Counter(line["source"] for line in arrived(run, name, generation))
            assert served == {source: 6 // len(sources) for source in sources}


def test_an_isolated_island_evolves_as_if_it_were_alone_and_still_publishes(folder):
    config = tiny(*EVERY, "migration.topology=isolated")
    run = archipelago(folder, config)
    evolve(run)
    assert digests(run) == alone(folder, config)
    assert arrived(run, NAMES[0]) == [] and len(os.listdir(outbox(folder, NAMES[0]))) == 5


@pytest.mark.parametrize("topology", ["full", "ring", "star", "torus", "random-3", "1>0"])
def test_one_island_alone_evolves_as_it_would_without_migration(folder, topology):
    config = tiny(*EVERY, f"migration.topology={topology}")
    run = archipelago(folder, config, NAMES[:1])
    evolve(run)
    assert digests(run) == alone(folder, config) and result(run)["received"] == 0


def test_islands_of_unequal_size_and_generations_apart_serve_each_other(folder):
    small = archipelago(folder, tiny(*EVERY, "population=5", "generations=40"), NAMES[:1], "small")
    large = archipelago(folder, tiny(*EVERY, "population=30", "generations=3"), NAMES[:2], "large")
    evolve(small, halted=after(30))
    evolve(large, only=NAMES[1:2])
    evolve(small)
    assert {line["sequence"] for line in arrived(large, NAMES[1])} == {28}  # of generation 28
    came = arrived(small, NAMES[0], 29)
    assert {line["source"] for line in came} == {NAMES[1]} and any(line["admitted"] for line in came)
    assert len(digests(small)) == 40 and len(digests(large, NAMES[1])) == 3


def test_an_island_that_finished_early_still_serves_its_best(folder):
    short = archipelago(folder, tiny(*EVERY, "generations=3"), NAMES[:1], "short")
    islands = evolve(short)
    people = islands[0].state.population
    best = encode(people.genomes, int(people.fitness.argmax()))
    config = tiny(*EVERY, "generations=6", "migration.migrants=1")
    later = archipelago(folder, config, NAMES[:2], "later")
    evolve(later, only=NAMES[1:])
    (came,) = arrived(later, NAMES[1])
    last = log(short, NAMES[0])[-1]
    assert (came["source"], came["sequence"], last["generation"]) == (NAMES[0], last["sequence"], 2)
    assert came["digest"] in last["digests"] and last["digests"][0] == hashlib.sha256(best).hexdigest()


def test_more_islands_than_cores_in_processes_of_their_own_all_finish(folder):
    config = tiny(*EVERY, "generations=12", "migration.migrants=3")
    run = archipelago(folder, config, NAMES[:3])
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        processes = [start(run, "--island", str(number)) for number in range(3)]
    finally:
        os.sched_setaffinity(0, cores)
    ends = [(process.communicate(timeout=600)[1], process.returncode) for process in processes]
    assert ends == [("", 0)] * 3
    for name in NAMES[:3]:
        assert len(digests(run, name)) == 12
        complete = [line["generation"] for line in log(run, name) if line.get("event") == "complete"]
        assert complete == list(range(1, 11))
        assert {line["source"] for line in arrived(run, name)} <= {*NAMES[:3]} - {name}


def test_no_genome_outgrows_what_an_island_may_publish(folder):
    """Everything grows at every birth, up to limits that are soon reached."""
    growth = [f"mutation.add_{part}=1.0" for part in ("node", "connection", "body_node", "muscle")]
    limits = ("body.max_nodes=4", "body.max_muscles=5", "network.max_hidden=3", "task.proprioception=all")
    shrink = ("mutation.remove_body_node=0.0", "mutation.remove_muscle=0.0")
    config = tiny(*EVERY, *growth, *limits, *shrink, "generations=40", "population=8")
    run = archipelago(folder, config)
    islands = evolve(run)
    for name in NAMES[:2]:
        assert result(run, name)["admitted"] > 0 and "limits" not in {line["reason"] for line in arrived(run, name)}
    line = checkpoint.read_newest(run.island(NAMES[0]).checkpoints, islands[0].owner, pytest.fail).record
    assert sum(line["limited"].values()) > 0
