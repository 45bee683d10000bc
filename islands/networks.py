"""From genome to something that computes: the order of a NEAT network's neurons.

A *program* lists a network's neurons in an order in which each comes after its
sources, with only those that an output depends on. Slots 0 to I - 1 are the
inputs, slot I + k the program's k-th neuron. A connection that closes a cycle
reads the value its source had at the previous tick.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.genome.marking import CONSTANT, CONTACT, INPUT, STRAIN, VELOCITY, mark, output_mark
from islands.kernel import kernel


class Desk(NamedTuple):
    """Room to work out one program in; what lies there afterwards means nothing. Arrays of int32 but for `seen`."""

    into: Any  # [neurons + 1]
    source_row: Any  # [connections]
    target_row: Any  # [connections]
    by_target: Any  # [connections]
    fill_at: Any  # [neurons + 1]
    place: Any  # [neurons]
    stack: Any  # [neurons + 1]
    edge: Any  # [neurons + 1]
    seen: Any  # uint8 [neurons]


def make_desk(neurons: int, connections: int) -> Desk:
    """Room for genomes of at most so many neurons and connections."""
    sizes = (neurons + 1, connections, connections, connections, neurons + 1, neurons, neurons + 1, neurons + 1)
    return Desk._make([*(np.zeros(size, np.int32) for size in sizes), np.zeros(neurons, np.uint8)])


@kernel
def find(ids: Any, low: Any, high: Any, wanted: Any) -> Any:
    """The row of `wanted` in the sorted `ids[low:high]`, or -1."""
    end = high
    while low < high:
        middle = (low + high) >> 1
        if ids[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < end and ids[low] == wanted else -1


@kernel
def input_marks(layout: Any, body_id: Any, muscle_id: Any, bodies: Any, muscles: Any, out: Any) -> Any:
    """Fill `out` with the markings of a genome's inputs, slot by slot; slots without a part get 0.

    `body_id` [n], `muscle_id` [m]: its parts; `bodies`, `muscles`: parts that the slots have room for. The slots are:
    the task's sensors, the constant 1, the strain of each muscle, x y z velocity of each body node, its ground contact.
    Returns the number of slots.
    """
    slot = 0
    for i in range(layout.sensors):
        out[slot] = mark(INPUT, np.uint64(i), 0, 0)
        slot += 1
    if layout.constant:
        out[slot] = mark(CONSTANT, 0, 0, 0)
        slot += 1
    if layout.strain:
        for j in range(muscles):
            out[slot] = mark(STRAIN, muscle_id[j], 0, 0) if j < len(muscle_id) else np.uint64(0)
            slot += 1
    if layout.velocity:
        for n in range(bodies):
            for axis in range(3):
                out[slot] = mark(VELOCITY, body_id[n], np.uint64(axis), 0) if n < len(body_id) else np.uint64(0)
                slot += 1
    if layout.contact:
        for n in range(bodies):
            out[slot] = mark(CONTACT, body_id[n], 0, 0) if n < len(body_id) else np.uint64(0)
            slot += 1
    return slot


@kernel
def input_slots(layout: Any, bodies: Any, muscles: Any) -> Any:
    """How many input slots a batch has whose genomes have at most `bodies` body nodes and `muscles` muscles."""
    return layout.sensors + layout.constant + layout.strain * muscles + (3 * layout.velocity + layout.contact) * bodies


@kernel
def write_program(
    genomes: Any, p: Any, marks: Any, inputs: Any, order: Any, first: Any, source: Any, weight: Any, desk: Any
) -> Any:
    """Write the program of genome `p`; returns its number of neurons K.

    marks: uint64 markings of the input slots, [:inputs]. Written: order int32 [K] rows of the genome's neurons
    (from 0); first int32 [K + 1]: connections of the k-th neuron are first[k] to first[k + 1]; source int32 slots and
    weight float32 of those. `desk`: see `make_desk`. Cost O(N + C log N) plus a scan of the inputs a connection.
    """
    n0, n1 = genomes.node_start[p], genomes.node_start[p + 1]
    c0, c1 = genomes.conn_start[p], genomes.conn_start[p + 1]
    m0, m1 = genomes.muscle_start[p], genomes.muscle_start[p + 1]
    count = n1 - n0
    into, source_row, target_row, by_target = desk.into, desk.source_row, desk.target_row, desk.by_target
    for n in range(count + 1):
        into[n] = 0
    for c in range(c1 - c0):
        target_row[c] = -1
        if not genomes.conn_on[c0 + c]:
            continue
        wanted = genomes.conn_ends[c0 + c, 0]
        row = find(genomes.node_id, n0, n1, wanted)
        found = row - n0 + inputs if row >= 0 else -1
        if row < 0:
            for i in range(inputs):
                if marks[i] == wanted:
                    found = i
                    break
        target = find(genomes.node_id, n0, n1, genomes.conn_ends[c0 + c, 1])
        if found < 0 or target < 0:
            continue
        source_row[c] = found
        target_row[c] = target - n0
        into[target_row[c] + 1] += 1
    for n in range(count):
        into[n + 1] += into[n]
        desk.fill_at[n] = into[n]
        desk.place[n] = -1
        desk.seen[n] = 0
    for c in range(c1 - c0):
        if target_row[c] >= 0:
            by_target[desk.fill_at[target_row[c]]] = c
            desk.fill_at[target_row[c]] += 1
    length = _depth_first(genomes, m0, m1, n0, n1, inputs, order, desk)
    at = 0
    for k in range(length):
        first[k] = at
        for e in range(into[order[k]], into[order[k] + 1]):
            c = by_target[e]
            slot = source_row[c]
            source[at] = slot if slot < inputs else inputs + desk.place[slot - inputs]
            weight[at] = genomes.conn_weight[c0 + c]
            at += 1
    first[length] = at
    return length


@kernel
def _depth_first(genomes: Any, m0: Any, m1: Any, n0: Any, n1: Any, inputs: Any, order: Any, desk: Any) -> Any:
    """Neurons that outputs depend on, sources first (post-order from every output); fills `order` and `desk.place`."""
    into, source_row, by_target = desk.into, desk.source_row, desk.by_target
    place, stack, edge, seen = desk.place, desk.stack, desk.edge, desk.seen
    length = 0
    for m in range(m0, m1):
        root = find(genomes.node_id, n0, n1, output_mark(genomes.muscle_id[m]))
        if root < 0 or seen[root - n0]:
            continue
        top = 0
        stack[0] = root - n0
        edge[0] = into[root - n0]
        seen[root - n0] = 1
        while top >= 0:
            node = stack[top]
            if edge[top] < into[node + 1]:
                slot = source_row[by_target[edge[top]]]
                edge[top] += 1
                if slot >= inputs and not seen[slot - inputs]:
                    top += 1
                    stack[top] = slot - inputs
                    edge[top] = into[slot - inputs]
                    seen[slot - inputs] = 1
            else:
                place[node] = length
                order[length] = node
                length += 1
                top -= 1
    return length


@kernel
def output_slots(genomes: Any, p: Any, inputs: Any, order: Any, length: Any, out: Any) -> Any:
    """Fill `out` int32 [m] with the slot of the neuron that drives each muscle of genome `p`; -1 where none does."""
    n0, n1 = genomes.node_start[p], genomes.node_start[p + 1]
    for m in range(genomes.muscle_start[p], genomes.muscle_start[p + 1]):
        row = find(genomes.node_id, n0, n1, output_mark(genomes.muscle_id[m]))
        out[m - genomes.muscle_start[p]] = -1
        for k in range(length):
            if row >= 0 and order[k] == row - n0:
                out[m - genomes.muscle_start[p]] = inputs + k
