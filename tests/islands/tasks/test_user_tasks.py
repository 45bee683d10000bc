"""A user's own task: the documented example works as it stands, and each way of getting it wrong is one clear line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.genome.initial import draw_genomes
from islands.genome.population import Genomes, take
from islands.loop import breeding_of
from islands.tasks import families, make
from islands.tasks.senses import action_names, sensor_names
from islands.tasks.users import UserTask

PAGE = Path(__file__).parents[3] / "docs" / "tasks.md"
RIGHT = """
import numpy as np
class Task:
    inputs, outputs, steps = 3, 2, 20
    def reset(self, seeds):
        self.state = np.array([np.random.default_rng(seed).uniform(-1, 1, 3) for seed in seeds])
        return self.state
    def step(self, actions):
        self.state = 0.9 * self.state + 0.1 * actions[:, [0, 1, 0]]
        return self.state, -np.abs(self.state).sum(axis=1), self.state[:, 0] > 5
"""
WRONG = {
    "wrong shape": ("return self.state, -np", "return self.state[:, :2], -np", "expected shape (64, 3)"),
    "too few rows": ("        return self.state\n", "        return self.state[:1]\n", "reset returns: expected shape"),
    "wrong dtype": ("return self.state, -np", "return self.state.astype(str), -np", "expected numbers (float or int)"),
    "done is a number": ("self.state[:, 0] > 5", "self.state[:, 0]", "done of step: expected bool"),
    "rewards have two dimensions": (".sum(axis=1)", "", "rewards of step: expected shape (64,)"),
    "NaN": ("-np.abs(self.state)", "np.log(-np.abs(self.state))", "rewards: expected finite numbers, got NaN"),
    "not deterministic": ("np.random.default_rng(seed)", "np.random.default_rng()", "twice the same seeds and actions"),
    "state that is kept": ("self.state = np.array(", "self.state = getattr(self, 'state', 0) + np.array(", "twice"),
    "a mean over the batch": ("0.9 * self.state", "0.9 * self.state.mean()", "an episode among other episodes"),
    "missing method": ("def step", "def move", "expected a method step(self, actions), got none"),
    "raises in step": ("self.state = 0.9", "1 / 0; self.state = 0.9", "ZeroDivisionError: division by zero (wrong_"),
    "raises in reset": ("        return self.state\n", "        return self.stat\n", "reset(array (64,)): expected"),
    "wrong number of outputs": ("actions[:, [0, 1, 0]]", "actions[:, [0, 1, 2]]", "IndexError: index 2 is out"),
    "outputs is no number": ("3, 2, 20", "3, 'two', 20", "outputs: expected a whole number from 1 to 1024, got 'two'"),
    "no inputs": ("inputs, outputs, steps = 3, 2, 20", "outputs = 2", "inputs: expected a whole number"),
    "two values": (", self.state[:, 0] > 5", "", "expected (observations, rewards, done), got 2 values"),
    "nothing returned": ("        return self.state\n", "        pass\n", "what reset returns: expected shape (64, 3)"),
    "raises on import": ("import numpy as np", "import numpy as np\nraise SystemExit('no')", "got SystemExit: no"),
    "too few names": ("3, 2, 20", "3, 2, 20; input_names = ['x']", "input_names: expected 3 different texts"),
    "the same name twice": ("3, 2, 20", "3, 2, 20; output_names = ['x', 'x']", "output_names: expected 2 different"),
    "a missing import": ("import numpy as np", "import nimpy as np", "No module named 'nimpy'"),
    "a syntax error": ("class Task:", "class Task", "got SyntaxError"),
    "another class": ("class Task", "class Tusk", "expected a class Task in wrong_"),
}  # fmt: skip


def of(folder: Path, module: str, name: str = "Task", *assignments: str) -> Config:
    config = loading.override(Config(), [f"task.name=python:{module}:{name}", f"task.folder={folder}", *assignments])
    return loading.override(config, ["mode=pure"])


def made(folder: Path, text: str, module: str, *assignments: str) -> tuple[UserTask, Genomes]:
    (folder / f"{module}.py").write_text(text)
    config = of(folder, module, *assignments)
    task = make(config)
    assert isinstance(task, UserTask)
    return task, draw_genomes(70, np.uint64(1), task.layout, breeding_of(config, task).first)


def refusal(folder: Path, module: str, *assignments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make(of(folder, module, "Task", *assignments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def example() -> str:
    """The example of the documentation."""
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_documented_example_is_short_and_plays(tmp_path: Path) -> None:
    assert len(example().splitlines()) <= 36
    task, genomes = made(tmp_path, example(), "reach_played", "Reach", "task.parameters.push=2")
    assert (task.sensors, task.outputs, task.goal, task.own.push) == (2, 1, 80.0, 2)
    played = task.play(genomes, np.arange(70), np.arange(70).astype(np.uint64) << np.uint64(40))
    assert played.behaviour.shape == (70, 2) and len(np.unique(played.fitness)) == 70
    assert (played.steps <= 100).all() and (played.fitness >= 0).all() and (played.fitness <= 100).all()


def test_fitness_is_the_sum_of_rewards_as_stepped_by_hand(tmp_path: Path) -> None:
    task, genomes = made(tmp_path, example(), "reach_by_hand", "Reach")
    seeds = np.array([5, 6, 7])
    played = task.play(genomes, np.array([3, 1, 2]), seeds.astype(np.uint64) << np.uint64(33))
    for number, (row, seed) in enumerate(zip((3, 1, 2), seeds, strict=True)):
        networks = task.networks(take(genomes, [row]), 1)
        networks.load(np.zeros(1, np.int64), np.zeros(1, np.int64))
        space: dict[str, object] = {}
        exec(example(), space)
        own = space["Reach"]()  # type: ignore[operator]
        seen, total, steps, done = own.reset([seed]), 0.0, 0, np.array([False])
        while not done[0] and steps < 100:
            seen, rewards, done = own.step(networks.think(seen.astype(np.float32)))
            total, steps = total + float(rewards[0]), steps + 1
        assert played.fitness[number] == np.float32(total) and played.steps[number] == steps


def test_an_episode_gives_the_same_whatever_it_is_played_with(tmp_path: Path) -> None:
    task, genomes = made(tmp_path, example(), "reach_batches", "Reach")
    keys = np.arange(70).astype(np.uint64) << np.uint64(40)
    together = task.play(genomes, np.arange(70), keys)
    turned = task.play(genomes, np.arange(70)[::-1], keys[::-1])
    alone = task.play(genomes, np.array([69]), keys[69:])
    assert together.fitness.tobytes() == turned.fitness[::-1].tobytes() and alone.fitness[0] == together.fitness[69]
    assert together.behaviour.tobytes() == turned.behaviour[::-1].tobytes()


def test_a_task_in_pytorch_plays_like_one_in_numpy(tmp_path: Path) -> None:
    text = RIGHT.replace("return self.state", "return torch.as_tensor(self.state)").replace(
        "-np.abs(self.state).sum(axis=1), self.state[:, 0] > 5",
        "torch.as_tensor(-np.abs(self.state).sum(axis=1)), torch.as_tensor(self.state[:, 0] > 5)",
    )
    one, genomes = made(tmp_path, "import torch" + text, "torch_task")
    other, _ = made(tmp_path, RIGHT, "numpy_task")
    items, keys = np.arange(9), np.arange(9).astype(np.uint64) << np.uint64(33)
    assert one.play(genomes, items, keys).fitness.tobytes() == other.play(genomes, items, keys).fitness.tobytes()
    assert one.play(genomes, items, keys).behaviour.shape == (9, 3)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_task_is_one_line_that_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    old, new, says = WRONG[case]
    module = f"wrong_{list(WRONG).index(case)}"
    assert old in RIGHT
    (tmp_path / f"{module}.py").write_text(RIGHT.replace(old, new, 1))
    line = refusal(tmp_path, module)
    assert line.startswith(f"python:{module}:Task") and says in line, line


def test_the_class_these_are_made_of_is_right(tmp_path: Path) -> None:
    task, _ = made(tmp_path, RIGHT, "right")
    assert (task.sensors, task.outputs, task.steps, task.goal, task.shown) == (3, 2, 20, None, 3)


def test_a_class_may_name_its_inputs_and_outputs(tmp_path: Path) -> None:
    named = RIGHT.replace("3, 2, 20", "3, 2, 20; input_names = ('x', 'y', 'z'); output_names = ['left', 'right']")
    task, _ = made(tmp_path, named, "named")
    assert sensor_names(task, Config()) == ["x", "y", "z"] and action_names(task, Config()) == ["left", "right"]
    task, _ = made(tmp_path, RIGHT, "unnamed")
    assert action_names(task, Config()) == ["output_0", "output_1"]


def test_a_module_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path) -> None:
    line = refusal(tmp_path, "nowhere.to.be.found")
    assert f"expected nowhere/to/be/found.py in {tmp_path}, or installed, got no such module" in line


def test_parameters_that_the_class_does_not_take_are_named(tmp_path: Path) -> None:
    (tmp_path / "without.py").write_text(RIGHT)
    line = refusal(tmp_path, "without", "task.parameters.push=2")
    assert "__init__(push=2)" in line and "see task.parameters" in line


def test_parameters_are_numbers_texts_and_truth_values() -> None:
    config = loading.override(Config(), ["task.name=python:m:T", "task.parameters={a: 1, b: two, c: true, d: 0.5}"])
    assert loading.flat(config)["task.parameters.b"] == "two" and loading.from_dict(config.as_dict()) == config
    changed = loading.override(config, ["task.parameters.a=3"])
    assert changed.task.parameters == {"a": 3, "b": "two", "c": True, "d": 0.5}  # type: ignore[attr-defined]
    assert loading.fingerprint(changed) != loading.fingerprint(config)
    for wrong in ("task.parameters=3", "task.parameters={a: [1]}", "task.parameters={a b: 1}", "task.parameters.a.b=1"):
        with pytest.raises(ConfigError, match=r"task\.parameters"):
            loading.override(config, [wrong])


FAILING = RIGHT.replace(
    "        self.state = 0.9",
    """        self.count = self.count + 1 if self.state is not self.first else 1
        if self.count == 12 and (self.state[:, 0] > self.limit).any():
            raise ValueError("too far")
        self.state = 0.9""",
).replace(
    "        return self.state\n", "        self.first, self.limit = self.state, 0.05\n        return self.state\n"
)


def test_only_the_episode_that_raises_fails_and_the_log_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task, genomes = made(tmp_path, FAILING, "failing")
    keys = np.arange(70).astype(np.uint64) << np.uint64(40)
    played = task.play(genomes, np.arange(70), keys)
    failed = np.isnan(played.fitness)
    assert 0 < failed.sum() < 70 and (played.reason[failed] == 2).all() and (played.reason[~failed] != 2).all()
    right, _ = made(tmp_path, RIGHT, "not_failing")
    assert np.array_equal(right.play(genomes, np.arange(70), keys).fitness[~failed], played.fitness[~failed])
    said = capfd.readouterr().err
    assert "python:failing:Task: an episode failed: step(array (64, 2))" in said and "ValueError: too far" in said


def test_only_the_episode_that_shows_nan_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = FAILING.replace(
        '(self.state[:, 0] > self.limit).any():\n            raise ValueError("too far")',
        "True:\n            self.state[self.state[:, 0] > self.limit] = np.nan",
    )
    task, genomes = made(tmp_path, text, "nan_later")
    played = task.play(genomes, np.arange(70), np.arange(70).astype(np.uint64) << np.uint64(40))
    failed = np.isnan(played.fitness)
    assert 0 < failed.sum() < 70 and np.isfinite(played.behaviour[~failed]).all()
    assert "is not finite, seed" in capfd.readouterr().err


def test_a_task_of_an_installed_package_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packaged.py").write_text(example())
    info = tmp_path / "packaged-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: packaged\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[evolab.tasks]\nreach = packaged:Reach\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    families.installed.cache_clear()
    try:
        config = loading.override(Config(), ["task.name=reach", "task.parameters.push=1"])
        task = make(config)
        assert isinstance(task, UserTask) and task.own.push == 1 and families.settled(config) == config
        with pytest.raises(ConfigError, match="did you mean reach"):
            loading.override(Config(), ["task.name=reac"])
    finally:
        families.installed.cache_clear()


def test_a_run_remembers_the_folder_that_it_was_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = families.settled(loading.override(Config(), ["task.name=python:m:T"]))
    assert config.task.folder == str(tmp_path)  # type: ignore[attr-defined]
    monkeypatch.chdir("/")
    assert families.settled(config) == config
