"""Pellets, sensors and fitness, computed by hand from the task's text; in the kernel and in the reference alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from islands.genome.population import Genomes, concatenate
from islands.tasks import pellets_kernel
from islands.tasks import pellets_physics as rows
from islands.tasks import pellets_torch as reference
from islands.tasks.pellets import Pellets
from islands.tasks.pellets_episodes import score
from islands.threads import torch_module
from tests.islands.tasks.creatures import ENCODINGS, Lanes16, configured, first_draw, hand_built

torch = torch_module()
PURE = Pellets(configured("pure"))
WAYS = ("kernel", "reference")
WIDE = [(-1.5, 0.3, 0.0, 0.6, 0.6), (1.5, 0.3, 0.0, 0.6, 0.6)]
"""A body with a horizontal radius of 1.5 m."""
NARROW = [(-0.4, 0.3, 0.2, 0.6, 0.6), (0.4, 0.3, 0.2, 0.6, 0.6)]
"""A body so narrow that its radius counts as 1 m."""


def pellets(way: str, genomes: Genomes, key: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` pellets of a creature that eats each without moving: [count, 3], and their d0 [count]."""
    if way == "kernel":
        lanes = Lanes16(PURE, genomes, [key])
        places, first = [], []
        for number in range(count):
            lanes.number[0] = number
            if number:
                lanes.drop(0)
            places.append([lanes.row(r)[0] for r in (rows.PELLET_X, rows.PELLET_Y, rows.PELLET_Z)])
            first.append(lanes.row(rows.FIRST)[0])
        return np.array(places), np.array(first)
    body, _, state, draws = reference.start(genomes, PURE.layout, PURE.parameters, [0], [key], torch.zeros(0))
    places, first = [state.pellet[0].numpy()], [float(state.first)]
    for _ in range(1, count):
        state = reference.drop_pellet(body, state._replace(eaten=state.eaten + 1), draws, state.eaten >= 0)
        places.append(state.pellet[0].numpy())
        first.append(float(state.first))
    return np.array(places), np.array(first)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("nodes", "radius"), [(WIDE, 1.5), (NARROW, 1.0)])
def test_pellets_appear_further_and_further_from_the_edge_always_in_the_opposite_half(
    way: str, nodes: list, radius: float
) -> None:
    genomes = hand_built(PURE, nodes, [(0, 1, 1.0, 50.0, 2.0)])
    nearest = np.array([7.0, 8.0, 8.0, 9.0, 9.0, 9.0, 9.0])
    edges, angles = [], []
    for key in range(40):
        places, first = pellets(way, genomes, key, 7)
        away = places[:, [0, 2]] - [0.0, nodes[0][2]]
        edge = np.linalg.norm(away, axis=1) - radius
        np.testing.assert_allclose(first, edge, atol=1e-5)
        assert (edge >= nearest - 1e-5).all() and (edge <= nearest + 1.0 + 1e-5).all()
        assert (places[:, 1] >= 0.5).all() and (places[:, 1] <= 1.0).all()
        assert ((away[1:] * away[:-1]).sum(axis=1) <= 1e-4).all()  # at least a right angle from the one before
        assert (np.abs(places[:, [0, 2]]).max(axis=1) > 4.5).all()  # no box around the arena
        edges.append(edge - nearest)
        angles.append(np.arctan2(away[:, 1], away[:, 0]))
    assert np.mean(edges) == pytest.approx(0.5, abs=0.05)
    first = np.array(angles)[:, 0]
    assert abs(np.exp(1j * first).mean()) < 0.3  # uniform over the circle
    turned = np.angle(np.exp(1j * (np.diff(angles, axis=1) - math.pi)))
    assert np.abs(turned).mean() == pytest.approx(math.pi / 4.0, rel=0.1)


def test_both_ways_draw_the_same_pellets_however_many_are_eaten() -> None:
    genomes = hand_built(PURE, WIDE, [(0, 1, 1.0, 50.0, 2.0)])
    for key in (0, 5, 2**63 + 11):
        for mine, other in zip(
            pellets("kernel", genomes, key, 40), pellets("reference", genomes, key, 40), strict=True
        ):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


def test_every_genome_meets_the_same_pellets() -> None:
    _, genomes = first_draw(configured("pure"), 8)
    body, _, state, _ = reference.start(
        genomes, PURE.layout, PURE.parameters, np.arange(8), np.full(8, 9, np.uint64), torch.zeros(0)
    )
    assert (
        len(set(state.first.tolist())) == len(set(state.angle.tolist())) == len(set(state.pellet[:, 1].tolist())) == 1
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0.2, 0.6])
def test_a_pellet_is_eaten_when_a_nodes_centre_is_within_its_radius_and_35_centimetres(way: str, size: float) -> None:
    nodes = [(0.0, size / 2.0, 0.0, size, 0.6), (3.0, size / 2.0, 0.0, size, 0.6)]  # at rest on the ground
    genomes = hand_built(PURE, nodes, [(0, 1, 3.0, 50.0, 2.0)])
    reach, aside = size / 2.0 + 0.35, np.array([0.0, 0.6, 0.8])
    for factor, expected in ((1.0 - 1e-4, 1), (1.0 + 1e-4, 0)):
        place = np.array(nodes[0][:3]) + factor * reach * aside
        assert eaten_at(way, genomes, place) == expected


def eaten_at(way: str, genomes: Genomes, place: np.ndarray) -> int:
    """How many pellets a creature has eaten after one step with its pellet at `place`."""
    if way == "kernel":
        lanes = Lanes16(PURE, genomes, [1])
        for row, value in zip((rows.PELLET_X, rows.PELLET_Y, rows.PELLET_Z), place, strict=True):
            lanes.row(row)[0] = value
        lanes.step()
        return lanes.number[0]
    body, _, state, draws = reference.start(genomes, PURE.layout, PURE.parameters, [0], [1], torch.zeros(0))
    state = state._replace(pellet=torch.tensor(place[None], dtype=torch.float32))
    return int(reference.step(body, state, draws, False).eaten)


def test_both_ways_go_on_alike_after_a_meal() -> None:
    task, genomes = first_draw(configured("pure"), 8)
    keys = list(range(8))
    lanes = Lanes16(task, genomes, keys)
    body, _, state, draws = reference.start(
        genomes, task.layout, task.parameters, np.arange(8), np.array(keys, np.uint64), torch.zeros(0)
    )
    for meal in range(5):
        fed = state.position[:, 0].clone()
        fed[meal] += 100.0  # one of them goes hungry
        state = state._replace(pellet=fed)
        for row, values in zip((rows.PELLET_X, rows.PELLET_Y, rows.PELLET_Z), fed.T, strict=True):
            lanes.row(row)[:] = values.numpy()
        lanes.step()
        state = reference.step(body, state, draws, False)
        assert lanes.number == state.eaten.tolist()
        for row, values in (
            (rows.FIRST, state.first),
            (rows.BEST, state.best),
            (rows.PELLET_X, state.pellet[:, 0]),
            (rows.PELLET_Y, state.pellet[:, 1]),
            (rows.PELLET_Z, state.pellet[:, 2]),
        ):
            np.testing.assert_allclose(lanes.row(row), values.numpy(), rtol=1e-4, atol=1e-4)
    assert state.eaten.tolist() == [4] * 5 + [5] * 3


# eaten, d0, d, d_best, path, mean |u|, penalty factor -> fitness
SCORES = [
    ((0, 8.0, 8.0, 8.0, 0.0, 0.0, 0.1), 0.0),
    ((0, 8.0, 6.0, 5.0, 1.0, 0.5, 0.1), 80.0 * 2.0 / 8.0 + 3.0 - 0.5),
    ((0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.1), 80.0),  # as near as can be, and not eaten
    ((0, 8.0, 20.0, 8.0, 40.0, 1.0, 0.1), 20.0 - 1.0),  # away from it: no less than none; path counts up to 20
    ((0, 8.0, 20.0, 8.0, 0.0, 1.0, 2.0), 0.0),  # never below 0
    ((2, 8.5, 5.0, 3.0, 4.2, 0.3, 0.1), 200.0 + 80.0 * 3.5 / 8.5 + 12.6 - 20.0 * 2.0 / 4.25 - 0.3),
    ((1, 9.0, 18.0, 2.0, 10.0, 0.2, 0.5), 100.0 + 20.0 - 20.0 - 1.0),  # the loss of a lead costs 20 at most
    ((3, 9.5, 9.5, 9.5, 2.0, 0.0, 0.0), 300.0 + 6.0),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("standing", "expected"), SCORES)
def test_fitness_is_the_formula_of_the_task(way: str, standing: tuple, expected: float) -> None:
    eaten, first, distance, best, path, effort, penalty = standing
    genomes = hand_built(PURE, WIDE, [(0, 1, 3.0, 50.0, 2.0)])
    steps = 30  # ten ticks
    if way == "kernel":
        lanes = Lanes16(PURE, genomes, [1])
        values = {
            rows.FIRST: first,
            rows.DISTANCE: distance,
            rows.BEST: best,
            rows.PATH: path,
            rows.EFFORT: 10.0 * effort,
        }
        for row, value in values.items():
            lanes.row(row)[0] = value
        found = score(lanes.s, 0, eaten, 10, penalty)
    else:
        body, _, state, _ = reference.start(genomes, PURE.layout, PURE.parameters, [0], [1], torch.zeros(0))
        state = state._replace(
            first=torch.tensor([first]), best=torch.tensor([best]), path=torch.tensor([path]),
            effort=torch.tensor([10.0 * effort]), eaten=torch.tensor([eaten]), step=torch.tensor([steps]),
            pellet=torch.tensor([[0.0, 0.7, distance + 1.5]]),
        )  # fmt: skip
        found = float(reference.fitness(body, state, penalty))
    assert found == pytest.approx(expected, abs=2e-4)


def test_path_counts_only_steps_faster_than_two_centimetres() -> None:
    genomes = hand_built(PURE, [(0.0, 20.0, 0.0, 0.4, 0.6), (1.0, 20.0, 0.0, 0.4, 0.6)], [(0, 1, 1.0, 50.0, 2.0)])
    for speed, counted in ((0.59, False), (0.61, True)):  # m/s, before a step's drag
        lanes = Lanes16(PURE, genomes, [1])
        lanes.view("vz")[:] = speed
        lanes.step()
        body, _, state, draws = reference.start(genomes, PURE.layout, PURE.parameters, [0], [1], torch.zeros(0))
        state = state._replace(velocity=torch.tensor([0.0, 0.0, speed]).expand(1, 2, 3))
        path = float(reference.step(body, state, draws, False).path)
        walked = speed * 0.9 ** (1 / 30) / 30 if counted else 0.0
        assert lanes.row(rows.PATH)[0] == pytest.approx(path, abs=1e-6) == pytest.approx(walked, abs=1e-5)


def sensed(way: str, task: Pellets, genomes: Genomes, velocity: tuple, pellet: tuple, steps: int) -> np.ndarray:
    """What the creature's network would hear at step `steps`, with the velocity and the pellet given."""
    if way == "kernel":
        lanes = Lanes16(task, genomes, [1])
        if steps:
            lanes.step()
        lanes.row(rows.STEP)[0] = steps
        for name, row, value in zip(
            ("vx", "vy", "vz"), (rows.SPEED_X, rows.SPEED_Y, rows.SPEED_Z), velocity, strict=True
        ):
            lanes.view(name)[:] = lanes.row(row)[:] = value
        for row, value in zip((rows.PELLET_X, rows.PELLET_Y, rows.PELLET_Z), pellet, strict=True):
            lanes.row(row)[:] = value
        return lanes.sense()[0]
    body, _, state, draws = reference.start(genomes, task.layout, task.parameters, [0], [1], torch.zeros(0))
    if steps:
        state = reference.step(body, state, draws, False)
    state = state._replace(
        step=torch.tensor([steps]),
        velocity=torch.tensor(velocity, dtype=torch.float32).expand_as(state.velocity),
        pellet=torch.tensor([pellet], dtype=torch.float32),
    )
    return reference.sense(body, state, task.layout, task.parameters)[0].numpy()


LEVEL = [(-1.0, 0.2, 0.0, 0.4, 0.6), (1.0, 0.2, 0.0, 0.4, 0.6)]
"""At rest on the ground, its centre at (0, 0.2, 0)."""


@pytest.mark.parametrize("way", WAYS)
def test_seven_senses_point_to_the_pellet_and_tell_speed_and_distance(way: str) -> None:
    genomes = hand_built(PURE, LEVEL, [(0, 1, 2.0, 50.0, 2.0)])
    found = sensed(way, PURE, genomes, (2.0, -7.0, 5.5), (2.0, 0.8, -9.0), 0)
    there = np.array([2.0, 0.6, -9.0])
    distance = np.linalg.norm(there)
    np.testing.assert_allclose(found[:3], there / distance, rtol=1e-5)
    np.testing.assert_allclose(found[3:6], [0.4, -1.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(found[6], distance / 20.0, rtol=1e-5)
    assert sensed(way, PURE, genomes, (0.0, 0.0, 0.0), (30.0, 0.5, 0.0), 0)[6] == 1.0
    slow = Pellets(configured("pure", max_velocity=10.0))
    np.testing.assert_allclose(
        sensed(way, slow, genomes, (2.0, -7.0, 5.5), (2.0, 0.8, -9.0), 0)[3:6], [0.2, -0.7, 0.55], rtol=1e-5
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("steps", [0, 15, 40, 100])
def test_time_is_told_with_a_period_of_two_seconds(way: str, encoding: str, steps: int) -> None:
    task = Pellets(configured("pure", encoding))
    genomes = hand_built(task, LEVEL, [(0, 1, 2.0, 50.0, 2.0)])
    found = sensed(way, task, genomes, (0.0, 0.0, 0.0), (5.0, 0.5, 5.0), steps)[7 : task.sensors]
    t, wave = steps / 30.0, -math.cos(math.pi * steps / 30.0)
    expected = {
        "none": [],
        "sin": [wave],
        "raw": [2.0 * t / 30.0 - 1.0],
        "cyclic": [wave, math.sin(math.pi * t)],
        "sin_raw": [wave, 2.0 * t / 30.0 - 1.0],
    }[encoding]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_feels_strain_speed_and_ground_in_that_order(way: str) -> None:
    nodes = [(-1.0, 0.2, 0.0, 0.4, 0.6), (1.0, 0.2, 0.0, 0.4, 0.6), (0.0, 2.0, 0.0, 0.4, 0.6)]
    muscles = [(0, 1, 1.6, 50.0, 2.0), (0, 2, 2.5, 50.0, 2.0)]
    velocity = (3.0, 0.0, -4.0)
    task = Pellets(configured("pure", felt="all", bias="input"))
    found = sensed(way, task, hand_built(task, nodes, muscles), velocity, (5.0, 0.5, 5.0), 1)
    slant = math.hypot(1.0, 1.8)
    strain = [0.4 / 1.6, (slant - 2.5) / 2.5]
    np.testing.assert_allclose(found[7], 1.0)
    np.testing.assert_allclose(found[8:10], strain, rtol=1e-4)
    np.testing.assert_allclose(found[10:19], [0.3, 0.0, -0.4] * 3, atol=1e-5)
    np.testing.assert_allclose(found[19:22], [1.0, 1.0, 0.0])
    for felt, part in (("strain", slice(8, 10)), ("velocity", slice(10, 19)), ("contact", slice(19, 22))):
        alone = Pellets(configured("pure", felt=felt, bias="input"))
        mine = sensed(way, alone, hand_built(alone, nodes, muscles), velocity, (5.0, 0.5, 5.0), 1)
        np.testing.assert_array_equal(mine[8:], found[part])


@pytest.mark.parametrize("way", WAYS)
def test_outputs_pass_the_dead_zone_and_are_smoothed_from_the_second_tick_on(way: str) -> None:
    """A silent network with biases only has constant outputs, so each signal is known at every tick."""
    task = Pellets(configured("pure"))
    genomes = hand_built(task, LEVEL, [(0, 1, 2.0, 50.0, 2.0)])
    others = []
    for output in (0.6, 0.0999, -0.1001):
        genomes.muscle_gene[0, -1] = math.atanh(output)
        others.append(concatenate([genomes]))
    genomes = concatenate(others)
    expected = np.array([[0.6, 0.0, -0.1001]])
    signals, effort = signals_of(way, task, genomes, 3)
    np.testing.assert_allclose(signals[:1], expected, rtol=1e-4)
    np.testing.assert_allclose(signals[1:], np.repeat(expected, 2, axis=0), rtol=1e-4)  # s = 0.15 u + 0.85 u
    np.testing.assert_allclose(effort, 3.0 * np.abs(expected[0]), rtol=1e-4)


def signals_of(way: str, task: Pellets, genomes: Genomes, ticks: int) -> tuple[np.ndarray, np.ndarray]:
    """Signals of each creature's first muscle [ticks, E] and efforts [E]."""
    keys, found = list(range(genomes.count)), []
    if way == "kernel":
        lanes = Lanes16(task, genomes, keys)
        for _ in range(ticks):
            lanes.tick()
            lanes.step()
            found.append(lanes.view("signal")[:, 0].copy())
        return np.array(found), lanes.row(rows.EFFORT)
    body, networks, state, draws = reference.start(
        genomes, task.layout, task.parameters, np.arange(genomes.count), np.array(keys, np.uint64), torch.zeros(0)
    )
    for _ in range(ticks):
        state = reference.control(body, state, networks, task.layout, task.parameters)
        state = reference.step(body, state, draws, False)
        found.append(state.signal[:, 0].numpy())
    return np.array(found), state.effort.numpy()


def test_smoothing_keeps_85_hundredths_of_the_signal_before() -> None:
    genomes = hand_built(PURE, LEVEL, [(0, 1, 2.0, 50.0, 2.0)])
    lanes = Lanes16(PURE, genomes, [1])
    lanes.fresh[:] = 0.0  # not the first tick
    lanes.view("signal")[:] = 0.8
    lanes.brain.drive[:] = -0.5
    pellets_kernel.act(lanes.s, lanes.brain, 1, lanes.counts, PURE.parameters, lanes.fresh)
    assert lanes.view("signal")[0, 0] == pytest.approx(0.15 * -0.5 + 0.85 * 0.8, rel=1e-5)
    body, networks, state, _ = reference.start(genomes, PURE.layout, PURE.parameters, [0], [1], torch.zeros(0))
    networks.outer_bias[:] = math.atanh(-0.5)
    state = state._replace(signal=state.signal + 0.8, step=state.step + 3)
    after = reference.control(body, state, networks, PURE.layout, PURE.parameters)
    assert float(after.signal) == pytest.approx(0.15 * -0.5 + 0.85 * 0.8, rel=1e-5)
