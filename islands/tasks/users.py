"""`python:<module>:<Task>` and entry points: a user's own batched task; docs/tasks.md says how one is written.

It always plays batches of one size (`batch` rows, the last episode repeated where there are fewer), so that an
episode's numbers cannot depend on how many are played. What it gives is checked when it is loaded and at every step.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from islands.config import Config
from islands.errors import ConfigError
from islands.genome.population import Array, Genomes
from islands.networks_batch import Networks
from islands.tasks import Played
from islands.tasks.families import User, installed
from islands.tasks.stepped import FAILED, FINISHED, MOST, SHOWN, TERMINATED, Ledger, Stepped, seeds_of, told

BATCH, STEPS = 64, 1000
"""Episodes that are played together, and steps that one may last, where the task does not say."""
TRIED = 8
"""Steps of a trial when a task is loaded."""


class Wrong(Exception):
    """What a user's task did, what it should have done, and what to change."""

    def __init__(self, what: str, expected: str, got: str, do: str) -> None:
        self.what, self.expected, self.got, self.do = what, expected, got, do
        super().__init__(f"{what}: expected {expected}, got {got}")


def class_of(task: User) -> Any:
    """The class that a task's name means; a ConfigError says why there is none."""
    if task.folder and task.folder not in sys.path:
        sys.path.insert(0, task.folder)
    try:
        if not task.name.startswith("python:"):
            return installed()[task.name].load()
        _, module, name = task.name.split(":")
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if task.name.startswith("python:") and error.name and (module + ".").startswith(error.name + "."):
            expected = f"{module.replace('.', '/')}.py in {task.folder or 'the current folder'}, or installed"
            raise ConfigError(task.name, expected=expected, got="no such module", do="check name and folder") from error
        raise ConfigError(task.name, expected="a module that can be imported", got=told(error)) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(task.name, expected="a module that can be imported", got=told(error)) from error
    if not isinstance(getattr(found, name, None), type):
        classes = [each for each, value in vars(found).items() if isinstance(value, type)]
        raise ConfigError(
            task.name,
            expected=f"a class {name} in {module}",
            got="none",
            do=f"it has {', '.join(classes) or 'no class'}",
        )
    return getattr(found, name)


def built(task: User) -> Any:
    """The user's object, made with the parameters of the configuration, with its methods seen to be there."""
    kind = class_of(task)
    try:
        own = kind(**task.parameters)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in task.parameters.items())
        what = f"{task.name}: __init__({given})"
        raise ConfigError(what, expected="an object", got=told(error), do="see task.parameters") from error
    for method, form in (("reset", "reset(self, seeds)"), ("step", "step(self, actions)")):
        if not callable(getattr(own, method, None)):
            raise ConfigError(task.name, expected=f"a method {form}", got="none", do=f"define {form}")
    return own


def whole(own: Any, name: str, most: int, default: int | None, task: str) -> int:
    """A whole number from 1 on among the attributes of a user's object."""
    value = getattr(own, name, default)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
        got = "none" if value is None else repr(value)
        raise ConfigError(
            f"{task}: {name}", expected=f"a whole number from 1 to {most}", got=got, do=f"set {name} = … in the class"
        )
    return int(value)


def called(own: Any, which: str, count: int, task: str) -> list[str]:
    """The names that a user's object gives its inputs or outputs; none where it gives none."""
    given = getattr(own, which, None)
    if given is None:
        return []
    right = isinstance(given, list | tuple) and len(given) == count and all(isinstance(each, str) for each in given)
    if not right or len(set(given)) < count:
        expected = f"{count} different texts, one each"
        raise ConfigError(f"{task}: {which}", expected=expected, got=repr(given)[:80], do="mend it, or leave it out")
    return list(given)


def numbers(value: Any, what: str, shape: tuple[int, ...], words: str) -> Array:
    """What a user's method gave as an array of numbers of this shape; `Wrong` where it is not one."""
    try:
        array = np.asarray(value)
    except Exception as error:
        raise Wrong(
            what, f"an array of shape {shape} [{words}]", told(error), "return a NumPy array or a tensor"
        ) from error
    if array.shape != shape:
        do = f"return one row for each of the {shape[0]} episodes"
        raise Wrong(what, f"shape {shape} [{words}]", f"{array.shape}", do)
    if array.dtype.kind not in "fiu":
        raise Wrong(what, "numbers (float or int)", f"dtype {array.dtype}", "return an array of float32")
    return array


class UserTask(Stepped):
    """The task of a user; see `islands.tasks.Task`."""

    def __init__(self, config: Config) -> None:
        assert isinstance(config.task, User)
        name, own = config.task.name, built(config.task)
        sensors, outputs = (whole(own, each, MOST, None, name) for each in ("inputs", "outputs"))
        goal = getattr(own, "solved", None)
        if goal is not None and (isinstance(goal, bool) or not isinstance(goal, int | float)):
            expected = "a number, the mean fitness of 100 episodes that counts as solved"
            raise ConfigError(f"{name}: solved", expected=expected, got=repr(goal), do="set a number, or leave it out")
        super().__init__(config, sensors, outputs, goal)
        self.own = own
        self.sensor_names = called(own, "input_names", sensors, name)
        self.action_names = called(own, "output_names", outputs, name)
        self.batch, self.steps = whole(own, "batch", 65536, BATCH, name), whole(own, "steps", 1_000_000, STEPS, name)
        self.shown = min(SHOWN, sensors)
        try:
            self._try()
        except Wrong as wrong:
            raise ConfigError(f"{name}: {wrong.what}", expected=wrong.expected, got=wrong.got, do=wrong.do) from wrong

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """Play the episodes, a batch after another."""
        ledger, seeds, items = Ledger(len(items), self.shown), seeds_of(keys), np.asarray(items, np.int64)
        for first in range(0, len(items), self.batch):
            rows = np.arange(first, min(first + self.batch, len(items)))
            self._play(genomes, items, seeds, rows, ledger)
        return ledger.played()

    def _play(self, genomes: Genomes, items: Array, seeds: Array, rows: Array, ledger: Ledger) -> None:
        """Play the episodes `rows` as one batch; where that raises, each by itself, to find the one that fails."""
        padded = rows[np.minimum(np.arange(self.batch), len(rows) - 1)]
        networks = self.networks(genomes, self.batch)
        networks.load(np.arange(self.batch), items[padded])
        part = Ledger(self.batch, self.shown)
        try:
            self._run(networks, seeds[padded], part)
        except Wrong as wrong:
            if len(rows) > 1:
                for row in rows:
                    self._play(genomes, items, seeds, np.array([row]), ledger)
                return
            self.complain(f"{wrong}, seed {seeds[rows[0]]}")
            part.fail(np.arange(self.batch))
        for name in ("total", "reason", "steps", "behaviour"):
            getattr(ledger, name)[rows] = getattr(part, name)[: len(rows)]

    def _run(self, networks: Networks, seeds: Array, ledger: Ledger) -> None:
        """Play one batch to its end."""
        on = np.ones(self.batch, bool)
        seen = self._reset(seeds)
        for number in range(self.steps):
            bad = on & ~np.isfinite(seen).all(axis=1)
            self._fail(bad, on, ledger, "an observation is not finite", seeds)
            if not on.any():
                return
            outputs = networks.think(np.where(on[:, None], seen, np.float32(0.0)))
            seen, rewards, done = self._step(outputs)
            ledger.steps[on] += 1
            self._fail(on & ~np.isfinite(rewards), on, ledger, "a reward is not finite", seeds)
            ledger.total[on] += rewards[on]
            ended = on & (done | (number + 1 == self.steps))
            if ended.any():
                ledger.reason[ended] = np.where(done[ended], TERMINATED, FINISHED)
                ledger.behaviour[ended] = self._behaviour(seen)[ended]
                on &= ~ended
                self._fail(
                    ended & ~np.isfinite(ledger.behaviour).all(axis=1), on, ledger, "not finite at the end", seeds
                )

    def _fail(self, bad: Array, on: Array, ledger: Ledger, why: str, seeds: Array) -> None:
        if bad.any():
            self.complain(f"{why}, seed {seeds[np.argmax(bad)]}")
            ledger.fail(bad)
            ledger.reason[bad] = FAILED
            on &= ~bad

    def _reset(self, seeds: Array) -> Array:
        """The first observations: float32 [E, inputs]."""
        given = self._call("reset", seeds.copy())
        shape = (self.batch, self.sensors)
        return numbers(given, "what reset returns", shape, "episodes, inputs").astype(np.float32)

    def _step(self, outputs: Array) -> tuple[Array, Array, Array]:
        """Observations float32 [E, inputs], rewards float64 [E] and who is done (bool [E]) after a step."""
        given = self._call("step", outputs)
        if not isinstance(given, tuple | list) or len(given) != 3:
            count = f"{len(given)} values" if isinstance(given, tuple | list) else type(given).__name__
            raise Wrong("what step returns", "(observations, rewards, done)", count, "return these three")
        seen = numbers(given[0], "observations of step", (self.batch, self.sensors), "episodes, inputs")
        rewards = numbers(given[1], "rewards of step", (self.batch,), "episodes")
        done = np.asarray(given[2])
        if done.shape != (self.batch,) or done.dtype != np.bool_:
            got = f"{done.dtype} of shape {done.shape}"
            raise Wrong(
                "done of step", f"bool of shape ({self.batch},) [episodes]", got, "return an array of truth values"
            )
        return seen.astype(np.float32), rewards.astype(np.float64), done.copy()

    def _behaviour(self, seen: Array) -> Array:
        """What the episodes did: the task's own numbers, or the first of the observations."""
        if not callable(getattr(self.own, "behaviour", None)):
            return seen[:, : self.shown]
        array = np.asarray(self._call("behaviour"))
        return numbers(array, "behaviour", (self.batch, self.shown), "episodes, numbers").astype(np.float32)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.own, method)(*arguments)
        except (Exception, SystemExit) as error:
            text = f"{method}({', '.join(f'array {each.shape}' for each in arguments)})"
            raise Wrong(text, "an answer", told(error), "mend what raises") from error

    def _try(self) -> None:
        """A few steps, twice and among others: shapes, finite numbers, the same again, nothing from the neighbours."""
        seeds, half = np.arange(1, self.batch + 1), max(1, self.batch // 2)
        if callable(getattr(self.own, "behaviour", None)):
            self._reset(seeds)
            shape = np.shape(self._call("behaviour"))
            if len(shape) != 2 or shape[0] != self.batch or not 1 <= shape[1] <= 64:
                expected = f"an array of shape ({self.batch}, 1 to 64) [episodes, numbers]"
                raise Wrong("behaviour", expected, f"shape {shape}", "return a row of numbers an episode")
            self.shown = int(shape[1])
        rows = np.arange(self.batch)
        first = self._trace(seeds, rows)
        if not _same(first, self._trace(seeds, rows), rows, rows):
            raise Wrong(
                "twice the same seeds and actions", "the same numbers", "others",
                "draw from generators made of the seeds in reset, and set all state anew there",
            )  # fmt: skip
        turned = np.concatenate([rows[:half][::-1], rows[half:]])
        others = np.where(rows < half, seeds[turned], seeds + 1000)
        if not _same(first, self._trace(others, turned), rows[:half], turned[:half]):
            raise Wrong(
                "an episode among other episodes", "the same numbers", "others",
                "compute each row from that row alone, and draw with a generator a seed",
            )  # fmt: skip

    def _trace(self, seeds: Array, rows: Array) -> list[tuple[Array, Array]]:
        """Observations and (reward, done) of a few steps; row r acts like the row `rows[r]` of any other trace."""
        on, seen, found = np.ones(self.batch, bool), self._reset(seeds), []
        draw, rewards, done = np.random.default_rng(0), np.zeros(self.batch), np.zeros(self.batch, bool)
        for _ in range(min(TRIED, self.steps) + 1):
            for what, values in (("observations", seen), ("rewards", rewards[:, None])):
                if not np.isfinite(values[on]).all():
                    do = "keep them finite: an episode with such a number counts as failed"
                    raise Wrong(what, "finite numbers", "NaN or infinity", do)
            found.append((np.where(on[:, None], seen, 0.0), np.where(on, rewards + 0.5 * done, 0.0)))
            on = on & ~done
            actions = draw.uniform(-1.0, 1.0, (self.batch, self.outputs)).astype(np.float32)
            seen, rewards, done = self._step(actions[rows])
        self._behaviour(seen)
        return found


def _same(one: list[tuple[Array, Array]], other: list[tuple[Array, Array]], rows: Array, places: Array) -> bool:
    """Whether rows `rows` of a trace are the rows `places` of another, bit for bit."""
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a[rows], b[places]) for left, right in pairs for a, b in zip(left, right, strict=True))
