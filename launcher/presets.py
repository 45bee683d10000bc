"""Presets by name: the files in `configs/`, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.tasks.families import settled

_SUFFIXES = (".yaml", ".yml")
_OTHERS = ("machines",)
"""Files beside the presets that are none: `machines.yaml` is what `evolab plan` compares."""


class Preset(NamedTuple):
    """One line of `evolab configs`."""

    name: str
    mode: str
    task: str
    population: int
    description: str


def folder() -> Path:
    """Where the presets lie: inside the package when it came as a wheel, `configs/` beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "_configs", package.parent / "configs"):
        if candidate.is_dir():
            return candidate
    raise ConfigError(
        "no presets found", expected=f"a folder {package.parent / 'configs'}", do="install evolution-lab again"
    )


def names() -> list[str]:
    """The names of all presets, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml") if path.stem not in _OTHERS)


def path_of(name_or_path: str) -> Path:
    """The file behind a preset's name or a path; what ends in .yaml or .yml or holds a slash is a path."""
    if name_or_path.endswith(_SUFFIXES) or "/" in name_or_path:
        return Path(name_or_path).expanduser()
    known = names()
    if name_or_path not in known:
        begun = [name for name in known if name_or_path and name.startswith(name_or_path)]
        near = begun or difflib.get_close_matches(name_or_path, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"valid names: {', '.join(known)}"
        raise ConfigError(f"unknown preset {name_or_path!r}", do=f"{hint} (or give a path that ends in .yaml)")
    return folder() / f"{name_or_path}.yaml"


def resolve(name_or_path: str, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a preset or a file, with `overrides` ("a.b=value") applied and its task settled."""
    config = loading.load(path_of(name_or_path))
    return settled(loading.override(config, overrides) if overrides else config)


def describe_all() -> list[Preset]:
    """What `evolab configs` lists: every preset's name, mode, task, population and one line of description."""
    listed = []
    for name in names():
        config = resolve(name)
        listed.append(Preset(name, config.mode, config.task.name, config.population, config.description))
    return listed
