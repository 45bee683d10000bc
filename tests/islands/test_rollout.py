"""Evaluation: groups of genomes on the same episodes, what episodes add up to, and what a champion is worth."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from islands.genome.population import Genomes, concatenate, take
from islands.rng import Purpose, child, stream
from islands.rollout import evaluate, spread_of, worth_of
from islands.tasks import Played
from islands.tasks.pellets import Pellets
from tests.islands.tasks.creatures import MODES, configured, first_draw, hand_built

KEYS = np.array([stream(seed, 0, 4, Purpose.PELLETS) for seed in (1, 2, 3)], np.uint64)
TALL = [(0.0, 0.3, 0.0, 0.3, 0.6), (0.0, 2.0, 0.0, 0.3, 0.6)]
FLYING = hand_built(Pellets(configured("pure")), TALL, [(0, 1, 4.0, 1e6, 1.0)])
"""A body whose spring throws it out of the arena at once."""
CALM = hand_built(Pellets(configured("pure")), TALL, [(0, 1, 1.7, 50.0, 2.0)])


class Failing(Pellets):
    """Pellets whose evaluation of some episodes fails: those of the keys given."""

    failing: frozenset[int] = frozenset()

    def play(self, genomes: Genomes, items: np.ndarray, keys: np.ndarray, parameters: object = None) -> Played:
        played = super().play(genomes, items, keys)
        played.fitness[[int(key) in self.failing for key in keys]] = np.nan
        return played


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("episodes", "sizes"), [(1, None), (3, None), (2, [17, 1, 12])])
def test_a_group_scores_what_it_scores_alone_bit_for_bit(mode: str, episodes: int, sizes: list[int] | None) -> None:
    task, genomes = first_draw(configured(mode, duration=3.0), 30)
    together = evaluate(task, genomes, KEYS, episodes, sizes=sizes)
    assert len(together) == 3
    first = [0, *np.cumsum(sizes or [10, 10, 10])]
    for g, scores in enumerate(together):
        (alone,) = evaluate(task, take(genomes, range(first[g], first[g + 1])), KEYS[g : g + 1], episodes)
        assert scores.fitness.tobytes() == alone.fitness.tobytes()
        assert scores.behaviour.tobytes() == alone.behaviour.tobytes()
        assert (scores.disqualified, scores.steps) == (alone.disqualified, alone.steps)
    assert len({scores.fitness.tobytes() for scores in together}) == 3


@pytest.mark.parametrize("episodes", [1, 4])
def test_a_score_is_the_mean_of_the_episodes_that_the_group_s_stream_names(episodes: int) -> None:
    task, genomes = first_draw(configured("neat", duration=3.0), 12)
    (scores,) = evaluate(task, genomes, KEYS[:1], episodes)
    played = [
        task.play(genomes, np.arange(12), np.full(12, child(KEYS[0], episode), np.uint64))
        for episode in range(episodes)
    ]
    np.testing.assert_allclose(scores.fitness, np.mean([one.fitness for one in played], axis=0), rtol=1e-6)
    np.testing.assert_allclose(scores.behaviour, np.mean([one.behaviour for one in played], axis=0), rtol=1e-5)
    assert scores.fitness.dtype == np.float32 and scores.fitness.shape == (12,)
    assert scores.steps == sum(int(one.steps.sum()) for one in played)
    assert len(np.unique(np.array([one.fitness for one in played]), axis=0)) == episodes  # each episode is another


def test_every_genome_of_a_group_meets_the_same_pellets() -> None:
    task, genomes = first_draw(configured("neat", duration=3.0), 6)
    (scores,) = evaluate(task, take(genomes, [4] * 8), KEYS[:1], 3)
    assert (scores.fitness == scores.fitness[0]).all()
    (turned,) = evaluate(task, take(genomes, [5, 4, 3, 2, 1, 0]), KEYS[:1], 3)
    (straight,) = evaluate(task, genomes, KEYS[:1], 3)
    assert turned.fitness[::-1].tobytes() == straight.fitness.tobytes()


def test_what_ended_an_episode_early_is_counted_by_its_reason() -> None:
    task = Pellets(configured("pure", duration=2.0))
    genomes = concatenate([FLYING, CALM, FLYING, CALM, CALM, CALM])
    one, two = evaluate(task, genomes, KEYS[:2], 5)
    played = task.play(genomes, np.arange(6), np.zeros(6, np.uint64))
    (ended,) = {task.reasons[reason] for reason in played.reason.tolist() if reason}
    assert ended in ("too far", "too high", "exploded", "not finite")
    assert one.disqualified == {ended: 10}
    assert two.disqualified == {}
    assert (one.fitness[[0, 2]] == 0.0).all() and one.failed == two.failed == 0
    assert two.steps == 3 * 5 * 60 > one.steps > 5 * 60


def test_reasons_are_those_of_the_episodes_themselves() -> None:
    task = Pellets(configured("pure", duration=2.0))
    thrown = [
        hand_built(task, TALL, [(0, 1, rest, stiffness, 1.0)]) for rest in (2.0, 4.0) for stiffness in (1e3, 1e5, 1e7)
    ]
    genomes = concatenate([*thrown, CALM])
    (scores,) = evaluate(task, genomes, KEYS[:1], 2)
    keys = np.array([child(KEYS[0], episode) for episode in range(2)] * genomes.count, np.uint64)
    ended = Counter(task.play(genomes, np.repeat(np.arange(genomes.count), 2), keys).reason.tolist())
    assert scores.disqualified == {task.reasons[reason]: count for reason, count in ended.items() if reason}
    assert len(scores.disqualified) > 1


def test_one_failed_episode_makes_the_score_no_number_and_no_other_one() -> None:
    task, genomes = first_draw(configured("neat", duration=1.0), 8)
    failing = Failing(configured("neat", duration=1.0))
    failing.failing = frozenset({int(child(KEYS[1], 2))})
    good, bad = evaluate(failing, genomes, KEYS[:2], 3)
    assert good.failed == 0 and good.fitness.tobytes() == evaluate(task, genomes, KEYS[:2], 3)[0].fitness.tobytes()
    assert bad.failed == 4 and np.isnan(bad.fitness).all()


@pytest.mark.parametrize("episodes", [2, 64, 100])
def test_worth_is_the_mean_of_fresh_episodes_with_student_s_interval(episodes: int) -> None:
    task, genomes = first_draw(configured("hybrid", duration=6.0), 40)
    (scores,) = evaluate(task, genomes, KEYS[:1], 1)
    row = int(np.argmax(scores.fitness))
    key = stream(5, 0, 9, Purpose.HELD_OUT)
    worth = worth_of(task, genomes, row, key, episodes)
    keys = np.array([child(key, episode) for episode in range(episodes)], np.uint64)
    fitness = task.play(genomes, np.full(episodes, row), keys).fitness.astype(np.float64)
    low, high = stats.t.interval(0.95, episodes - 1, loc=fitness.mean(), scale=stats.sem(fitness))
    assert worth.episodes == episodes and fitness.std() > 0.0
    assert (worth.mean, worth.low, worth.high) == pytest.approx((fitness.mean(), low, high), rel=1e-12)


def test_the_interval_holds_the_true_worth_in_about_95_of_100_cases() -> None:
    task, genomes = first_draw(configured("hybrid", duration=2.0), 40)
    row = int(np.argmax(evaluate(task, genomes, KEYS[:1], 1)[0].fitness))
    true = worth_of(task, genomes, row, np.uint64(99), 4000).mean
    found = [worth_of(task, genomes, row, child(np.uint64(7), i), 64) for i in range(200)]
    assert 0.88 <= np.mean([worth.low <= true <= worth.high for worth in found]) <= 0.99


def test_diversity_is_the_root_mean_square_distance_between_two_behaviours() -> None:
    behaviour = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    told = spread_of(behaviour)
    apart = behaviour[:, None].astype(np.float64) - behaviour[None]
    assert told["diversity"] == pytest.approx(np.sqrt((apart**2).sum(axis=2).mean()))
    np.testing.assert_allclose(told["behaviour_mean"], behaviour.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(told["behaviour_variance"], behaviour.var(axis=0), rtol=1e-5)
    with_failures = np.vstack([behaviour, np.full((3, 4), np.nan, np.float32)])
    assert spread_of(with_failures) == told
    assert np.isnan(spread_of(with_failures[50:])["diversity"]) and spread_of(behaviour[:1])["diversity"] == 0.0
