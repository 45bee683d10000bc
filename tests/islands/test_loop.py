import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islands import loading
from islands.loop import Evolution
from islands.tasks import make
from tests.islands.evolving import (
    REPOSITORY,
    after,
    digests,
    evolve,
    history,
    make_run,
    never,
    result,
    tiny,
    write_config,
)
from tests.islands.odd_tasks import blobs, pure_luck, ruled_by, standing_still, watched
from tests.islands.stories import newest, states, story

MODES = ("neat", "pure", "hybrid")


def evolved(folder, *assignments, **plan):
    """A run evolved to its end without a break."""
    run = make_run(folder, tiny(*assignments), **plan)
    evolve(run)
    return run


def files_of(run):
    """Every file of a run with its content."""
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("every", [1, 3])
def test_a_run_interrupted_after_any_generation_and_resumed_equals_one_without_a_break(memory_folder, mode, every):
    config = tiny(f"mode={mode}", f"record.checkpoint_every={every}", "generations=6")
    whole = make_run(memory_folder / "whole", config)
    evolve(whole)
    for generation in range(1, 7):
        run = make_run(memory_folder / str(generation), config)
        evolve(run, halted=after(generation))
        assert len(history(run)) == generation and not run.island("island-000").result.exists()
        evolve(run)
        assert story(run) == story(whole)


@settings(deadline=None, max_examples=15)
@given(
    breaks=st.lists(st.integers(1, 4), max_size=6),
    every=st.integers(1, 5),
    seed=st.integers(0, 3),
    method=st.sampled_from(["speciation", "tournament", "rank", "truncation"]),
    boosted=st.booleans(),
)
def test_any_number_of_breaks_changes_nothing(tmp_path_factory, breaks, every, seed, method, boosted):
    folder = tmp_path_factory.mktemp("breaks")
    config = tiny(
        "generations=8", f"record.checkpoint_every={every}", f"seed={seed}", f"selection.method={method}",
        f"adaptive.enabled={boosted}".lower(), "adaptive.patience=1",
    )  # fmt: skip
    whole, run = make_run(folder / "whole", config), make_run(folder / "run", config)
    evolve(whole)
    for generations in breaks:
        evolve(run, halted=after(generations))
    evolve(run)
    assert story(run) == story(whole)


@pytest.mark.parametrize("every", [1, 4])
def test_a_finished_run_given_more_generations_equals_a_longer_one(memory_folder, every):
    every = f"record.checkpoint_every={every}"
    whole, run = evolved(memory_folder / "whole", "generations=9", every), evolved(memory_folder / "run", every)
    assert len(history(run)) == 5
    write_config(run, tiny("generations=9", every))
    evolve(run)
    assert len(history(run)) == 9 and story(run) == story(whole)


def test_a_finished_run_started_again_is_left_as_it_is(memory_folder):
    run = evolved(memory_folder / "run")
    before = files_of(run)
    evolve(run)
    assert files_of(run) == before


def test_seeds_evaluated_as_one_batch_equal_each_alone(memory_folder):
    assignments = ("generations=12", "evaluation.stagnation_limit=3", "evaluation.episodes=2")
    names, seeds = [f"seed-{seed}" for seed in range(1, 7)], list(range(1, 7))
    batch = evolved(memory_folder / "batch", *assignments, names=names, seeds=seeds)
    for name, seed in zip(names, seeds, strict=True):
        alone = evolved(memory_folder / name, *assignments, names=[name], seeds=[seed])
        assert story(batch, name) == story(alone, name)
    assert len({len(history(batch, name)) for name in names}) > 1  # some ended while others went on
    assert len({digests(batch, name)[0] for name in names}) == 6


def test_the_same_seed_gives_the_same_run_and_another_seed_or_island_another(memory_folder):
    runs = [evolved(memory_folder / f"{seed}-{copy}", f"seed={seed}") for seed in (1, 2) for copy in (0, 1)]
    assert story(runs[0]) == story(runs[1]) and story(runs[2]) == story(runs[3])
    other = evolved(memory_folder / "other", "seed=1", names=["island-001"])
    first = [digests(run)[0] for run in runs] + digests(other, "island-001")[:1]
    assert len(set(first)) == 3


def test_every_generation_draws_its_parents_and_mutations_anew(memory_folder):
    (island,) = evolve(make_run(memory_folder / "run", tiny()), halted=after(2))
    evolution = Evolution(tiny(), make(tiny()), [island], never)
    children = []
    for generation in (1, 2, 3, 1):
        island.state = dataclasses.replace(island.state, generation=generation)
        evolution.reproduce(island)
        children.append(tuple(blobs(island.offspring.genomes)))
    assert children[0] == children[3] and len(set(children)) == 3


def test_every_genome_of_a_generation_meets_the_same_pellets_and_every_generation_others(memory_folder):
    tasks, played_by = watched()
    run = make_run(memory_folder / "run", tiny("evaluation.episodes=3", "generations=6"))
    evolve(run, played_by=played_by)
    calls = tasks[0].calls[:6]  # one a generation; the champion is chosen and judged after them
    for call in calls:
        assert call.genomes.count == 12 and len(set(call.met_by(0))) == 3
        assert {call.met_by(row) for row in range(12)} == {call.met_by(0)}
    met = [key for call in calls for key in call.met_by(0)]
    assert len(set(met)) == 18


def test_every_population_of_a_batch_meets_its_own_pellets(memory_folder):
    tasks, played_by = watched()
    run = make_run(memory_folder / "run", tiny(), names=["seed-1", "seed-2"], seeds=[1, 2])
    evolve(run, played_by=played_by)
    for call in tasks[0].calls[:5]:
        one, two = ({call.met_by(row) for row in range(first, first + 12)} for first in (0, 12))
        assert len(one) == len(two) == 1 and one.isdisjoint(two)


def test_immigrants_meet_the_pellets_of_the_generation_they_come_into(memory_folder):
    tasks, played_by = watched()
    config = tiny("migration.every=1", "migration.migrants=3", "generations=6")
    run = make_run(memory_folder / "run", config, ["a", "b"], [1, 2], memory_folder / "shared")
    evolve(run, played_by=played_by)
    admitted = sum(result(run, name)["admitted"] for name in "ab")
    calls = [call for call in tasks[0].calls if len(set(call.keys.tolist())) <= 2]  # without choosing the champions
    assert admitted > 10 and len(calls) == 6 + 4  # generations; exchanges, of both at once
    assert len({key for call in calls for key in call.keys.tolist()}) == 6 * 2


def test_metrics_have_one_line_a_generation_from_the_first_draw_on(memory_folder):
    run = evolved(memory_folder / "run", "evaluation.episodes=2", "record.keep=9", "record.checkpoint_every=1")
    lines = history(run)
    assert [line["generation"] for line in lines] == [0, 1, 2, 3, 4]
    for line, state in zip(lines, states(run), strict=True):
        known = state.population.fitness.astype(np.float64)
        stated = [line[name] for name in ("best", "mean", "median", "std")]
        assert stated == pytest.approx([known.max(), known.mean(), np.median(known), known.std()])
        assert line["species"] == len(np.unique(state.species.label)) and line["failed"] == 0
        sizes = {
            str(number): int((state.species.label == row).sum()) for row, number in enumerate(state.species.number)
        }
        assert line["species_sizes"] == sizes
        assert line["evaluations"] == 24 and line["steps"] == 24 * 15
        assert line["muscles"] == len(state.population.genomes.muscle_id) / 12
        assert line["digest"] == state.population.digest()
        assert state.evaluations == 24 * (state.generation + 1)
    assert result(run)["evaluations"] == 120 and result(run)["generations"] == 5
    assert result(run)["digest"] == lines[-1]["digest"]


def test_the_first_generation_is_the_first_draw(memory_folder):
    short, long = evolved(memory_folder / "short", "generations=1"), evolved(memory_folder / "long")
    assert digests(short) == digests(long)[:1]
    assert history(short)[0]["limited"] == {} and history(long)[1]["limited"] != {}


def test_the_best_of_all_generations_never_falls_though_the_generations_do(memory_folder):
    run = make_run(memory_folder / "run", tiny("generations=12", "record.keep=20"))
    evolve(run, played_by=ruled_by(pure_luck))
    tops = [line["best"] for line in history(run)]
    assert any(later < earlier for earlier, later in itertools.pairwise(tops))
    assert [state.best for state in states(run)] == list(itertools.accumulate(tops, max))
    assert [line["best_so_far"] for line in history(run)] == list(itertools.accumulate(tops, max))
    first_had = [tops.index(state.best) for state in states(run)]
    assert [state.improved for state in states(run)] == first_had
    assert result(run)["best_fitness"] == max(tops)


@pytest.mark.parametrize("limit", [1, 3])
def test_a_run_that_stands_still_for_so_many_generations_stops_and_says_so(memory_folder, limit):
    config = tiny("generations=9", f"evaluation.stagnation_limit={limit}", "record.checkpoint_every=100")
    run = make_run(memory_folder / "run", config)
    evolve(run, played_by=ruled_by(standing_still))
    assert len(history(run)) == limit + 1
    assert result(run)["stopped"] == "stagnation" and result(run)["generations"] == limit + 1
    assert newest(run)[0].generation == limit
    before = files_of(run)
    evolve(run, played_by=ruled_by(standing_still))
    assert files_of(run) == before  # it has stopped for good


def test_progress_puts_standstill_off_and_a_break_does_not(memory_folder):
    def rises_once(genomes, items, keys, fitness):
        evaluated.append(1)
        return 2.0 if len(evaluated) > 3 else 1.0  # from generation 3 on

    for number, breaks in enumerate(([], [1, 1, 1], [4, 1])):
        evaluated = []
        run = make_run(memory_folder / str(number), tiny("generations=20", "evaluation.stagnation_limit=4"))
        for generations in breaks:
            evolve(run, halted=after(generations), played_by=ruled_by(rises_once))
        evolve(run, played_by=ruled_by(rises_once))
        assert [line["best"] for line in history(run)] == [1.0] * 3 + [2.0] * 5
        assert result(run)["stopped"] == "stagnation"


def test_without_a_limit_a_run_that_stands_still_goes_on(memory_folder):
    run = make_run(memory_folder / "run", tiny("generations=9"))
    evolve(run, played_by=ruled_by(standing_still))
    assert len(history(run)) == 9 and result(run)["stopped"] is None


def test_mutation_is_boosted_once_nothing_has_improved_for_so_many_generations(memory_folder):
    runs = {}
    for enabled in ("true", "false"):
        assignments = (f"adaptive.enabled={enabled}", "adaptive.patience=3", "adaptive.boost=4")
        runs[enabled] = make_run(memory_folder / enabled, tiny("generations=8", *assignments))
        evolve(runs[enabled], played_by=ruled_by(standing_still))
    assert [line["mutation_boost"] for line in history(runs["true"])] == [1.0] * 4 + [4.0] * 4
    assert [line["mutation_boost"] for line in history(runs["false"])] == [1.0] * 8
    same = [one == other for one, other in zip(*map(digests, runs.values()), strict=True)]
    assert same == [True] * 4 + [False] * 4


def test_the_boost_ends_when_the_best_rises(memory_folder):
    def rises_once(genomes, items, keys, fitness):
        evaluated.append(1)
        return 2.0 if len(evaluated) > 5 else 1.0  # from generation 5 on

    evaluated = []
    run = make_run(memory_folder / "run", tiny("generations=9", "adaptive.enabled=true", "adaptive.patience=2"))
    evolve(run, played_by=ruled_by(rises_once))
    assert [line["mutation_boost"] for line in history(run)] == [1.0] * 3 + [2.0] * 3 + [1.0] * 2 + [2.0]


def test_with_the_default_preset_at_least_three_species_live_at_generation_25(memory_folder):
    preset = loading.load(REPOSITORY / "configs" / "neat_baseline.yaml")
    assert preset.population == 500 and preset.task.duration == 30
    run = make_run(memory_folder / "run", loading.override(preset, ["generations=26"]))
    evolve(run)
    state, _ = newest(run)
    assert state.generation == 25 and history(run)[25]["species"] >= 3
    assert np.count_nonzero(np.bincount(state.species.label)) >= 3
