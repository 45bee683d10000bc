"""Mutation operators. Each changes one `Draft` and draws from the stream it is given.

Rates per gene and scales are multiplied by `boost` while adaptive mutation is on.
A structural operator that meets a configured limit leaves the genome as it is and
counts that in `limited`, so that a limit is never silent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.genome import population as columns
from islands.genome.draft import (
    BODY,
    CONNECTION,
    MUSCLE,
    NODE,
    insert_body,
    insert_connection,
    insert_muscle,
    insert_node,
    remove_body_row,
    remove_connections_at,
    remove_muscle_row,
    remove_node,
)
from islands.genome.initial import connect_output, draw_muscle
from islands.genome.marking import (
    CONTACT,
    GROWN,
    SPLIT,
    STRAIN,
    VELOCITY,
    connection_mark,
    depth,
    is_output,
    mark,
    muscle_mark,
    output_mark,
)
from islands.kernel import kernel
from islands.networks import find, input_marks
from islands.rng import below, normal, substream, uniform

F = np.float32
TWO_PI = F(2.0 * np.pi)
LIMIT_HIDDEN, LIMIT_BODY, LIMIT_MUSCLES, LIMIT_KINDS = 0, 1, 2, 3
_TRIES = 20

# Bounds of the body's genes under mutation: low, high, and the scale of one standard step.
BODY_BOUNDS = np.array([[0.2, 0.6], [0.1, 1.0], [-1.5, 1.5], [0.3, 2.25], [-1.5, 1.5]], np.float32)
MUSCLE_BOUNDS = np.array(
    [[0.2, 4.0], [50.0, 200.0], [1.0, 6.0], [0.5, 3.0], [0.05, 0.5], [0.0, 2.0 * np.pi]], np.float32
)
MULTIPLIER_BOUNDS = np.array([0.3, 2.0], np.float32)


class Rates(NamedTuple):
    """`MutationConfig` and the limits it meets, as plain numbers."""

    weights: float
    weight_rate: float
    weight_scale: float
    replace_rate: float
    add_node: float
    add_connection: float
    recurrent: float
    activation: float
    enable: float
    disable: float
    body_rate: float
    body_scale: float
    add_body_node: float
    remove_body_node: float
    add_muscle: float
    remove_muscle: float
    max_hidden: int
    min_nodes: int
    max_nodes: int
    max_muscles: int


@kernel
def changed_weight(weight: Any, key: Any, index: Any, rates: Any, scale: Any) -> Any:
    """`weight` after perturbation (rate `weight_rate`, step N(0, weight_scale)) or replacement (N(0, scale))."""
    dice = uniform(key, 2 * index)
    if dice >= F(rates.weight_rate):
        return weight
    step = normal(key, 2 * index + 1)
    if dice < F(rates.weight_rate) * F(rates.replace_rate):
        return step * F(scale)
    return weight + step * F(rates.weight_scale)


@kernel
def change_weights(d: Any, key: Any, layout: Any, rates: Any, scale: Any) -> Any:
    """Perturb or replace connection weights and biases; `scale`: standard deviation of a replaced weight."""
    index = 0
    for c in range(d.size[CONNECTION]):
        d.conn_weight[c] = changed_weight(d.conn_weight[c], key, index, rates, scale)
        index += 1
    if layout.node_bias:
        for n in range(d.size[NODE]):
            d.node_bias[n] = changed_weight(d.node_bias[n], key, index, rates, scale)
            index += 1
    for g in range(columns.SHARED_GENES, len(d.shared)):
        d.shared[g] = changed_weight(d.shared[g], key, index, rates, scale)
        index += 1
    if layout.hidden:
        for m in range(d.size[MUSCLE]):
            for g in range(columns.MUSCLE_GENES, d.muscle_gene.shape[1]):
                d.muscle_gene[m, g] = changed_weight(d.muscle_gene[m, g], key, index, rates, scale)
                index += 1
        for n in range(d.size[BODY]):
            for g in range(columns.BODY_GENES, d.body_gene.shape[1]):
                d.body_gene[n, g] = changed_weight(d.body_gene[n, g], key, index, rates, scale)
                index += 1


@kernel
def changed_gene(value: Any, key: Any, index: Any, rates: Any, low: Any, high: Any) -> Any:
    """A bounded gene after a step of `body_scale` of its range (rate `body_rate`), clamped to its bounds."""
    if uniform(key, 2 * index) >= F(rates.body_rate):
        return value
    value += normal(key, 2 * index + 1) * F(rates.body_scale) * (high - low)
    return min(max(value, low), high)


@kernel
def change_body(d: Any, key: Any, layout: Any, rates: Any) -> Any:
    """Change sizes, friction, positions and muscles' genes within their bounds; phases wrap."""
    index = 0
    for n in range(d.size[BODY]):
        for g in range(columns.BODY_GENES):
            d.body_gene[n, g] = changed_gene(d.body_gene[n, g], key, index, rates, BODY_BOUNDS[g, 0], BODY_BOUNDS[g, 1])
            index += 1
    last = columns.PHASE if layout.mode == columns.HYBRID else columns.FREQUENCY
    for m in range(d.size[MUSCLE]):
        for g in range(last):
            d.muscle_gene[m, g] = changed_gene(
                d.muscle_gene[m, g], key, index, rates, MUSCLE_BOUNDS[g, 0], MUSCLE_BOUNDS[g, 1]
            )
            index += 1
        if layout.mode == columns.HYBRID and uniform(key, 2 * index) < F(rates.body_rate):
            phase = d.muscle_gene[m, columns.PHASE] + normal(key, 2 * index + 1) * F(rates.body_scale) * TWO_PI
            d.muscle_gene[m, columns.PHASE] = phase - TWO_PI * np.floor(phase / TWO_PI)
        index += 1
    if layout.mode == columns.HYBRID:
        d.shared[columns.MULTIPLIER] = changed_gene(
            d.shared[columns.MULTIPLIER], key, index, rates, MULTIPLIER_BOUNDS[0], MULTIPLIER_BOUNDS[1]
        )


@kernel
def kind_drawn(key: Any, index: Any, layout: Any) -> Any:
    """The number of one of the layout's functions, evenly; 0 where neurons have none of their own."""
    count = 0
    for kind in range(columns.KIND_COUNT):
        count += (layout.activations >> kind) & 1
    left = below(key, index, count) if count else 0
    for kind in range(columns.KIND_COUNT):
        if (layout.activations >> kind) & 1:
            if left == 0:
                return kind
            left -= 1
    return 0


@kernel
def change_kinds(d: Any, key: Any, layout: Any, rates: Any) -> Any:
    """Draw the functions of hidden neurons anew, each with probability `activation`."""
    for n in range(d.size[NODE]):
        if not is_output(d.node_id[n]) and uniform(key, 2 * n) < F(rates.activation):
            d.node_kind[n] = kind_drawn(key, 2 * n + 1, layout)


@kernel
def add_node(d: Any, key: Any, layout: Any, rates: Any, limited: Any) -> Any:
    """Split a random enabled connection: in with weight 1, out with the old weight, the old one disabled.

    The new node's marking derives from the connection it splits; splitting the same one again after a re-enable
    takes the next number, so the node is new.
    """
    hidden = 0
    for n in range(d.size[NODE]):
        hidden += not is_output(d.node_id[n])
    if d.size[CONNECTION] == 0:
        return
    if hidden >= rates.max_hidden:
        limited[LIMIT_HIDDEN] += 1
        return
    for attempt in range(_TRIES):
        c = below(key, attempt, d.size[CONNECTION])
        if not d.conn_on[c]:
            continue
        split, source, target, weight = d.conn_id[c], d.conn_ends[c, 0], d.conn_ends[c, 1], d.conn_weight[c]
        d.conn_on[c] = 0
        for number in range(d.size[NODE] + 1):
            node = mark(SPLIT, split, np.uint64(number), depth(split) + np.uint64(1))
            row = insert_node(d, node, F(0.0))
            if row >= 0:
                d.node_kind[row] = kind_drawn(key, _TRIES, layout)
                insert_connection(d, connection_mark(source, node), source, node, F(1.0))
                insert_connection(d, connection_mark(node, target), node, target, weight)
                return
        return


@kernel
def reaches(d: Any, start: Any, goal: Any) -> Any:
    """Whether a path of connections, disabled ones included, leads from node `start` to node `goal`."""
    if start == goal:
        return True
    seen, stack = d.seen, d.stack
    for n in range(d.size[NODE]):
        seen[n] = 0
    stack[0] = start
    top = 1
    while top > 0:
        top -= 1
        node = stack[top]
        for c in range(d.size[CONNECTION]):
            if d.conn_ends[c, 0] == node:
                target = d.conn_ends[c, 1]
                if target == goal:
                    return True
                row = find(d.node_id, 0, d.size[NODE], target)
                if row >= 0 and not seen[row]:
                    seen[row] = 1
                    stack[top] = target
                    top += 1
    return False


@kernel
def add_connection(d: Any, key: Any, layout: Any, rates: Any, scale: Any, marks: Any) -> Any:
    """Join a random pair (input or hidden neuron -> neuron) that is not joined and closes no cycle; up to 20 tries.

    No connection starts at an output, so that a muscle can be taken out without changing what drives the others. A
    share `rates.recurrent` closes a cycle instead; without a body it may start at an output, too.
    """
    if d.size[NODE] == 0:
        return
    outputs = 0
    for n in range(d.size[NODE]):  # they come first: hidden neurons are deeper
        outputs += is_output(d.node_id[n])
    if rates.recurrent > 0.0 and uniform(key, 2 * _TRIES + 1) < F(rates.recurrent):
        close_cycle(d, key, outputs if layout.body else 0, scale)
        return
    inputs = input_marks(
        layout, d.body_id[: d.size[BODY]], d.muscle_id[: d.size[MUSCLE]], d.size[BODY], d.size[MUSCLE], marks
    )
    for attempt in range(_TRIES):
        choice = below(key, 2 * attempt, inputs + d.size[NODE] - outputs)
        source = marks[choice] if choice < inputs else d.node_id[outputs + choice - inputs]
        target = d.node_id[below(key, 2 * attempt + 1, d.size[NODE])]
        marking = connection_mark(source, target)
        if find(d.conn_id, 0, d.size[CONNECTION], marking) >= 0:
            continue
        if choice >= inputs and reaches(d, target, source):
            continue
        insert_connection(d, marking, source, target, normal(key, 2 * _TRIES) * F(scale))
        return


@kernel
def close_cycle(d: Any, key: Any, first: Any, scale: Any) -> Any:
    """Join a random pair of neurons, the source from row `first` on, so that a cycle closes; up to 20 tries."""
    if d.size[NODE] <= first:
        return
    for attempt in range(_TRIES):
        source = d.node_id[first + below(key, 2 * attempt, d.size[NODE] - first)]
        target = d.node_id[below(key, 2 * attempt + 1, d.size[NODE])]
        marking = connection_mark(source, target)
        if find(d.conn_id, 0, d.size[CONNECTION], marking) < 0 and reaches(d, target, source):
            insert_connection(d, marking, source, target, normal(key, 2 * _TRIES) * F(scale))
            return


@kernel
def switch_connection(d: Any, key: Any, wanted: Any) -> Any:
    """Enable (`wanted` 1) or disable (0) a random connection that is in the other state, if there is one."""
    eligible = 0
    for c in range(d.size[CONNECTION]):
        eligible += d.conn_on[c] != wanted
    if eligible == 0:
        return
    chosen = below(key, 0, eligible)
    for c in range(d.size[CONNECTION]):
        if d.conn_on[c] != wanted:
            if chosen == 0:
                d.conn_on[c] = wanted
                return
            chosen -= 1


@kernel
def grow_muscle(d: Any, one: Any, two: Any, key: Any, layout: Any, first: Any, marks: Any, fixed: Any) -> Any:
    """Add a first-draw muscle, with its output, between body nodes given by marking; False when they are joined."""
    marking = muscle_mark(one, two)
    row = insert_muscle(d, marking, one, two)
    if row < 0:
        return False
    a, b = find(d.body_id, 0, d.size[BODY], one), find(d.body_id, 0, d.size[BODY], two)
    draw_muscle(substream(key, 1), d.body_gene, a, b, d.muscle_gene[row], 0)
    low, high = MUSCLE_BOUNDS[columns.REST, 0], MUSCLE_BOUNDS[columns.REST, 1]
    d.muscle_gene[row, columns.REST] = min(max(d.muscle_gene[row, columns.REST], low), high)
    connect_output(d, marking, substream(key, 2), substream(key, 3), layout, first, marks, fixed)
    for h in range(layout.hidden * layout.strain):  # its own sensor starts unheard: the other outputs stay as they are
        d.muscle_gene[row, columns.MUSCLE_GENES + h] = F(0.0)
    return True


@kernel
def add_muscle(d: Any, key: Any, layout: Any, first: Any, rates: Any, limited: Any, marks: Any, fixed: Any) -> Any:
    """Add a muscle between a random pair of body nodes that is not joined; up to 20 tries."""
    if d.size[MUSCLE] >= rates.max_muscles:
        limited[LIMIT_MUSCLES] += 1
        return
    count = d.size[BODY]
    for attempt in range(_TRIES):
        one = below(key, 2 * attempt, count)
        two = below(key, 2 * attempt + 1, count - 1)
        two += two >= one
        if grow_muscle(d, d.body_id[one], d.body_id[two], substream(key, 1000), layout, first, marks, fixed):
            return


@kernel
def remove_muscle(d: Any, row: Any) -> Any:
    """Take a muscle out, with its output, the output's connections and those from its own sensors."""
    marking = d.muscle_id[row]
    remove_muscle_row(d, row)
    remove_node(d, output_mark(marking))
    remove_connections_at(d, mark(STRAIN, marking, 0, 0))


@kernel
def add_body_node(d: Any, key: Any, layout: Any, first: Any, rates: Any, limited: Any, marks: Any, fixed: Any) -> Any:
    """Grow a body node near a random one, joined to it by a muscle; its marking derives from the one it grew from."""
    if d.size[BODY] >= rates.max_nodes:
        limited[LIMIT_BODY] += 1
        return
    if d.size[MUSCLE] >= rates.max_muscles:
        limited[LIMIT_MUSCLES] += 1
        return
    parent = d.body_id[below(key, 0, d.size[BODY])]
    for number in range(d.size[BODY] + 1):
        node = mark(GROWN, parent, np.uint64(number), depth(parent) + np.uint64(1))
        row = insert_body(d, node)
        if row >= 0:
            break
    origin = find(d.body_id, 0, d.size[BODY], parent)
    for g in range(columns.BODY_GENES):
        low, high = BODY_BOUNDS[g, 0], BODY_BOUNDS[g, 1]
        value = d.body_gene[origin, g]
        if g >= columns.POSITION_X:
            value += F(0.5) * normal(key, 10 + g)
        d.body_gene[row, g] = min(max(value, low), high)
    grow_muscle(d, parent, node, substream(key, 1000), layout, first, marks, fixed)


@kernel
def remove_body_node(d: Any, key: Any, rates: Any) -> Any:
    """Take out a random body node with its muscles; the last muscle and the least number of nodes stay."""
    if d.size[BODY] <= rates.min_nodes:
        return
    row = below(key, 0, d.size[BODY])
    marking = d.body_id[row]
    joined = 0
    for m in range(d.size[MUSCLE]):
        joined += d.muscle_ends[m, 0] == marking or d.muscle_ends[m, 1] == marking
    if joined >= d.size[MUSCLE]:
        return
    for m in range(d.size[MUSCLE] - 1, -1, -1):
        if d.muscle_ends[m, 0] == marking or d.muscle_ends[m, 1] == marking:
            remove_muscle(d, m)
    remove_body_row(d, row)
    for axis in range(3):
        remove_connections_at(d, mark(VELOCITY, marking, np.uint64(axis), 0))
    remove_connections_at(d, mark(CONTACT, marking, 0, 0))


@kernel
def mutate(
    d: Any, key: Any, layout: Any, first: Any, rates: Any, limited: Any, marks: Any, body: Any, fixed: Any
) -> Any:
    """All mutations of one offspring: structure first, then genes and weights (`body`, `fixed`: `population.has`)."""
    dice = substream(key, 0)
    if body is not None:
        if uniform(dice, 0) < F(rates.remove_muscle) and d.size[MUSCLE] > 1:
            remove_muscle(d, below(dice, 1, d.size[MUSCLE]))
        if uniform(dice, 2) < F(rates.add_muscle):
            add_muscle(d, substream(key, 1), layout, first, rates, limited, marks, fixed)
        if uniform(dice, 3) < F(rates.remove_body_node):
            remove_body_node(d, substream(key, 2), rates)
        if uniform(dice, 4) < F(rates.add_body_node):
            add_body_node(d, substream(key, 3), layout, first, rates, limited, marks, fixed)
        change_body(d, substream(key, 4), layout, rates)
    if fixed is None:
        if uniform(dice, 5) < F(rates.add_node):
            add_node(d, substream(key, 5), layout, rates, limited)
        if uniform(dice, 6) < F(rates.add_connection):
            add_connection(d, substream(key, 6), layout, rates, first.weight_scale, marks)
        if uniform(dice, 7) < F(rates.enable):
            switch_connection(d, substream(key, 7), np.uint8(1))
        if uniform(dice, 8) < F(rates.disable):
            switch_connection(d, substream(key, 8), np.uint8(0))
        if layout.activations:
            change_kinds(d, substream(key, 10), layout, rates)
    if uniform(dice, 9) < F(rates.weights):
        change_weights(d, substream(key, 9), layout, rates, first.weight_scale)
