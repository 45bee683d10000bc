"""`gym:<EnvId>`: any environment of Gymnasium whose observations and actions are Box or Discrete.

Environments step in Gymnasium's own `SyncVectorEnv`; a finished episode makes room for the next, and where none is left
its environment leaves the vector. Observations are flattened, a Discrete one is one-hot. A Discrete action is that of
the largest output; a Box action has an output a number, scaled from [-1, 1] to its bounds, or as it is where one is
missing. Fitness is the sum of the rewards; solved as the environment's `reward_threshold` says (100 fresh episodes).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from islands.config import Config
from islands.errors import ConfigError
from islands.genome.population import Array, Genomes
from islands.tasks import Played
from islands.tasks.families import Gym
from islands.tasks.stepped import FAILED, MOST, SHOWN, TERMINATED, Ledger, Stepped, seeds_of, told

try:
    import gymnasium
    from gymnasium.spaces import Box, Discrete
    from gymnasium.vector import AutoresetMode, SyncVectorEnv
    from gymnasium.wrappers import FlattenObservation
except ImportError as missing:
    raise ConfigError(
        "gym tasks", expected="Gymnasium", got=str(missing), do="pip install 'evolution-lab[gym]'"
    ) from missing

WIDTH = 32
"""Environments that step together."""
STEPS = 1000
"""An episode's most, where neither the environment nor the configuration says."""
SAMPLED, CLIPPED = 16, 10.0
"""Seeded episodes of random actions that observations are normalised by; their farthest afterwards."""


class Guarded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that ends an episode with a reward of NaN where it would raise or show what is not finite."""

    def __init__(self, env: Any, complain: Callable[[str], None]) -> None:
        super().__init__(env)
        self.complain, self.seed, self.steps = complain, None, 0
        self.nothing = np.zeros(env.observation_space.shape, env.observation_space.dtype)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's; a failure is told by the first step."""
        self.seed, self.steps, self.broken = seed, 0, False
        try:
            seen, _ = self.env.reset(seed=seed, options=options)
        except Exception as error:
            seen = self._failed(f"reset raised {told(error)}")
        return seen, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's, without its `info`."""
        self.steps += 1
        try:
            seen, reward, over, cut, _ = self.env.step(action)
        except Exception as error:
            seen, reward, over, cut = self._failed(f"step raised {told(error)}"), np.nan, True, False
        if not (np.isfinite(float(reward)) and np.isfinite(seen).all()) and not self.broken:
            seen = self._failed(f"reward {reward}, or an observation, is not finite")
        return seen, np.nan if self.broken else reward, bool(over) or self.broken, bool(cut), {}

    def _failed(self, why: str) -> Any:
        self.complain(f"{why}, seed {self.seed}")
        self.broken = True
        return self.nothing


def made(name: str, steps: int) -> Any:
    """The environment that a task's name asks for, flattened; a ConfigError where there is none."""
    wanted = name.removeprefix("gym:")
    try:
        limit = steps or gymnasium.spec(wanted).max_episode_steps or STEPS
        env = gymnasium.make(wanted, max_episode_steps=limit, disable_env_checker=True)
    except gymnasium.error.DependencyNotInstalled as error:
        extra = next((each for each in ("box2d", "mujoco") if each in str(error).lower()), "gym")
        do = f"pip install 'evolution-lab[{extra}]'"
        raise ConfigError(name, expected="what it needs", got=f"{error}", do=do) from error
    except Exception as error:  # an environment's own code
        raise ConfigError(name, expected="an environment of Gymnasium", got=told(error)) from error
    for what, space in (("observations", env.observation_space), ("actions", env.action_space)):
        if not isinstance(space, Box | Discrete):
            expected = f"{what} in a Box or Discrete space"
            raise ConfigError(name, expected=expected, got=f"{space}", do="flatten them in an environment of your own")
    return FlattenObservation(env)


class Actions:
    """From a network's outputs to what an environment's `step` takes."""

    def __init__(self, space: Any) -> None:
        self.space, self.discrete = space, isinstance(space, Discrete)
        self.count = int(space.n) if self.discrete else int(np.prod(space.shape))
        if not self.discrete:
            low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
            self.low, self.high = low, high
            bounded = np.isfinite(low) & np.isfinite(high)
            self.middle = np.where(bounded, (low + high) / 2.0, 0.0)
            self.reach = np.where(bounded, (high - low) / 2.0, 1.0)

    def __call__(self, outputs: Array) -> Array:
        """Actions of N environments for `outputs` float32 [N, A]."""
        if self.discrete:
            best: Array = np.argmax(outputs, axis=1) + int(self.space.start)
            return best.astype(self.space.dtype)
        wanted: Array = np.clip(self.middle + self.reach * outputs, self.low, self.high)
        if np.issubdtype(self.space.dtype, np.integer):
            wanted = np.rint(wanted)
        shaped: Array = wanted.astype(self.space.dtype).reshape(-1, *self.space.shape)
        return shaped


class GymTask(Stepped):
    """The task `gym:<EnvId>`; see `islands.tasks.Task`."""

    def __init__(self, config: Config) -> None:
        assert isinstance(config.task, Gym)
        self.steps, self.spares = config.task.steps, [made(config.task.name, config.task.steps)]
        first = self.spares[0]
        sensors, self.actions = int(np.prod(first.observation_space.shape)), Actions(first.action_space)
        for what, count in (("numbers in an observation", sensors), ("outputs", self.actions.count)):
            if not 0 < count <= MOST:
                raise ConfigError(config.task.name, expected=f"1 to {MOST} {what}", got=str(count))
        super().__init__(config, sensors, self.actions.count, first.spec.reward_threshold)
        self.spares = [Guarded(first, self.complain)]
        self.mean: Array = np.zeros(sensors)
        self.spread: Array | None = None
        if config.task.normalise:
            self._measure(self.spares[0])

    def _measure(self, env: Any) -> None:
        """Mean and deviation of what random actions meet in a few seeded episodes."""
        met = []
        env.action_space.seed(0)
        for seed in range(SAMPLED):
            seen, over = env.reset(seed=seed)[0], False
            while not over:
                met.append(np.asarray(seen, np.float64))
                seen, reward, ended, cut, _ = env.step(env.action_space.sample())
                over = ended or cut
                if np.isnan(reward):
                    raise ConfigError(self.name, expected="random actions that can be played", got="a failed episode")
        spread = np.std(met, axis=0)
        self.mean, self.spread = np.mean(met, axis=0), np.where(spread > 1e-6, spread, 1.0)

    def heard(self, seen: Array) -> Array:
        """What networks are told of N observations: float32 [N, O]."""
        if self.spread is None:
            return np.asarray(seen)
        return np.clip((seen - self.mean) / self.spread, -CLIPPED, CLIPPED)

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """Play the episodes; an episode's numbers do not depend on the others, where the environment keeps to that."""
        width = min(WIDTH, len(items))
        while len(self.spares) < width:
            self.spares.append(Guarded(made(self.name, self.steps), self.complain))
        return _Episodes(self, genomes, np.asarray(items, np.int64), seeds_of(keys), self.spares[:width]).played()


class _Episodes:
    """Episodes under way: place k of the vector plays episode `now[k]` with the network in row `row[k]`."""

    def __init__(self, task: GymTask, genomes: Genomes, items: Array, seeds: Array, envs: list[Any]) -> None:
        self.task, self.items, self.seeds = task, items, seeds
        self.ledger = Ledger(len(items), min(SHOWN, task.sensors))
        self.row = self.now = np.arange(len(envs))
        self.upcoming = len(envs)
        self.networks = task.networks(genomes, len(envs))
        self.networks.load(self.row, items[self.now])
        self.heard = np.zeros((len(envs), task.sensors), np.float32)
        self.vector = _vector(envs)
        self.seen, _ = self.vector.reset(seed=seeds[self.now].tolist())

    def played(self) -> Played:
        """Play to the end."""
        while len(self.now):
            self.heard[self.row] = self.task.heard(self.seen)
            outputs = self.networks.think(self.heard)[self.row]
            self.seen, reward, over, cut, _ = self.vector.step(self.task.actions(outputs))
            self.ledger.total[self.now] += reward
            self.ledger.steps[self.now] += 1
            ended = over | cut
            if ended.any():
                self._end(ended, over)
        return self.ledger.played()

    def _end(self, ended: Array, over: Array) -> None:
        """Write what has ended down, and let other episodes take their places."""
        ledger, done = self.ledger, self.now[ended]
        ledger.reason[done] = np.where(over[ended], TERMINATED, 0)
        ledger.behaviour[done] = self.task.heard(self.seen[ended])[:, : ledger.behaviour.shape[1]]
        ledger.reason[done[np.isnan(ledger.total[done])]] = FAILED
        free = np.flatnonzero(ended)
        filled = free[: len(self.items) - self.upcoming]
        if len(filled):
            self.now = self.now.copy()
            self.now[filled] = np.arange(self.upcoming, self.upcoming + len(filled))
            self.upcoming += len(filled)
            self.networks.load(self.row[filled], self.items[self.now[filled]])
            mask = np.isin(np.arange(len(self.now)), filled)
            self.seen, _ = self.vector.reset(seed=self.seeds[self.now].tolist(), options={"reset_mask": mask})
        if len(filled) < len(free):
            self._leave(free[len(filled) :])

    def _leave(self, places: Array) -> None:
        """Go on without the environments in these places."""
        kept = np.delete(np.arange(len(self.now)), places)
        envs = [self.vector.envs[k] for k in kept]
        self.row, self.now, self.seen = self.row[kept], self.now[kept], self.seen[kept]
        self.vector = _vector(envs) if envs else self.vector


def _vector(envs: list[Any]) -> Any:
    """Environments that step together, as they stand; nothing starts anew by itself."""
    makers = [functools.partial(_itself, env) for env in envs]
    return SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.DISABLED)


def _itself(env: Any) -> Any:
    return env
