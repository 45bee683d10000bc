"""`--tensorboard DIR`: figures of every generation as TensorBoard's scalars, written while a run goes on.

Written by the launcher from the islands' metrics, never by the islands. TensorBoard's own `Writer` keeps a thread and
an open file for each folder; with a folder an island, that is 128 of both. So its `RecordWriter` and its protocol
buffers are used without it: one event a generation with all its values, appended to a file that is open meanwhile only.

What has been written is known from the event files themselves: a later sitting starts a file of its own, as TensorBoard
expects, after the last whole record of the earlier ones.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import ConfigError, EvolabError
from islands.rundir import IslandDir, RunDir
from launcher.growing import Growing

TAGS = {
    "best": "fitness/best",
    "mean": "fitness/mean",
    "species": "population/species",
    "diversity": "population/diversity",
    "nodes": "structure/nodes",
    "connections": "structure/connections",
    "seconds": "time/seconds_a_generation",
}
ADMITTED = "migration/admitted"
A_TICK, IN_THE_END = 0.1, 60.0
"""Seconds that a look may take, and the last one."""
AGAIN = 30.0
"""Seconds after which a disk that refused is tried again."""
_BLOCK = 50
"""Lines that are read at a time."""
_NUMBERS = itertools.count()


def check(folder: Path) -> None:
    """Refuse what cannot work, before anything is written."""
    if not _installed():
        do = "pip install 'evolution-lab[tensorboard]'"
        raise ConfigError("--tensorboard", expected="the package tensorboard", got="none", do=do)
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    if there.exists() and not there.is_dir():
        raise ConfigError("--tensorboard", expected="a folder", got=f"the file {there}", do="name another")


def _installed() -> bool:
    with contextlib.suppress(ValueError):  # known to be missing
        return importlib.util.find_spec("tensorboard") is not None
    return False


class Scalars:
    """Follows the metrics of a run's islands; `tell` hears of a disk that refuses, which is no reason to stop."""

    def __init__(self, folder: Path, run: RunDir, tell: Callable[[str], None]) -> None:
        self._folder, self._tell = folder / run.path.absolute().name, tell
        self._islands = [_Follower(island, self._folder / island.name) for island in run.islands()]
        self._next, self._not_before, self._told = 0, 0.0, False

    def write(self, seconds: float = A_TICK) -> None:
        """Write what is new, for so long at most; where it ends the next call goes on."""
        end, idle = time.monotonic() + seconds, 0
        if time.monotonic() < self._not_before:
            return
        while idle < len(self._islands) and time.monotonic() < end:
            follower = self._islands[self._next]
            self._next = (self._next + 1) % len(self._islands)
            try:
                idle = 0 if follower.advance() else idle + 1
            except (OSError, EvolabError) as error:
                self._refused(follower, error)
                return

    def close(self) -> None:
        """Write the rest."""
        self.write(IN_THE_END)

    def _refused(self, follower: _Follower, error: Exception) -> None:
        follower.forget()
        self._not_before = time.monotonic() + AGAIN
        if not self._told:
            self._told = True
            self._tell(f"warning: nothing for TensorBoard at the moment, the run goes on: {error}")


class _Follower:
    """One island: what has come to its metrics, and the last step that its event files have."""

    def __init__(self, island: IslandDir, folder: Path) -> None:
        self._metrics, self._folder = island.metrics, folder
        self.forget()

    def forget(self) -> None:
        """Start over: with a file of its own, after the last record that is whole."""
        self._lines = Growing(self._metrics, lambda: None)
        self._file: Path | None = None
        self._last = -1

    def advance(self) -> bool:
        """Read on by a block and write what it has; whether there was anything."""
        with contextlib.closing(self._lines.fresh()) as fresh:
            lines = list(itertools.islice(fresh, _BLOCK))
        if not lines:
            return False
        if self._file is None:
            self._begin()
        events = []
        for line in filter(None, map(files.record_in, lines)):
            if isinstance(line.get("generation"), int) and line["generation"] > self._last:
                self._last = line["generation"]
                events.append(_event(line))
        self._append(events)
        return True

    def _begin(self) -> None:
        files.make_folder(self._folder)
        self._last = max((_last_step(path) for path in self._folder.glob("events.out.tfevents.*")), default=-1)
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS):05}"
        self._file = self._folder / name

    def _append(self, events: list[bytes]) -> None:
        """Append records, all of them or none."""
        if not events or self._file is None:
            return
        from tensorboard.summary.writer.record_writer import RecordWriter

        framed = io.BytesIO()
        writer = RecordWriter(framed)
        for event in events if self._file.exists() else [_first_event(), *events]:
            writer.write(event)
        with open(self._file, "ab", buffering=0) as file:
            size = file.tell()
            try:
                written = file.write(framed.getbuffer())
                if written != framed.getbuffer().nbytes:
                    raise OSError(f"cannot append to {self._file}: no room")
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise


def _event(line: dict[str, Any]) -> bytes:
    """A generation as an event."""
    from tensorboard.compat.proto import event_pb2, summary_pb2

    found = {tag: line.get(key) for key, tag in TAGS.items()}
    if isinstance(line.get("admitted"), list):
        found[ADMITTED] = len(line["admitted"])
    values = [
        summary_pb2.Summary.Value(tag=tag, simple_value=float(value))
        for tag, value in found.items()
        if isinstance(value, int | float)
    ]
    told = line.get("time")
    at = float(told) if isinstance(told, int | float) else time.time()
    event = event_pb2.Event(wall_time=at, step=line["generation"], summary=summary_pb2.Summary(value=values))
    return bytes(event.SerializeToString())


def _first_event() -> bytes:
    """What every event file begins with."""
    from tensorboard.compat.proto import event_pb2

    return bytes(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())


def _last_step(path: Path) -> int:
    """The step of the last whole record that has values; -1 where there is none."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    last = b""
    for record in _records(path):
        last = record
    try:
        event = event_pb2.Event.FromString(last)
    except DecodeError:
        return -1
    return int(event.step) if event.HasField("summary") else -1


def _records(path: Path) -> Iterator[bytes]:
    """The whole records: length (8 bytes), its checksum (4), so many bytes, their checksum (4)."""
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size
        while len(head := file.read(12)) == 12:
            (length,) = struct.unpack("<Q", head[:8])
            left -= 16 + length
            if left < 0:
                return
            yield file.read(length)
            file.seek(4, os.SEEK_CUR)
