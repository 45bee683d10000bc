"""The first draw of genomes.

Bodies follow `pellets`' table of first draws: 3 to 8 body nodes, a random
spanning tree over them, then muscles between random pairs until a pair comes up
that is joined already or the limit is reached. Body node i has the same marking
in every genome, so muscles between equal pairs are homologous.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.genome import population as columns
from islands.genome.draft import (
    BODY,
    MUSCLE,
    Room,
    insert_body,
    insert_connection,
    insert_muscle,
    insert_node,
    make_draft,
    make_genomes,
    store,
    trim,
)
from islands.genome.marking import BODY_NODE, OUTPUT, connection_mark, mark, muscle_mark, output_mark
from islands.genome.population import Genomes, Layout, has
from islands.kernel import kernel
from islands.networks import find, input_marks, input_slots
from islands.rng import below, normal, substream, uniform

F = np.float32
DT = F(1.0 / 30.0)
TWO_PI = F(2.0 * np.pi)
_TRIES = 32


@kernel
def body_mass(size: Any) -> Any:
    """Mass (kg) of a body node of diameter `size` (m): max(0.5, 10 * volume)."""
    return max(F(0.5), F(10.0 * 4.0 / 3.0 * np.pi / 8.0) * size * size * size)


class Sketch(NamedTuple):
    """A body on its way into a draft, with room for the largest: N body nodes, M muscles, S input slots."""

    ids: Any  # uint64 [N]
    genes: Any  # float32 [N, BODY_GENES]
    ends: Any  # int64 [M, 2]: rows of ids
    pulls: Any  # float32 [M, MUSCLE_GENES]
    left: Any  # float32 [N, N]: scratch of `stable`
    marks: Any  # uint64 [S + 1]: scratch of `connect_output`


def make_sketch(nodes: int, muscles: int, slots: int) -> Sketch:
    """An empty one."""
    return Sketch(
        np.zeros(nodes, np.uint64), np.zeros((nodes, columns.BODY_GENES), np.float32), np.zeros((muscles, 2), np.int64),
        np.zeros((muscles, columns.MUSCLE_GENES), np.float32), np.zeros((nodes, nodes), np.float32),
        np.zeros(slots + 1, np.uint64),
    )  # fmt: skip


@kernel
def draw_body(key: Any, least: Any, most: Any, muscle_limit: Any, sketch: Any) -> Any:
    """Draw one body from the stream `key` into the sketch; returns (body nodes, muscles).

    Stiffness and damping are redrawn for a body whose integration could be unstable (one in sixteen), so nobody is
    born exploding.
    """
    ids, genes, ends, pulls = sketch.ids, sketch.genes, sketch.ends, sketch.pulls
    count = least + below(key, 0, most - least + 1)
    for n in range(count):
        ids[n] = mark(BODY_NODE, np.uint64(n), 0, 0)
        own = substream(key, 1000 + n)
        genes[n, columns.SIZE] = F(0.2) + F(0.4) * uniform(own, 0)
        genes[n, columns.FRICTION] = F(0.3) + F(0.6) * uniform(own, 1)
        genes[n, columns.POSITION_X] = F(3.0) * uniform(own, 2) - F(1.5)
        genes[n, columns.POSITION_Y] = F(0.3) + F(1.95) * uniform(own, 3)
        genes[n, columns.POSITION_Z] = F(3.0) * uniform(own, 4) - F(1.5)
    muscles = 0
    for n in range(1, count):
        if muscles < muscle_limit:
            ends[muscles, 0], ends[muscles, 1] = below(key, n, n), n
            muscles += 1
    draw = 100
    while muscles < muscle_limit and count > 1:
        one = below(key, draw, count)
        two = below(key, draw + 1, count - 1)
        two += two >= one
        draw += 2
        joined = False
        for m in range(muscles):
            joined |= (ends[m, 0] == one and ends[m, 1] == two) or (ends[m, 0] == two and ends[m, 1] == one)
        if joined:
            break
        ends[muscles, 0], ends[muscles, 1] = one, two
        muscles += 1
    for attempt in range(_TRIES):
        for m in range(muscles):
            draw_muscle(substream(key, 2000 + m), genes, ends[m, 0], ends[m, 1], pulls[m], attempt)
        if stable(sketch, count, muscles):
            break
    return count, muscles


@kernel
def draw_muscle(key: Any, genes: Any, one: Any, two: Any, out: Any, attempt: Any) -> Any:
    """First-draw genes of a muscle between body nodes `one` and `two` into `out` [6].

    Every further `attempt` (from 0) draws stiffness and damping anew, from less of their ranges.
    """
    dx = genes[one, columns.POSITION_X] - genes[two, columns.POSITION_X]
    dy = genes[one, columns.POSITION_Y] - genes[two, columns.POSITION_Y]
    dz = genes[one, columns.POSITION_Z] - genes[two, columns.POSITION_Z]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    out[columns.REST] = max(F(0.1), length * (F(0.8) + F(0.4) * uniform(key, 0)))
    range_left = F(1.0) - F(attempt) / F(_TRIES - 1)
    out[columns.STIFFNESS] = F(50.0) + F(150.0) * range_left * uniform(key, 10 + 2 * attempt)
    out[columns.DAMPING] = F(2.0) + F(2.0) * range_left * uniform(key, 11 + 2 * attempt)
    out[columns.FREQUENCY] = F(0.5) + F(2.5) * uniform(key, 3)
    out[columns.AMPLITUDE] = F(0.1) + F(0.4) * uniform(key, 4)
    out[columns.PHASE] = TWO_PI * uniform(key, 5)


@kernel
def stable(sketch: Any, count: Any, muscles: Any) -> Any:
    """Whether semi-implicit Euler is stable for the body in every pose.

    For a mode of stiffness k and damping c per unit mass the step is stable when 2 c dt + k dt^2 < 4 (Jury's
    criterion): when 4 M - W is positive definite, M the masses and W the stiffness matrix made of 2 c dt + k dt^2. A
    muscle's part of W is largest when all muscles are in line, so W is taken as if they were: the weighted Laplacian
    of the body's graph. Cost: one factorisation, O(count^3).
    """
    genes, ends, pulls, left = sketch.genes, sketch.ends, sketch.pulls, sketch.left
    for n in range(count):
        for i in range(count):
            left[n, i] = F(0.0)
        left[n, n] = F(4.0) * body_mass(genes[n, columns.SIZE])
    for m in range(muscles):
        one, two = ends[m, 0], ends[m, 1]
        load = F(2.0) * pulls[m, columns.DAMPING] * DT + pulls[m, columns.STIFFNESS] * DT * DT
        left[one, one] -= load
        left[two, two] -= load
        left[one, two] += load
        left[two, one] += load
    for n in range(count):
        if left[n, n] <= F(1e-3):
            return False
        for i in range(n + 1, count):
            share = left[i, n] / left[n, n]
            for j in range(n + 1, count):
                left[i, j] -= share * left[n, j]
    return True


class FirstDraw(NamedTuple):
    """What the first draw needs to know, as plain numbers; see `first_draw_of`."""

    min_nodes: int
    max_nodes: int
    max_muscles: int
    connectivity: int  # 0 full, 1 sparse_inputs, 2 sparse_outputs, 3 none
    weight_scale: float
    output_bias: float
    outputs: int


FULL, SPARSE_INPUTS, SPARSE_OUTPUTS, NONE = range(4)
CONNECTIVITY = ("full", "sparse_inputs", "sparse_outputs", "none")
"""Names of the ways to connect a first network, in the order of their numbers."""


@kernel
def linked(key: Any, connectivity: Any, source: Any, target: Any) -> Any:
    """Whether an input and an output are joined in a first network drawn from `key`.

    sparse_inputs: a random half of the inputs reach every output; sparse_outputs: every input reaches a random half
    of the outputs; `source` and `target` are the markings of input and output.
    """
    if connectivity == FULL:
        return True
    if connectivity == SPARSE_INPUTS:
        return uniform(substream(key, 1), source) < F(0.5)
    if connectivity == SPARSE_OUTPUTS:
        return uniform(substream(key, 2), target) < F(0.5)
    return False


@kernel
def connect_output(d: Any, muscle: Any, key: Any, wiring: Any, layout: Any, first: Any, marks: Any, fixed: Any) -> Any:
    """Give a new muscle its output: neuron and connections (neat), or weights in its own row (pure, hybrid).

    `key`: stream of the weights; `wiring`: stream of the genome that decides which inputs and outputs are linked;
    `marks`: scratch for input markings; `fixed`: see `population.has`.
    """
    output = output_mark(muscle)
    if fixed is not None:
        row = find(d.muscle_id, 0, d.size[MUSCLE], muscle)
        base = columns.MUSCLE_GENES
        for h in range(layout.hidden * (layout.strain + 1)):
            on = linked(wiring, first.connectivity, np.uint64(1000 + h), output) or first.connectivity == SPARSE_INPUTS
            d.muscle_gene[row, base + h] = normal(key, h) * F(first.weight_scale) if on else F(0.0)
        if layout.node_bias:
            d.muscle_gene[row, d.muscle_gene.shape[1] - 1] = F(first.output_bias)
    else:
        insert_node(d, output, F(first.output_bias))
        used = input_marks(
            layout, d.body_id[: d.size[BODY]], d.muscle_id[: d.size[MUSCLE]], d.size[BODY], d.size[MUSCLE], marks
        )
        for i in range(used):
            if linked(wiring, first.connectivity, marks[i], output):
                weight = normal(key, i) * F(first.weight_scale)
                insert_connection(d, connection_mark(marks[i], output), marks[i], output, weight)


@kernel
def draw_shared(d: Any, key: Any, layout: Any, first: Any, fixed: Any) -> Any:
    """Draw the shared genes: the frequency multiplier and, in the fixed topologies, the hidden layers' weights."""
    d.shared[columns.MULTIPLIER] = F(0.8) + F(0.4) * uniform(key, 0)
    if fixed is not None:
        inputs = layout.sensors + layout.constant
        for h in range(layout.hidden):
            for i in range(inputs):
                on = linked(key, first.connectivity, np.uint64(i), np.uint64(0)) or first.connectivity == SPARSE_OUTPUTS
                at = h * inputs + i
                weight = normal(key, 1 + at) * F(first.weight_scale) if on else F(0.0)
                d.shared[columns.SHARED_GENES + at] = weight
            if layout.node_bias:
                d.shared[columns.SHARED_GENES + layout.hidden * inputs + h] = F(0.0)
        draw_deeper(d, substream(key, 3), layout, first)


@kernel
def draw_deeper(d: Any, key: Any, layout: Any, first: Any) -> Any:
    """Draw the weights from layer to layer, biases 0, and of each layer to itself; see `population.Deeper`."""
    scale = F(0.0) if first.connectivity == NONE else F(first.weight_scale)
    at = columns.SHARED_GENES + layout.hidden * (layout.sensors + layout.constant + layout.node_bias)
    biases = at + (layout.layers - 1) * layout.hidden * layout.hidden
    own = biases + (layout.layers - 1) * layout.hidden * layout.node_bias
    for g in range(at, len(d.shared)):
        d.shared[g] = normal(key, g - at) * scale if g < biases or g >= own else F(0.0)


@kernel
def draw_parts(d: Any, key: Any, first: Any, sketch: Any) -> Any:
    """Give the draft its body nodes and muscles, with the weights that belong to them but an output's own."""
    ids, genes, ends, pulls = sketch.ids, sketch.genes, sketch.ends, sketch.pulls
    count, muscles = draw_body(substream(key, 2), first.min_nodes, first.max_nodes, first.max_muscles, sketch)
    for n in range(count):
        row = insert_body(d, ids[n])
        own = substream(key, 5000 + n)
        for g in range(d.body_gene.shape[1]):
            on = (
                first.connectivity == FULL
                or first.connectivity == SPARSE_OUTPUTS
                or (first.connectivity == SPARSE_INPUTS and uniform(own, 1000 + g) < F(0.5))
            )
            weight = normal(own, g) * F(first.weight_scale) if on else F(0.0)
            d.body_gene[row, g] = genes[n, g] if g < columns.BODY_GENES else weight
    for m in range(muscles):
        one, two = ids[ends[m, 0]], ids[ends[m, 1]]
        row = insert_muscle(d, muscle_mark(one, two), one, two)
        for g in range(columns.MUSCLE_GENES):
            d.muscle_gene[row, g] = pulls[m, g]


@kernel
def draw_genome(d: Any, key: Any, layout: Any, first: Any, sketch: Any, body: Any, fixed: Any) -> Any:
    """Make the draft a first-draw genome from the stream `key`; `body`, `fixed`: see `population.has`."""
    for table in range(len(d.size)):
        d.size[table] = 0
    draw_shared(d, substream(key, 1), layout, first, fixed)
    wiring = substream(key, 4)
    if body is not None:
        draw_parts(d, key, first, sketch)
    for o in range(first.outputs):
        insert_muscle(d, mark(OUTPUT, np.uint64(o), 1, 0), np.uint64(0), np.uint64(0))
    for m in range(d.size[MUSCLE]):
        connect_output(d, d.muscle_id[m], substream(key, 10000 + m), wiring, layout, first, sketch.marks, fixed)


@kernel
def _draw_all(d: Any, key: Any, layout: Any, first: Any, sketch: Any, out: Any, body: Any, fixed: Any) -> Any:
    for p in range(len(out.shared)):
        draw_genome(d, substream(key, p), layout, first, sketch, body, fixed)
        store(d, out, p)


def draw_genomes(count: int, key: np.uint64, layout: Layout, first: FirstDraw) -> Genomes:
    """`count` first-draw genomes; genome p is a function of (key, p) alone."""
    muscles = first.max_muscles if layout.body else first.outputs
    bodies = first.max_nodes if layout.body else 0
    slots = input_slots(layout, bodies, muscles)
    neat = layout.hidden == 0
    room = Room(bodies + 1, muscles + 1, muscles * neat + 1, muscles * slots * neat + 1)
    draft = make_draft(room, layout)
    out = make_genomes(count, Room(*(count * rows for rows in room)), layout)
    _draw_all(draft, key, layout, first, make_sketch(bodies, muscles, slots), out, *has(layout))
    return trim(out)
