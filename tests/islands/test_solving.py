"""A task that can be solved says so: when, by whom, after how many evaluations; and the population stops."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from islands import checkpoint, loading, solving
from islands.config import Config
from islands.genome.population import Population, decode, encode
from islands.rng import Purpose, stream
from islands.rollout import Scores, evaluate
from islands.rundir import RunDir
from islands.tasks import Verdict, make
from tests.islands.evolving import after, digests, evolve, history, make_run, result
from tests.islands.tasks.plain_parts import configured

XOR = (
    "population=100", "generations=200", "network.bias=input", "network.activation=sigmoid", "mutation.weight_scale=1",
    "migration.every=0", "record.checkpoint_every=1",
)  # fmt: skip


def xor(folder: Path, *assignments: str, **options: Any) -> RunDir:
    run = make_run(folder, configured("xor", *XOR, *assignments), **options)
    evolve(run)
    return run


def last_state(run: RunDir, name: str = "island-000") -> checkpoint.State:
    owner = {"run": "0" * 32, "island": name, "seed": run.read_plan()["islands"][0]["seed"]}
    state = checkpoint.read_newest(run.island(name).checkpoints, owner, print)
    assert state is not None
    return state


def test_evaluations_are_counted_genome_by_genome_up_to_the_first_that_solves(memory_folder: Path) -> None:
    run = xor(memory_folder / "run")
    state, told, task = last_state(run), result(run), make(loading.load(run.config))
    (scores,) = evaluate(task, state.population.genomes, np.zeros(1, np.uint64), 1)
    answers = scores.solved
    assert answers is not None and answers.any()
    first = answers.tolist().index(True)
    assert told["stopped"] == "solved" and told["solved"] is True and told["generalisation"] is None
    assert told["evaluations_to_solve"] == 100 * state.generation + first + 1 <= told["evaluations"]
    assert not any(line["solution"]["row"] is not None for line in history(run)[:-1])
    champion = run.island("island-000").champion.read_bytes()
    assert champion == encode(state.population.genomes, first)
    genome = decode([champion], task.layout)
    assert told["hidden_nodes"] == len(genome.node_id) - 1 >= 1
    assert told["champion"]["episodes"] == 1 and told["champion"]["ci95"] == [told["champion"]["mean"]] * 2


def test_a_population_may_go_on_after_its_task_is_solved(memory_folder: Path) -> None:
    stopped = result(xor(memory_folder / "stops"))
    generations = stopped["generations"] + 3
    run = xor(memory_folder / "goes on", "evaluation.stop_when_solved=false", f"generations={generations}")
    told = result(run)
    assert (told["generations"], told["stopped"]) == (generations, None)
    for name in ("solved", "evaluations_to_solve", "hidden_nodes"):
        assert told[name] == stopped[name]


def test_interrupted_and_resumed_finds_what_an_uninterrupted_run_finds(memory_folder: Path) -> None:
    whole = xor(memory_folder / "whole")
    broken = make_run(memory_folder / "broken", configured("xor", *XOR))
    while not broken.island("island-000").result.exists():
        evolve(broken, halted=after(5))
    assert digests(broken) == digests(whole)
    same = ("solved", "evaluations_to_solve", "hidden_nodes", "digest", "stopped", "champion")
    assert {name: result(broken)[name] for name in same} == {name: result(whole)[name] for name in same}


def test_seeds_in_one_batch_are_solved_as_each_alone(memory_folder: Path) -> None:
    names, seeds = ("seed-1", "seed-2", "seed-3"), (1, 2, 3)
    run = xor(memory_folder / "together", names=names, seeds=seeds)
    for name, seed in zip(names, seeds, strict=True):
        alone = xor(memory_folder / name, names=(name,), seeds=(seed,))
        assert result(alone, name)["evaluations_to_solve"] == result(run, name)["evaluations_to_solve"]
        assert result(alone, name)["digest"] == result(run, name)["digest"]


def test_a_task_that_nobody_solved_says_so_and_one_that_cannot_be_solved_says_nothing(memory_folder: Path) -> None:
    told = result(xor(memory_folder / "xor", "generations=2"))
    assert (told["solved"], told["evaluations_to_solve"], told["stopped"]) == (False, None, None)
    run = make_run(
        memory_folder / "pendulum", configured("pendulum", "population=20", "generations=2", "task.steps=10")
    )
    evolve(run)
    assert result(run)["solved"] is None and "solution" not in history(run)[-1]


def test_cartpole_is_solved_by_the_mean_of_a_hundred_fresh_episodes(memory_folder: Path) -> None:
    run = make_run(
        memory_folder / "run", configured("cartpole", "population=60", "generations=60", "migration.every=0")
    )
    evolve(run)
    told, state, config = result(run), last_state(run), loading.load(run.config)
    row = solving.solution_in(state.record).row  # type: ignore[union-attr]
    assert told["stopped"] == "solved"
    assert told["evaluations_to_solve"] == 60 * state.generation + row + 1  # type: ignore[operator]
    key = stream(config.seed, 0, state.generation, Purpose.EXAMINATION)
    fresh = evaluate(
        make(config), decode([encode(state.population.genomes, row)], make(config).layout), np.array([key]), 100
    )  # type: ignore[arg-type]
    assert fresh[0].fitness[0] >= 475.0
    assert told["champion"]["mean"] > 450.0 and told["champion"]["episodes"] == 64


class Examiner:
    """A task that notes whom it examines; `passes`: rows that pass."""

    solvable, layout = True, SimpleNamespace(hidden=3, layers=1)

    def __init__(self, *passes: int) -> None:
        self.passes, self.asked = passes, []  # type: ignore[var-annotated]

    def examine(self, _genomes: object, row: int, _key: object) -> Verdict:
        self.asked.append(row)
        return Verdict(row in self.passes, 210 if row in self.passes else 12)


def looked(task: Examiner, fitness: list[float], labels: list[int], best: list[float], before: Any, gen: int) -> Any:
    scores = np.array(fitness, np.float32)
    species = SimpleNamespace(
        label=np.array(labels), number=np.array([10, 20, 30])[: len(best)], best=np.array(best, np.float32)
    )
    population = Population(None, scores)  # type: ignore[arg-type]
    nothing = Scores(scores, scores[:, None], {}, 0, None)
    return solving.look(task, population, species, nothing, Config(population=4), before, (1, 0, gen))  # type: ignore[arg-type]


def test_each_generation_the_best_champion_not_yet_examined_is_put_to_it() -> None:
    task = Examiner()
    told = looked(task, [1, 5, 3, 2], [0, 0, 1, 2], [5, 3, 2], None, 0)
    told = looked(task, [1, 5, 3, 2], [0, 0, 1, 2], [5, 3, 2], told, 1)  # the best has not improved: the second best
    told = looked(task, [1, 6, 3, 2], [0, 0, 1, 2], [6, 3, 2], told, 2)  # the best has
    told = looked(task, [1, 6, np.nan, 2], [0, 0, 1, 2], [6, 3, 2], told, 3)
    told = looked(task, [1, 6, 3, 2], [0, 0, 1, 2], [6, 3, 2], told, 4)  # nobody is left
    assert task.asked == [1, 2, 1, 3]
    assert told["solution"]["row"] is None
    gone = looked(task, [1, 6, 3, 2], [0, 0, 0, 0], [6], told, 5)
    assert [number for number, _ in gone["solution"]["examined"]] == [10]


def test_who_passes_the_examination_solves_and_examinations_are_not_counted() -> None:
    task = Examiner(2)
    told = looked(task, [1, 5, 3, 2], [0, 0, 1, 2], [5, 3, 2], None, 0)
    told = looked(task, [1, 5, 3, 2], [0, 0, 1, 2], [5, 3, 2], told, 1)
    solution = solving.solution_in(told)
    assert solution is not None and solution.told() == {
        "solved": True, "evaluations_to_solve": 4 + 3, "generalisation": 210, "hidden_nodes": 3,
    }  # fmt: skip
    later = looked(task, [9, 9, 9, 9], [0, 0, 1, 2], [9, 9, 9], told, 2)
    assert later == told and task.asked == [1, 2]


@pytest.mark.parametrize("episodes", [1, 3])
def test_a_genome_solves_only_with_every_episode_and_each_counts(episodes: int) -> None:
    scores = Scores(np.ones(4, np.float32), np.ones((4, 1)), {}, 0, np.array([False, False, True, True]))
    config = loading.override(Config(), ["population=4", f"evaluation.episodes={episodes}", "selection.elites=1",
                                         "migration.every=0", "selection.tournament_size=1"])  # fmt: skip
    task: Any = Examiner()
    told = solving.look(task, Population(None, scores.fitness), None, scores, config, None, (1, 0, 5))  # type: ignore[arg-type]
    assert told["solution"]["evaluations"] == (5 * 4 + 3) * episodes
