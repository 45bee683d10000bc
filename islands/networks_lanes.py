"""Sixteen networks side by side, in explicit vectors: what compiled tasks think with.

Slots are those of `networks.input_marks`; a task writes the inputs into the first rows of `Brain.value`, lets the
lanes think, and reads their outputs in `Brain.drive`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.curves import activated, activated_by, tanh_of
from islands.genome import population as columns
from islands.genome.population import Genomes, Layout
from islands.kernel import kernel
from islands.lanes import LANES, fill, fma, vload, vstore
from islands.networks import input_marks, make_desk, output_slots, write_program

F = np.float32


class Brain(NamedTuple):
    """Networks of the sixteen creatures. Rows of sixteen lanes unless said otherwise."""

    value: Any  # float32 rows: inputs, then neurons in program order (neat) or hidden ones, layer by layer
    inner: Any  # float32 rows [hidden * slots]: weights from the inputs; then those of `load_deeper` (pure, hybrid)
    bias: Any  # float32 rows [neurons or layers * hidden]; then as many of functions (neat) or sums' starts (recurrent)
    outer: Any  # float32 rows [muscle * (hidden + 1)]: weights to each output and its bias (pure, hybrid)
    sums: Any  # float32 [16]
    count: Any  # int32 [16]: neurons in each lane's program
    first: Any  # int32 [16, neurons + 1]
    source: Any  # int32 [16, connections]
    weight: Any  # float32 [16, connections]
    output: Any  # int32 [muscle, 16]: value row of each output, -1 none
    drive: Any  # float32 rows [muscle]: u, the outputs from -1 to 1
    marks: Any  # uint64 [slots]
    order: Any  # int32 [neurons]
    desk: Any  # see `networks.Desk`


def largest(genomes: Genomes) -> tuple[int, int]:
    """The most neurons and the most connections that one of the genomes has."""
    return int(np.diff(genomes.node_start).max(initial=0)), int(np.diff(genomes.conn_start).max(initial=0))


def make_brain(slots: int, layout: Layout, neurons: int, connections: int, muscles: int) -> Brain:
    """Zeroed networks with room for the largest genome of a batch."""
    hidden, held = layout.hidden, max(neurons, layout.layers * layout.hidden)
    inner_rows = hidden * (slots + (layout.layers - 1 + layout.recurrent * layout.layers) * hidden) + 1
    return Brain(
        value=np.zeros((slots + held + 1) * LANES, np.float32),
        inner=np.zeros(inner_rows * LANES, np.float32),
        bias=np.zeros(2 * (held + 1) * LANES, np.float32),
        outer=np.zeros(muscles * (hidden + 1) * LANES, np.float32),
        sums=np.zeros(LANES, np.float32),
        count=np.zeros(LANES, np.int32),
        first=np.zeros((LANES, neurons + 2), np.int32),
        source=np.zeros((LANES, connections + 1), np.int32),
        weight=np.zeros((LANES, connections + 1), np.float32),
        output=np.zeros((muscles, LANES), np.int32),
        drive=np.zeros(muscles * LANES, np.float32),
        marks=np.zeros(slots + 1, np.uint64),
        order=np.zeros(neurons + 1, np.int32),
        desk=make_desk(neurons, connections),
    )


@kernel
def behind(brain: Any) -> Any:
    """The row of `Brain.bias` at which what lies behind the biases begins."""
    return len(brain.bias) // (2 * LANES)


@kernel
def load(brain: Any, genomes: Any, p: Any, lane: Any, layout: Any, room: Any, slots: Any, fixed: Any) -> Any:
    """Put the network of genome `p` into a lane. `fixed`: see `population.has`."""
    if fixed is not None:
        load_fixed(brain, genomes, p, lane, layout, room, slots)
    else:
        load_neat(brain, genomes, p, lane, layout, room, slots)


@kernel
def think(brain: Any, layout: Any, slots: Any, used: Any, room: Any, fixed: Any) -> Any:
    """Outputs of the networks in all lanes into `drive`, from -1 to 1."""
    if fixed is not None:
        think_fixed(brain, layout, slots, used, room)
    else:
        think_neat(brain, layout, slots, used)


@kernel
def load_fixed(brain: Any, genomes: Any, p: Any, lane: Any, layout: Any, room: Any, slots: Any) -> Any:
    """Put the fixed-topology network of genome `p` into a lane; it remembers nothing."""
    width = layout.hidden
    b0, b1 = genomes.body_start[p], genomes.body_start[p + 1]
    m0, m1 = genomes.muscle_start[p], genomes.muscle_start[p + 1]
    fixed = layout.sensors + layout.constant
    shared = genomes.shared[p]
    for h in range(width):
        at = columns.SHARED_GENES + h * fixed
        for i in range(fixed):
            brain.inner[(h * slots + i) * LANES + lane] = shared[at + i]
        bias = shared[columns.SHARED_GENES + width * fixed + h] if layout.node_bias else F(0.0)
        brain.bias[h * LANES + lane] = bias
        i = fixed
        if layout.strain:
            for j in range(room[1]):
                weight = genomes.muscle_gene[m0 + j, columns.MUSCLE_GENES + h] if j < m1 - m0 else F(0.0)
                brain.inner[(h * slots + i) * LANES + lane] = weight
                i += 1
        base = columns.BODY_GENES
        if layout.velocity:
            for n in range(room[0]):
                for axis in range(3):
                    weight = genomes.body_gene[b0 + n, base + 3 * h + axis] if n < b1 - b0 else F(0.0)
                    brain.inner[(h * slots + i) * LANES + lane] = weight
                    i += 1
            base += 3 * width
        if layout.contact:
            for n in range(room[0]):
                weight = genomes.body_gene[b0 + n, base + h] if n < b1 - b0 else F(0.0)
                brain.inner[(h * slots + i) * LANES + lane] = weight
                i += 1
    base = columns.MUSCLE_GENES + width * layout.strain
    for j in range(room[1]):
        for h in range(width + 1):
            weight = F(0.0)
            if j < m1 - m0 and (h < width or layout.node_bias):
                weight = genomes.muscle_gene[m0 + j, base + h]
            brain.outer[(j * (width + 1) + h) * LANES + lane] = weight
    if layout.layers > 1 or layout.recurrent:
        load_deeper(brain, shared, lane, layout, slots)


@kernel
def load_deeper(brain: Any, shared: Any, lane: Any, layout: Any, slots: Any) -> Any:
    """Put the weights from layer to layer, then those of layers to themselves, into a lane; see `population.Deeper`."""
    width, more = layout.hidden, layout.layers - 1
    deep, own = width * slots, width * (slots + more * width)
    at = columns.SHARED_GENES + width * (layout.sensors + layout.constant + layout.node_bias)
    for i in range(more * width * width):
        brain.inner[(deep + i) * LANES + lane] = shared[at + i]
    at += more * width * width
    for i in range(more * width):
        brain.bias[(width + i) * LANES + lane] = shared[at + i] if layout.node_bias else F(0.0)
    at += more * width * layout.node_bias
    for i in range(layout.recurrent * layout.layers * width * width):
        brain.inner[(own + i) * LANES + lane] = shared[at + i]
    for i in range(layout.layers * width):
        brain.value[(slots + i) * LANES + lane] = F(0.0)


@kernel
def load_neat(brain: Any, genomes: Any, p: Any, lane: Any, layout: Any, room: Any, slots: Any) -> Any:
    """Put the program of genome `p` into a lane."""
    load_program(brain, genomes, p, lane, layout, room, slots, brain.marks, brain.order, brain.desk)


@kernel
def load_program(
    brain: Any, genomes: Any, p: Any, lane: Any, layout: Any, room: Any, slots: Any, marks: Any, order: Any, desk: Any
) -> Any:
    """As `load_neat`; the program is worked out in `marks`, `order` and `desk`, see `Brain`."""
    bodies = genomes.body_id[genomes.body_start[p] : genomes.body_start[p + 1]]
    muscles = genomes.muscle_id[genomes.muscle_start[p] : genomes.muscle_start[p + 1]]
    input_marks(layout, bodies, muscles, room[0], room[1], marks)
    first, source, weight = brain.first[lane], brain.source[lane], brain.weight[lane]
    count = write_program(genomes, p, marks, slots, order, first, source, weight, desk)
    brain.count[lane] = count
    n0 = genomes.node_start[p]
    for k in range(count):
        brain.bias[k * LANES + lane] = genomes.node_bias[n0 + order[k]] if layout.node_bias else F(0.0)
        brain.value[(slots + k) * LANES + lane] = F(0.0)
    if layout.activations:
        kinds = behind(brain)
        for k in range(count):
            brain.bias[(kinds + k) * LANES + lane] = F(genomes.node_kind[n0 + order[k]])
    for j in range(room[1]):
        brain.output[j, lane] = -1
    output_slots(genomes, p, slots, order, count, brain.output[:, lane])


@kernel
def think_fixed(brain: Any, layout: Any, slots: Any, used: Any, room: Any) -> Any:
    """Outputs of the fixed-topology networks into `drive`, from -1 to 1; neuron n of all layers has row slots + n."""
    width = layout.hidden
    fixed = layout.sensors + layout.constant
    strain, bodies = used[1] * layout.strain, used[0]
    at_velocity = fixed + room[1] * layout.strain
    at_contact = at_velocity + 3 * room[0] * layout.velocity
    start, last = 0, slots + (layout.layers - 1) * width
    if layout.recurrent:
        start = remember(brain, layout, slots)
    for h in range(width):
        total = vload(brain.bias, (start + h) * LANES)
        base = h * slots
        for i in range(fixed + strain):
            total = fma(vload(brain.inner, (base + i) * LANES), vload(brain.value, i * LANES), total)
        for i in range(at_velocity, at_velocity + 3 * bodies * layout.velocity):
            total = fma(vload(brain.inner, (base + i) * LANES), vload(brain.value, i * LANES), total)
        for i in range(at_contact, at_contact + bodies * layout.contact):
            total = fma(vload(brain.inner, (base + i) * LANES), vload(brain.value, i * LANES), total)
        vstore(brain.value, (slots + h) * LANES, activated(total, layout.activation))
    if layout.layers > 1:
        think_deeper(brain, layout, slots, start)
    for j in range(used[1]):
        base = j * (width + 1)
        total = vload(brain.outer, (base + width) * LANES)
        for h in range(width):
            total = fma(vload(brain.outer, (base + h) * LANES), vload(brain.value, (last + h) * LANES), total)
        scale = fill(F(1.0)) if layout.activation == 0 else fill(F(2.45))
        vstore(brain.drive, j * LANES, tanh_of(total * scale))


@kernel
def think_deeper(brain: Any, layout: Any, slots: Any, start: Any) -> Any:
    """The values of the hidden layers behind the first; `start`: the row of `bias` from which sums' starts lie."""
    width = layout.hidden
    deep = width * slots
    for n in range(width, layout.layers * width):
        total = vload(brain.bias, (start + n) * LANES)
        before = slots + (n // width - 1) * width
        for h in range(width):
            weight = vload(brain.inner, (deep + (n - width) * width + h) * LANES)
            total = fma(weight, vload(brain.value, (before + h) * LANES), total)
        vstore(brain.value, (slots + n) * LANES, activated(total, layout.activation))


@kernel
def remember(brain: Any, layout: Any, slots: Any) -> Any:
    """Write what hidden neurons' sums start from: the bias, and what each hears of its layer as it was a step ago.

    Returns the row of `bias` from which it lies.
    """
    width = layout.hidden
    own, start = width * (slots + (layout.layers - 1) * width), behind(brain)
    for n in range(layout.layers * width):
        total = vload(brain.bias, n * LANES)
        before = slots + n // width * width
        for h in range(width):
            weight = vload(brain.inner, (own + n * width + h) * LANES)
            total = fma(weight, vload(brain.value, (before + h) * LANES), total)
        vstore(brain.bias, (start + n) * LANES, total)
    return start


@kernel
def think_neat(brain: Any, layout: Any, slots: Any, used: Any) -> Any:
    """Outputs of the NEAT networks into `drive`, from -1 to 1: the k-th neurons of all lanes together."""
    most = longest(brain)
    if layout.activations:
        at = behind(brain)
        for k in range(most):
            add_up(brain, k)
            kinds = vload(brain.bias, (at + k) * LANES)
            own = activated_by(vload(brain.sums, 0), kinds, layout.activation, layout.activations)
            vstore(brain.value, (slots + k) * LANES, own)
    else:
        for k in range(most):
            add_up(brain, k)
            vstore(brain.value, (slots + k) * LANES, activated(vload(brain.sums, 0), layout.activation))
    for j in range(used[1]):
        drive(brain, layout, j)


@kernel
def drive(brain: Any, layout: Any, j: Any) -> Any:
    """All lanes' output `j` into `drive`."""
    for lane in range(LANES):
        drive_one(brain, layout, j, lane)


@kernel
def drive_one(brain: Any, layout: Any, j: Any, lane: Any) -> Any:
    """A lane's output `j` into `drive`."""
    row = brain.output[j, lane]
    value = brain.value[row * LANES + lane] if row >= 0 else F(0.0)
    if layout.activation and row >= 0:
        value = F(2.0) * value - F(1.0)
    brain.drive[j * LANES + lane] = value


@kernel
def longest(brain: Any) -> Any:
    """Neurons in the longest program."""
    most = 0
    for lane in range(LANES):
        most = max(most, brain.count[lane])
    return most


@kernel
def add_up(brain: Any, k: Any) -> Any:
    """The weighted sums of the k-th neurons into `sums`; lanes that have none keep what is there."""
    for lane in range(LANES):
        if k < brain.count[lane]:
            brain.sums[lane] = sum_of(brain, k, lane)


@kernel
def sum_of(brain: Any, k: Any, lane: Any) -> Any:
    """The weighted sum of a lane's k-th neuron."""
    total = brain.bias[k * LANES + lane]
    for c in range(brain.first[lane, k], brain.first[lane, k + 1]):
        total += brain.weight[lane, c] * brain.value[brain.source[lane, c] * LANES + lane]
    return total
