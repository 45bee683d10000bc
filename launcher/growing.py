"""A file of lines that grows: what has come to it since the last look, so that nothing is read twice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from islands.files import told_in_one_line


class Growing:
    """The whole lines of a file, each handed out once, in order.

    `anew` is called when the file is another one, or shorter than before: what was read so far is void, and all of it
    comes again. `older`: where the file is put aside when it has grown large; that is no reason to begin anew.
    """

    def __init__(self, path: Path, anew: Callable[[], None], older: Path | None = None) -> None:
        self.path = path
        self._anew, self._older = anew, older
        self._known: tuple[int, int] | None = None
        self._offset = 0

    def fresh(self) -> Generator[bytes]:
        """The lines that have come. An unterminated last line waits until its end is there."""
        now = _stat(self.path)
        if now is None:
            return
        if self._known is None:
            yield from self._of(self._older, 0)
        elif _file(now) != self._known or now.st_size < self._offset:
            yield from self._of_another_file()
        if _file(now) == self._known and now.st_size == self._offset:
            return
        self._known = _file(now)
        yield from self._of(self.path, self._offset)

    def _of_another_file(self) -> Iterator[bytes]:
        put_aside = _stat(self._older) if self._older else None
        if put_aside is not None and _file(put_aside) == self._known:
            yield from self._of(self._older, self._offset)
        else:
            self._anew()
            yield from self._of(self._older, 0)
        self._offset = 0

    def _of(self, path: Path | None, offset: int) -> Iterator[bytes]:
        if path is None:
            return
        with told_in_one_line(path, "read"), contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
            stream.seek(offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                if path == self.path:
                    self._offset += len(line)
                yield line


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _file(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino
