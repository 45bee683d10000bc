"""The control tasks are Gymnasium's, step by step: state, observation, reward, terminated and truncated."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from islands.tasks import RULES
from tests.islands.tasks.plain_parts import compiled_rules, configured, made

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
ENVIRONMENTS = {
    "cartpole": "CartPole-v1",
    "acrobot": "Acrobot-v1",
    "mountain_car": "MountainCar-v0",
    "mountain_car_continuous": "MountainCarContinuous-v0",
    "pendulum": "Pendulum-v1",
}
Policy = Callable[[np.ndarray, np.random.Generator], float]
ABLE: dict[str, Policy] = {
    "cartpole": lambda s, _: float(s[2] + 0.3 * s[3] + 0.05 * s[0] + 0.1 * s[1] > 0),
    "acrobot": lambda s, _: 2.0 if s[3] > 0 else 0.0,
    "mountain_car": lambda s, _: 2.0 if s[1] >= 0 else 0.0,
    "mountain_car_continuous": lambda s, _: 1.0 if s[1] >= 0 else -1.0,
    "pendulum": lambda s, _: -1.0 if math.cos(s[0]) > 0.9 and s[0] * s[1] > 0 else float(np.sign(s[1])),
}
"""Policies that know what they do: episodes that last, or that reach the goal."""


def policies(name: str) -> dict[str, Policy]:
    found: dict[str, Policy] = {"able": ABLE[name]}
    if name in ("mountain_car_continuous", "pendulum"):
        found |= {f"constant {a}": lambda _s, _r, a=a: a for a in (-1.0, -0.3, 0.0, 1.0)}  # type: ignore[misc]
        return {**found, "random": lambda _, rng: float(np.float32(rng.uniform(-1, 1)))}
    actions = 2 if name == "cartpole" else 3
    found |= {f"constant {a}": lambda _s, _r, a=a: float(a) for a in range(actions)}  # type: ignore[misc]
    return {**found, "random": lambda _, rng: float(rng.integers(actions))}


CASES = [(name, policy) for name in ENVIRONMENTS for policy in policies(name)]


def as_gymnasium(name: str, action: float) -> Any:
    if name == "pendulum":
        return np.array([2.0 * action], np.float32)
    return np.array([action], np.float32) if name == "mountain_car_continuous" else int(action)


@pytest.mark.parametrize(("name", "policy"), CASES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_whole_episode_is_gymnasiums_step_by_step(name: str, policy: str, seed: int) -> None:
    task, rules = made(configured(name)), compiled_rules(name)
    env, rng, decide = gymnasium.make(ENVIRONMENTS[name]), np.random.default_rng(seed), policies(name)[policy]
    state, seen = np.zeros(task.shape.state), np.zeros(task.sensors)
    rules["reset"](state, np.random.default_rng(seed).random(task.shape.draws), task.numbers)
    observation, _ = env.reset(seed=seed)
    terminated = truncated = False
    steps = 0
    while not (terminated or truncated):
        np.testing.assert_allclose(state, env.unwrapped.state, **CLOSE, err_msg=f"state after {steps}")  # type: ignore[attr-defined]
        rules["observe"](state, task.numbers, seen)
        np.testing.assert_allclose(seen, observation, **CLOSE, err_msg=f"observation after {steps}")
        action = decide(state, rng)
        reward, reason = rules["step"](state, action, task.numbers)
        observation, expected, terminated, truncated, _ = env.step(as_gymnasium(name, action))
        steps += 1
        assert reward == pytest.approx(expected, rel=1e-5, abs=1e-5), steps
        assert ((reason > 0), steps >= task.shape.steps) == (terminated, truncated), steps
    np.testing.assert_allclose(state, env.unwrapped.state, **CLOSE)  # type: ignore[attr-defined]
    assert reason < len(RULES[name].reasons)
    if policy == "able" and name != "pendulum":
        assert (steps == task.shape.steps) == (name == "cartpole"), "the able policy is able"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_episode_lasts_as_long_as_gymnasiums_and_counts_as_solved_where_gymnasium_says(name: str) -> None:
    task, spec = made(configured(name)), gymnasium.spec(ENVIRONMENTS[name])
    assert task.shape.steps == spec.max_episode_steps
    goal = task.examination and task.examination.goal
    assert goal == spec.reward_threshold and (goal is None or task.examination.episodes == 100)  # type: ignore[union-attr]


@pytest.mark.parametrize(("key", "value", "argument"), [("gravity", 3.7, "g")])
def test_the_pendulum_s_gravity_is_gymnasiums(key: str, value: float, argument: str) -> None:
    task, rules = made(configured("pendulum", f"task.{key}={value}")), compiled_rules("pendulum")
    env = gymnasium.make("Pendulum-v1", **{argument: value})
    state = np.zeros(2)
    rules["reset"](state, np.random.default_rng(5).random(2), task.numbers)
    env.reset(seed=5)
    for _ in range(50):
        reward, _reason = rules["step"](state, 0.4, task.numbers)
        _, expected, *_ = env.step(np.array([0.8], np.float32))
        np.testing.assert_allclose([*state, reward], [*env.unwrapped.state, expected], **CLOSE)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["mountain_car", "mountain_car_continuous"])
def test_a_goal_velocity_is_gymnasiums(name: str) -> None:
    ends = set()
    for goal in (0.0, 0.03, 0.06):
        task, rules = made(configured(name, f"task.goal_velocity={goal}")), compiled_rules(name)
        env = gymnasium.make(ENVIRONMENTS[name], goal_velocity=goal)
        state = np.zeros(2)
        rules["reset"](state, np.random.default_rng(7).random(1), task.numbers)
        env.reset(seed=7)
        terminated = truncated = False
        steps = reason = 0
        while not (terminated or truncated):
            action = ABLE[name](state, np.random.default_rng())
            action *= 1.0 if name == "mountain_car" else 0.4  # a car that is slow at the top
            _, reason = rules["step"](state, action, task.numbers)
            _, _, terminated, truncated, _ = env.step(as_gymnasium(name, action))
            steps += 1
            assert (reason > 0) == terminated
        ends.add((steps, reason))
    assert len(ends) > 1


def test_the_swing_up_s_cart_and_pole_are_gymnasiums_under_any_force() -> None:
    task, rules = made(configured("cartpole_swing_up")), compiled_rules("cartpole_swing_up")
    for seed in range(5):
        rng = np.random.default_rng(seed)
        env: Any = gymnasium.make("CartPole-v1").unwrapped
        env.reset(seed=seed)
        env.theta_threshold_radians = math.inf
        state = np.zeros(4)
        rules["reset"](state, rng.random(4), task.numbers)
        env.state = state.copy()
        assert abs(state[2] - math.pi) <= 0.05
        for _ in range(500):
            push = float(rng.uniform(-1, 1)) if seed else 1.0
            env.force_mag = 10.0 * abs(push)
            reward, reason = rules["step"](state, push, task.numbers)
            _, _, terminated, _, _ = env.step(int(push > 0))
            np.testing.assert_allclose(state, env.state, **CLOSE)
            assert reward == pytest.approx((1.0 + math.cos(env.state[2])) / 2.0, abs=1e-6)
            assert (reason > 0) == terminated
            if terminated:
                break
