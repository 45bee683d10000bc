"""The compiled walk of sixteen networks at a time over the rows of a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from islands.kernel import kernel
from islands.lanes import LANES, fill, vstore
from islands.networks_lanes import think
from islands.tasks.plain_kernel import load_network

F = np.float32
SHARP = 5.0
"""An output of 1 means this logit: among ten classes at most 0.9996 is a class's share."""


@kernel
def _log_share(brain: Any, outputs: Any, lane: Any, wanted: Any) -> Any:
    """Logarithm of the share that softmax gives the class `wanted`, and whether its output is the largest."""
    top, best = F(-2.0), 0
    for o in range(outputs):
        if brain.drive[o * LANES + lane] > top:
            top, best = brain.drive[o * LANES + lane], o
    total = 0.0
    for o in range(outputs):
        total += math.exp(SHARP * (brain.drive[o * LANES + lane] - top))
    return SHARP * (brain.drive[wanted * LANES + lane] - top) - math.log(total), 1.0 if best == wanted else 0.0


@kernel
def walk(
    genomes: Any, items: Any, groups: Any, chosen: Any, inputs: Any, target: Any, bins: Any, classes: Any, reach: Any,
    layout: Any, fixed: Any, brain: Any, slots: Any, loss: Any, behaviour: Any, values: Any,
) -> Any:  # fmt: skip
    """Let genome `items[i]` (int64 [E]) answer the rows of its group, without a memory of the row before.

    groups int64 [K, 3]: first item, the one past the last (at most 16), and which row of `chosen` int64 [R, n] lists
    the rows of the table. inputs float32 [N, O]; target float32 [N]: class number, or the right answer, where the
    network's is `reach` times its output; classes: 0 for regression; bins int64 [N]: column of `behaviour` that a row
    adds to. Written: loss float64 [E], minus the sum of logarithms or the sum of squares; behaviour float32 [E, D]:
    sums of (right) or of (error); where it has room, values float32 [E, n]: right (1 or 0) or squared error of a row.
    """
    outputs = max(1, classes)
    room = (np.int64(0), np.int64(outputs))
    for k in range(len(groups)):
        first, last = groups[k, 0], groups[k, 1]
        for lane in range(LANES):
            brain.count[lane] = 0
            if first + lane < last:
                load_network(brain, genomes, items[first + lane], lane, layout, room, slots, fixed)
        for t in range(chosen.shape[1]):
            row = chosen[groups[k, 2], t]
            for i in range(layout.sensors):
                vstore(brain.value, i * LANES, fill(inputs[row, i]))
            brain.value[slots * LANES :] = F(0.0)
            think(brain, layout, slots, room, room, fixed)
            for i in range(first, last):
                lane = i - first
                if classes > 0:
                    share, shown = _log_share(brain, outputs, lane, int(target[row]))
                    loss[i] -= share
                    value = shown
                else:
                    shown = reach * brain.drive[lane] - target[row]
                    value = shown * shown
                    loss[i] += value
                behaviour[i, bins[row]] += F(shown)
                if values.shape[0] > 0:
                    values[i, t] = F(value)
