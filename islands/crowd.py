"""Many islands share one disk: how seldom each of them writes what it could write at every generation.

A disk makes a few hundred to a few thousand writes a second durable. 128 islands with a generation every 40 ms would
ask for 3,000 checkpoints alone, and wait for each other instead of computing. So an island of a run of many leaves
some out: a run writes about as much whatever its number of islands. What a SIGKILL takes is done again, with the same
results.
"""

from __future__ import annotations

FEW = 16
"""So many islands may write as often as they like."""
CHECKPOINTS, HEARTBEATS = 100.0, 64.0
"""Of a whole run in a second, at most."""


def spacing(islands: int, most: float) -> float:
    """Seconds at least from one write of an island to its next, where its run has `islands` and `most` a second."""
    return islands / most if islands > FEW else 0.0
