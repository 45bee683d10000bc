"""Many islands share a disk and the cores: how seldom each of them writes what it could write at every generation.

A disk makes a few hundred to a few thousand writes a second durable. 128 islands with a generation every 40 ms would
ask for 3,000 checkpoints alone, and wait for each other instead of computing. So an island of a run of many leaves
some out: a run writes about as much whatever its number of islands. A write takes a core about a millisecond, so where
many islands share few cores they write less still. What a SIGKILL takes is done again, with the same results.
"""

from __future__ import annotations

from islands import threads

FEW = 16
"""So many islands may write as often as they like."""
CHECKPOINTS, HEARTBEATS = 100.0, 64.0
"""Of a whole run in a second, at most."""
PER_CORE = 8.0
"""Of either in a second, for each core that the run has: as many as four islands write, and a hundredth of its time."""


def spacing(islands: int, most: float, cores: int | None = None) -> float:
    """Seconds at least from one write of an island to its next, where its run has `islands` and `most` a second.

    `cores`: that the run has; those of this process and of its parent, which may have pinned it, where nobody says.
    """
    if islands <= FEW:
        return 0.0
    return islands / min(most, PER_CORE * (cores or len(threads.cores())))
