"""The island's log, kept small by the process that writes it.

Whoever started the process has pointed its stdout and stderr at a file. When that file has grown, the process moves it
aside and points both at a new one: no line is lost, as lines are when somebody else copies and truncates.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from islands.faults import fault_point

LARGEST = 10_000_000
"""Bytes at which a log is put aside."""
KEPT = 3
"""Files of a log, the one that grows among them."""


def rotate(candidates: Iterable[Path], largest: int = LARGEST) -> bool:
    """Put this process's log aside if it is one of `candidates` and has grown; whether it did. Never fails."""
    with suppress(OSError):
        ours = os.fstat(2)
        if ours.st_size < largest:
            return False
        for path in candidates:
            with suppress(OSError):
                if os.path.samestat(ours, os.stat(path)):
                    return _put_aside(path)
    return False


def _put_aside(path: Path) -> bool:
    fresh = path.with_name(f".{path.name}.fresh")
    fault_point("log.begun")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        for number in range(KEPT - 1, 1, -1):
            with suppress(FileNotFoundError):
                fault_point("log.older")
                os.replace(_older(path, number - 1), _older(path, number))
        fault_point("log.moving")
        os.replace(path, _older(path, 1))
        try:
            fault_point("log.moved")
            os.replace(fresh, path)
        except OSError:
            os.replace(_older(path, 1), path)  # or nobody would know where it is
            raise
        for standard in (1, 2):
            if standard == 2 or os.path.samestat(os.fstat(1), os.fstat(2)):
                os.dup2(descriptor, standard)
    finally:
        os.close(descriptor)
    return True


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
