"""Islands as a person sees them while a run goes on: what is known of each, and how it is said in words."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from launcher.states import PENDING, RUNNING


@dataclass
class Row:
    """One island as seen from outside: `done` of `generations`; `quiet_seconds` since its last sign of life.

    `trend`: a sparkline of its best fitness (see `launcher.sparks`); `reason`: why it is in its state.
    """

    name: str
    state: str = PENDING
    starting: bool = False
    done: int = 0
    generations: int = 0
    best: float | None = None
    seconds_per_generation: float | None = None
    quiet_seconds: float = 0.0
    trend: str = ""
    restarts: int | None = None
    reason: str = ""
    cpu_seconds: float | None = None
    rss_mb: float | None = None

    @property
    def shown_state(self) -> str:
        """Its state in one word."""
        return "starting" if self.starting else self.state


@dataclass
class Pace:
    """How long a generation takes, over the last dozen looks that found new ones."""

    passed: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=12))

    def note(self, now: float, done: int) -> None:
        """So many were done then."""
        if self.passed and done < self.passed[-1][1]:
            self.passed.clear()
        if not self.passed or done > self.passed[-1][1]:
            self.passed.append((now, done))

    @property
    def seconds(self) -> float | None:
        """Seconds a generation; None before two looks."""
        if len(self.passed) < 2:
            return None
        (then, first), (now, last) = self.passed[0], self.passed[-1]
        return (now - then) / max(1, last - first)


def words(row: Row) -> str:
    """An island's state in one phrase."""
    if row.starting:
        return "starting (imports, compiled kernels: about 10 s where they are new)"
    text = f"generation {row.done}/{row.generations}"
    if row.best is not None:
        text += f"  best {row.best:.4g}"
    if row.seconds_per_generation is not None:
        text += f"  {row.seconds_per_generation:.2g} s/generation"
    return text if row.state == RUNNING else f"{text}  {row.state}"


def counted(rows: Sequence[Row]) -> str:
    """How many are in which state."""
    counts = Counter(row.shown_state for row in rows)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def crowd(rows: Sequence[Row]) -> str:
    """Many islands in one phrase."""
    bests = [row.best for row in rows if row.best is not None]
    done = sum(row.done for row in rows)
    text = f"{counted(rows)}; {done}/{sum(row.generations for row in rows)} generations"
    return text + (f"; best {max(bests):.4g}" if bests else "")
