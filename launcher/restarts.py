"""When a process that died is started again: the rules alone, without clock, files or processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """At most `most` restarts within `window` seconds, then no more. Waits double from `first` to `longest` seconds.

    `jitter`: the largest share by which a wait is shortened, so that many islands do not come back at once. `calm`:
    seconds of progress after which earlier deaths are forgotten. `same`: deaths in a row at one generation after which
    its checkpoint and the last migrants are suspected.
    """

    most: int = 5
    window: float = 600.0
    first: float = 1.0
    longest: float = 60.0
    jitter: float = 0.25
    calm: float = 600.0
    same: int = 3


@dataclass(frozen=True)
class Death:
    """One death: when (s, any clock), how long the process lived, how far the island came (None: no generation).

    `advanced`: whether it came farther than the process before it.
    """

    time: float
    lived: float
    generation: int | None
    advanced: bool


@dataclass(frozen=True)
class Verdict:
    """Start again after `wait` seconds, or not at all (None). `fall_back`: from the checkpoint before, without the
    last migrants."""

    wait: float | None
    fall_back: bool = False


def after(history: tuple[Death, ...], death: Death, policy: Policy, luck: float) -> tuple[Verdict, tuple[Death, ...]]:
    """What follows from a death, and the deaths to remember. `luck` (0 to 1) draws the jitter."""
    if death.advanced and death.lived >= policy.calm:
        history = ()
    history = (*history, death)
    recent = [one for one in history if one.time > death.time - policy.window]
    if len(recent) > policy.most:
        return Verdict(None), history[-policy.most - 1 :]
    wait = min(policy.longest, policy.first * 2.0 ** min(len(history) - 1, 30))
    again = Verdict(wait * (1.0 - policy.jitter * luck), _in_a_row(history) % policy.same == 0)
    return again, history[-64:]


def _in_a_row(history: tuple[Death, ...]) -> int:
    """How many of the last deaths were at one generation."""
    count = 0
    for death in reversed(history):
        if death.generation is None or death.generation != history[-1].generation:
            break
        count += 1
    return count or -1  # never a multiple of anything that matters
