"""Every durable write of the project goes through here.

A file is either replaced whole (`replace_atomically`, `write_json`), put under a new name (`publish`), moved, marked or
removed, or grown line by line (`append_durably`, `JsonLines`). What these functions have returned from survives a
`kill -9` and a power cut; what they have not returned from is either there whole or not there.

The order is always the same: unique temporary name in the same folder → write → fsync → rename → fsync of the folder.
Each of these calls lies behind a named point, where it can be made to fail: see `islands.faults`;
what happens when one fails says `islands.durable`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from islands import durable
from islands.durable import is_of_the_disk, sync_folder, told_in_one_line
from islands.errors import EvolabError
from islands.faults import fault_point

__all__ = [
    "JsonLines", "append_durably", "append_lines", "cut_torn_tail", "dumps", "is_of_the_disk", "leave_mark",
    "make_folder", "make_new_folder", "move", "publish", "read", "read_json", "read_jsonl", "remove",
    "remove_temporaries", "renew", "replace_atomically", "sync_folder", "tail_jsonl", "told_in_one_line", "write_json",
]  # fmt: skip

_ON_ONE_LINE = json.JSONEncoder(allow_nan=False)


def replace_atomically(path: Path | str, data: bytes | bytearray) -> None:
    """Make `path` hold `data`: readers see the old content or the new one, never a mixture."""
    path = Path(path)
    with told_in_one_line(path, "write"):
        durable.put(path, _halves(data), "replace")


def publish(path: Path | str, data: bytes) -> None:
    """Put `data` under a name that does not exist yet; the name appears once the content is on the disk."""
    path = Path(path)
    if os.path.lexists(path):
        raise EvolabError(f"cannot publish {path}", expected="a new name", got="one that exists")
    with told_in_one_line(path, "write"):
        durable.put(path, _halves(data), "publish")


def move(old: Path | str, new: Path | str) -> None:
    """Give a file another name in the same file system, durably; a file that had it before is gone."""
    old, new = Path(old), Path(new)
    with told_in_one_line(old, "rename"):
        fault_point("move.begun")
        os.replace(old, new)
        fault_point("move.renamed")
        sync_folder(new.parent)


def remove(path: Path | str) -> None:
    """Remove a file if it is there. This is not waited for: a power cut may bring it back."""
    path = Path(path)
    with told_in_one_line(path, "remove"):
        fault_point("remove.begun")
        with suppress(FileNotFoundError):
            os.unlink(path)


def leave_mark(path: Path | str) -> None:
    """Make an empty file where there is none, durably: it takes no room, so that a full disk takes it too."""
    path = Path(path)
    with told_in_one_line(path, "write"):
        fault_point("mark.begun")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
        fault_point("mark.made")
        sync_folder(path.parent)


def append_durably(path: Path | str, line: str) -> None:
    """Append one line and wait until it is on the disk; a torn last line left by a crash is cut off first."""
    durable.append(Path(path), [line], durable=True)


def append_lines(path: Path | str, lines: list[str]) -> None:
    """Append lines with one write, without waiting for the disk; all of them or none."""
    durable.append(Path(path), lines, durable=False)


def renew(path: Path | str) -> None:
    """Put a log's whole lines into a fresh file, so that all that can be read of it is on the disk from then on.

    To be called before anybody acts on what an earlier process has written: that one may have died before its fsync, or
    have seen it fail, and then a line may be in the cache only, which no later fsync of the same file would tell.
    """
    path = Path(path)
    with told_in_one_line(path, "renew"):
        if path.exists():
            durable.renew(path)


def cut_torn_tail(path: Path | str) -> bytes:
    """Cut an unterminated last line off `path`, kept in a file beside it (`.torn`); returns what was cut."""
    path = Path(path)
    with told_in_one_line(path, "mend"):
        fault_point("mend.begun")
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            before = os.fstat(fd).st_size
            torn = os.pread(fd, before, durable.end_of_whole_lines(fd, before))
            if torn:
                replace_atomically(path.with_name(path.name + ".torn"), torn)
                durable.cut_torn_tail(fd, "mend.kept")
                fault_point("mend.cut")
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
        durable.append(self.path, [dumps(record) for record in records], self.durable)


def dumps(value: Any) -> str:
    """JSON on one line; NaN and infinities become null, NumPy numbers plain ones."""
    return _ON_ONE_LINE.encode(_plain(value))


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Replace `path` atomically by `value` as JSON, keys in the order given."""
    replace_atomically(path, (json.dumps(_plain(value), allow_nan=False, indent=1) + "\n").encode())


def read(path: Path | str) -> bytes:
    """The content of a file."""
    path = Path(path)
    with told_in_one_line(path, "read"):
        fault_point("load.begun")
        return path.read_bytes()


def read_json(path: Path | str) -> dict[str, Any]:
    """The JSON object in `path`."""
    return _record(read(path), str(path))


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
    with told_in_one_line(path, "read"), suppress(FileNotFoundError):
        fault_point("load.begun")
        with open(path, "rb") as file:
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
        fault_point("load.begun")
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
        for folder in reversed(missing):
            durable.make_one(folder)
        path.mkdir(exist_ok=True)  # there, unless it is no folder
    return path


def make_new_folder(path: Path | str) -> bool:
    """Make the folder `path` in one that is there, durably; False where something has that name already."""
    path = Path(path)
    with told_in_one_line(path, "make the folder"):
        try:
            durable.make_one(path, new=True)
        except FileExistsError:
            return False
    return True


def remove_temporaries(folder: Path | str) -> int:
    """Remove what writers killed in the middle of a write left in `folder`; only its one writer may call this."""
    removed = 0
    with told_in_one_line(Path(folder), "tidy"):
        for name in os.listdir(folder):
            if name.startswith(".") and name.endswith(".tmp"):
                with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                    fault_point("tidy.found")
                    os.unlink(os.path.join(folder, name))
                    removed += 1
    return removed


def _halves(data: bytes | bytearray) -> tuple[memoryview, memoryview]:
    view = memoryview(data)
    return view[: len(view) // 2], view[len(view) // 2 :]


def _last_lines(fd: int, n: int) -> list[bytes]:
    start = os.fstat(fd).st_size
    blocks: list[bytes] = []
    newlines = 0
    while start > 0 and newlines <= n:
        length = min(durable.BLOCK, start)
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
