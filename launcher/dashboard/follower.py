"""Looks at what open pages show, at most twice a second, and hands what is new to all of them.

No page open: no look. Looking takes a bounded part of a core: the larger what is shown, the longer the time between two
looks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import EvolabError
from launcher.looking import Ears

AT_MOST_EVERY, QUIET_EVERY = 0.5, 2.0
"""Seconds between two looks: where something is at work, and where nothing is."""
SHARE = 16.0
"""So many times what a look took passes before the next one: a sixteenth of a core."""
KEPT = 30.0
"""Seconds that what was seen is kept after its last page has been closed."""


@dataclass
class Topic:
    """Something that pages show. `look`: its JSON; `folders`: where to listen; `busy`: whether it changes by itself."""

    look: Callable[[], dict[str, Any]]
    folders: Callable[[], Collection[Path]]
    busy: Callable[[dict[str, Any]], bool]
    extra: Any = None
    """What belongs to it and lives as long."""
    listeners: int = 0
    left: float = 0.0
    seen: bytes = b""
    number: int = 0


class Follower:
    """One thread that looks. `make`: the topic of an address, None where there is nothing."""

    def __init__(self, make: Callable[[tuple[str, ...]], Topic | None]) -> None:
        self._make = make
        self._topics: dict[tuple[str, ...], Topic] = {}
        self._news = threading.Condition()
        self._ears = Ears()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="looks", daemon=True)
        self._thread.start()

    def topic(self, address: tuple[str, ...]) -> Topic | None:
        """The topic of an address, made where there is none yet."""
        with self._news:
            found = self._topics.get(address)
            if found is None and (found := self._make(address)) is not None:
                found.left = time.monotonic()
                self._topics[address] = found
            return found

    @contextmanager
    def listening(self, topic: Topic) -> Iterator[Callable[[float], bytes | None]]:
        """Within, a function that waits for the next thing seen: its JSON, or None after so many seconds."""
        number = 0

        def following(within: float) -> bytes | None:
            nonlocal number
            with self._news:
                self._news.wait_for(lambda: self._over or topic.number > number, within)
                if topic.number == number or self._over:
                    return None
                number = topic.number
                return topic.seen

        with self._news:
            topic.listeners += 1
            if topic.listeners == 1:
                number = topic.number  # what was seen before is old
            self._news.notify_all()
        self._ears.ring()
        try:
            yield following
        finally:
            with self._news:
                topic.listeners -= 1
                topic.left = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether it was closed."""
        return self._over

    def close(self) -> None:
        """Look no more; whoever listens hears nothing more."""
        with self._news:
            self._over = True
            self._news.notify_all()
        self._ears.ring()
        self._ears.close()

    def _run(self) -> None:
        while not self._over:
            with self._news:
                self._news.wait_for(lambda: self._over or any(t.listeners for t in self._topics.values()), KEPT)
                self._forget()
                topics = [topic for topic in self._topics.values() if topic.listeners]
            if topics and not self._over:
                self._round(topics)

    def _forget(self) -> None:
        old = time.monotonic() - KEPT
        for address, topic in list(self._topics.items()):
            if not topic.listeners and topic.left < old:
                del self._topics[address]

    def _round(self, topics: list[Topic]) -> None:
        began, busy = time.thread_time(), False
        folders: set[Path] = set()
        for topic in topics:
            busy |= self._look(topic)
            folders |= set(topic.folders())
        self._ears.listen(folders)
        spent = time.thread_time() - began
        at_least = max(AT_MOST_EVERY, SHARE * spent)
        self._ears.wait(at_least, at_least if busy else max(at_least, QUIET_EVERY))

    def _look(self, topic: Topic) -> bool:
        try:
            value = topic.look()
            busy = topic.busy(value)
        except (EvolabError, OSError) as error:
            value, busy = {"gone": str(error)}, False
        except Exception as error:  # whatever lies in the files: the page goes on and says so
            value, busy = {"gone": f"it cannot be read: {error!r}"}, False
        data = dumps(value)
        if data != topic.seen or not topic.number:
            with self._news:
                topic.seen, topic.number = data, topic.number + 1
                self._news.notify_all()
        return busy


def dumps(value: Any) -> bytes:
    """JSON that every browser reads, whatever numbers the files hold."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return files.dumps(value).encode()
