"""What happened to a run, for people and programs that come later: events.jsonl and joblog.tsv.

Both grow by whole lines and have one writer, the launcher that holds the run. A disk that refuses a line costs nothing:
it waits in memory and is written when the disk works again.
"""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import EvolabError
from islands.rundir import RunDir

FORMAT = 1
LARGEST = 64_000_000
"""Bytes at which a file is put aside as `events.1.jsonl` (`joblog.1.tsv`); one is kept."""
_WAITING = 10_000
HEADER = ("Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command")
"""GNU parallel's columns (`--joblog`). An ending that nobody has seen has Exitval -1."""


class Events:
    """Writes a run's events and its job log."""

    def __init__(self, run: RunDir) -> None:
        self._events = _Lines(run.events)
        self._jobs = _Lines(run.joblog, "\t".join(HEADER))
        self._host = socket.gethostname()
        self._sequence = 0

    def event(self, kind: str, island: str = "", **more: Any) -> None:
        """One event; `island` is "" for the whole run."""
        record = {"format": FORMAT, "time": round(time.time(), 3), "event": kind, "island": island or None, **more}
        self._events.add(files.dumps({key: value for key, value in record.items() if value is not None}))

    def job(self, began: float, seconds: float, code: int | None, command: Sequence[str]) -> None:
        """One process that has ended; `began` is seconds since 1970."""
        self._sequence = (self._sequence or _last_number(self._jobs.path)) + 1
        value = -1 if code is None else max(code, 0)
        number = -code if code is not None and code < 0 else 0
        told = shlex.join(command).replace("\t", " ").replace("\n", " ")
        row = (self._sequence, self._host, f"{began:.3f}", f"{seconds:.3f}", 0, 0, value, number, told)
        self._jobs.add("\t".join(map(str, row)))

    def flush(self) -> None:
        """Try again to write what the disk has refused."""
        self._events.flush()
        self._jobs.flush()


class _Lines:
    """A file of lines that never fails its writer."""

    def __init__(self, path: Path, header: str = "") -> None:
        self.path, self._header = path, header
        self._waiting: deque[str] = deque(maxlen=_WAITING)

    def add(self, line: str) -> None:
        self._waiting.append(line)
        self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        try:
            if self.path.exists() and os.path.getsize(self.path) > LARGEST:
                files.move(self.path, self.path.with_name(f"{self.path.stem}.1{self.path.suffix}"))
            new = [self._header] if self._header and not self.path.exists() else []
            files.append_lines(self.path, [*new, *self._waiting])
        except (OSError, EvolabError):
            return
        self._waiting.clear()


def read(run: RunDir, newest: int | None = None) -> list[dict[str, Any]]:
    """A run's events, oldest first; the `newest` ones only, where that is given."""
    if newest is not None:
        return files.tail_jsonl(run.events, newest)
    return files.read_jsonl(run.events)


def _last_number(path: Path) -> int:
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 65536))
            last = stream.read().splitlines()[-1].split(b"\t")[0]
        return int(last) if last.isdigit() else 0
    except (OSError, IndexError):
        return 0
