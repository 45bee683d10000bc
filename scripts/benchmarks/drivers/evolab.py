"""This project on CartPole, every generation with its statistics and digest.

`neat`: with one species, as neat-python has it, which divides the distance by the number of genes, and its rates of
structural mutation; `preset`: the preset `cartpole` as it is; `snes`: a fixed network.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import rounds

from islands import loading
from islands.algorithms import Told, breeder_of
from islands.genome.population import Array, Genomes, Population
from islands.loop import breeding_of
from islands.record import summarise
from islands.rollout import evaluate
from islands.speciation import note_progress
from islands.tasks import RULES, Played
from islands.tasks.plain import PlainTask
from islands.tasks.rules import Shape
from launcher import presets

SETS: Mapping[str, tuple[str, ...]] = {
    "neat": (
        "speciation.dynamic=false", "speciation.threshold=8", "speciation.weight=0.4", "mutation.add_node=0.05",
        "mutation.add_connection=0.15",
    ),
    "preset": (),
    "snes": ("mode=pure", "algorithm=snes", f"network.hidden={rounds.HIDDEN}", f"network.weight_scale={rounds.SCALE}"),
}  # fmt: skip


class GivenStarts(PlainTask):
    """CartPole from the start that the comparison gives."""

    start: tuple[float, ...] = (0.0,) * 4

    def play(self, genomes: Genomes, items: Array, keys: Array, shape: Shape | None = None) -> Played:
        """See `PlainTask`."""
        starts = np.tile(np.array(self.start), (len(items), 1))
        return self.play_compiled(genomes, items, keys, shape or self.shape, starts)


def begin(population: int, seed: int) -> rounds.Play:
    config = loading.override(presets.resolve("cartpole", list(SETS[sys.argv[1]])), [f"population={population}"])
    task = GivenStarts(RULES["cartpole"], config)
    breeder = breeder_of(breeding_of(config, task))
    offspring = breeder.first((seed, 0, 0))
    generation = 0
    keys = np.zeros(1, np.uint64)

    def play(start: tuple[float, ...]) -> rounds.Generation:
        nonlocal offspring, generation
        task.start = start
        began = time.process_time()
        scores: Any = evaluate(task, offspring.genomes, keys, 1)[0]
        spent = time.process_time() - began
        species = breeder.sort(offspring.genomes, offspring.species, generation) if generation else offspring.species
        species = note_progress(species, scores.fitness, generation)
        evaluated = Population(offspring.genomes, scores.fitness)
        summarise(evaluated, species)
        evaluated.digest()
        connections = float(evaluated.genomes.conn_start[-1]) / population
        offspring = breeder.breed(Told(evaluated, species, offspring.memory, []), 1.0, (seed, 0, generation))
        generation += 1
        return rounds.Generation(scores.steps, scores.steps, spent, species.count, connections)

    return play


if __name__ == "__main__":
    rounds.serve(begin, ("numba", "numpy"))
