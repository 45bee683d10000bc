"""A long log at a few places: what a look at it costs does not grow with its length."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from islands import files

_PIECE, _LONGEST = 1 << 12, 1 << 16
"""Bytes read at a place, and at most where a line is longer."""


def generations_at(path: Path, places: int) -> list[dict[str, Any]]:
    """Lines of a metrics file at so many `places` (2 or more), evenly over its bytes, first and last among them.

    In the order of their generations, each once; damaged lines are left out. [] where there is no file.
    """
    found: dict[int, dict[str, Any]] = {}
    texts: list[bytes] = []
    with files.told_in_one_line(path, "read"), suppress(FileNotFoundError), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= places * _PIECE:
            texts = _evenly(file.read(size).split(b"\n")[:-1], places)
        else:
            offsets = (size * place // (places - 1) for place in range(places - 1))
            texts = [*(_line_after(file.fileno(), offset) for offset in offsets), *_last_line(file.fileno(), size)]
    for text in texts:
        line = files.record_in(text)
        if line is not None and isinstance(line.get("generation"), int):
            found[line["generation"]] = line
    return [found[generation] for generation in sorted(found)]


def _evenly(lines: list[bytes], places: int) -> list[bytes]:
    """So many of the `lines`, the first and the last among them."""
    if len(lines) <= places:
        return lines
    return [lines[place * (len(lines) - 1) // (places - 1)] for place in range(places)]


def _line_after(fd: int, offset: int) -> bytes:
    """The first whole line that begins at or after `offset`; b"" where there is none within reach."""
    begin = max(0, offset - 1)  # a line that begins at `offset` follows a line's end
    length = _PIECE
    while True:
        piece = os.pread(fd, length, begin)
        lines = piece.split(b"\n")
        rest = lines if offset == 0 else lines[1:]
        if len(rest) > 1:
            return rest[0]
        if len(piece) < length or length >= _LONGEST:
            return b""
        length *= 4


def _last_line(fd: int, size: int) -> list[bytes]:
    """The last whole line."""
    begin = max(0, size - _LONGEST)
    lines = os.pread(fd, size - begin, begin).split(b"\n")[:-1]
    return lines[-1:] if len(lines) > 1 or begin == 0 else []
