"""What a person sees while a run goes on, all of it on stderr: live lines on a terminal, plain ones when piped."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from islands import files
from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher import utilisation
from launcher.states import DONE, OVER, PENDING, RUNNING
from launcher.status import generations_done
from launcher.terminal import Lines, Redrawn

EVERY = 10.0
"""Seconds between plain lines of one island."""
FIRST = 2.0
_BAD = ("warning", "died", "failed", "held", "stalled", "paused")
CROWD = 16
"""More islands than this share one plain line."""


@dataclass
class Row:
    """One island as seen from outside: `done` of `generations`; `quiet_seconds` counts on the launcher's own clock."""

    name: str
    state: str = PENDING
    starting: bool = False
    done: int = 0
    generations: int = 0
    best: float | None = None
    seconds_per_generation: float | None = None
    quiet_seconds: float = 0.0


@dataclass
class _Trace:
    """What the follower remembers of an island between two looks."""

    beat: dict[str, Any] = field(default_factory=dict)
    seen: float = 0.0
    passed: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=12))


class Follower:
    """Reads the heartbeats of `islands`; the pace is measured here, over the last dozen generations seen."""

    def __init__(self, islands: Sequence[IslandDir], generations: int) -> None:
        self._islands, self._generations = list(islands), generations
        self._traces = {island.name: _Trace(seen=time.monotonic()) for island in islands}

    def rows(self, workers: Mapping[str, tuple[str, int | None]]) -> list[Row]:
        """One row an island; `workers` gives an island's state (see `launcher.states`) and its process's number."""
        now = time.monotonic()
        return [self._row(island, *workers.get(island.name, (DONE, None)), now) for island in self._islands]

    def _row(self, island: IslandDir, state: str, pid: int | None, now: float) -> Row:
        trace = self._traces[island.name]
        with contextlib.suppress(OSError, EvolabError):
            beat = files.read_json(island.heartbeat)
            if beat != trace.beat:
                self._note(trace, beat, now)
        beat = trace.beat
        starting = state == RUNNING and (beat.get("pid") != pid or beat.get("state", "starting") == "starting")
        pace = None
        if len(trace.passed) > 1:
            (then, first), (last_time, last) = trace.passed[0], trace.passed[-1]
            pace = (last_time - then) / max(1, last - first)
        return Row(
            name=island.name,
            state=state,
            starting=starting,
            done=generations_done(beat),
            generations=int(beat.get("generations") or self._generations),
            best=beat.get("best"),
            seconds_per_generation=pace,
            quiet_seconds=now - trace.seen,
        )

    @staticmethod
    def _note(trace: _Trace, beat: dict[str, Any], now: float) -> None:
        if beat.get("pid") != trace.beat.get("pid"):
            trace.passed.clear()
        elif beat.get("generation") != trace.beat.get("generation"):
            trace.passed.append((now, generations_done(beat)))
        trace.beat, trace.seen = beat, now


class Progress(Protocol):
    """Shows events and states to a person."""

    def event(self, island: str, text: str) -> None:
        """Something happened to an island ("" for the run)."""

    def update(self, rows: Sequence[Row], footer: str) -> None:
        """The present state of all islands."""

    def close(self) -> None:
        """The run is over."""


class PlainProgress(Lines):
    """Lines on stderr: every event at once, every island's state now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._next = self.began + FIRST

    def event(self, island: str, text: str) -> None:
        """Print the event."""
        self.say(f"{island or 'run'}: {text}")

    def update(self, rows: Sequence[Row], footer: str) -> None:
        """Print the rows when their time has come; one line for all of them when they are many."""
        if time.monotonic() < self._next:
            return
        self._next = max(self._next + EVERY, time.monotonic())
        if len(rows) > CROWD:
            self.event("", crowd(rows))
        else:
            for row in rows:
                if row.state not in OVER:
                    self.event(row.name, words(row))


class LiveProgress(Redrawn):
    """One line an island, redrawn in place; events scroll past above."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def event(self, island: str, text: str) -> None:
        """Print the event above the live lines."""
        self.say(f"{island or 'run'}: {text}", warns=text.startswith(_BAD))

    def update(self, rows: Sequence[Row], footer: str) -> None:
        """Redraw, twice a second at most."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.5
        from rich.text import Text

        room = max(3, self.height - 5)
        lines = [f"{row.name:<12.24} {words(row)}" for row in rows[:room]]
        if len(rows) > room:
            lines.append(f"… and {len(rows) - room} more: {crowd(rows)}")
        self.draw(lines, Text(footer))


def words(row: Row) -> str:
    """An island's state in one phrase."""
    if row.starting:
        return "starting (imports, compiled kernels)"
    text = f"generation {row.done}/{row.generations}"
    if row.best is not None:
        text += f"  best {row.best:.4g}"
    if row.seconds_per_generation is not None:
        text += f"  {row.seconds_per_generation:.2g} s/generation"
    return text if row.state == RUNNING else f"{text}  {row.state}"


def crowd(rows: Sequence[Row]) -> str:
    """Many islands in one phrase."""
    shown = ["starting" if row.starting else row.state for row in rows]
    counts = {state: shown.count(state) for state in dict.fromkeys(shown)}
    bests = [row.best for row in rows if row.best is not None]
    done = sum(row.done for row in rows)
    text = ", ".join(f"{count} {state}" for state, count in counts.items())
    text += f"; {done}/{sum(row.generations for row in rows)} generations"
    return text + (f"; best {max(bests):.4g}" if bests else "")


@contextlib.contextmanager
def showing() -> Iterator[Progress]:
    """The progress display that fits stderr."""
    progress: Progress = LiveProgress() if sys.stderr.isatty() else PlainProgress()
    try:
        yield progress
    finally:
        progress.close()


def accounting(row: Row, island: IslandDir, detailed: bool) -> utilisation.Island:
    """The row as the accounting wants it; `detailed` also reads the last line of its metrics."""
    shares = (0.0, 0.0)
    if detailed:
        with contextlib.suppress(OSError, EvolabError):
            shares = utilisation.shares((files.tail_jsonl(island.metrics, 1) or [{}])[-1])
    return utilisation.Island(
        name=row.name,
        state=row.state,
        starting=row.starting,
        done=row.done,
        generations=row.generations,
        seconds_per_generation=row.seconds_per_generation,
        quiet_seconds=row.quiet_seconds,
        migrate_share=shares[0],
        disk_share=shares[1],
    )
