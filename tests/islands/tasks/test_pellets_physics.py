"""The physics of pellets against closed forms, in the kernel and in the reference alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from islands.genome.population import HYBRID, Genomes
from islands.tasks import pellets_torch as reference
from islands.tasks.pellets import Pellets
from islands.threads import torch_module
from tests.islands.tasks.creatures import Lanes16, configured, first_draw, hand_built

torch = torch_module()
DT, G, KEEP = 1.0 / 30.0, 9.8, 0.9 ** (1.0 / 30.0)
PURE = Pellets(configured("pure"))
WAYS = ("kernel", "reference")
LIGHT = 0.2
"""Size of a body node of 0.5 kg, the least there is."""


def moved(
    way: str, genomes: Genomes, steps: int, push: tuple[float, float, float] = (0.0, 0.0, 0.0), task: Pellets = PURE
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities [steps + 1, N, 3] of a silent creature whose nodes start with the velocity `push`."""
    if way == "kernel":
        lanes = Lanes16(task, genomes, [1])
        for name, value in zip(("vx", "vy", "vz"), push, strict=True):
            lanes.view(name)[:] = value
        frames = [(lanes.vectors("x", "y", "z")[0], lanes.vectors("vx", "vy", "vz")[0])]
        for _ in range(steps):
            lanes.step()
            frames.append((lanes.vectors("x", "y", "z")[0], lanes.vectors("vx", "vy", "vz")[0]))
    else:
        like = torch.zeros(0, dtype=torch.float64)
        body, _, state, draws = reference.start(genomes, task.layout, task.parameters, [0], [1], like)
        state = state._replace(velocity=state.velocity + torch.tensor(push, dtype=torch.float64))
        frames = [(state.position[0].numpy(), state.velocity[0].numpy())]
        for _ in range(steps):
            state = reference.step(body, state, draws, task.layout.mode == HYBRID)
            frames.append((state.position[0].numpy(), state.velocity[0].numpy()))
    return np.array([frame[0] for frame in frames]), np.array([frame[1] for frame in frames])


@pytest.mark.parametrize("way", WAYS)
def test_a_body_falls_as_semi_implicit_euler_with_drag_says(way: str) -> None:
    x, v = moved(way, hand_built(PURE, [(0.4, 20.0, -0.7, 0.4, 0.6)]), 50)
    n = np.arange(51)
    speed = -G * DT * KEEP * (1.0 - KEEP**n) / (1.0 - KEEP)
    np.testing.assert_allclose(v[:, 0, 1], speed, rtol=1e-5)
    np.testing.assert_allclose(x[:, 0, 1], 20.0 + DT * np.cumsum(speed), rtol=1e-5)
    assert (x[:, 0, 0] == x[0, 0, 0]).all() and (x[:, 0, 2] == x[0, 0, 2]).all()


@pytest.mark.parametrize("way", WAYS)
def test_drag_leaves_nine_tenths_of_a_velocity_after_a_second(way: str) -> None:
    _, v = moved(way, hand_built(PURE, [(0.0, 25.0, 0.0, 0.4, 0.6)]), 30, push=(4.0, 0.0, -2.0))
    np.testing.assert_allclose(v[30, 0, [0, 2]], [3.6, -1.8], rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_fall_is_thrown_back_with_a_fifth_of_its_speed_and_ends_at_the_radius(way: str) -> None:
    x, v = moved(way, hand_built(PURE, [(0.0, 1.0, 0.0, 0.4, 0.6)]), 40)
    hit = int(np.argmax(np.diff(v[:, 0, 1]) > 0.0)) + 1
    before = (v[hit - 1, 0, 1] - G * DT) * KEEP
    assert x[hit - 1, 0, 1] + before * DT < 0.2
    np.testing.assert_allclose(x[hit, 0, 1], 0.2, rtol=1e-6)
    np.testing.assert_allclose(v[hit, 0, 1], -0.2 * before, rtol=1e-4)
    assert (x[:, 0, 1] >= 0.2 - 1e-7).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gene", [0.1, 0.6, 1.0])
def test_friction_slows_a_sliding_body_by_mu_g_and_never_turns_it_round(way: str, gene: float) -> None:
    mu = 0.7 * gene / 0.6  # so that a gene of 0.6 has the ground's 0.7
    x, v = moved(way, hand_built(PURE, [(0.0, 0.2, 0.0, 0.4, gene)]), 100, push=(3.0, 0.0, 4.0))
    speed, way_travelled, expected = 5.0, 0.0, []
    for _ in range(100):
        way_travelled += speed * KEEP * DT
        speed = max(0.0, speed * KEEP - mu * G * DT)
        expected.append((speed, way_travelled))
    speeds, ways = np.array(expected).T
    np.testing.assert_allclose(v[1:, 0, 0], 0.6 * speeds, atol=1e-4)
    np.testing.assert_allclose(v[1:, 0, 2], 0.8 * speeds, atol=1e-4)
    np.testing.assert_allclose(x[1:, 0, 0], 0.6 * ways, rtol=1e-4)
    assert (v[:, 0, [0, 2]] >= 0.0).all()
    if gene >= 0.6:
        assert np.abs(v[-1, 0, [0, 2]]).max() < 1e-6
        # Physics' own answer, v^2 / (2 mu g), from which drag takes a little and the step adds half a step's way.
        assert ways[-1] == pytest.approx(25.0 / (2.0 * mu * G), rel=0.1)


@pytest.mark.parametrize("way", WAYS)
def test_ground_friction_is_what_the_configuration_says(way: str) -> None:
    task = Pellets(configured("pure", ground_friction=1.4))
    _, v = moved(way, hand_built(task, [(0.0, 0.2, 0.0, 0.4, 0.6)]), 1, push=(3.0, 0.0, 0.0), task=task)
    assert v[1, 0, 0] == pytest.approx(3.0 * KEEP - 1.4 * G * DT, rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("stiffness", "damping"), [(50.0, 0.0), (200.0, 0.0), (120.0, 3.0)])
def test_two_masses_on_a_spring_swing_with_the_period_of_their_reduced_mass(
    way: str, stiffness: float, damping: float
) -> None:
    rest, heavy = 1.0, 10.0 * 4.0 / 3.0 * math.pi * 0.3**3
    nodes = [(0.0, 25.0, 0.0, LIGHT, 0.6), (1.2, 25.0, 0.0, 0.6, 0.6)]
    x, _ = moved(way, hand_built(PURE, nodes, [(0, 1, rest, stiffness, damping)]), 45)
    stretch = np.linalg.norm(x[:, 1] - x[:, 0], axis=1) - rest
    inverse = 1.0 / 0.5 + 1.0 / heavy
    expected, speed = [0.2], 0.0
    for _ in range(45):
        speed = KEEP * (speed - DT * inverse * (stiffness * expected[-1] + damping * speed))
        expected.append(expected[-1] + DT * speed)
    np.testing.assert_allclose(stretch, expected, atol=2e-4)
    if damping == 0.0:
        crossings = np.flatnonzero(np.diff(np.sign(stretch)))
        at = crossings + stretch[crossings] / (stretch[crossings] - stretch[crossings + 1])
        half = np.diff(at).mean() * DT
        assert 2.0 * half == pytest.approx(2.0 * math.pi / math.sqrt(stiffness * inverse), rel=0.08)


@pytest.mark.parametrize("way", WAYS)
def test_a_muscle_pulls_its_ends_with_equal_and_opposite_force(way: str) -> None:
    heavy = 10.0 * 4.0 / 3.0 * math.pi * 0.3**3
    nodes = [(0.0, 20.0, 0.0, LIGHT, 0.6), (1.0, 21.0, 0.5, 0.6, 0.6)]
    _, v = moved(way, hand_built(PURE, nodes, [(0, 1, 0.8, 150.0, 3.0)]), 20)
    momentum = 0.5 * v[:, 0] + heavy * v[:, 1]
    np.testing.assert_allclose(momentum[:, [0, 2]], 0.0, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_muscles_target_moves_at_five_metres_a_second_within_half_and_twice_its_rest_length(way: str) -> None:
    genomes = hand_built(PURE, [(0.0, 0.2, 0.0, 0.4, 0.6), (3.0, 0.2, 0.0, 0.4, 0.6)], [(0, 1, 3.0, 50.0, 2.0)])
    for signal, goal in ((1.0, 1.5), (-1.0, 6.0), (0.25, 2.25)):
        targets = target_lengths(way, genomes, signal, 40)
        moves = np.diff(targets)
        assert np.abs(moves).max() == pytest.approx(5.0 * DT, rel=1e-4)
        np.testing.assert_allclose(targets[-1], goal, rtol=1e-5)


def target_lengths(way: str, genomes: Genomes, signal: float, steps: int, task: Pellets = PURE) -> np.ndarray:
    """Target of the only muscle, held at one signal, after each step."""
    hybrid, found = task.layout.mode == HYBRID, []
    if way == "kernel":
        lanes = Lanes16(task, genomes, [1])
        lanes.view("signal")[:] = signal
        for _ in range(steps):
            lanes.step()
            found.append(float(lanes.view("target")[0, 0]))
        return np.array(found)
    body, _, state, draws = reference.start(genomes, task.layout, task.parameters, [0], [1], torch.zeros(0))
    state = state._replace(signal=state.signal + signal)
    for _ in range(steps):
        state = reference.step(body, state, draws, hybrid)
        found.append(float(state.target))
    return np.array(found)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("signal", [-1.0, 0.0, 0.7])
def test_a_hybrid_muscle_follows_its_oscillator_scaled_by_the_network(way: str, signal: float) -> None:
    task = Pellets(configured("hybrid"))
    frequency, amplitude, phase, multiplier, rest = 0.8, 0.2, 0.9, 1.1, 1.0
    nodes = [(0.0, 0.2, 0.0, 0.4, 0.6), (1.0, 0.2, 0.0, 0.4, 0.6)]
    genomes = hand_built(task, nodes, [(0, 1, rest, 50.0, 2.0, frequency, amplitude, phase)])
    genomes.shared[0, 0] = multiplier
    targets = target_lengths(way, genomes, signal, 60, task)
    t = np.arange(60) * DT
    wave = np.sin(2.0 * math.pi * frequency * multiplier * t + phase)
    wanted = rest * (1.0 - wave * amplitude * (0.5 + 0.5 * (signal + 1.0)))
    np.testing.assert_allclose(targets[3:], wanted[3:], atol=2e-5)  # the first steps catch up at 5 m/s


def ended(way: str, genomes: Genomes, steps: int = 60, task: Pellets = PURE) -> tuple[str, float, int]:
    """Reason, fitness and steps of a genome's episode."""
    parameters, items, keys = task.parameters._replace(steps=steps), np.zeros(1, np.int64), np.ones(1, np.uint64)
    if way == "kernel":
        played = task.play(genomes, items, keys, parameters)
    else:
        played = reference.play(genomes, task.layout, parameters, items, keys)
    return task.reasons[played.reason[0]], float(played.fitness[0]), int(played.steps[0])


SPRING = [(0.0, 1.0, 0.0, LIGHT, 0.6), (1.5, 1.0, 0.0, LIGHT, 0.6)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("reason", "nodes", "muscle"),
    [
        ("not finite", SPRING, (0, 1, 0.1, 3e38, 2.0)),
        ("too far", [(49.0, 1.0, 0.0, 0.4, 0.6), (49.0, 1.0, 12.0, 0.4, 0.6)], (0, 1, 12.0, 50.0, 2.0)),
        ("too far", [(0.0, 51.0, 0.0, 0.4, 0.6), (1.0, 51.0, 0.0, 0.4, 0.6)], (0, 1, 1.0, 50.0, 2.0)),
        ("too high", [(0.0, 30.5, 0.0, 0.4, 0.6), (1.0, 1.0, 0.0, 0.4, 0.6)], (0, 1, 30.0, 0.0, 0.0)),
        ("exploded", SPRING, (0, 1, 1.2, 5000.0, 2.0)),
        ("exploded", SPRING, (0, 1, 1.4, 100.0, 60.0)),
    ],
)
def test_a_body_beyond_a_limit_is_disqualified_for_that_reason(
    way: str, reason: str, nodes: list, muscle: tuple
) -> None:
    found, fitness, steps = ended(way, hand_built(PURE, nodes, [muscle]))
    assert (found, fitness) == (reason, 0.0)
    assert steps < 60


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "nodes",
    [
        [(49.4, 1.0, 0.0, 0.4, 0.6), (49.4, 1.0, 3.0, 0.4, 0.6)],
        [(0.0, 29.9, 0.0, 0.4, 0.6), (1.0, 29.9, 0.0, 0.4, 0.6)],
        SPRING,
    ],
)
def test_a_body_just_within_the_limits_plays_its_episode(way: str, nodes: list) -> None:
    length = math.dist(nodes[0][:3], nodes[1][:3])
    found, _, steps = ended(way, hand_built(PURE, nodes, [(0, 1, length, 200.0, 6.0)]))
    assert (found, steps) == ("finished", 60)


@pytest.mark.parametrize("mode", ["neat", "pure", "hybrid"])
def test_strong_bodies_driven_as_hard_as_can_be_are_not_taken_for_exploding(mode: str) -> None:
    task, genomes = first_draw(configured(mode, "sin", dead_zone=0.0, smoothing=1.0), 400)
    genomes.conn_weight[:] *= 30.0
    genomes.shared[:, 1:] *= 30.0
    genomes.muscle_gene[:, 6:] *= 30.0
    steady = genomes.muscle_gene[:, :6]
    strongest = np.minimum(200.0, steady[:, 1] * 1.3), steady[:, 2] * 0.5  # stiffer, and hardly damped
    genomes.muscle_gene[:, 1], genomes.muscle_gene[:, 2] = strongest
    genomes.muscle_gene[:, 4] = 0.5
    played = task.play(genomes, np.arange(400), np.full(400, 3, np.uint64))
    assert set(played.reason) == {0}
    assert played.behaviour[:, 2].mean() > 1.0  # they were not standing still
