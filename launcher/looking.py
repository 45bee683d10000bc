"""`status --watch`: look again when something has changed, not on the clock alone.

watchdog tells of changes on this machine. On a network file system it hears nothing that another host writes, so there
it polls. What it says is a hint and no more: without it the next look comes a little later.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from launcher.mounts import mount_of

AT_MOST_EVERY, AT_LEAST_EVERY = 0.25, 1.0
"""Seconds between two looks."""
_WORTH_A_LOOK = ("heartbeat.json", "result.json", "launcher.json", "error.json", "held.json", "run.json")


class _Bell(FileSystemEventHandler):
    def __init__(self) -> None:
        self.rung = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Something has changed; islands replace their files, so that names appear as destinations too."""
        names = (str(event.src_path), str(getattr(event, "dest_path", "")))
        if any(name.endswith(_WORTH_A_LOOK) for name in names):
            self.rung.set()


_HEARD: list[type[FileSystemEvent]] = [FileMovedEvent]
"""Files that matter are replaced. Of all the rest 128 islands would tell more than a thousand times a second."""


def is_remote(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether changes to `path` may come from where the kernel hears nothing: another host, or a FUSE server."""
    mount = mount_of(path, mountinfo)
    return mount.network or mount.kind.startswith("fuse")


@contextlib.contextmanager
def changes(folders: Sequence[Path]) -> Iterator[Callable[[], None]]:
    """Within, a function that returns when something below `folders` has changed, or after a while."""
    bell = _Bell()
    remote = any(map(is_remote, folders))
    observer: Any = PollingObserver(timeout=1.0) if remote else Observer()
    started = False
    with contextlib.suppress(OSError):  # no watches left: the clock has to do
        for folder in folders:
            if folder.is_dir():
                observer.schedule(bell, str(folder), recursive=True, event_filter=None if remote else _HEARD)
        observer.start()
        started = True

    def wait() -> None:
        began = time.monotonic()
        bell.rung.wait(AT_LEAST_EVERY)
        time.sleep(max(0.0, AT_MOST_EVERY - (time.monotonic() - began)))
        bell.rung.clear()

    try:
        yield wait
    finally:
        if started:
            observer.stop()
            observer.join(2.0)


class Ears:
    """Told by watchdog of what changes in a few folders, not below them. On a network file system it hears nothing."""

    def __init__(self) -> None:
        self._bell = _AnyBell()
        self._observer: Any = Observer()
        self._watches: dict[Path, Any] = {}
        self._deaf = False

    def listen(self, folders: Collection[Path]) -> None:
        """Hear of these folders, and of no others; of those that are there."""
        wanted = {folder for folder in folders if folder.is_dir()}
        for folder in set(self._watches) - wanted:
            with contextlib.suppress(OSError, KeyError):
                self._observer.unschedule(self._watches.pop(folder))
        for folder in wanted - set(self._watches):
            self._hear(folder)

    def wait(self, at_least: float, at_most: float) -> None:
        """Return when something has changed, or `ring` was called, between so many seconds from now."""
        began = time.monotonic()
        self._bell.rung.wait(at_most)
        time.sleep(max(0.0, at_least - (time.monotonic() - began)))
        self._bell.rung.clear()

    def ring(self) -> None:
        """End the wait of whoever waits."""
        self._bell.rung.set()

    def close(self) -> None:
        """Hear nothing more."""
        if self._observer.is_alive():
            self._observer.stop()

    def _hear(self, folder: Path) -> None:
        if self._deaf or is_remote(folder):
            return
        try:
            if not self._observer.is_alive():
                self._observer.start()
            self._watches[folder] = self._observer.schedule(self._bell, str(folder), event_filter=_FOLDERS_HEARD)
        except OSError:  # no watches left: the clock has to do
            self._deaf = True


class _AnyBell(_Bell):
    def on_any_event(self, event: FileSystemEvent) -> None:
        self.rung.set()


_FOLDERS_HEARD: list[type[FileSystemEvent]] = [*_HEARD, DirCreatedEvent, DirDeletedEvent, DirMovedEvent]


Draw = Callable[[Any, int, int], Any]
"""Makes of what was seen a picture, so many characters wide and high."""


def watch(
    look: Callable[[], Any], show: Callable[[Any], None], folders: Sequence[Path], draw: Draw | None = None
) -> None:
    """Show what `look` returns (`show` prints it) whenever something has changed, until Ctrl-C.

    On a terminal it is redrawn in place, on a screen of its own, by `draw` where there is one; into a pipe it is
    printed each time.
    """
    with changes(folders) as wait, _screen(show, draw) as put:
        while True:
            put(look())
            wait()


@contextlib.contextmanager
def _screen(show: Callable[[Any], None], draw: Draw | None) -> Iterator[Callable[[Any], None]]:
    if not sys.stdout.isatty():
        yield lambda seen: print(_printed(show, seen, io.StringIO()), end="", flush=True)
        return
    from rich.live import Live
    from rich.text import Text

    def picture(seen: Any) -> Any:
        if draw:
            return draw(seen, *live.console.size)
        return Text.from_ansi(_printed(show, seen, _Terminal()), no_wrap=True, overflow="ellipsis")

    with Live(screen=True, auto_refresh=False) as live:
        yield lambda seen: live.update(picture(seen), refresh=True)


def _printed(show: Callable[[Any], None], seen: Any, said: io.StringIO) -> str:
    with contextlib.redirect_stdout(said):
        show(seen)
    return said.getvalue()


class _Terminal(io.StringIO):
    """Text that will be put on a terminal, so that tables are made as wide as that."""

    def isatty(self) -> bool:
        """It will be one."""
        return True
