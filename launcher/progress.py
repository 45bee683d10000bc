"""What a person sees while a run goes on, all of it on stderr: live lines on a terminal, plain ones when piped."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from islands import files
from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher import utilisation
from launcher.rows import Pace, Row, crowd, words
from launcher.sparks import Trends
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
class _Trace:
    """What the follower remembers of an island between two looks."""

    beat: dict[str, Any] = field(default_factory=dict)
    seen: float = 0.0
    pace: Pace = field(default_factory=Pace)


class Follower:
    """Reads the heartbeats of `islands`; the pace is measured here. `trends`: rows have sparklines of the best."""

    def __init__(self, islands: Sequence[IslandDir], generations: int, trends: bool = False) -> None:
        self._islands, self._generations = list(islands), generations
        self._trends = Trends() if trends else None
        self._traces = {island.name: _Trace(seen=time.monotonic()) for island in islands}

    def rows(self, workers: Mapping[str, tuple[str, int | None, str]]) -> list[Row]:
        """One row an island.

        `workers` gives an island's state (see `launcher.states`), its process's number, and why it waits to be started.
        """
        now = time.monotonic()
        return [self._row(island, *workers.get(island.name, (DONE, None, "")), now) for island in self._islands]

    def _row(self, island: IslandDir, state: str, pid: int | None, waits: str, now: float) -> Row:
        trace = self._traces[island.name]
        with contextlib.suppress(OSError, EvolabError):
            beat = files.read_json(island.heartbeat)
            if beat != trace.beat:
                self._note(trace, beat, now)
        beat = trace.beat
        mute = beat.get("pid") != pid or beat.get("state", "starting") == "starting"
        forked = state == PENDING and not waits  # once the process that forks it is ready
        starting = forked or (state == RUNNING and mute)
        done, best = generations_done(beat), beat.get("best")
        return Row(
            name=island.name,
            state=state,
            starting=starting,
            done=done,
            generations=int(beat.get("generations") or self._generations),
            best=best,
            seconds_per_generation=trace.pace.seconds,
            quiet_seconds=now - trace.seen,
            trend=self._trends.of(island, done, best) if self._trends and done else "",
            reason=waits,
        )

    @staticmethod
    def _note(trace: _Trace, beat: dict[str, Any], now: float) -> None:
        if beat.get("pid") != trace.beat.get("pid"):
            trace.pace = Pace()
        elif beat.get("generation") != trace.beat.get("generation"):
            trace.pace.note(now, generations_done(beat))
        trace.beat, trace.seen = beat, now


class Progress(Protocol):
    """Shows events and states to a person. `trends`: it has room for sparklines."""

    trends: bool

    def event(self, island: str, text: str) -> None:
        """Something happened to an island ("" for the run)."""

    def update(self, rows: Sequence[Row], footer: str) -> None:
        """The present state of all islands."""

    def close(self) -> None:
        """The run is over."""


class PlainProgress(Lines):
    """Lines on stderr: every event at once, every island's state now and then."""

    trends = False

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

    trends = True

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

        from launcher import island_lines

        self.draw(island_lines.lines(rows, self.width, max(4, self.height - 3)), Text(footer))


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
