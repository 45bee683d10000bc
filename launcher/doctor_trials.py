"""What evolution relies on, really tried in a folder: rename, fsync, locks, exclusive creation, file times, events.

Each trial uses the files it makes in `Place.room`, which whoever made that folder removes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from islands import files
from launcher.findings import Finding
from launcher.mounts import Mount

SLOW, VERY_SLOW = 0.02, 0.2
"""Seconds of one durable write: every generation makes one or two."""
SKEW = 2.0
"""Seconds by which the disk's clock may differ from this machine's."""
SECONDS = 2.0
"""How long a single check goes on trying."""
REPLACEMENTS, RACES, RACERS = 300, 100, 4


@dataclass(frozen=True)
class Place:
    """The folder that is examined, its file system, and the folder in it that the trials use."""

    folder: Path
    mount: Mount
    room: Path


def rename(place: Place) -> Finding:
    """A file that is replaced again and again while it is read is always there, and always whole."""
    path = place.room / "renamed"
    path.write_bytes(b"0" * 8192)

    def replace() -> None:
        for number in count():
            new = place.room / f"new-{number}"
            new.write_bytes(b"%d" % (number % 10) * 8192)
            os.replace(new, path)

    read, torn, missing = 0, 0, 0
    met, last = 0, b""  # replacements that this process has met, on however busy a machine
    with _forked(replace) as pid:
        deadline = time.monotonic() + SECONDS
        while met < REPLACEMENTS and not _ended(pid) and time.monotonic() < deadline:
            try:
                data = path.read_bytes()
                torn += len(data) != 8192 or len(set(data)) != 1
                met, last = met + (data != last), data
            except FileNotFoundError:
                missing += 1
            read += 1
    if torn or missing:
        do = "readers see half-written files here: use another file system for runs and migration"
        return Finding("atomic rename", "error", f"of {read} reads {torn} torn, {missing} without a file", do)
    return Finding("atomic rename", "ok", f"{read} reads of a file under replacement, each one whole")


def durable_write(place: Place) -> Finding:
    """The time of a durable write as evolution makes it: write, fsync, rename, fsync of the folder."""
    took: list[float] = []
    deadline = time.monotonic() + SECONDS
    while len(took) < 30 and (time.monotonic() < deadline or len(took) < 3):
        began = time.perf_counter()
        files.replace_atomically(place.room / "checkpoint", b"x" * 200_000)
        took.append(time.perf_counter() - began)
    median = statistics.median(took)
    found = (
        f"{median * 1e3:.1f} ms for a durable write of 0.2 MB (median of {len(took)}, worst {max(took) * 1e3:.0f} ms)"
    )
    do = "raise record.checkpoint_seconds, or keep runs on a faster disk"
    if median > VERY_SLOW:
        return Finding("fsync", "warning", found, do)
    return Finding("fsync", "note", found, do) if median > SLOW else Finding("fsync", "ok", found)


def locks(place: Place) -> Finding:
    """A kernel lock keeps a second process out, and ends with the process that holds it."""
    path = place.room / "lock"
    path.touch()
    ready, tell = os.pipe()

    def hold() -> None:
        from filelock import FileLock

        lock = FileLock(path, timeout=0, fallback_to_soft=False)
        lock.acquire()
        os.write(tell, b"!")
        time.sleep(60)

    with _forked(hold) as pid, open(path, "r+b") as stream:
        os.close(tell)
        held = os.read(ready, 1) == b"!"
        os.close(ready)
        if not held:
            return Finding("locks", "error", "a lock could not be had", "this file system has none: use another")
        if _locked(stream.fileno()):
            do = "two launchers could work on one run: use a file system with kernel locks"
            return Finding("locks", "error", "two processes held the same lock", do)
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + SECONDS
        while not _locked(stream.fileno()):
            if time.monotonic() > deadline:
                do = "after a crash a run stays locked until the server notices: use another file system for runs"
                return Finding("locks", "warning", "the lock of a killed process stays held", do)
            time.sleep(0.01)
    return Finding("locks", "ok", "flock keeps a second process out and ends with its holder")


def exclusive_creation(place: Place) -> Finding:
    """Of several processes that create the same name, exactly one succeeds."""
    reader, writer = os.pipe()

    def race() -> None:
        for number in range(RACES):
            with suppress(FileExistsError):
                os.close(os.open(place.room / f"only-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                os.write(writer, b"!")

    with _forked(*[race] * RACERS):
        os.close(writer)
        won = 0
        while data := os.read(reader, 4096):
            won += len(data)
        os.close(reader)
    if won != RACES:
        do = "two islands could take the same name: use another file system for runs and migration"
        return Finding("exclusive creation", "error", f"{won} of {RACES} names were created as the only one", do)
    return Finding("exclusive creation", "ok", f"{RACERS} processes, {RACES} names, one winner each")


def clock_of_files(place: Place) -> Finding:
    """Whether the disk's clock agrees with this machine's."""
    path = place.room / "now"
    before = time.time()
    path.write_bytes(b"now")
    after, stamp = time.time(), path.stat().st_mtime
    skew = max(before - stamp, stamp - after, 0.0)
    if skew > SKEW:
        do = "synchronise the clocks (chrony): ages of other hosts' heartbeats would be wrong"
        return Finding("file times", "warning", f"{skew:.1f} s away from this machine's clock", do)
    return Finding("file times", "ok", f"within {max(skew, 0.01):.2f} s of this machine's clock")


def events(place: Place) -> Finding:
    """Whether watchdog hears of a new file here, or has to look again and again."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    seen = threading.Event()

    class Listener(FileSystemEventHandler):
        def on_created(self, event: FileSystemEvent) -> None:
            seen.set()

    observer = Observer()
    try:
        observer.schedule(Listener(), str(place.room))
        observer.start()
        (place.room / "event").touch()
        heard = seen.wait(SECONDS)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENOSPC):
            raise
        do = "sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288"
        return Finding("events", "note", f"inotify is at its limit ({error.strerror}): looking on polls", do)
    finally:
        with suppress(RuntimeError):
            observer.stop()
            observer.join(SECONDS)
    if place.mount.network:
        do = "nothing to do: looking on polls, and evolution itself never waits for events"
        return Finding("events", "note", "a network disk tells nothing of other hosts' files", do)
    if not heard:
        do = "nothing to do: looking on polls, and evolution itself never waits for events"
        return Finding("events", "note", "inotify is silent here", do)
    return Finding("events", "ok", "inotify tells of new files")


TRIALS: Sequence[tuple[str, Callable[[Place], Finding]]] = [
    ("atomic rename", rename),
    ("fsync", durable_write),
    ("locks", locks),
    ("exclusive creation", exclusive_creation),
    ("file times", clock_of_files),
    ("events", events),
]
"""`events` starts threads, so it comes after those that fork."""


def _locked(descriptor: int) -> bool:
    """Whether the lock was free; then this process holds it now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _forked(*bodies: Callable[[], None]) -> Iterator[int]:
    """Each of `bodies` in a process of its own, killed at the end where it still runs; the first one's number."""
    pids = [_fork(body) for body in bodies]
    try:
        yield pids[0]
    finally:
        for pid in pids:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(30)  # whatever happens to the parent, this one ends
        body()
        os._exit(0)
    finally:
        os._exit(1)


def _ended(pid: int) -> bool:
    """Whether the child has ended; it stays there to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
