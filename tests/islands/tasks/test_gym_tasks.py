"""Gymnasium's environments as tasks: what is played is what stepping the environment by hand gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.genome.initial import draw_genomes
from islands.genome.population import Array, Genomes, take
from islands.loop import breeding_of
from islands.networks_batch import TorchNetworks
from islands.reproduction import Plan, breed
from islands.tasks import make

gymnasium = pytest.importorskip("gymnasium")
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete  # noqa: E402

from islands.tasks.gym import Actions, GymTask  # noqa: E402

ENVIRONMENTS = ["CartPole-v1", "MountainCarContinuous-v0", "FrozenLake-v1", "LunarLander-v3", "Hopper-v5"]
LIVELY = ("mutation.add_node=0.6", "mutation.add_connection=0.9", "mutation.recurrent=0.4")


class Odd(gymnasium.Env[Any, Any]):
    """Rewards 1 a step for ten steps; raises, or shows NaN, in the fifth where its first number is large."""

    observation_space = Box(-1.0, 1.0, (3,), np.float64)
    action_space = Box(np.array([-1.0, 0.0]), np.array([3.0, np.inf]), (2,), np.float32)

    def __init__(self, how: str = "") -> None:
        self.how, self.actions = how, []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.seen, self.steps = self.np_random.uniform(-1, 1, 3), 0
        return self.seen, {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        assert self.action_space.contains(action) and self.steps <= 10
        bad = self.steps == 5 and self.seen[0] > 0
        if bad and self.how == "raises":
            raise ValueError("no more")
        reward = np.nan if bad and self.how == "reward" else 1.0
        seen = np.full(3, np.inf) if bad and self.how == "observation" else self.seen
        return seen, reward, self.steps == 10, False, {"info": self.steps}


class Spaced(Odd):
    """With spaces that are not played."""

    def __init__(self, what: str) -> None:
        super().__init__()
        odd = {"many": MultiDiscrete([2, 3]), "dict": Dict({"a": Discrete(2)})}
        if what == "dict":
            self.observation_space = odd["dict"]  # type: ignore[assignment]
        else:
            self.action_space = odd["many"]  # type: ignore[assignment]


for how in ("raises", "reward", "observation", ""):
    gymnasium.register(f"Odd{how}-v0", entry_point=Odd, kwargs={"how": how})
for what in ("many", "dict"):
    gymnasium.register(f"Spaced{what}-v0", entry_point=Spaced, kwargs={"what": what})


def task_of(name: str, *assignments: str, count: int = 40, rounds: int = 8) -> tuple[GymTask, Genomes]:
    config = loading.override(Config(), [f"task.name=gym:{name}", *LIVELY, *assignments])
    task = make(config)
    assert isinstance(task, GymTask)
    breeding = breeding_of(config, task)
    genomes = draw_genomes(count, np.uint64(1), task.layout, breeding.first)
    plan = Plan(np.arange(count), np.full(count, -1), np.zeros(count, np.uint8))
    for generation in range(rounds):
        genomes, _ = breed(genomes, plan, breeding, 1.0, (1, 0, generation))
    return task, genomes


def keys_of(count: int) -> Array:
    return (np.arange(count).astype(np.uint64) + np.uint64(3)) << np.uint64(33)


def by_hand(task: GymTask, genomes: Genomes, item: int, seed: int) -> tuple[float, int, int]:
    """Reward, steps and reason of an episode stepped with Gymnasium alone."""
    env = gymnasium.make(task.name.removeprefix("gym:"))
    networks = task.networks(take(genomes, [item]), 1)
    networks.load(np.zeros(1, np.int64), np.zeros(1, np.int64))
    seen, over, cut, total, steps = env.reset(seed=seed)[0], False, False, 0.0, 0
    while not (over or cut):
        space = env.observation_space
        flat = np.eye(int(space.n))[seen] if isinstance(space, Discrete) else np.ravel(seen)
        outputs = networks.think(flat[None].astype(np.float32))[0]
        if isinstance(env.action_space, Discrete):
            action: Any = int(np.argmax(outputs))
        else:
            low, high = env.action_space.low.astype(np.float64), env.action_space.high.astype(np.float64)
            action = (low + (outputs.astype(np.float64) + 1.0) / 2.0 * (high - low)).astype(np.float32)
        seen, reward, over, cut, _ = env.step(action)
        total, steps = total + float(reward), steps + 1
    return total, steps, int(over)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_episodes_are_those_of_the_environment_stepped_by_hand(name: str) -> None:
    for module, needs in (("Box2D", "LunarLander-v3"), ("mujoco", "Hopper-v5")):
        if name == needs:
            pytest.importorskip(module)
    task, genomes = task_of(name)
    items, keys = np.arange(40), keys_of(40)
    played = task.play(genomes, items, keys)
    for item in (0, 7, 39):
        total, steps, reason = by_hand(task, genomes, item, item + 3)
        assert (played.steps[item], played.reason[item]) == (steps, reason)
        assert played.fitness[item] == pytest.approx(total, rel=1e-6, abs=1e-6)
    turned = task.play(genomes, items[::-1], keys[::-1])
    assert played.fitness.tobytes() == turned.fitness[::-1].tobytes()
    assert played.behaviour.tobytes() == turned.behaviour[::-1].tobytes()
    alone = task.play(take(genomes, [7]), np.zeros(1, np.int64), keys[7:8])
    assert alone.fitness[0] == played.fitness[7] and len(np.unique(played.behaviour, axis=0)) > 1


def test_no_finished_episode_is_stepped_on() -> None:
    task, genomes = task_of("Odd-v0", rounds=0)  # whose eleventh step is an assertion
    played = task.play(genomes, np.arange(40), keys_of(40))
    assert (played.fitness == 10).all() and (played.steps == 10).all() and (played.reason == 1).all()


@pytest.mark.parametrize(
    ("how", "says"), [("raises", "step raised ValueError: no more (test_gym_tasks.py, line"), ("reward", "reward nan"),
                      ("observation", "or an observation, is not finite")],
)  # fmt: skip
def test_a_failed_episode_is_nan_and_the_log_says_why(how: str, says: str, capfd: pytest.CaptureFixture[str]) -> None:
    task, genomes = task_of(f"Odd{how}-v0", rounds=0)
    keys = keys_of(40)
    played = task.play(genomes, np.arange(40), keys)
    large = np.array([gymnasium.make("Odd-v0").reset(seed=seed)[0][0] > 0 for seed in range(3, 43)])
    assert 5 < large.sum() < 35 and np.array_equal(np.isnan(played.fitness), large)
    assert (played.reason[large] == 2).all() and (played.fitness[~large] == 10).all()
    assert np.isfinite(played.behaviour[~large]).all()
    assert says in capfd.readouterr().err


def test_a_limit_of_steps_ends_an_episode_that_ran_its_course() -> None:
    task, genomes = task_of("Odd-v0", "task.steps=4", rounds=0)
    played = task.play(genomes, np.arange(3), keys_of(3))
    assert (played.steps == 4).all() and (played.reason == 0).all()


def test_outputs_are_scaled_to_bounds_and_left_alone_where_there_are_none() -> None:
    act = Actions(Odd.action_space)
    outputs = np.array([[-1, -1], [0, 0.5], [1, 1]], np.float32)
    np.testing.assert_array_equal(act(outputs), [[-1, 0], [1, 0.5], [3, 1]])
    grid = Actions(Box(0, 4, (2, 2), np.int64))
    np.testing.assert_array_equal(grid(np.array([[-1, 1, 0, 0.3]], np.float32)), [[[0, 4], [2, 3]]])
    started = Actions(Discrete(3, start=-1))
    np.testing.assert_array_equal(started(np.array([[0, 0.1, 0], [0.2, 0.1, 0]], np.float32)), [0, -1])


def test_normalised_observations_have_the_mean_and_deviation_that_random_actions_meet() -> None:
    one, two = (task_of("Odd-v0", "task.normalise=true", count=2, rounds=0)[0] for _ in range(2))
    np.testing.assert_array_equal(one.mean, two.mean)
    firsts = np.array([gymnasium.make("Odd-v0").reset(seed=seed)[0] for seed in range(16)])
    np.testing.assert_allclose(one.mean, firsts.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(one.spread, firsts.std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(one.heard(firsts), (firsts - firsts.mean(axis=0)) / firsts.std(axis=0))
    assert np.abs(one.heard(np.array([[1e9, -1e9, 0.0]]))).max() == 10.0


def test_solved_is_what_the_environments_threshold_says() -> None:
    task, genomes = task_of("CartPole-v1", rounds=0)
    assert task.goal == 475.0 and task.solvable and not task_of("Odd-v0")[0].solvable
    fitness = task.play(genomes, np.arange(40), keys_of(40)).fitness
    assert not task.examine(genomes, int(np.argmin(fitness)), np.uint64(5)).solved
    task.goal = float(fitness.min()) - 1000.0
    assert task.examine(genomes, 0, np.uint64(5)).solved


@pytest.mark.parametrize(
    ("name", "says"),
    [("CartPol-v1", "Did you mean: `CartPole`?"), ("CartPole-v77", "CartPole"), ("Spacedmany-v0", "MultiDiscrete"),
     ("Spaceddict-v0", "observations in a Box or Discrete space, got Dict")],
)  # fmt: skip
def test_what_cannot_be_played_is_one_line(name: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(loading.override(Config(), [f"task.name=gym:{name}"]))
    assert str(caught.value).startswith(f"gym:{name}: expected") and says in str(caught.value)


def test_networks_in_torch_think_as_the_compiled_ones() -> None:
    for setting in ((), ("network.activation=sigmoid", "network.bias=input"), ("mode=pure",)):
        task, genomes = task_of("CartPole-v1", *setting)
        one, two = task.networks(genomes, 20), TorchNetworks(genomes, task.layout, task.outputs, 20, "cpu")
        draw = np.random.default_rng(1)
        for rows, items in ((np.arange(20), np.arange(20)), (np.array([3, 17]), np.array([30, 31]))):
            one.load(rows, items)
            two.load(rows, items)
            for _ in range(5):
                heard = draw.normal(size=(20, 4)).astype(np.float32)
                np.testing.assert_allclose(one.think(heard), two.think(heard), atol=2e-5)
