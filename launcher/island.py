"""One island in the place of this process, for whoever wants to supervise islands without the launcher."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from islands import notify
from islands.errors import ConfigError
from launcher.run import find
from launcher.workers import PROGRAM, environment


def become(place: str, program: Sequence[str] = PROGRAM) -> NoReturn:
    """Become the island `RUN:INDEX`: threads limited before it starts, and its exit codes are this process's."""
    name, separator, index = place.rpartition(":")
    if not separator or not index.isdecimal():
        raise ConfigError("island", expected="RUN:INDEX, such as mine:3", got=ascii(place))
    run = find(name)
    spoken_to = {key: os.environ[key] for key in notify.VARIABLES if key in os.environ}
    command = [*program, str(run.path.absolute()), "--island", str(int(index))]
    os.execve(command[0], command, {**environment(int(run.read_plan()["threads"])), **spoken_to})
