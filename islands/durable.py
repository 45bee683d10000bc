"""The system calls of a durable write in their order, each behind a named point, and what follows when one fails.

An error of the system becomes a DiskError, or a ConfigError where the path cannot be used (`told_in_one_line`).

A failed fsync is never retried on the same file, since the kernel may have dropped what it could not write and say that
all is well the next time. A temporary file is removed. A log whose fsync failed is put into a fresh file as it was
before the append; where the disk does not take that either, it is cut back, and put into a fresh file before this
process appends to it again. A process that ends there leaves a log whose last lines the cache may know and the disk may
not: so whoever goes on from a log that an earlier process has written calls `renew` first, and only then reads it.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from islands import faults
from islands.errors import ConfigError, DiskError, EvolabError
from islands.faults import fault_point

BLOCK = 1 << 16
_DISK = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space in the quota",
    errno.EFBIG: "room for the file",
    errno.EROFS: "a writable file system",
    errno.EIO: "a healthy disk",
}

_doubtful: dict[Path, tuple[int, int]] = {}
"""Logs that an append has failed in and that are not in a fresh file yet: inode, and how many bytes of it are good."""


@contextmanager
def told_in_one_line(path: Path, deed: str) -> Iterator[None]:
    """Turn an OSError into a ConfigError (no permission, no such folder) or a DiskError (everything else)."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        what = f"cannot {deed} {path}"
        if isinstance(error, PermissionError):
            raise ConfigError(what, expected="permission", got=reason, do="choose another directory") from error
        if isinstance(error, (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)):
            raise ConfigError(what, expected="a usable path", got=reason, do="choose another directory") from error
        expected = _DISK.get(error.errno or 0, "a write that works")
        raise DiskError(what, expected=expected, got=reason, do="mend the disk and start again") from error


def is_of_the_disk(error: OSError) -> bool:
    """Whether an error is the disk's (full, read-only, damaged) and not that of the request."""
    return error.errno in _DISK


def sync_folder(folder: Path | str) -> None:
    """Wait until the names in `folder` are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_one(folder: Path, new: bool = False) -> None:
    """Make a folder whose parent is there; `new`: FileExistsError where it is there as well."""
    fault_point("folder.missing")
    folder.mkdir(exist_ok=not new)
    try:
        fault_point("folder.made")
        sync_folder(folder.parent)
    except OSError:
        with suppress(OSError):
            folder.rmdir()  # or it would count as made the next time
        raise


def put(path: Path, parts: Iterable[bytes | memoryview], step: str) -> None:
    """Make `path` hold the `parts`, one after another; `step` begins the names of the points."""
    temporary = path.parent / f".{path.name[:64]}.{uuid.uuid4().hex}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fault_point(f"{step}.begun")
    fd = os.open(temporary, flags, 0o666)
    try:
        try:
            for number, part in enumerate(parts):
                _write_all(fd, part, f"{step}.half-written" if number else f"{step}.created")
            fault_point(f"{step}.written")
            os.fsync(fd)
            fault_point(f"{step}.synced")
        finally:
            os.close(fd)
        fault_point(f"{step}.flushed")
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            fault_point(f"{step}.failed")
            os.unlink(temporary)
        raise
    fault_point(f"{step}.renamed")
    sync_folder(path.parent)
    fault_point(f"{step}.done")


def _write_all(fd: int, data: bytes | memoryview, point: str) -> None:
    view = memoryview(data)
    while True:
        view = view[faults.write(point, fd, view) :]
        if not view:
            return


def append(path: Path, lines: list[str], durable: bool) -> None:
    """Append lines with one write, all of them or none; `durable`: and wait until they are on the disk."""
    for line in lines:
        if "\n" in line:
            raise EvolabError(f"cannot append to {path}", expected="one line", got="several")
    with told_in_one_line(path, "append to"):
        _settle(path)
        new = not path.exists()
        fault_point("append.begun")
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = cut_torn_tail(fd, "append.torn")
            try:
                _add(fd, "".join(line + "\n" for line in lines).encode(errors="surrogateescape"), durable)
                if new and durable:
                    fault_point("append.named")
                    sync_folder(path.parent)
            except OSError:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    _take_back(path, fd, size, durable)
                raise
            fault_point("append.synced")
        finally:
            os.close(fd)
        fault_point("append.done")


def _add(fd: int, data: bytes, durable: bool) -> None:
    _write_all(fd, data, "append.opened")
    if durable:
        fault_point("append.written")
        os.fsync(fd)


def _settle(path: Path) -> None:
    """Do now what could not be done when an append failed."""
    inode, size = _doubtful.get(path, (0, 0))
    if inode and path.exists() and path.stat().st_ino == inode:
        renew(path, size)
    _doubtful.pop(path, None)


def _take_back(path: Path, fd: int, size: int, durable: bool) -> None:
    """Bring a log that could not be appended to back to its first `size` bytes, now or before the next append."""
    _doubtful[path] = (os.fstat(fd).st_ino, size)
    with suppress(OSError):
        if durable:
            renew(path, size)
            return
    with suppress(OSError):
        fault_point("append.failed")
        os.ftruncate(fd, size)
        if not durable:
            del _doubtful[path]


def renew(path: Path, size: int | None = None) -> None:
    """Put the first `size` bytes of a file, or its whole lines, into a fresh one of the same name."""
    with open(path, "rb") as file:
        whole = os.fstat(file.fileno()).st_size
        put(path, _blocks(file, end_of_whole_lines(file.fileno(), whole) if size is None else size), "renew")
    _doubtful.pop(path, None)


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (block := file.read(min(size, 16 * BLOCK))):
        size -= len(block)
        yield block


def cut_torn_tail(fd: int, point: str) -> int:
    """Cut an unterminated last line; the size of what stays."""
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        return info.st_size
    end = end_of_whole_lines(fd, info.st_size)
    if end < info.st_size:
        fault_point(point)
        os.ftruncate(fd, end)
    return end


def end_of_whole_lines(fd: int, size: int) -> int:
    """Where the last whole line of a file of `size` bytes ends."""
    if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
        return size
    end = size
    while end > 0:
        start = max(0, end - BLOCK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
