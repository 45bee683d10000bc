"""Evaluations that take long: heartbeats within them, the same scores, and a halt that does not wait for their end."""

import numpy as np
import pytest

from islands import files, loop, rollout
from islands.rollout import Pace
from tests.islands.evolving import after, digests, evolve, history, make_run, never, tiny
from tests.islands.stories import newest


class Told:
    """Hears of steps."""

    def __init__(self):
        self.steps = []

    def __call__(self, done, count):
        self.steps.append((done, count))


@pytest.fixture
def in_chunks(monkeypatch):
    """Evaluations are played five episodes at a time, however fast they are."""
    monkeypatch.setattr(rollout, "FIRST_CHUNK", 5)
    monkeypatch.setattr(rollout, "LEAST_CHUNK", 5)
    monkeypatch.setattr(rollout, "BREATH", 0.0)


def test_a_population_scored_in_chunks_has_the_same_history(memory_folder, in_chunks, monkeypatch):
    config = tiny("evaluation.episodes=3", "migration.every=0")
    chunked = make_run(memory_folder / "chunked", config)
    evolve(chunked)
    monkeypatch.setattr(rollout, "FIRST_CHUNK", 10_000)
    monkeypatch.setattr(rollout, "LEAST_CHUNK", 10_000)
    whole = make_run(memory_folder / "whole", config)
    evolve(whole)
    assert digests(chunked) == digests(whole)
    assert [line["steps"] for line in history(chunked)] == [line["steps"] for line in history(whole)]
    assert [line["disqualified"] for line in history(chunked)] == [line["disqualified"] for line in history(whole)]


class Even:
    """A task whose episodes cost nothing."""

    def play(self, genomes, items, keys):
        count = len(items)
        return rollout.Played(
            np.asarray(items, np.float32), np.zeros(count, np.uint8), np.ones(count, np.int32),
            np.zeros((count, 2), np.float32),
        )  # fmt: skip


def test_every_chunk_is_told_and_none_is_lost(in_chunks):
    told = Told()
    played = Pace(told).play(Even(), None, np.arange(23), np.zeros(23, np.uint64))
    assert played.fitness.tolist() == list(range(23))
    assert told.steps == [(5, 23), (10, 23), (15, 23), (23, 23)]


def test_fast_episodes_are_played_at_once_after_the_first_chunk():
    told = Told()
    pace = Pace(told)
    for _ in range(2):
        pace.play(Even(), None, np.arange(5000), np.zeros(5000, np.uint64))
    assert told.steps == [(512, 5000), (5000, 5000), (5000, 5000)]


def test_the_heartbeat_moves_within_a_generation(memory_folder, in_chunks, monkeypatch):
    run = make_run(memory_folder / "run", tiny("generations=2"))
    steps = []
    beat = loop.Recorder.beat

    def watched(self, status, state, force=False, step=None):
        beat(self, status, state, True, step)
        found = files.read_json(self.place.heartbeat)
        steps.append((found["generation"], found["step"]))

    monkeypatch.setattr(loop.Recorder, "beat", watched)
    evolve(run)
    assert [step for step in steps if step[1]] == [(None, [5, 12]), (None, [12, 12]), (0, [5, 12]), (0, [12, 12])]


def test_a_halt_gives_an_evaluation_up_that_would_take_too_long_and_nothing_is_lost(
    memory_folder, in_chunks, monkeypatch
):
    settings = ("generations=6", "record.checkpoint_every=1000")
    whole = make_run(memory_folder / "whole", tiny(*settings))
    evolve(whole)
    run = make_run(memory_folder / "run", tiny(*settings))
    monkeypatch.setattr(loop, "PATIENCE", -1.0)
    evolve(run, halted=after(7))  # asked in the middle of the fourth generation: there are two questions in each
    assert len(history(run)) == 3
    assert newest(run)[0].generation == 2
    monkeypatch.setattr(loop, "PATIENCE", 10.0)
    evolve(run, halted=never)
    assert digests(run) == digests(whole)


def test_a_halt_lets_a_short_evaluation_end(memory_folder, in_chunks):
    run = make_run(memory_folder / "run", tiny("generations=6"))
    evolve(run, halted=after(5))
    assert newest(run)[0].generation == len(history(run)) - 1 == 2
