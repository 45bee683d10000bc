"""Recordings: what is shown is the evaluation itself, and small."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands import files, record_episode, recording
from islands.genome.population import decode, take
from islands.networks_torch import memory_size, networks_of, think
from islands.rng import Purpose, stream, substream
from islands.rollout import play_alone
from islands.rundir import RunDir
from islands.tasks import make, plain_recording
from islands.threads import torch_module
from tests.islands.evolving import REPOSITORY, evolve, make_run, tiny
from tests.islands.tasks.creatures import MODES, evolved
from tests.islands.tasks.creatures import configured as creature
from tests.islands.tasks.plain_parts import configured, grown

torch = torch_module()
KEY = np.uint64(9)


@functools.cache
def creatures(mode: str) -> tuple[Any, Any]:
    """Eight that have grown; the last one explodes."""
    task, genomes = evolved(creature(mode, "sin_raw", "all", duration=10.0), 8, rounds=6)
    genomes.muscle_gene[genomes.muscle_start[7] :, 1] = 20_000.0
    return task, genomes


@pytest.mark.parametrize("mode", MODES)
def test_a_recorded_creature_scores_and_ends_as_in_the_evaluation_bit_for_bit(mode: str) -> None:
    task, genomes = creatures(mode)
    played = task.play(genomes, np.arange(8), np.full(8, KEY))
    for row in range(8):
        found = recording.record("pellets", task, genomes, row, KEY)
        assert np.float32(found["fitness"]) == played.fitness[row]
        assert (found["ended"], found["steps"]) == (task.reasons[played.reason[row]], played.steps[row])
    assert found["ended"] != "finished"


@pytest.mark.parametrize("mode", MODES)
def test_its_last_frame_lies_where_the_evaluation_left_it(mode: str) -> None:
    task, genomes = creatures(mode)
    played = task.play(genomes, np.arange(7), np.full(7, KEY))
    for row in range(7):
        found = recording.record("pellets", task, genomes, row, KEY)
        frames, mass = recording.unpack(found).reshape(found["shape"][0], -1, 3), np.array(found["mass"])
        centre = (frames * mass[:, None]).sum(axis=1) / mass.sum()
        went = (centre[-1] - centre[0])[[0, 2]]
        np.testing.assert_allclose(found["went"], played.behaviour[row, :2], atol=2e-5)
        np.testing.assert_allclose(went, played.behaviour[row, :2], atol=recording.UNIT)
        assert found["shape"][0] == found["steps"] + 1 == 301


def test_pellets_lie_one_after_the_other_and_are_eaten_when_the_score_says() -> None:
    task, genomes = evolved(creature("hybrid", duration=60.0), 1024, rounds=0)
    played = task.play(genomes, np.arange(1024), np.full(1024, KEY))
    found = recording.record("pellets", task, genomes, int(played.fitness.argmax()), KEY)
    pellets = found["pellets"]
    assert played.fitness.max() > 100 and len(pellets) > 1
    assert [each["since"] for each in pellets] == [0, *(each["eaten"] for each in pellets[:-1])]
    assert pellets[-1]["eaten"] is None
    assert len(pellets) - 1 == int(played.fitness.max() // 100)


@pytest.mark.parametrize("name", recording.MOTIONS)
def test_a_recorded_state_is_what_the_rules_in_plain_python_come_to(name: str) -> None:
    task, genomes = grown(configured(name, "mode=pure", "network.hidden=5"), 1)
    film = plain_recording.film(task, genomes, 0, KEY, 1, 40)
    like = torch.zeros(0, dtype=torch.float64)
    networks = networks_of(genomes, task.layout, (0, task.outputs), like)
    state, memory = plain_recording.first_state(task, KEY), like.new_zeros((1, memory_size(networks)))
    np.testing.assert_array_equal(film.states[0], state)
    heard = [0.0] * task.sensors
    for step in film.steps[1:]:
        task.rules.observe(state, task.numbers, heard)
        inputs = torch.tensor([[*heard, *[1.0] * task.layout.constant]], dtype=torch.float64)
        outputs, memory = think(networks, inputs, memory, task.layout.activation)
        _, reason = task.rules.step(state, task.rules.act(outputs[0].tolist(), task.numbers), task.numbers)
        np.testing.assert_allclose(film.states[step], state, rtol=1e-3, atol=1e-3)
    assert len(film.steps) > 3 and (reason > 0 or step == 40)


@pytest.mark.parametrize("name", recording.MOTIONS)
def test_a_task_without_bodies_is_recorded_with_the_evaluations_fitness_and_end(name: str) -> None:
    task, genomes = grown(configured(name), 4)
    played = task.play(genomes, np.arange(4), np.full(4, KEY))
    for row in range(4):
        found = recording.record(name, task, genomes, row, KEY)
        assert np.float32(found["fitness"]) == played.fitness[row]
        assert (found["ended"], found["steps"]) == (task.reasons[played.reason[row]], played.steps[row])
        if found["last"] == found["steps"]:
            np.testing.assert_array_equal(np.float32(found["end"]), played.behaviour[row])
        last = recording.unpack(found)[-1]
        assert (np.abs(last - found["end"]) <= 0.51 * np.array(found["units"]) + 1e-6 * np.abs(last)).all()
        assert len(found["state"]) == found["shape"][1] == task.shape.state


def test_a_film_that_is_too_long_is_cut_and_says_so() -> None:
    task, genomes = grown(configured("pendulum", "task.steps=3000"), 1)
    found = recording.record("pendulum", task, genomes, 0, KEY)
    assert found["steps"] == 3000 and found["last"] == recording.MOST == found["shape"][0] - 1


@given(st.integers(1, 60), st.integers(1, 5), st.floats(1e-4, 10.0), st.integers(0, 2**32))
def test_what_is_packed_comes_back_within_half_a_unit(rows: int, width: int, unit: float, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(-unit * recording.LARGEST, unit * recording.LARGEST, (rows, width))
    units = np.full(width, unit) * np.arange(1, width + 1)
    packed = recording.pack(values, units)
    assert (np.abs(recording.unpack(packed) - values) <= 0.5001 * units).all()


def test_half_a_minute_of_the_largest_body_is_small_enough_to_mail() -> None:
    task, genomes = evolved(creature("hybrid"), 32, rounds=12)
    size = [len(json.dumps(recording.record("pellets", task, genomes, row, KEY))) for row in range(32)]
    assert max(size) < 100_000


EPISODES = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    names = ["island-000", "island-001"]
    config = tiny("task.duration=2", f"evaluation.held_out={EPISODES * 8}", "generations=4")
    made = make_run(tmp_path_factory.mktemp("runs") / "run", config, names, [3, 4])
    evolve(made)
    return made


def recorded(run: RunDir, *wanted: tuple[str, str]) -> list[dict[str, Any]]:
    """What the process says."""
    command = [sys.executable, "-m", "islands.record_episode", str(run.path)]
    asked = json.dumps([{"island": island, "what": what} for island, what in wanted])
    ran = subprocess.run(command, input=asked, capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_the_process_records_whom_it_is_asked_for_in_the_episodes_that_they_were_scored_by(run: RunDir) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    champion, first, last, damaged = recorded(
        run, ("island-001", "champion"), ("island-001", "first"), ("island-001", "last"), ("island-007", "last")
    )
    place = run.island("island-001")
    known, lines = files.read_json(place.result)["champion"], files.read_jsonl(place.metrics)
    assert first["fitness"] == first["scored"] == lines[0]["best"] and first["generation"] == 0
    assert last["fitness"] == last["scored"] == lines[-1]["best"] and last["generation"] == 3
    assert champion["scored"] == known["mean"] and champion["generation"] == 3
    assert "expected 0 to 1" in damaged["error"]
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_champions_episode_is_the_first_of_those_that_its_mean_is_of(run: RunDir) -> None:
    place = run.island("island-000")
    config = tiny("task.duration=2")
    task = make(config)
    genomes = decode([place.champion.read_bytes()], task.layout)
    key = stream(3, 0, 3, Purpose.HELD_OUT)
    fitness = play_alone(task, genomes, 0, key, EPISODES * 8).fitness
    assert float(fitness.mean(dtype=np.float64)) == files.read_json(place.result)["champion"]["mean"]
    (found,) = recorded(run, ("island-000", "champion"))
    assert np.float32(found["fitness"]) == fitness[0]
    alone = task.play(take(genomes, [0]), np.zeros(1, np.int64), np.array([substream(key, 0)], np.uint64))
    np.testing.assert_allclose(found["went"], alone.behaviour[0, :2], atol=2e-5)


def test_what_is_damaged_or_has_nothing_to_show_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_run(tmp_path / "run", tiny("task.duration=1", "generations=2"))
    evolve(made)
    place = made.island("island-000")
    place.champion.write_bytes(b"x" + place.champion.read_bytes()[1:])
    for path in place.checkpoints.iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    wanted = [{"island": "island-000", "what": what} for what in ("champion", "last", "first", "worst")]
    monkeypatch.setattr(sys, "argv", ["record_episode", str(made.path)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(wanted)))
    assert record_episode.main() == 0
    champion, last, first, worst = map(json.loads, capsys.readouterr().out.splitlines())
    assert "got another genome" in champion["error"] and "none that can be read" in last["error"]
    assert first["generation"] == 0 and "champion, first or last" in worst["error"]
