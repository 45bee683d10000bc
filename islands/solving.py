"""When a population has solved its task, and what it took.

Evaluations are counted as the literature does: genome by genome in the order of their slots, generation after
generation, up to and including the genome that solves the task (times the episodes that a genome plays). An unchanged
copy counts like any other genome; examinations do not count.

Where an episode shows that the task is solved, the first genome that solves it in every episode is the solution. Where
it takes an examination, the best champion of a species that has improved since its last examination is put to it, one a
generation (as in the original NEAT program's double pole experiment without velocities).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.config import Config
from islands.genome.marking import depth
from islands.genome.population import Genomes, Layout, Population
from islands.rng import Purpose, stream
from islands.rollout import Scores
from islands.speciation import Species
from islands.tasks import Task


class Solution(NamedTuple):
    """What is known of a task's solution, as it stands in the metrics line of a generation."""

    row: int | None = None  # slot of the genome; None: not solved
    generation: int | None = None
    evaluations: int | None = None  # to solve
    generalisation: int | None = None
    hidden_nodes: int | None = None
    examined: tuple[tuple[int, float], ...] = ()  # a species' number and its best fitness when it was examined

    @property
    def solved(self) -> bool:
        """Whether there is one."""
        return self.row is not None

    def told(self) -> dict[str, Any]:
        """What a result says of it."""
        return {
            "solved": self.solved,
            "evaluations_to_solve": self.evaluations,
            "generalisation": self.generalisation,
            "hidden_nodes": self.hidden_nodes,
        }


UNKNOWN = dict.fromkeys(Solution().told())
"""What a result says where the task has no solution."""


def solution_in(record: dict[str, Any]) -> Solution | None:
    """The solution that a generation's metrics line states; None where the task has none."""
    known = record.get("solution")
    return None if known is None else Solution(**known)


def hidden_nodes(genomes: Genomes, layout: Layout, row: int) -> int:
    """Hidden neurons of a genome, those that nothing depends on included."""
    if layout.hidden:
        return layout.layers * layout.hidden
    nodes = genomes.node_id[genomes.node_start[row] : genomes.node_start[row + 1]]
    return sum(int(depth(node)) > 0 for node in nodes)


def look(
    task: Task,
    population: Population,
    species: Species,
    scores: Scores,
    config: Config,
    before: dict[str, Any] | None,
    key: tuple[int, int, int],
) -> dict[str, Any]:
    """The part of a metrics line that tells of a solution; `before`: the line of the generation before.

    `key`: (seed, island, generation). Empty where the task cannot be solved.
    """  # fmt: skip
    if not task.solvable:
        return {}
    known = (solution_in(before) if before else None) or Solution()
    if not known.solved:
        known = _found(task, population, species, scores, known, key)
        if known.row is not None:
            earlier = key[2] * config.population
            known = known._replace(
                generation=key[2],
                evaluations=(earlier + known.row + 1) * config.evaluation.episodes,
                hidden_nodes=hidden_nodes(population.genomes, task.layout, known.row),
                examined=(),
            )
    return {"solution": known._asdict()}


def _found(
    task: Task, population: Population, species: Species, scores: Scores, known: Solution, key: tuple[int, int, int]
) -> Solution:
    if scores.solved is not None:
        return known._replace(row=int(np.argmax(scores.solved))) if scores.solved.any() else known
    examined = dict(known.examined)
    examined = {number: examined[number] for number in species.number.tolist() if number in examined}
    candidate = _candidate(population, species, examined)
    if candidate is not None:
        row, number = candidate
        verdict = task.examine(population.genomes, row, stream(*key, Purpose.EXAMINATION))
        if verdict.solved:
            return known._replace(row=row, generalisation=verdict.generalisation)
        examined[number] = float(species.best[species.number == number][0])
    return known._replace(examined=tuple(sorted(examined.items())))


def _candidate(population: Population, species: Species, examined: dict[int, float]) -> tuple[int, int] | None:
    """The best genome whose species has improved since its examination, as (row, number of its species)."""
    number, best = species.number[species.label], species.best[species.label].astype(np.float64)
    fresh = best > np.array([examined.get(int(each), -np.inf) for each in number])
    fitness = np.where(fresh & np.isfinite(population.fitness), population.fitness, -np.inf)
    row = int(np.argmax(fitness))
    return (row, int(number[row])) if np.isfinite(fitness[row]) else None
