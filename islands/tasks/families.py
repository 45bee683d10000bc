"""Tasks that are named by where they come from: `gym:…`, `csv:…`, `python:…`, and what is read of them beforehand.

Their parameters, the form of their names, and what has to be kept so that a run finds the same task again: a file's
place and content, a module's folder. Nothing here imports Gymnasium, scikit-learn or a user's code.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from islands.config import Config, TaskConfig, number
from islands.errors import ConfigError

GROUP = "evolab.tasks"
"""The entry-point group in which an installed package lists its tasks."""
TARGET = "#target="


@dataclass(frozen=True)
class Gym(TaskConfig):
    """`gym:<EnvId>`: an environment of Gymnasium.

    `steps`: an episode's most; 0: the environment's own limit. `normalise`: observations by the mean and deviation that
    random actions meet, clipped to 10.
    """

    name: str = "gym:"
    steps: int = number(0, 0, 1_000_000)
    normalise: bool = False


@dataclass(frozen=True)
class Supervised(TaskConfig):
    """Rows to learn from. `validation`, `held_out`: shares kept for choosing the champion and for judging it.

    `rows`: how many a genome meets in a generation, drawn anew for each; 0: all of the training part. `split`: the seed
    of the split.
    """

    validation: float = number(0.2, 0.02, 0.4)
    held_out: float = number(0.2, 0.02, 0.4)
    rows: int = number(0, 0, 1_000_000_000)
    split: int = number(0, 0, 2**31 - 1)


@dataclass(frozen=True)
class Digits(Supervised):
    """scikit-learn's 1797 images of handwritten digits, 8 x 8 pixels, ten classes."""

    name: str = "digits"


@dataclass(frozen=True)
class Csv(Supervised):
    """`csv:<file>#target=<column>`: a table with a header. `kind` auto: classes where the target is text, true or
    false, or at most 20 whole numbers. `sha256`: of the file; filled in when a run is made."""

    name: str = "csv:"
    kind: Literal["auto", "classification", "regression"] = "auto"
    sha256: str = ""


@dataclass(frozen=True)
class User(TaskConfig):
    """`python:<module>:<Task>`, or a name from the entry-point group: somebody's own class.

    `parameters` are its arguments; `folder`: where the module is looked for first, filled in when a run is made.
    """

    name: str = "python:"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""


class Family(NamedTuple):
    """What follows a prefix: parameters, how such a name is written, and an example."""

    parameters: type[TaskConfig]
    form: str
    pattern: str
    example: str


FAMILIES = {
    "gym": Family(Gym, "gym:<EnvId>", r"gym:\S+", "gym:CartPole-v1"),
    "csv": Family(Csv, "csv:<file>#target=<column>", r"csv:.+#target=.+", "csv:iris.csv#target=species"),
    "python": Family(User, "python:<module>:<Task>", r"python:[\w.]+:\w+", "python:my_task:MyTask"),
}


def family_of(name: str) -> Family | None:
    """The family that a task's name begins with."""
    prefix, colon, _ = name.partition(":")
    return FAMILIES.get(prefix) if colon else None


@functools.cache
def installed() -> dict[str, importlib.metadata.EntryPoint]:
    """The tasks of installed packages, by name."""
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


def is_foreign(task: TaskConfig) -> bool:
    """Whether a task's rules come from elsewhere, so that only trying tells if it can be played."""
    return isinstance(task, Gym | Supervised | User)


def check(task: TaskConfig) -> None:
    """Refuse a name that is not written as its family's are."""
    family = family_of(task.name)
    if family and not re.fullmatch(family.pattern, task.name):
        raise ConfigError("task.name", expected=family.form, got=repr(task.name), do=f"as in {family.example}")


def table_of(name: str) -> tuple[Path, str]:
    """The file and the target's column that the name of a csv task states."""
    path, _, column = name.removeprefix("csv:").rpartition(TARGET)
    return Path(path).expanduser(), column


def content_of(path: Path) -> bytes:
    """The bytes of a table; a ConfigError where there are none to read."""
    try:
        return path.read_bytes()
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"csv file {path}", expected="a file that can be read", got=got, do="check the path"
        ) from error


def settled(config: Config) -> Config:
    """`config` with what a later process, elsewhere, needs to find the same task: a table's absolute path and its
    digest, the folder of a user's module."""
    task = config.task
    if isinstance(task, Csv):
        path, column = table_of(task.name)
        digest = task.sha256 or hashlib.sha256(content_of(path)).hexdigest()
        task = dataclasses.replace(task, name=f"csv:{path.absolute()}{TARGET}{column}", sha256=digest)
    elif isinstance(task, User) and task.name.startswith("python:"):
        task = dataclasses.replace(task, folder=task.folder or os.getcwd())
    return config if task == config.task else dataclasses.replace(config, task=task)
