"""An outbox folder, open and locked: listing it, reading a publication from it, moving a bad one out of it.

Names are looked up relative to the open folder, symlinks are not followed, nothing but a regular file of legal size
is opened, and a FIFO cannot block. What is wrong with a file is a reason (`Refused`), never another exception.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout, UnixFileLock

from islands.errors import ConfigError, TryAgain
from islands.faults import fault_point
from islands.publication import FURTHEST_GENERATION, Header, Name, Refused, decode

QUARANTINED = 64
"""So many refused files are kept; the oldest goes first."""
LISTED = 2048
"""A folder of more entries is flooded: so many of them are looked at, and others when these have been moved away."""
LARGEST = 1 << 26
"""A publication's size in bytes where nobody says better."""
_SOON, _LATEST = 0.001, 0.064
"""Seconds from one try at a lock to the next: twice as many each time. Among more islands than cores its holder often
waits for a core, and whoever tries on and on takes it from him."""
_LOCKS = 256
"""So many locks that were held last are not made again."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Skipped(TryAgain):
    """This migration cannot take place; evolution goes on without it."""


class LockTimeout(Skipped):
    """An outbox's lock could not be had in time."""


class Superseded(Skipped):
    """A newer incarnation of the same island has published; this one no longer may."""


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the kernel lock on `path` (made where missing, never deleted); LockTimeout after `timeout` seconds."""
    lock = _lock_on(os.fspath(path), os.getpid())
    try:
        if lock.is_locked:  # filelock would count it
            raise Timeout(os.fspath(path))
        _acquire(lock, timeout)
    except Timeout as error:
        raise LockTimeout(f"lock {path}", expected=f"it within {timeout} s", got="held by another process") from error
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise ConfigError(f"lock {path}", expected="a file system with kernel locks", got="one without") from error
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV):  # somebody put something else there
            raise LockTimeout(f"lock {path}", expected="a file that can be locked", got=str(error.strerror)) from error
        raise
    try:
        yield
    finally:
        lock.release()


@lru_cache(maxsize=_LOCKS)
def _lock_on(path: str, _process: int) -> BaseFileLock:
    """The lock of that path in that process, a hold of it for each thread; making one is a third of its cost."""
    lock: BaseFileLock = FileLock(path, timeout=0, fallback_to_soft=False)
    if not isinstance(lock, UnixFileLock):
        raise ConfigError("migration", expected="a system with kernel file locks", got=type(lock).__name__)
    return lock


def _acquire(lock: BaseFileLock, timeout: float) -> None:
    deadline, pause = time.monotonic() + timeout, _SOON
    while True:
        try:
            lock.acquire()
            return
        except Timeout:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LATEST)


@dataclass(frozen=True)
class OpenOutbox:
    """An outbox whose lock this process holds: `fd` is the folder's, `quarantine` the path of the pool's."""

    fd: int
    island: str
    pool_id: str
    quarantine: Path

    def names(self, tidy: bool = False) -> list[str]:
        """What is in the folder, at most LISTED, but for what begins with a dot (lock, temporary files), sorted.

        `tidy`: remove what writers killed in the middle of a write left, as far as the folder is looked at.
        """
        found: list[str] = []
        temporaries: list[str] = []
        with os.scandir(self.fd) as entries:
            for entry in entries:
                name = entry.name
                if not name.startswith("."):
                    found.append(name)
                    if len(found) == LISTED:
                        break
                elif tidy and name.endswith(".tmp") and len(temporaries) < LISTED:
                    temporaries.append(name)
        for name in temporaries:
            with suppress(OSError):
                fault_point("tidy.found")
                os.unlink(name, dir_fd=self.fd)
        return sorted(found)

    def load(self, text: str, largest: int, reader: str = "") -> tuple[Header, list[bytes]]:
        """The publication called `text`, verified against its name, its island and the pool; Refused otherwise.

        `reader`: the island that reads, which must not get its own genomes back from another's outbox.
        """
        name = Name.parse(text)
        if name is None:
            raise Refused("name")
        if name.generation > FURTHEST_GENERATION:
            raise Refused("future")
        header, genomes = self._read(text, largest)
        if header.pool_id != self.pool_id:
            raise Refused("other-run")
        if header.island == reader:
            raise Refused("own")
        if header.generation != name.generation:
            raise Refused("future")
        if header.island != self.island or (header.epoch, header.sequence) != (name.epoch, name.sequence):
            raise Refused("name")
        if header.name() != name:
            raise Refused("digest")
        return header, genomes

    def _read(self, text: str, largest: int) -> tuple[Header, list[bytes]]:
        try:
            _check_kind(os.stat(text, dir_fd=self.fd, follow_symlinks=False))
            fault_point("read.stat")
            fd = os.open(text, _FILE, dir_fd=self.fd)
            with os.fdopen(fd, "rb") as file:
                fault_point("read.opened")
                status = os.fstat(fd)
                _check_kind(status)
                found = decode(file, status.st_size, largest)
        except FileNotFoundError as error:
            raise Refused("gone") from error
        except OSError as error:
            raise Refused("symlink" if error.errno == errno.ELOOP else "unreadable") from error
        fault_point("read.decoded")
        return found

    def move_to_quarantine(self, text: str, reason: str) -> bool:
        """Move a refused entry out of the outbox; False where it has to stay (a folder, no permission)."""
        readable = re.sub(r"[^A-Za-z0-9._-]", "_", text, flags=re.ASCII)[:80]
        target = f"{time.time_ns():020d}-{self.island}-{reason}-{readable}"[:240]
        try:
            if stat.S_ISDIR(os.stat(text, dir_fd=self.fd, follow_symlinks=False).st_mode):
                return False
            folder = os.open(self.quarantine, _FOLDER)
        except OSError:
            return False
        try:
            fault_point("quarantine.moving")
            os.rename(text, target, src_dir_fd=self.fd, dst_dir_fd=folder)
            fault_point("quarantine.moved")
            for name in sorted(os.listdir(folder))[:-QUARANTINED]:
                with suppress(OSError):
                    fault_point("quarantine.full")
                    os.unlink(name, dir_fd=folder)
        except OSError:
            return False
        finally:
            os.close(folder)
        return True


@contextmanager
def opened(path: Path, pool_id: str, quarantine: Path, timeout: float) -> Iterator[OpenOutbox]:
    """Open and lock the outbox folder `path`; OSError where that cannot be, LockTimeout where it stays locked."""
    fault_point("outbox.begun")
    fd = os.open(path, _FOLDER)
    try:
        fault_point("outbox.opened")
        with locked(path / ".lock", timeout):
            fault_point("outbox.locked")
            yield OpenOutbox(fd, path.name, pool_id, quarantine)
            fault_point("outbox.leaving")
    finally:
        os.close(fd)


def newest_first(texts: Iterable[str]) -> list[Name]:
    """The publications among these names by what they say, the highest sequence number first."""
    names = filter(None, map(Name.parse, texts))
    return sorted(names, key=lambda name: (name.sequence, name.epoch), reverse=True)


def is_good(outbox: OpenOutbox, name: Name, largest: int = LARGEST) -> bool:
    """Whether the outbox's own writer would trust that publication; a bad one goes to quarantine."""
    try:
        outbox.load(str(name), largest)
    except Refused as error:
        outbox.move_to_quarantine(str(name), error.reason)
        return False
    return True


def _check_kind(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise Refused("symlink")
    if not stat.S_ISREG(status.st_mode):
        raise Refused("not-a-file")
