"""Whether the disk takes what is written: a real write, flushed, where the run writes; and how much room is left."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROBE_EVERY = 2.0
"""Seconds between two probes of a disk that has refused."""
LOOK_EVERY = 10.0
LEAST, SHARE, INODES = 1_000_000_000, 0.02, 1000
"""The low-water mark unless told otherwise: bytes, share of the file system, files that can still be made."""


def probe(folder: Path, size: int = 65536) -> str | None:
    """Write `size` bytes into `folder`, flush and remove them; None if that works, the reason if it does not."""
    path = folder / f".probe.{uuid.uuid4().hex}.tmp"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(b"\0" * size)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return None


def low(folder: Path, mark: float | None) -> str | None:
    """What is scarce in the file system of `folder`, in words; None while there is enough. `mark`: bytes."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    free, whole = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    wanted = max(LEAST, SHARE * whole) if mark is None else mark
    if free < wanted:
        return f"{free / 1e6:.0f} MB left of {whole / 1e6:.0f}, less than {wanted / 1e6:.0f}"
    if mark != 0 and found.f_files and found.f_favail < INODES:
        return f"room for {found.f_favail} more files only"
    return None


@dataclass
class Disk:
    """The folders a run writes to. `refused`: why the disk does not take what is written, as long as it does not."""

    folders: Sequence[Path]
    mark: float | None = None
    refused: str | None = None
    _probed: float = -1e9
    _looked: float = -1e9
    _warned: bool = False

    def try_all(self, now: float, size: int) -> bool:
        """Probe every folder; whether all take it."""
        self._probed = now
        found = ((folder, probe(folder, size)) for folder in self.folders)
        self.refused = next((f"{folder}: {reason}" for folder, reason in found if reason), None)
        return self.refused is None

    def try_again(self, now: float, size: int) -> bool:
        """Probe a disk that has refused, when it is time; whether it has begun to work."""
        return self.refused is not None and now - self._probed >= PROBE_EVERY and self.try_all(now, size)

    def warning(self, now: float) -> str | None:
        """Once each time that space gets scarce: what is."""
        if now - self._looked < LOOK_EVERY:
            return None
        self._looked = now
        scarce = next((f"{folder}: {text}" for folder in self.folders if (text := low(folder, self.mark))), None)
        told, self._warned = self._warned, scarce is not None
        return scarce if scarce and not told else None
