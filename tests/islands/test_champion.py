import hashlib
import math
import statistics

import numpy as np
import pytest

from islands import loading
from islands.genome.population import decode, take
from islands.loop import SHORTLIST, VALIDATION_EPISODES, champion_of
from islands.rollout import worth_of
from islands.selection import ranking
from islands.tasks import make
from tests.islands.evolving import after, evolve, history, make_run, result, tiny
from tests.islands.odd_tasks import blobs, numbers, pure_luck, ruled_by, watched
from tests.islands.stories import newest

STUDENT = {64: 1.998341, 100: 1.984217}
"""The 97.5 % quantile of Student's t with 63 and 99 degrees of freedom, from a printed table."""
FEW = ("migration.migrants=1", "selection.elites=1", "selection.tournament_size=2")
LIVELY = ("task.duration=6", "population=20", "evaluation.episodes=2")


def judged(folder, *assignments, **options):
    """A finished run, and what its task was asked: (run, calls of generations, of validation, of judging)"""
    tasks, played_by = watched(**options)
    run = make_run(folder, tiny(*LIVELY, *assignments))
    evolve(run, played_by=played_by)
    calls = tasks[0].calls
    assert len(calls) == 5 + 2
    return run, calls[:5], calls[5], calls[6]


@pytest.mark.parametrize("episodes", [64, 100])
def test_the_champion_is_judged_on_held_out_episodes_that_it_was_not_chosen_by(memory_folder, episodes):
    _, generations, validation, held_out = judged(memory_folder / "run", f"evaluation.held_out={episodes}")
    judging = set(held_out.keys.tolist())
    assert held_out.genomes.count == 1 and len(judging) == len(held_out.keys) == episodes >= 64
    chosen_by = {key for call in (*generations, validation) for key in call.keys.tolist()}
    assert judging.isdisjoint(chosen_by)
    met_before = {key for call in generations for key in call.keys.tolist()}
    assert set(validation.keys.tolist()).isdisjoint(met_before)


def test_fewer_than_64_held_out_episodes_are_refused():
    with pytest.raises(Exception, match=r"held_out.*64"):
        tiny("evaluation.held_out=63")


@pytest.mark.parametrize("episodes", [64, 100])
def test_the_reported_mean_and_interval_are_those_of_the_held_out_episodes(memory_folder, episodes):
    run, _, _, held_out = judged(memory_folder / "run", f"evaluation.held_out={episodes}")
    task, blob = make(loading.load(run.config)), run.island("island-000").champion.read_bytes()
    champion = decode([blob], task.layout)
    scores = [float(score) for score in task.play(champion, np.zeros(episodes, np.int64), held_out.keys).fitness]
    assert len(set(scores)) > 9
    mean, half = statistics.fmean(scores), STUDENT[episodes] * statistics.stdev(scores) / math.sqrt(episodes)
    stated = result(run)["champion"]
    assert stated["mean"] == pytest.approx(mean, rel=1e-9)
    assert stated["ci95"] == pytest.approx([mean - half, mean + half], rel=1e-6)
    assert stated["episodes"] == episodes and stated["digest"] == hashlib.sha256(blob).hexdigest()


def test_the_champion_is_the_best_of_the_shortlist_on_fresh_episodes(memory_folder):
    run, _, validation, _ = judged(memory_folder / "run")
    population = newest(run)[0].population
    shortlist = blobs(take(population.genomes, ranking(population.fitness)[:16]))
    assert blobs(validation.genomes) == shortlist
    task = make(loading.load(run.config))
    worth = [
        task.play(validation.genomes, np.full(16, row), np.array(validation.met_by(row), np.uint64)).fitness.mean()
        for row in range(16)
    ]
    assert len({validation.met_by(row) for row in range(16)}) == 1 and len(set(validation.met_by(0))) == 16
    best = int(np.argmax(worth))
    assert result(run)["champion"]["validation"] == worth[best]
    assert run.island("island-000").champion.read_bytes() == shortlist[best]
    assert best != 0  # luckiest by score and best on fresh episodes differ here


def test_a_champion_of_pure_luck_is_not_reported_at_its_luckiest_score(memory_folder):
    config = tiny("population=64", "generations=8", "task.duration=0.1")
    for seed in range(5):
        run = make_run(memory_folder / str(seed), config, seeds=[seed])
        evolve(run, played_by=ruled_by(pure_luck))
        champion, reported = result(run)["champion"], result(run)["best_fitness"]
        assert reported > 2.0  # of 512 draws, and every genome is worth 0
        assert abs(champion["mean"]) < 4 / 8  # 4 standard errors of the mean of 64
        assert champion["ci95"][0] < champion["mean"] < champion["ci95"][1] < reported


def test_a_steady_genome_is_preferred_to_a_lucky_one(memory_folder):
    """One genome is worth 1 always; the others are worth 0 and more by luck."""
    (island,) = evolve(make_run(memory_folder / "run", tiny("population=16")), halted=after(1))
    genomes, steady = island.state.population.genomes, numbers(island.state.population.genomes)[11]

    def rule(genomes, items, keys, fitness):
        return np.where(numbers(genomes)[items] == steady, 1.0, pure_luck(genomes, items, keys, fitness))

    task = ruled_by(rule)(tiny())
    for seed in range(8):
        fitness = pure_luck(genomes, np.arange(16), np.full(16, seed, np.uint64), np.zeros(16)).astype(np.float32)
        population = type(island.state.population)(genomes, np.where(np.arange(16) == 11, 1, fitness))
        row, validation, worth = champion_of(task, population, tiny(), (seed, 0, 0))
        assert row == 11 and validation == 1 and (worth.mean, worth.low, worth.high) == (1.0, 1.0, 1.0)


def test_the_interval_covers_what_a_genome_is_worth_19_times_in_20(memory_folder):
    (island,) = evolve(make_run(memory_folder / "run", tiny("population=2", *FEW)), halted=after(1))
    task, genomes = ruled_by(pure_luck)(tiny()), island.state.population.genomes
    worths = [worth_of(task, genomes, 1, np.uint64(key), 64) for key in range(400)]
    covered = sum(worth.low <= 0 <= worth.high for worth in worths)
    assert 0.92 * 400 <= covered <= 0.98 * 400


def test_a_population_smaller_than_the_shortlist_has_a_champion(memory_folder):
    run = make_run(memory_folder / "run", tiny("population=2", "generations=2", *FEW))
    evolve(run)
    assert SHORTLIST > 2 and VALIDATION_EPISODES >= 16
    assert result(run)["champion"]["episodes"] == 64 and len(history(run)) == 2
