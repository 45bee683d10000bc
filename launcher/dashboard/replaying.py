"""The champion's replay: recorded when somebody asks for it, one at a time, and kept until a few newer ones come."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from islands.errors import EvolabError, TryAgain
from islands.rundir import RunDir

KEPT = 4
EPISODES = 3
"""Islands whose best is shown beside each other."""


class Replays:
    """Pages with recorded episodes, by a number that nobody guesses."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._pages: OrderedDict[str, bytes] = OrderedDict()

    def record(self, run: RunDir) -> str:
        """Record the run's champion as it is now; the key of the page. Takes a few seconds of one core."""
        from launcher.report import replays

        run.refuse_strangers()
        if not self._busy.acquire(blocking=False):
            raise TryAgain("another champion is being recorded", do="try again in a few seconds")
        try:
            content, _, _ = replays.content(run, EPISODES)
        except ImportError as error:
            raise EvolabError(f"it cannot be played here: {error}") from error
        finally:
            self._busy.release()
        key = secrets.token_urlsafe(16)
        self._pages[key] = content
        while len(self._pages) > KEPT:
            self._pages.popitem(last=False)
        return key

    def page(self, key: str) -> bytes | None:
        """A page that was recorded; None: it is there no more."""
        return self._pages.get(key)
