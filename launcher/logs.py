"""`evolab logs`: what a run's processes said, all together or one island's, also while it grows."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from islands.log import KEPT
from islands.rundir import RunDir

LOOK_EVERY = 0.25
_LONGEST_LINE = 65536


def places(run: RunDir, island: str | None) -> dict[str, Path]:
    """The logs to show, by the name that their lines get. `island`: its index or name; None: all."""
    if island is not None:
        name = run.entry(island)["name"]
        return {name: run.island(name).log}
    islands = {place.name: place.log for place in run.islands()}
    return {**({"run": run.log} if run.log.exists() else {}), **islands}


def lines(path: Path) -> Iterator[str]:
    """Every line that is kept of a log, the oldest first."""
    for number in range(KEPT - 1, -1, -1):
        part = path.with_name(f"{path.name}.{number}") if number else path
        with contextlib.suppress(FileNotFoundError), open(part, "rb") as stream:
            for line in stream:
                yield _shown(line)


def last(path: Path, newest: int) -> list[str]:
    """The newest lines of a log, from its end alone; [] where there is none."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        start = max(0, stream.seek(0, os.SEEK_END) - _LONGEST_LINE)
        stream.seek(start)
        whole = stream.read().splitlines()
        return [_shown(line) for line in whole[1 if start else 0 :][-newest:]] if newest else []
    return []


def show(run: RunDir, island: str | None, newest: int | None = None) -> None:
    """Print the logs, island by island; the `newest` lines of each only, where that is given."""
    found = places(run, island)
    for name, path in found.items():
        kept = list(lines(path))
        for line in kept if newest is None else kept[-newest:] if newest else []:
            print(_named(name, line, len(found) > 1))


def follow(run: RunDir, island: str | None, newest: int = 10) -> None:
    """Print the newest lines, and every line as it comes, until interrupted. Follows logs that are put aside."""
    tails = {name: _Tail(path) for name, path in places(run, island).items()}
    show(run, island, newest)
    while True:
        for name, tail in tails.items():
            for line in tail.fresh():
                print(_named(name, line, len(tails) > 1))
        sys.stdout.flush()
        time.sleep(LOOK_EVERY)


@dataclass
class _Tail:
    """The end of a file that grows and is put aside now and then."""

    path: Path
    _stream: BinaryIO | None = None
    _rest: bytes = b""
    _begun: bool = field(default=False)

    def __post_init__(self) -> None:
        self._open()
        if self._stream is not None:
            self._stream.seek(0, os.SEEK_END)

    def fresh(self) -> Iterator[str]:
        """The whole lines that have come."""
        yield from self._read()
        if self._moved():
            yield from self._read()  # what came between the last look and the move
            self._open()
            yield from self._read()

    def _read(self) -> Iterator[str]:
        if self._stream is None:
            self._open()
        while self._stream is not None and (data := self._stream.read(_LONGEST_LINE)):
            *whole, self._rest = (self._rest + data).split(b"\n")
            yield from map(_shown, whole)
            if len(self._rest) > _LONGEST_LINE:
                yield _shown(self._rest)
                self._rest = b""

    def _moved(self) -> bool:
        if self._stream is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._stream.fileno()), os.stat(self.path))
        except OSError:
            return False

    def _open(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._rest = None, b""
        with contextlib.suppress(OSError):
            self._stream = open(self.path, "rb")  # noqa: SIM115 it stays open between two looks


def _shown(line: bytes) -> str:
    """A line fit for a terminal: whatever a log holds, it moves no cursor."""
    text = line.decode(errors="replace").rstrip("\r\n")
    return "".join(letter if letter.isprintable() or letter == "\t" else ascii(letter)[1:-1] for letter in text)


def _named(name: str, line: str, several: bool) -> str:
    return f"{name} | {line}" if several else line
