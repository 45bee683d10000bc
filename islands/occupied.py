"""One process an island: a kernel lock in the island's folder, with the holder's identity written into it.

The lock ends with the process. It is what makes two processes of one island impossible, whoever starts them: two
launchers, a shell's loop, systemd.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from islands import process
from islands.errors import TryAgain
from islands.files import told_in_one_line
from islands.rundir import IslandDir

_LARGEST = 4096


def occupy(place: IslandDir) -> int:
    """Take the island for this process; the open lock, to be kept. TryAgain where another process has it."""
    with told_in_one_line(place.lock, "write"):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(place.lock, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            pid = holder(place).get("pid")
            raise TryAgain(
                f"island {place.name}", expected="no other process", got=f"process {pid}", do="wait until it has ended"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps({"format": 1, **process.identity()}) + "\n").encode(), 0)
    return descriptor


def holder(place: IslandDir) -> dict[str, Any]:
    """The identity of the process that took the island last, living or not; {} where nobody says."""
    return _identity(place.lock)


def taken(place: IslandDir, mine: dict[str, Any]) -> bool:
    """Whether a process other than `mine` has taken the island since. A lock on a network disk can be lost."""
    found = holder(place)
    return bool(found) and any(found.get(key) != value for key, value in mine.items())


def _identity(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            found = json.loads(stream.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
