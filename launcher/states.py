"""The states of an island, and of a run, in one word each."""

from __future__ import annotations

from collections.abc import Iterable

PENDING, RUNNING, STALLED, BACKOFF = "PENDING", "RUNNING", "STALLED", "BACKOFF"
HELD, DONE, FAILED, STOPPED = "HELD", "DONE", "FAILED", "STOPPED"
"""PENDING: not started yet. RUNNING: its process lives, starting and compiling included. STALLED: it lives and does not
get on. BACKOFF: it died and is started again, soon or when the disk has room. HELD: it died too often; somebody has to
look. DONE: finished. FAILED: a configuration that cannot work. STOPPED: somebody asked it to; its checkpoint is there.
"""
ALL = (PENDING, RUNNING, STALLED, BACKOFF, HELD, DONE, FAILED, STOPPED)
OVER = frozenset({HELD, DONE, FAILED, STOPPED})
"""Nothing more happens by itself."""

_FIRST = (RUNNING, BACKOFF, STALLED)
_LAST = (HELD, FAILED, STOPPED)


def of_run(states: Iterable[str]) -> str:
    """A run's state, from its islands': what is still going on, or what needs attention most."""
    found = set(states)
    if found == {DONE}:
        return DONE
    return next((state for state in (*_FIRST, *_LAST) if state in found), PENDING)
