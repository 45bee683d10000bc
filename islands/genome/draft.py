"""One genome being made: fixed room, rows kept sorted by marking while parts come and go.

Operators change a `Draft`; `load` copies a genome into it and `store` appends it
to the arrays of the next population.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from islands.genome.population import Genomes, Layout
from islands.kernel import kernel
from islands.networks import find

BODY, MUSCLE, NODE, CONNECTION = 0, 1, 2, 3
"""Indices into `Draft.size`."""


class Draft(NamedTuple):
    """One genome with room for more; the columns mean what they mean in `Genomes`."""

    size: Any  # int64 [4]: rows in use of the four tables
    body_id: Any
    body_gene: Any
    muscle_id: Any
    muscle_ends: Any
    muscle_gene: Any
    node_id: Any
    node_bias: Any
    node_kind: Any
    conn_id: Any
    conn_ends: Any
    conn_weight: Any
    conn_on: Any
    shared: Any
    seen: Any  # uint8 and uint64, a place a neuron and one more: scratch of who looks for a path
    stack: Any


class Room(NamedTuple):
    """Rows that a draft has room for."""

    body: int
    muscle: int
    node: int
    connection: int


def make_draft(room: Room, layout: Layout) -> Draft:
    """An empty draft."""
    body, muscle, shared = layout.columns
    return Draft(
        size=np.zeros(4, np.int64),
        body_id=np.zeros(room.body, np.uint64),
        body_gene=np.zeros((room.body, body), np.float32),
        muscle_id=np.zeros(room.muscle, np.uint64),
        muscle_ends=np.zeros((room.muscle, 2), np.uint64),
        muscle_gene=np.zeros((room.muscle, muscle), np.float32),
        node_id=np.zeros(room.node, np.uint64),
        node_bias=np.zeros(room.node, np.float32),
        node_kind=np.zeros(room.node, np.uint8),
        conn_id=np.zeros(room.connection, np.uint64),
        conn_ends=np.zeros((room.connection, 2), np.uint64),
        conn_weight=np.zeros(room.connection, np.float32),
        conn_on=np.zeros(room.connection, np.uint8),
        shared=np.zeros(shared, np.float32),
        seen=np.zeros(room.node + 1, np.uint8),
        stack=np.zeros(room.node + 1, np.uint64),
    )


def make_genomes(count: int, rows: Room, layout: Layout) -> Genomes:
    """Uninitialised arrays for `count` genomes with `rows` rows in all; to be filled by `store`, then `trim`med."""
    body, muscle, shared = layout.columns
    return Genomes(
        body_start=np.zeros(count + 1, np.int64),
        body_id=np.empty(rows.body, np.uint64),
        body_gene=np.empty((rows.body, body), np.float32),
        muscle_start=np.zeros(count + 1, np.int64),
        muscle_id=np.empty(rows.muscle, np.uint64),
        muscle_ends=np.empty((rows.muscle, 2), np.uint64),
        muscle_gene=np.empty((rows.muscle, muscle), np.float32),
        node_start=np.zeros(count + 1, np.int64),
        node_id=np.empty(rows.node, np.uint64),
        node_bias=np.empty(rows.node, np.float32),
        node_kind=np.empty(rows.node, np.uint8),
        conn_start=np.zeros(count + 1, np.int64),
        conn_id=np.empty(rows.connection, np.uint64),
        conn_ends=np.empty((rows.connection, 2), np.uint64),
        conn_weight=np.empty(rows.connection, np.float32),
        conn_on=np.empty(rows.connection, np.uint8),
        shared=np.empty((count, shared), np.float32),
    )


@lru_cache
def nobody(layout: Layout) -> Genomes:
    """No genomes, as arrays of the right types; always the same, as there is nothing in them to change."""
    return make_genomes(0, Room(0, 0, 0, 0), layout)


def trim(genomes: Genomes) -> Genomes:
    """`genomes` of `make_genomes` with the rows in use alone: the room not needed is given back, nothing is copied."""
    ends = {name: int(getattr(genomes, f"{name}_start")[-1]) for name in ("body", "muscle", "node", "conn")}
    for name, array in genomes._asdict().items():
        if not name.endswith("_start") and name != "shared":
            array.resize((ends[name.split("_")[0]], *array.shape[1:]), refcheck=False)
    return genomes


@kernel
def load(d: Any, genomes: Any, p: Any) -> Any:
    """Make the draft a copy of genome `p`."""
    b0, b1 = genomes.body_start[p], genomes.body_start[p + 1]
    m0, m1 = genomes.muscle_start[p], genomes.muscle_start[p + 1]
    n0, n1 = genomes.node_start[p], genomes.node_start[p + 1]
    c0, c1 = genomes.conn_start[p], genomes.conn_start[p + 1]
    d.size[BODY], d.size[MUSCLE], d.size[NODE], d.size[CONNECTION] = b1 - b0, m1 - m0, n1 - n0, c1 - c0
    for i in range(b1 - b0):
        d.body_id[i] = genomes.body_id[b0 + i]
        for g in range(d.body_gene.shape[1]):
            d.body_gene[i, g] = genomes.body_gene[b0 + i, g]
    for i in range(m1 - m0):
        d.muscle_id[i] = genomes.muscle_id[m0 + i]
        d.muscle_ends[i, 0] = genomes.muscle_ends[m0 + i, 0]
        d.muscle_ends[i, 1] = genomes.muscle_ends[m0 + i, 1]
        for g in range(d.muscle_gene.shape[1]):
            d.muscle_gene[i, g] = genomes.muscle_gene[m0 + i, g]
    for i in range(n1 - n0):
        d.node_id[i] = genomes.node_id[n0 + i]
        d.node_bias[i] = genomes.node_bias[n0 + i]
        d.node_kind[i] = genomes.node_kind[n0 + i]
    for i in range(c1 - c0):
        d.conn_id[i] = genomes.conn_id[c0 + i]
        d.conn_ends[i, 0] = genomes.conn_ends[c0 + i, 0]
        d.conn_ends[i, 1] = genomes.conn_ends[c0 + i, 1]
        d.conn_weight[i] = genomes.conn_weight[c0 + i]
        d.conn_on[i] = genomes.conn_on[c0 + i]
    for g in range(len(d.shared)):
        d.shared[g] = genomes.shared[p, g]


@kernel
def store(d: Any, genomes: Any, p: Any) -> Any:
    """Append the draft as genome `p`; genomes 0 to p - 1 are stored already and there is room."""
    b0, m0, n0, c0 = genomes.body_start[p], genomes.muscle_start[p], genomes.node_start[p], genomes.conn_start[p]
    for i in range(d.size[BODY]):
        genomes.body_id[b0 + i] = d.body_id[i]
        for g in range(d.body_gene.shape[1]):
            genomes.body_gene[b0 + i, g] = d.body_gene[i, g]
    for i in range(d.size[MUSCLE]):
        genomes.muscle_id[m0 + i] = d.muscle_id[i]
        genomes.muscle_ends[m0 + i, 0] = d.muscle_ends[i, 0]
        genomes.muscle_ends[m0 + i, 1] = d.muscle_ends[i, 1]
        for g in range(d.muscle_gene.shape[1]):
            genomes.muscle_gene[m0 + i, g] = d.muscle_gene[i, g]
    for i in range(d.size[NODE]):
        genomes.node_id[n0 + i] = d.node_id[i]
        genomes.node_bias[n0 + i] = d.node_bias[i]
        genomes.node_kind[n0 + i] = d.node_kind[i]
    for i in range(d.size[CONNECTION]):
        genomes.conn_id[c0 + i] = d.conn_id[i]
        genomes.conn_ends[c0 + i, 0] = d.conn_ends[i, 0]
        genomes.conn_ends[c0 + i, 1] = d.conn_ends[i, 1]
        genomes.conn_weight[c0 + i] = d.conn_weight[i]
        genomes.conn_on[c0 + i] = d.conn_on[i]
    for g in range(len(d.shared)):
        genomes.shared[p, g] = d.shared[g]
    genomes.body_start[p + 1] = b0 + d.size[BODY]
    genomes.muscle_start[p + 1] = m0 + d.size[MUSCLE]
    genomes.node_start[p + 1] = n0 + d.size[NODE]
    genomes.conn_start[p + 1] = c0 + d.size[CONNECTION]


@kernel
def _place(ids: Any, size: Any, marking: Any) -> Any:
    """The row at which `marking` keeps `ids[:size]` sorted; -1 when it is there already."""
    at = size
    while at > 0 and ids[at - 1] >= marking:
        at -= 1
    return -1 if at < size and ids[at] == marking else at


@kernel
def copy_row(table: Any, target: Any, source: Any) -> Any:
    """Overwrite row `target` of a table with row `source`."""
    for g in range(table.shape[1]):
        table[target, g] = table[source, g]


@kernel
def clear_row(table: Any, row: Any) -> Any:
    """Write zeros into a row of a float32 table."""
    for g in range(table.shape[1]):
        table[row, g] = np.float32(0.0)


@kernel
def insert_body(d: Any, marking: Any) -> Any:
    """Make room for a body node; returns its row (genes are the caller's to write), or -1 when it exists."""
    at = _place(d.body_id, d.size[BODY], marking)
    if at >= 0:
        for i in range(d.size[BODY], at, -1):
            d.body_id[i] = d.body_id[i - 1]
            copy_row(d.body_gene, i, i - 1)
        d.body_id[at] = marking
        clear_row(d.body_gene, at)
        d.size[BODY] += 1
    return at


@kernel
def insert_muscle(d: Any, marking: Any, one: Any, two: Any) -> Any:
    """Make room for a muscle between the body nodes `one` and `two`; returns its row, or -1 when it exists."""
    at = _place(d.muscle_id, d.size[MUSCLE], marking)
    if at >= 0:
        for i in range(d.size[MUSCLE], at, -1):
            d.muscle_id[i] = d.muscle_id[i - 1]
            copy_row(d.muscle_ends, i, i - 1)
            copy_row(d.muscle_gene, i, i - 1)
        d.muscle_id[at] = marking
        d.muscle_ends[at, 0] = one
        d.muscle_ends[at, 1] = two
        clear_row(d.muscle_gene, at)
        d.size[MUSCLE] += 1
    return at


@kernel
def insert_node(d: Any, marking: Any, bias: Any) -> Any:
    """Add a neuron with the network's own function; returns its row, or -1 when it exists."""
    at = _place(d.node_id, d.size[NODE], marking)
    if at >= 0:
        for i in range(d.size[NODE], at, -1):
            d.node_id[i] = d.node_id[i - 1]
            d.node_bias[i] = d.node_bias[i - 1]
            d.node_kind[i] = d.node_kind[i - 1]
        d.node_id[at] = marking
        d.node_bias[at] = bias
        d.node_kind[at] = 0
        d.size[NODE] += 1
    return at


@kernel
def insert_connection(d: Any, marking: Any, source: Any, target: Any, weight: Any) -> Any:
    """Add an enabled connection; returns its row, or -1 when it exists."""
    at = _place(d.conn_id, d.size[CONNECTION], marking)
    if at >= 0:
        for i in range(d.size[CONNECTION], at, -1):
            d.conn_id[i] = d.conn_id[i - 1]
            d.conn_ends[i, 0] = d.conn_ends[i - 1, 0]
            d.conn_ends[i, 1] = d.conn_ends[i - 1, 1]
            d.conn_weight[i] = d.conn_weight[i - 1]
            d.conn_on[i] = d.conn_on[i - 1]
        d.conn_id[at] = marking
        d.conn_ends[at, 0] = source
        d.conn_ends[at, 1] = target
        d.conn_weight[at] = weight
        d.conn_on[at] = 1
        d.size[CONNECTION] += 1
    return at


@kernel
def remove_muscle_row(d: Any, row: Any) -> Any:
    """Take a muscle's row out; its neuron is the caller's business."""
    for i in range(row, d.size[MUSCLE] - 1):
        d.muscle_id[i] = d.muscle_id[i + 1]
        copy_row(d.muscle_ends, i, i + 1)
        copy_row(d.muscle_gene, i, i + 1)
    d.size[MUSCLE] -= 1


@kernel
def remove_body_row(d: Any, row: Any) -> Any:
    """Take a body node's row out; its muscles are the caller's business."""
    for i in range(row, d.size[BODY] - 1):
        d.body_id[i] = d.body_id[i + 1]
        copy_row(d.body_gene, i, i + 1)
    d.size[BODY] -= 1


@kernel
def remove_node(d: Any, marking: Any) -> Any:
    """Take a neuron and every connection at it out, if it is there."""
    at = find(d.node_id, 0, d.size[NODE], marking)
    if at < 0:
        return
    for i in range(at, d.size[NODE] - 1):
        d.node_id[i] = d.node_id[i + 1]
        d.node_bias[i] = d.node_bias[i + 1]
        d.node_kind[i] = d.node_kind[i + 1]
    d.size[NODE] -= 1
    remove_connections_at(d, marking)


@kernel
def remove_connections_at(d: Any, marking: Any) -> Any:
    """Take out every connection that starts or ends at `marking` (a neuron or an input)."""
    kept = 0
    for i in range(d.size[CONNECTION]):
        if d.conn_ends[i, 0] == marking or d.conn_ends[i, 1] == marking:
            continue
        if kept != i:
            d.conn_id[kept] = d.conn_id[i]
            d.conn_ends[kept, 0] = d.conn_ends[i, 0]
            d.conn_ends[kept, 1] = d.conn_ends[i, 1]
            d.conn_weight[kept] = d.conn_weight[i]
            d.conn_on[kept] = d.conn_on[i]
        kept += 1
    d.size[CONNECTION] = kept
