"""The double pole against mechanics worked out anew: three coupled equations, solved as a linear system."""

from __future__ import annotations

import math

import numpy as np
import pytest

from islands.config import Config
from islands.genome.population import Genomes, take
from islands.networks_torch import forward_neat, neat_networks
from islands.tasks.double_pole import starts
from islands.tasks.plain import PlainTask
from islands.threads import torch_module
from tests.islands.tasks.plain_parts import LIVELY, compiled_rules, configured, grown, made

torch = torch_module()
G, MU = 9.8, 2e-6
POLES = ((0.1, 0.5), (0.01, 0.05))
"""Mass (kg) and half-length (m)."""
LIMIT = math.radians(36.0)


def derivative(s: np.ndarray, force: float) -> np.ndarray:
    """d/dt of (x, v, angle, spin, angle, spin). Unknown: the accelerations of cart and poles.

    Cart: (M + sum m) a + sum m l cos(q) w = F + sum m l spin^2 sin(q).
    Pole: 4/3 l w + cos(q) a = g sin(q) - mu spin / (m l).
    """
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    matrix[0, 0], right[0] = 1.0, force
    for i, (mass, half) in enumerate(POLES):
        angle, spin = s[2 + 2 * i], s[3 + 2 * i]
        matrix[0, 0] += mass
        matrix[0, i + 1] = mass * half * math.cos(angle)
        right[0] += mass * half * spin**2 * math.sin(angle)
        matrix[i + 1, 0], matrix[i + 1, i + 1] = math.cos(angle), 4.0 / 3.0 * half
        right[i + 1] = G * math.sin(angle) - MU * spin / (mass * half)
    a, w1, w2 = np.linalg.solve(matrix, right)
    return np.array([s[1], a, s[3], w1, s[5], w2])


def after(s: np.ndarray, force: float) -> np.ndarray:
    """0.02 s later, by two classical Runge-Kutta steps."""
    for _ in range(2):
        k1 = derivative(s, force)
        k2 = derivative(s + 0.005 * k1, force)
        k3 = derivative(s + 0.005 * k2, force)
        k4 = derivative(s + 0.01 * k3, force)
        s = s + 0.01 / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return s


def failed(s: np.ndarray) -> bool:
    return bool(abs(s[0]) > 2.4 or abs(s[2]) > LIMIT or abs(s[4]) > LIMIT)


def trajectory(task: PlainTask, genomes: Genomes, row: int, steps: int, first: np.ndarray) -> list[np.ndarray]:
    """The states that a genome leads to, one a step, the failed one included: its network in float64, our mechanics."""
    networks = neat_networks(take(genomes, [row]), task.layout, (0, 1))
    networks = type(networks)(*(part.double() if part.is_floating_point() else part for part in networks))
    memory, states, s = torch.zeros_like(networks.bias), [], first
    for _ in range(steps):
        if task.numbers.velocities:
            seen = [s[0] / 4.8, s[1] / 2, s[2] / 0.52, s[3] / 2, s[4] / 0.52, s[5] / 2, 0.5]
        else:
            seen = [s[0] / 4.8, s[2] / 0.52, s[4] / 0.52, 0.5]
        inputs = torch.tensor([seen], dtype=torch.float64)
        outputs, memory = forward_neat(networks, inputs, memory, task.layout.activation)
        s = after(s, 10.0 * float(outputs[0, 0]))
        states.append(s)
        if failed(s):
            break
    return states


@pytest.mark.parametrize("pattern", ["none", "left", "right", "random", "bang"])
def test_the_mechanics_are_the_coupled_equations_step_by_step(pattern: str) -> None:
    rules, task, rng = compiled_rules("double_pole"), made(configured("double_pole")), np.random.default_rng(3)
    for trial in range(20):
        s = (
            rng.uniform([-2, -1, -0.5, -2, -0.5, -2], [2, 1, 0.5, 2, 0.5, 2])
            if trial
            else np.zeros(6) + [0, 0, 0.07, 0, 0, 0]
        )
        state = s.copy()
        for step in range(60):
            push = {"none": 0.0, "left": -1.0, "right": 1.0, "random": rng.uniform(-1, 1), "bang": (-1.0) ** step}[
                pattern
            ]
            s = after(s, 10.0 * push)
            _, reason = rules["step"](state, push, task.numbers)
            np.testing.assert_allclose(state, s, rtol=1e-9, atol=1e-10)
            assert (reason > 0) == failed(s)
            if failed(s):
                break


def fitness_by_hand(states: list[np.ndarray]) -> float:
    """Gruau's: damp the oscillation of the last hundred steps."""
    t = len(states)
    calm = 0.0 if t < 100 else 0.75 / sum(sum(abs(s[i]) for i in range(4)) for s in states[-100:])
    return 0.1 * t / 1000 + 0.9 * calm


@pytest.mark.parametrize("velocities", ["true", "false"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_genome_scores_what_its_trajectory_says(velocities: str, activation: str) -> None:
    config = configured("double_pole", f"task.velocities={velocities}", f"network.activation={activation}", *LIVELY)
    task, genomes = grown(config, 400, rounds=6)
    played = task.play(genomes, np.arange(400), np.zeros(400, np.uint64), task.shape._replace(steps=1000))
    longest = np.argsort(played.steps)[[*range(-12, 0), *range(0, 400, 40)]]
    start = np.array([0.0, 0.0, 0.07, 0.0, 0.0, 0.0])
    agree = []
    for row in longest:
        states = trajectory(task, genomes, int(row), 1000, start)
        expected = float(len(states)) if velocities == "true" else fitness_by_hand(states)
        assert (len(states) == 1000 and not failed(states[-1])) == (played.reason[row] == 0)
        agree.append(len(states) == played.steps[row] and abs(expected / played.fitness[row] - 1.0) < 1e-3)
    assert np.mean(agree) > 0.9  # float32 networks part from float64 ones on a knife's edge


def test_with_velocities_it_is_solved_by_100_000_steps() -> None:
    task = made(configured("double_pole"))
    assert (task.shape.steps, task.sensors, task.shown, task.examination) == (100_000, 7, True, None)
    score = compiled_rules("double_pole")["score"]
    from islands.tasks.rules import End

    assert score(End(np.zeros(6), 0.0, 1.0, 100_000, 0), task.numbers) == (100_000.0, True)
    assert score(End(np.zeros(6), 0.0, 1.0, 99_999, 1), task.numbers) == (99_999.0, False)


def test_the_625_starts_are_the_protocols() -> None:
    found = np.array(starts())
    assert found.shape == (625, 4) and len(np.unique(found, axis=0)) == 625
    shares = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    for column, (width, off) in enumerate(
        ((4.32, 2.16), (2.70, 1.35), (0.12566304, 0.06283152), (0.30019504, 0.15009752))
    ):
        np.testing.assert_allclose(np.unique(found[:, column]), shares * width - off, atol=1e-12)


def silent(config: Config) -> tuple[PlainTask, Genomes]:
    """A genome whose network says 0, always."""
    task, genomes = grown(config, 1)
    return task, genomes._replace(conn_weight=np.zeros_like(genomes.conn_weight))


def test_generalisation_is_the_number_of_starts_that_are_managed() -> None:
    task, genomes = silent(configured("double_pole", "task.velocities=false"))
    assert task.examination is not None and task.examination[2:5] == (100_000, 1000, 200)
    alone = 0
    for first in starts():
        s = np.array([*first, 0.0, 0.0])
        for _ in range(20):
            s = after(s, 0.0)
            if failed(s):
                break
        alone += not failed(s)
    assert 100 < alone < 600
    task.examination = task.examination._replace(endurance=10, steps=20, passes=alone)
    assert task.examine(genomes, 0, np.uint64(1)) == (True, alone)
    task.examination = task.examination._replace(passes=alone + 1)
    assert task.examine(genomes, 0, np.uint64(1)) == (False, alone)
    task.examination = task.examination._replace(endurance=100_000)
    assert task.examine(genomes, 0, np.uint64(1)) == (False, None)
