"""A creature's numbers are its own: who else is in the batch, and where, changes no bit of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from islands.genome.population import Genomes, concatenate, take
from islands.lanes import LANES
from islands.tasks import Played, pellets_physics
from islands.tasks.pellets import Pellets
from islands.tasks.pellets_episodes import end_lanes, make_out, make_seats
from tests.islands.tasks.creatures import MODES, Lanes16, configured, evolved, first_draw

COUNT, KEYS, STEPS = 24, (3, 4), 50


@cache
def stock(mode: str) -> tuple[Pellets, Genomes]:
    """First draws, evolved bodies of other sizes, and some that explode in the middle of an episode."""
    config = configured(mode, "sin_raw", "all")
    task, genomes = first_draw(config, COUNT // 2)
    genomes = concatenate([genomes, evolved(config, COUNT // 2, 4)[1]])
    for row in (2, 9, 17):
        genomes.muscle_gene[genomes.muscle_start[row] : genomes.muscle_start[row + 1], 1] *= 12.0
    return task, genomes


def bits(played: Played, row: int) -> bytes:
    return b"".join(np.ascontiguousarray(part[row]).tobytes() for part in vars(played).values() if part is not None)


def play(task: Pellets, genomes: Genomes, items: list[int], keys: list[int]) -> Played:
    parameters = task.parameters._replace(steps=STEPS)
    return task.play(genomes, np.array(items, np.int64), np.array(keys, np.uint64), parameters)


@cache
def alone(mode: str, item: int, key: int) -> bytes:
    """What one creature gives when it is the only one there is."""
    task, genomes = stock(mode)
    return bits(play(task, take(genomes, [item]), [0], [key]), 0)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(episodes=st.lists(st.tuples(st.integers(0, COUNT - 1), st.sampled_from(KEYS)), min_size=1, max_size=40))
def test_any_choice_order_and_repetition_gives_the_same_bits(mode: str, episodes: list[tuple[int, int]]) -> None:
    task, genomes = stock(mode)
    played = play(task, genomes, [item for item, _ in episodes], [key for _, key in episodes])
    for row, (item, key) in enumerate(episodes):
        assert bits(played, row) == alone(mode, item, key)


@pytest.mark.parametrize("mode", MODES)
def test_the_stock_holds_creatures_that_end_early(mode: str) -> None:
    task, genomes = stock(mode)
    played = play(task, genomes, list(range(COUNT)), [KEYS[0]] * COUNT)
    ended = played.reason > 0
    assert 1 <= ended.sum() < COUNT / 2
    assert (played.steps[ended] < STEPS).all() and (played.steps[~ended] == STEPS).all()
    assert len(set(played.steps[ended] % 3)) > 1  # within a control tick as well


def test_a_batch_of_a_subset_of_genomes_gives_the_same_bits() -> None:
    task, genomes = stock("neat")
    rows = [20, 3, 3, 9, 0]
    played = play(task, take(genomes, rows), list(range(5)), [3] * 5)
    assert [bits(played, row) for row in range(5)] == [alone("neat", row, 3) for row in rows]


def test_a_body_at_the_very_edge_of_a_limit_ends_by_its_own_step_not_by_its_neighbours() -> None:
    """When some lane ends, all are looked at: a body that the step itself found possible must stay."""
    task, genomes = first_draw(configured("pure"), LANES)
    lanes = Lanes16(task, genomes, range(LANES))
    for step in range(60):
        if step % 3 == 0:
            lanes.tick()
        before = [array.copy() for array in lanes.s]
        lanes.step()
        allowed = (energy(lanes) - float(pellets_physics.ENERGY_MARGIN)) / float(pellets_physics.ENERGY_FACTOR)
        after = [array.copy() for array in lanes.s]
        given = allowed.astype(np.float32)
        for _ in range(4):
            restore(lanes, before)
            gain = after[-1].reshape(-1, LANES)[pellets_physics.ENERGY_GIVEN] - lanes.row(pellets_physics.ENERGY_GIVEN)
            lanes.row(pellets_physics.ENERGY_GIVEN)[:] = given - gain
            lanes.step()
            fine = lanes.row(pellets_physics.FINE) > 0.0
            assert (ended(lanes) == ~fine).all()
            given = np.nextafter(given, np.float32(np.inf))
        restore(lanes, after)


def energy(lanes: Lanes16) -> np.ndarray:
    speed = (lanes.vectors("vx", "vy", "vz") ** 2).sum(axis=2)
    return (lanes.view("mass") * (0.5 * speed + 9.8 * lanes.view("y"))).sum(axis=1)


def restore(lanes: Lanes16, arrays: list[np.ndarray]) -> None:
    for array, values in zip(lanes.s, arrays, strict=True):
        array[:] = values


def ended(lanes: Lanes16) -> np.ndarray:
    """The lanes that `end_lanes` ends with time left."""
    seats = make_seats()._replace(item=np.arange(LANES), left=np.full(LANES, 5), ticks=np.ones(LANES, np.int64))
    end_lanes(lanes.s, seats, lanes.used[0], lanes.parameters, make_out(LANES))
    return seats.item < 0
