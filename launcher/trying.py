"""Whether a task that comes from elsewhere can be loaded, found out in a process of its own before a run begins."""

from __future__ import annotations

import subprocess
import sys

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.tasks.families import is_foreign
from launcher.workers import environment

PATIENCE = 120.0
"""Seconds that loading a task may take."""


def refuse_unplayable(config: Config, patience: float = PATIENCE) -> None:
    """A ConfigError if the configuration's task cannot be loaded; nothing is tried where the task is our own."""
    if not is_foreign(config.task):
        return
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "islands.tasks.trial"],
            input=loading.dump(config),
            env=environment(1),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        do = "look for a loop without an end in it"
        raise ConfigError(
            config.task.name, expected=f"loaded and tried in {patience:g} s", got="still at it", do=do
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"its trial ended with exit code {done.returncode}"]
        if done.returncode == ConfigError.exit_code:
            raise ConfigError(lines[-1])
        raise ConfigError(config.task.name, expected="a task that can be loaded", got=lines[-1])
