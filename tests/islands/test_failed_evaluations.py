import base64
import hashlib
import json
import math
import sys

import numpy as np
import pytest

import islands.tasks
from islands import __main__ as process
from islands import loading
from islands.config import MutationConfig
from islands.genome.population import take
from islands.loop import champion_of
from tests.islands.evolving import after, evolve, history, log, make_run, result, tiny
from tests.islands.odd_tasks import blobs, every_one_fails, failing, numbers, ruled_by
from tests.islands.stories import newest, states, story

STILL = [f"mutation.{name}=0" for name in MutationConfig.__dataclass_fields__ if name != "weight_scale"]
"""With these every offspring without a second parent is a copy of its first."""
METHODS = ("speciation", "tournament", "rank", "truncation")


def failed_and_not(state):
    """The genomes of a generation as bytes: (those whose evaluation failed, the others)"""
    every, failed = blobs(state.population.genomes), np.isnan(state.population.fitness)
    return [b for b, f in zip(every, failed, strict=True) if f], [
        b for b, f in zip(every, failed, strict=True) if not f
    ]


def test_a_failed_evaluation_is_nan_and_is_counted_and_no_figure_is_made_of_it(memory_folder):
    run = make_run(memory_folder / "run", tiny("population=30", "record.keep=9"))
    evolve(run, played_by=ruled_by(failing))
    for line, state in zip(history(run), states(run), strict=True):
        failed = np.isnan(state.population.fitness)
        known = state.population.fitness[~failed].astype(float)
        assert line["failed"] == failed.sum() > 0
        assert [line["best"], line["mean"], line["median"]] == pytest.approx(
            [known.max(), known.mean(), float(np.median(known))]
        )
        assert math.isfinite(state.best) and not np.isnan(state.species.best).any()


def test_one_failed_episode_of_several_fails_the_evaluation(memory_folder):
    def last_episode_fails(genomes, items, keys, fitness):
        first = numbers(genomes)[items] % np.uint64(2) == 0
        return np.where(first & (np.arange(len(items)) % 3 == 2), np.nan, 1.0)

    run = make_run(memory_folder / "run", tiny("evaluation.episodes=3", "generations=1"))
    evolve(run, played_by=ruled_by(last_episode_fails))
    population = newest(run)[0].population
    even = numbers(population.genomes) % np.uint64(2) == 0
    assert 0 < even.sum() < 12 and np.isnan(population.fitness).tolist() == even.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_a_genome_whose_evaluation_failed_is_no_parent_and_no_elite(memory_folder, method):
    assignments = (f"selection.method={method}", "crossover.enabled=false", *STILL)
    config = tiny("population=60", "generations=3", "record.keep=9", "selection.cull=0", *assignments)
    for seed in range(4):
        run = make_run(memory_folder / str(seed), config, seeds=[seed])
        evolve(run, played_by=ruled_by(failing))
        former, *later = states(run)
        for state in later:
            failed, parents = failed_and_not(former)
            children = set(blobs(state.population.genomes))
            assert failed and children <= set(parents) - set(failed)
            former = state


@pytest.mark.parametrize("method", METHODS)
def test_genes_of_a_genome_whose_evaluation_failed_are_not_crossed_into_others(memory_folder, method):
    """All genomes of one species, crossed always: parts of failed genomes would be seen by their markings."""
    assignments = (f"selection.method={method}", "crossover.rate=1", "speciation.threshold=999", *STILL)
    run = make_run(memory_folder / "run", tiny("population=30", "generations=2", "selection.cull=0", *assignments))
    evolve(run, played_by=ruled_by(failing))
    former, state = states(run)
    failed = np.isnan(former.population.fitness)
    good = take(former.population.genomes, np.flatnonzero(~failed))
    assert failed.any() and np.isin(state.population.genomes.muscle_id, good.muscle_id).all()
    assert np.isin(state.population.genomes.muscle_gene[:, 1], good.muscle_gene[:, 1]).mean() > 0.3


def test_a_genome_whose_evaluation_failed_is_not_the_champion_though_it_may_do_well_elsewhere(memory_folder):
    """In the generations the best half fails; on fresh episodes nobody does."""

    def rule(genomes, items, keys, fitness):
        value = numbers(genomes)[items] % np.uint64(1000)
        generation = len(items) == genomes.count and genomes.count > 1
        return np.where(generation & (value > 500), np.nan, value)

    for seed in range(5):
        run = make_run(memory_folder / str(seed), tiny(), seeds=[seed])
        evolve(run, played_by=ruled_by(rule))
        failed, good = failed_and_not(newest(run)[0])
        champion = run.island("island-000").champion.read_bytes()
        assert failed and champion in good and champion not in failed
        assert result(run)["champion"]["mean"] <= 500


def test_where_every_fresh_episode_of_the_shortlist_fails_there_is_one_clear_error(memory_folder):
    (island,) = evolve(make_run(memory_folder / "run", tiny()), halted=after(1))
    task = ruled_by(every_one_fails)(tiny())
    with pytest.raises(islands.errors.EvolabError, match="champion") as caught:
        champion_of(task, island.state.population, tiny(), (1, 0, 0))
    assert caught.value.exit_code == 70 and "\n" not in str(caught.value)


@pytest.mark.parametrize("select", ["best", "random", "different"])
def test_a_genome_whose_evaluation_failed_does_not_emigrate(memory_folder, select):
    config = tiny(
        "migration.every=1", "migration.migrants=8", f"migration.select={select}", "record.keep=9", "generations=4"
    )
    run = make_run(memory_folder / "run", config, ["a", "b"], [3, 4], memory_folder / "shared")
    evolve(run, played_by=ruled_by(failing))
    for name in "ab":
        published = [line for line in log(run, name) if line.get("event") == "published"]
        assert len(published) >= 3
        by_generation = {state.generation: state for state in states(run, name)}
        for line in published:
            failed, good = failed_and_not(by_generation[line["generation"]])
            digests = {hashlib.sha256(blob).hexdigest() for blob in good} - {
                hashlib.sha256(blob).hexdigest() for blob in failed
            }
            assert line["digests"] and failed and set(line["digests"]) <= digests


def test_an_immigrant_whose_evaluation_failed_is_refused_and_says_why(memory_folder):
    config = tiny("migration.every=1", "migration.migrants=8", "generations=6")
    run = make_run(memory_folder / "run", config, ["a", "b"], [1, 2], memory_folder / "shared")
    evolve(run, played_by=ruled_by(failing))
    arrivals = [line for name in "ab" for line in log(run, name) if "admitted" in line]
    refused = [line for line in arrivals if line["reason"] == "evaluation failed"]
    assert refused and not any(line["admitted"] for line in refused)
    for line in arrivals:
        assert line["admitted"] == ("genome" in line)
        if line["admitted"]:
            assert hashlib.sha256(base64.b64decode(line["genome"])).hexdigest() == line["digest"]


def test_a_run_with_failures_resumed_equals_one_without_a_break(memory_folder):
    whole, run = make_run(memory_folder / "whole", tiny()), make_run(memory_folder / "run", tiny())
    evolve(whole, played_by=ruled_by(failing))
    for _ in range(3):
        evolve(run, halted=after(2), played_by=ruled_by(failing))
    evolve(run, played_by=ruled_by(failing))
    assert story(run) == story(whole)


def test_a_generation_in_which_every_evaluation_fails_is_an_error_with_exit_code_70(
    memory_folder, monkeypatch, capfd, signals_kept
):
    """The island's process, played by this one, with a task that fails from generation 2 on."""
    calls = []

    def rule(genomes, items, keys, fitness):
        if genomes.count == 12:
            calls.append(1)
        return math.nan if len(calls) > 2 else fitness

    run = make_run(memory_folder / "run", tiny())
    place = run.island("island-000")
    monkeypatch.setattr(islands.tasks, "make", ruled_by(rule))
    monkeypatch.setattr(sys, "argv", ["islands", str(run.path)])
    assert process.main() == 70
    (line,) = capfd.readouterr().err.splitlines()
    assert "island-000" in line and "generation 2" in line and "no evaluation" in line
    error = json.loads(place.error.read_text())
    assert (error["exit_code"], error["message"]) == (70, line)
    assert not place.result.exists() and len(history(run)) == 2 and newest(run)[0].generation == 1
    monkeypatch.undo()
    evolve(run)  # with a task that works again, it goes on from there
    assert len(history(run)) == 5 and loading.load(run.config).generations == 5


def test_an_exception_is_no_score_but_the_end_with_exit_code_70_and_its_traceback(
    memory_folder, monkeypatch, capfd, signals_kept
):
    def rule(genomes, items, keys, fitness):
        raise ZeroDivisionError("a fault of the task")

    run = make_run(memory_folder / "run", tiny())
    monkeypatch.setattr(islands.tasks, "make", ruled_by(rule))
    monkeypatch.setattr(sys, "argv", ["islands", str(run.path)])
    assert process.main() == 70
    error = json.loads(run.island("island-000").error.read_text())
    assert (error["kind"], error["exit_code"]) == ("ZeroDivisionError", 70)
    assert error["message"] == "ZeroDivisionError: a fault of the task" and "in rule" in error["traceback"]
    assert error["traceback"] in capfd.readouterr().err and history(run) == []
