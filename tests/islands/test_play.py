"""A genome played on fresh episodes is worth what the engine says it is worth."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from islands import loading
from islands.genome.population import decode, encode
from islands.play import answer, play
from islands.rng import Purpose, island_number, stream
from islands.rollout import Pace
from islands.tasks import make
from tests.islands.evolving import evolve, make_run, result, tiny
from tests.islands.networks_engine import bred


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(configuration, champion's bytes, its result) of a finished run."""
    run = make_run(tmp_path_factory.mktemp("play") / "run", tiny("task.duration=3", "seed=5"), ["island-003"])
    evolve(run)
    place = run.island("island-003")
    return loading.load(run.config), place.champion.read_bytes(), result(run, "island-003")


def asked(config, genome, **more):
    return {
        "config": config.as_dict(), "genome": base64.b64encode(genome).decode(), "episodes": 20, "seed": 0, **more
    }  # fmt: skip


def test_a_champion_on_its_held_out_episodes_has_the_mean_and_interval_that_were_recorded(finished):
    config, blob, recorded = finished
    task = make(config)
    held_out = stream(5, island_number("island-003"), recorded["generations"] - 1, Purpose.HELD_OUT)
    found = play(task, decode([blob], task.layout), held_out, 64, Pace(lambda done, of: None))
    assert len(set(found["fitness"])) > 9
    assert (found["mean"], found["ci95"]) == (recorded["champion"]["mean"], recorded["champion"]["ci95"])
    assert found["episodes"] == recorded["champion"]["episodes"] == 64


def test_the_same_seed_gives_the_same_episodes_and_another_gives_others(finished, capsys):
    config, blob, _ = finished
    one, same, other = (answer(asked(config, blob, seed=seed)) for seed in (3, 3, 4))
    assert one == same and one["fitness"] != other["fitness"]
    longer = answer(asked(config, blob, seed=3, episodes=30))
    assert longer["fitness"][:20] == one["fitness"] and longer["episodes"] == 30
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["of"] == 30


def test_mean_interval_ends_and_steps_are_those_of_the_episodes(finished):
    config, blob, _ = finished
    found = answer(asked(config, blob))
    assert found["mean"] == pytest.approx(np.mean(found["fitness"]))
    half = 2.093024 * np.std(found["fitness"], ddof=1) / np.sqrt(20)  # Student's t, 19 degrees of freedom
    assert found["ci95"] == pytest.approx([found["mean"] - half, found["mean"] + half], rel=1e-5)
    assert sum(found["ended"].values()) == 20 and found["failed"] == 0 and 0 < found["steps"] <= 90


def test_a_task_whose_episodes_are_all_the_same_is_played_once():
    config, task, genomes = bred(("task.name=xor",))
    found = answer(asked(config, encode(genomes, 0)))
    assert found["episodes"] == 1 and found["ci95"] is None and found["solved"] in (0, 1)
    assert found["mean"] == task.play(genomes, np.zeros(1, np.int64), np.zeros(1, np.uint64)).fitness[0]


def test_an_episode_that_failed_leaves_no_mean(finished):
    config, blob, _ = finished
    task = make(config)

    class Failing:
        random, reasons, parts, worth = True, task.reasons, {}, None

        def play(self, genomes, items, keys):
            played = task.play(genomes, items, keys)
            played.fitness[3] = np.nan
            return played

    found = play(Failing(), decode([blob], task.layout), np.uint64(1), 20)
    assert found["mean"] is None and found["ci95"] is None and found["failed"] == 1


def test_a_genome_of_another_configuration_is_refused_in_one_line(finished):
    config, blob, _ = finished
    request = json.dumps(asked(loading.override(config, ["mode=pure"]), blob))
    ran = subprocess.run(
        [sys.executable, "-m", "islands.play"], input=request, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 78 and ran.stdout == "" and len(ran.stderr.splitlines()) == 1
    assert "expected one of its configuration" in ran.stderr
