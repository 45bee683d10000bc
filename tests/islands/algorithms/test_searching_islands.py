"""Islands that search: interrupted, lived again, and exchanging migrants with islands of another algorithm."""

import json
import subprocess
import sys

import pytest

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from tests.islands.algorithms.searches import KINDS, searching
from tests.islands.evolving import REPOSITORY, after, digests, evolve, history, log, make_run, result
from tests.islands.stories import newest, story
from tests.islands.test_replay import replayed

MIGRATING = ("migration.every=1", "migration.migrants=2", "generations=8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_interrupted_after_any_generation_and_resumed_equals_one_without_a_break(memory_folder, kind):
    config = searching(kind, "strategy.patience=2", "record.checkpoint_every=2")
    whole = make_run(memory_folder / "whole", config)
    evolve(whole)
    for generation in range(1, 6):
        run = make_run(memory_folder / str(generation), config)
        evolve(run, halted=after(generation))
        evolve(run)
        assert story(run) == story(whole)
    assert history(whole)[-1]["strategy"]["restarts"] > 0 and newest(whole)[0].memory


@pytest.mark.parametrize("kind", KINDS)
def test_a_searching_island_is_what_its_configuration_seed_and_log_say(memory_folder, kind):
    names = ("ant", "bee")
    run = make_run(memory_folder / "run", searching(kind, *MIGRATING), names, (5, 6), memory_folder / "pool")
    evolve(run)
    for name in names:
        assert result(run, name)["admitted"] > 5
        assert replayed(run, name, memory_folder / f"replay-{name}") == digests(run, name)


def test_the_genetic_algorithm_starts_afresh_too_and_is_resumed_alike(memory_folder):
    settings = ("mode=neat", "algorithm=ga", "strategy.patience=2", "mutation.weight_rate=0", "mutation.add_node=0")
    config = searching("snes", *settings, "record.checkpoint_every=2")
    whole, parts = make_run(memory_folder / "whole", config), make_run(memory_folder / "parts", config)
    evolve(whole)
    for _ in range(3):
        evolve(parts, halted=after(2))
    evolve(parts)
    assert story(parts) == story(whole)
    counts = [line["restarts"] for line in history(whole)]
    assert counts[0] == 0 and counts == sorted(counts) and counts[-1] > 0


def test_islands_of_different_algorithms_exchange_migrants(memory_folder):
    kinds = ("ga", *KINDS)
    runs = {}
    for kind in kinds:
        config = searching(kind, *MIGRATING)
        runs[kind] = make_run(memory_folder / kind, config, (kind,), (7,), memory_folder / "pool", command="evolve")
    for generation in (2, 4, 6, 8):
        for run in runs.values():
            evolve(run, halted=after(2 if generation < 8 else 9))
    for kind in kinds:
        taken = {line["source"] for line in log(runs[kind], kind) if line.get("admitted")}
        assert taken == set(kinds) - {kind}, kind
        assert len(history(runs[kind], kind)) == 8


def test_the_same_seed_finds_another_way_by_another_algorithm(memory_folder):
    ways = []
    for kind in ("ga", *KINDS):
        run = make_run(memory_folder / kind, searching(kind))
        evolve(run)
        ways.append(digests(run)[-1])
        assert ("strategy" in history(run)[0]) == (kind != "ga")
    assert len(set(ways)) == len(ways)


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        (["mode=neat"], "algorithm snes: expected mode pure, whose networks keep their shape, got neat"),
        (["task.name=pellets"], "algorithm snes: expected a task without bodies"),
        (["population=3", "selection.elites=1"], "algorithm snes: expected a population of at least 4, got 3"),
        (["network.weight_scale=0"], "algorithm snes: expected network.weight_scale above 0, got 0"),
    ],
)
def test_a_search_that_cannot_be_is_one_clear_line(assignments, says):
    base = ["mode=pure", "task.name=cartpole", "algorithm=snes", "migration.migrants=2"]
    with pytest.raises(ConfigError) as refusal:
        loading.override(Config(), [*base, *assignments])
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_double_pole_is_solved_from_the_command_line_and_the_result_says_so(memory_folder):
    arguments = ("run", "-c", REPOSITORY / "configs/papers/double_pole_fixed.yaml", "-s", 2, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *map(str, arguments), "--out", str(memory_folder / "run")],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for seed in json.loads(done.stdout)["seeds"]:
        assert seed["solved"] and 1 <= seed["evaluations_to_solve"] < 10_000 and seed["hidden_nodes"] == 1
