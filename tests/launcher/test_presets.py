"""Presets are found by name wherever the package lies, and each gives a reason for every line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from launcher import presets

REPOSITORY = Path(__file__).parents[2]
NAMES = [
    "hybrid_baseline",
    "neat_aggressive",
    "neat_baseline",
    "neat_conservative",
    "neat_minimal",
    "neat_proprio",
    "neat_sparse",
    "pure_baseline",
    "pure_large",
    "pure_optimal",
    "pure_small",
    "quick",
]
PLAIN = ["cartpole", "double_pole", "double_pole_memory", "xor"]
"""Presets of the tasks without bodies."""
FOREIGN = {"digits": "digits", "hopper": "gym:Hopper-v5", "lunar_lander": "gym:LunarLander-v3"}
"""Presets of tasks that come from elsewhere, and these tasks."""
ALL = sorted([*NAMES, *PLAIN, *FOREIGN])


def test_the_presets_are_the_documented_ones() -> None:
    assert presets.names() == ALL


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_loads_and_its_mode_is_the_one_in_its_name(name: str) -> None:
    config = presets.resolve(name)
    assert config.mode == ("neat" if name == "quick" else name.partition("_")[0])
    assert config.population == (60 if name == "quick" else 500)
    assert config.task.name == "pellets"


def test_the_reference_preset_is_the_defaults() -> None:
    config = presets.resolve("neat_baseline")
    assert loading.override(config, ["description="]) == Config()


def test_no_two_presets_are_the_same() -> None:
    configs = {loading.dump(loading.override(presets.resolve(name), ["description="])) for name in ALL}
    assert len(configs) == len(ALL)


@pytest.mark.parametrize("name", PLAIN)
def test_a_preset_of_a_task_without_bodies_loads(name: str) -> None:
    config = presets.resolve(name)
    assert config.mode == "neat" and name.startswith(config.task.name)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_preset_of_a_task_from_elsewhere_loads(name: str) -> None:
    assert presets.resolve(name).task.name == FOREIGN[name]


@pytest.mark.parametrize("name", ALL)
def test_a_preset_gives_a_reason_on_every_line(name: str) -> None:
    lines = presets.path_of(name).read_text(encoding="utf-8").splitlines()
    assert 10 <= len(lines) <= 30
    assert lines[0].startswith("# ")
    for line in lines[1:]:
        key, _, value = line.partition(":")
        is_section = not value.strip()
        assert is_section or key == "description" or "  # " in f" {line}", line


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("neat_basline", "did you mean neat_baseline"),
        ("pure_", "did you mean pure_baseline or pure_large"),
        ("zzz", "valid names: cartpole, digits, double_pole, double_pole_memory, hopper"),
        ("", "unknown preset ''"),
        ("..", "unknown preset '..'"),
        ("NEAT_BASELINE", "unknown preset"),
    ],
)
def test_an_unknown_preset_names_the_nearest(name: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        presets.resolve(name)
    assert says in str(caught.value)


def test_a_path_is_taken_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("population: 33\n")
    (tmp_path / "odd name").write_text("population: 34\n")
    monkeypatch.chdir(tmp_path)
    assert presets.resolve("mine.yaml").population == 33
    assert presets.resolve("./odd name").population == 34
    assert presets.resolve(str(tmp_path / "mine.yaml"), ["population=35"]).population == 35


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        presets.resolve(str(tmp_path / "absent.yaml"))


def test_overrides_win_over_the_preset() -> None:
    config = presets.resolve("quick", ["population=50", "mutation.add_node=1e-3"])
    assert (config.population, config.mutation.add_node, config.generations) == (50, 0.001, 12)


def test_the_list_of_presets_has_a_description_for_each() -> None:
    listed = presets.describe_all()
    assert [preset.name for preset in listed] == ALL
    assert (listed[0].mode, listed[0].task) == ("neat", "cartpole")
    for preset in listed:
        assert 10 < len(preset.description) < 80


def test_an_installed_wheel_carries_the_presets(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "--wheel-dir", tmp_path, REPOSITORY], check=True, capture_output=True, text=True, timeout=180
    )
    (wheel,) = tmp_path.glob("evolution_lab-*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=180)
    code = "from launcher import presets; print(presets.folder()); print(*presets.names())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    listed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
    ).stdout.splitlines()
    assert listed == [str(site / "launcher" / "_configs"), " ".join(ALL)]


def test_every_preset_is_plain_yaml_for_other_tools_too() -> None:
    for name in ALL:
        assert isinstance(yaml.safe_load(presets.path_of(name).read_text(encoding="utf-8")), dict)
