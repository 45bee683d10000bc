"""Which cores this user's launchers have taken, so that two side by side do not pin their islands to the same ones.

A claim is a kernel lock on a small file in the temporary folder: it ends with the process that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Claimed:
    """What became of a claim: cores claimed here, cores not asked for, cores that others hold."""

    mine: tuple[int, ...]
    free: tuple[int, ...]
    taken: tuple[int, ...]

    @property
    def cpus(self) -> tuple[int, ...]:
        """All cores, those claimed here first, those that others hold last."""
        return (*self.mine, *self.free, *self.taken)


@contextlib.contextmanager
def claimed(cpus: Sequence[int], wanted: int, folder: Path | None = None) -> Iterator[Claimed]:
    """Within, up to `wanted` of `cpus` are claimed. Never fails: where claims cannot be made, none are."""
    folder = folder or Path(tempfile.gettempdir()) / f"evolab-cores-{os.getuid()}"
    with contextlib.ExitStack() as held:
        mine: list[int] = []
        free: list[int] = []
        others: list[int] = []
        usable = _own(folder)
        for cpu in cpus:
            if not usable or len(mine) >= wanted:
                free.append(cpu)
            elif _claim(folder / f"cpu-{cpu}", held):
                mine.append(cpu)
            else:
                others.append(cpu)
        yield Claimed(tuple(mine), tuple(free), tuple(others))


def _own(folder: Path) -> bool:
    """Whether `folder` is ours alone (made now if need be); anything else in its place is left untouched."""
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        info = os.lstat(folder)
        return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o022
    return False


def _claim(path: Path, held: contextlib.ExitStack) -> bool:
    """Lock `path` until `held` is closed; False when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    held.callback(os.close, descriptor)
    return True
