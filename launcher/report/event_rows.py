"""A run's events as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from islands.errors import EvolabError
from islands.rundir import RunDir
from launcher import events
from launcher.report.figures import number
from launcher.utilisation import clock

BAD_EVENTS = frozenset({"restart", "fall-back", "held", "failed", "stall", "disk", "disk-full", "disk-low", "refusals"})
"""Kinds of events that somebody should look at."""


def newest(run: RunDir, count: int) -> list[dict[str, Any]]:
    """The newest events, oldest first; none where they cannot be read."""
    try:
        return events.read(run, count)
    except EvolabError:
        return []


def rows(happened: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each event in words. `after`: time since the first of them; `at`: seconds since 1970; `bad`: look at it."""
    times = [at for event in happened if (at := number(event.get("time"))) is not None]
    began = min(times, default=0.0)
    found = []
    for event in happened:
        at, kind = number(event.get("time")), str(event.get("event"))
        text = event.get("text") or (_exit_text(event) if kind == "exit" else "")
        after = "–" if at is None else clock(at - began)
        bad = kind in BAD_EVENTS or (kind == "exit" and event.get("code") != 0)
        row = {"after": after, "at": at, "island": str(event.get("island") or ""), "event": kind}
        found.append({**row, "text": str(text), "bad": bad})
    return found


def _exit_text(event: Mapping[str, Any]) -> str:
    how = f"signal {event['signal']}" if event.get("signal") else f"exit code {event.get('code', 'unknown')}"
    seconds = number(event.get("seconds"))
    took = "" if seconds is None else f" after {seconds:.4g} s"
    return f"process {event.get('pid')} ended with {how}{took}"
