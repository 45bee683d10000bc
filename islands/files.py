"""Every durable write of the project goes through here.

A file is either replaced whole (`replace_atomically`, `write_json`), put under a
new name (`publish`), or grown line by line (`append_durably`, `JsonLines`). What
these functions have returned from survives a `kill -9` and a power cut; what
they have not returned from is either there whole or not there.

The order is always the same: unique temporary name in the same folder → write →
fsync → rename → fsync of the folder. A failed fsync is never retried on the same
file: the temporary file is removed and the error told.

`fault_point` names each step. `EVOLAB_KILL_AT="publish.renamed:3"` makes the
process kill itself (SIGKILL) at the third passage of that step.
"""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import stat
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from islands.errors import ConfigError, DiskError, EvolabError

_BLOCK = 1 << 16
_DISK = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space in the quota",
    errno.EFBIG: "room for the file",
    errno.EROFS: "a writable file system",
    errno.EIO: "a healthy disk",
}

fault_hits: Counter[str] = Counter()
"""How often this process has passed each named step."""


def fault_point(name: str) -> None:
    """Pass the step `name`; die here by SIGKILL if `EVOLAB_KILL_AT` is `name:passage` (passages count from 1)."""
    fault_hits[name] += 1
    wanted = os.environ.get("EVOLAB_KILL_AT")
    if wanted is not None and wanted == f"{name}:{fault_hits[name]}":
        os.kill(os.getpid(), signal.SIGKILL)


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


def replace_atomically(path: Path | str, data: bytes) -> None:
    """Make `path` hold `data`: readers see the old content or the new one, never a mixture."""
    path = Path(path)
    with told_in_one_line(path, "write"):
        _put(path, data, "replace")


def publish(path: Path | str, data: bytes) -> None:
    """Put `data` under a name that does not exist yet; the name appears once the content is on the disk."""
    path = Path(path)
    if os.path.lexists(path):
        raise EvolabError(f"cannot publish {path}", expected="a new name", got="one that exists")
    with told_in_one_line(path, "write"):
        _put(path, data, "publish")


def append_durably(path: Path | str, line: str) -> None:
    """Append one line and wait until it is on the disk; a torn last line left by a crash is cut off first."""
    _append(Path(path), [line], durable=True)


def append_lines(path: Path | str, lines: list[str]) -> None:
    """Append lines with one write, without waiting for the disk; all of them or none."""
    _append(Path(path), lines, durable=False)


def cut_torn_tail(path: Path | str) -> bytes:
    """Cut an unterminated last line off `path`, kept in a file beside it (`.torn`); returns what was cut."""
    path = Path(path)
    with told_in_one_line(path, "mend"):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            before = os.fstat(fd).st_size
            torn = os.pread(fd, before, _end_of_whole_lines(fd, before))
            if torn:
                replace_atomically(path.with_name(path.name + ".torn"), torn)
                _cut_torn_tail(fd)
                os.fsync(fd)
        finally:
            os.close(fd)
    return torn


class JsonLines:
    """A file of JSON records, one a line, with one writer. `durable`: wait for the disk after every append."""

    def __init__(self, path: Path | str, durable: bool) -> None:
        self.path, self.durable = Path(path), durable

    def append(self, record: dict[str, Any]) -> None:
        """Append one record."""
        self.extend([record])

    def extend(self, records: Iterable[dict[str, Any]]) -> None:
        """Append several records with one write (and one wait for the disk)."""
        _append(self.path, [dumps(record) for record in records], self.durable)


def dumps(value: Any) -> str:
    """JSON on one line; NaN and infinities become null, NumPy numbers plain ones."""
    return json.dumps(_plain(value), allow_nan=False, ensure_ascii=False)


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Replace `path` atomically by `value` as JSON, keys in the order given."""
    replace_atomically(path, (json.dumps(_plain(value), allow_nan=False, indent=1) + "\n").encode())


def read_json(path: Path | str) -> dict[str, Any]:
    """The JSON object in `path`."""
    path = Path(path)
    with told_in_one_line(path, "read"):
        data = path.read_bytes()
    return _record(data, str(path))


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """All records of a file; [] when there is none. An unterminated last line is ignored, damage elsewhere an error."""
    return list(each_jsonl(path))


def each_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    """As `read_jsonl`, one record at a time: a large file needs no more memory than its longest line."""
    for number, line in each_line(path):
        yield _record(line, f"{path}, line {number}")


def each_line(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """Every terminated line of a file with its number, from 1; none where there is no file."""
    path = Path(path)
    with told_in_one_line(path, "read"), suppress(FileNotFoundError), open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, line


def record_in(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line holds; None: it is damaged."""
    try:
        return _record(line, "")
    except EvolabError:
        return None


def is_torn(path: Path | str) -> bool:
    """Whether the last line of a file is unterminated."""
    path = Path(path)
    with told_in_one_line(path, "read"), suppress(FileNotFoundError), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
    return False


def tail_jsonl(path: Path | str, n: int) -> list[dict[str, Any]]:
    """The last `n` records, oldest first; reads the end of the file only. An unterminated last line is ignored."""
    path = Path(path)
    if n <= 0:
        return []
    with told_in_one_line(path, "read"):
        try:
            with open(path, "rb") as file:
                tail = _last_lines(file.fileno(), n)
        except FileNotFoundError:
            return []
    return [_record(line, f"{path}, near its end") for line in tail]


def make_folder(path: Path | str) -> Path:
    """The folder `path`, made with its parents where they are missing, durably."""
    path = Path(path)
    with told_in_one_line(path, "make the folder"):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
    return path


def remove_temporaries(folder: Path | str) -> int:
    """Remove what writers killed in the middle of a write left in `folder`; only its one writer may call this."""
    removed = 0
    with told_in_one_line(Path(folder), "tidy"):
        for name in os.listdir(folder):
            if name.startswith(".") and name.endswith(".tmp"):
                with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                    os.unlink(os.path.join(folder, name))
                    removed += 1
    return removed


def sync_folder(folder: Path | str) -> None:
    """Wait until the names in `folder` are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _put(path: Path, data: bytes, step: str) -> None:
    temporary = path.parent / f".{path.name[:64]}.{uuid.uuid4().hex}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o666)
    try:
        try:
            fault_point(f"{step}.created")
            _write_all(fd, data[: len(data) // 2])
            fault_point(f"{step}.half-written")
            _write_all(fd, data[len(data) // 2 :])
            fault_point(f"{step}.written")
            os.fsync(fd)
        finally:
            os.close(fd)
        fault_point(f"{step}.flushed")
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    fault_point(f"{step}.renamed")
    sync_folder(path.parent)
    fault_point(f"{step}.done")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _append(path: Path, lines: list[str], durable: bool) -> None:
    for line in lines:
        if "\n" in line:
            raise EvolabError(f"cannot append to {path}", expected="one line", got="several")
    with told_in_one_line(path, "append to"):
        new = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = _cut_torn_tail(fd)
            fault_point("append.opened")
            try:
                _write_all(fd, "".join(line + "\n" for line in lines).encode())
            except OSError:
                with suppress(OSError):
                    os.ftruncate(fd, size)
                raise
            fault_point("append.written")
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        if new and durable:
            sync_folder(path.parent)
        fault_point("append.done")


def _cut_torn_tail(fd: int) -> int:
    """Cut an unterminated last line; the size of what stays."""
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        return info.st_size
    end = _end_of_whole_lines(fd, info.st_size)
    if end < info.st_size:
        os.ftruncate(fd, end)
    return end


def _end_of_whole_lines(fd: int, size: int) -> int:
    """Where the last whole line of a file of `size` bytes ends."""
    if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
        return size
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _last_lines(fd: int, n: int) -> list[bytes]:
    start = os.fstat(fd).st_size
    blocks: list[bytes] = []
    newlines = 0
    while start > 0 and newlines <= n:
        length = min(_BLOCK, start)
        start -= length
        blocks.append(os.pread(fd, length, start))
        newlines += blocks[-1].count(b"\n")
    whole = b"".join(reversed(blocks)).split(b"\n")[:-1]
    return whole[-n:]


def _record(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EvolabError(where, expected="a JSON object", got=f"damage ({error})", do="restore the file") from error
    if not isinstance(value, dict):
        raise EvolabError(where, expected="a JSON object", got=type(value).__name__, do="restore the file")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy and torch, without importing either
        return _plain(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
