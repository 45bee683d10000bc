"""Ctrl-C, SIGTERM and SIGHUP ask for a clean stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def heard(note: Callable[[int], None]) -> Iterator[None]:
    """Within, each of them calls `note` with its number, unless it was ignored when this process started."""
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: note(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
