"""Each task has its own parameters: another's are refused, never ignored."""

from __future__ import annotations

import re

import pytest

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.tasks import NAMES, PARAMETERS
from launcher import presets


def refusal(*assignments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loading.override(Config(), assignments)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_of_every_task_dumps_and_loads_as_itself(name: str) -> None:
    config = loading.override(Config(), [f"task.name={name}"])
    assert loading.from_dict(config.as_dict()) == config and type(config.task) is PARAMETERS[name]
    keys = [key.name for key in loading.keys(name) if key.name.startswith("task.")]
    assert keys == [f"task.{key}" for key in config.as_dict()["task"]]


def test_another_tasks_parameter_is_refused_and_its_owner_named() -> None:
    with pytest.raises(ConfigError) as caught:
        loading.from_dict({"task": {"name": "cartpole", "duration": 3.0}})
    assert str(caught.value).startswith("task.duration: unknown key of the task cartpole; pellets has it; valid here: ")
    assert "task.steps" in str(caught.value)


def test_a_misspelt_parameter_names_the_nearest_of_its_own_task() -> None:
    assert "did you mean task.velocities?" in refusal("task.name=double_pole", "task.velocites=false")
    assert "did you mean task.bits?" in refusal("task.bit=3", "task.name=parity")


def test_a_misspelt_task_names_the_nearest() -> None:
    assert "did you mean cartpole?" in refusal("task.name=cart_pole")


def test_bounds_hold_for_every_tasks_parameters() -> None:
    assert "task.bits: expected a whole number from 2 to 10, got 11" in refusal("task.name=parity", "task.bits=11")


def test_another_task_takes_its_own_defaults_in_whatever_order_it_is_said() -> None:
    one = loading.override(Config(), ["task.steps=70", "task.name=cartpole"])
    assert one == loading.override(Config(), ["task.name=cartpole", "task.steps=70"])


def test_to_turn_a_preset_to_another_task_is_refused_where_its_own_parameters_would_be_lost() -> None:
    config = loading.override(Config(), ["task.duration=3"])
    with pytest.raises(ConfigError, match="sets no parameter of the task pellets, got task.duration"):
        loading.override(config, ["task.name=xor"])
    assert loading.override(config, ["task.name=pellets"]) == config


@pytest.mark.parametrize("name", NAMES[1:])
def test_hybrid_needs_a_body_and_neat_and_pure_do_not(name: str) -> None:
    line = refusal(f"task.name={name}", "mode=hybrid")
    assert line.startswith(f"mode: expected neat or pure for the task {name}, got hybrid")
    assert loading.override(Config(), [f"task.name={name}", "mode=pure"]).mode == "pure"


@pytest.mark.parametrize("path", sorted((presets.folder() / "papers").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_papers_preset_loads_and_gives_its_reasons(path) -> None:  # type: ignore[no-untyped-def]
    assert presets.resolve(str(path)).description
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    for line in lines[1:]:
        key, _, value = line.partition(":")
        assert not value.strip() or key == "description" or line.startswith("#") or "  # " in line, line


def test_every_row_of_the_papers_has_its_preset() -> None:
    source = (presets.folder().parent / "scripts" / "papers.py").read_text(encoding="utf-8")
    rows = re.findall(r'^    "(\w+)": Row\(', source, re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in (presets.folder() / "papers").glob("*.yaml"))
