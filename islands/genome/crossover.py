"""Crossover of aligned genomes (Stanley & Miikkulainen 2002; SBX of Deb & Agrawal 1995).

The child is built on the fitter parent: its parts, all of them, in a structure
that is whole by construction. Where both parents carry a gene with the same
marking, the child takes either's; what only the fitter one has stays, what only
the other has is left out. Inherited rest lengths are kept as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from islands.genome import population as columns
from islands.genome.draft import BODY, CONNECTION, MUSCLE, NODE
from islands.genome.population import Array
from islands.kernel import kernel
from islands.rng import bits, substream, uniform

F = np.float32
HALF = F(0.5)
CELLS = 4096
FARTHEST = F(1e6)


def spreads_of(eta: float) -> Array:
    """The quantiles of SBX's spread factor beta for distribution index `eta` (float32 [4096], at cell midpoints).

    beta = (2u)^(1/(eta+1)) for u <= 1/2, (1/(2(1-u)))^(1/(eta+1)) otherwise, u uniform in [0, 1).
    """
    u = (np.arange(CELLS) + 0.5) / CELLS
    return np.asarray(np.where(u <= 0.5, 2 * u, 0.5 / (1 - u)) ** (1.0 / (eta + 1.0)), np.float32)


@kernel
def sbx(one: Any, two: Any, key: Any, index: Any, spreads: Any) -> Any:
    """One child value of simulated binary crossover; `spreads` from `spreads_of`.

    With probability 1/2, as in Deb's program, the value is inherited unchanged; otherwise the child is
    ((1 + beta) one + (1 - beta) two) / 2, the parents in random order. A wide distribution widens a population without
    end; a child farther than `FARTHEST` from 0, where no network tells the difference, inherits the value.
    """
    word = bits(key, index)
    if word & np.uint64(1):
        return one
    beta = spreads[np.int64(word >> np.uint64(52))]
    mine, theirs = (two, one) if word & np.uint64(2) else (one, two)
    value = HALF * ((F(1.0) + beta) * mine + (F(1.0) - beta) * theirs)
    return value if abs(value) <= FARTHEST else one


@kernel
def cross_body(d: Any, other: Any, p: Any, key: Any) -> Any:
    """Body nodes and muscles that both have: all body genes of a part from one parent or the other, evenly."""
    at, end = other.body_start[p], other.body_start[p + 1]
    for n in range(d.size[BODY]):
        while at < end and other.body_id[at] < d.body_id[n]:
            at += 1
        if at < end and other.body_id[at] == d.body_id[n] and uniform(key, n) < HALF:
            for g in range(columns.BODY_GENES):
                d.body_gene[n, g] = other.body_gene[at, g]
    at, end = other.muscle_start[p], other.muscle_start[p + 1]
    for m in range(d.size[MUSCLE]):
        while at < end and other.muscle_id[at] < d.muscle_id[m]:
            at += 1
        if at < end and other.muscle_id[at] == d.muscle_id[m] and uniform(key, 1000 + m) < HALF:
            for g in range(columns.MUSCLE_GENES):
                d.muscle_gene[m, g] = other.muscle_gene[at, g]
    if uniform(key, 2000) < HALF:
        d.shared[columns.MULTIPLIER] = other.shared[p, columns.MULTIPLIER]


@kernel
def cross_network(d: Any, other: Any, p: Any, key: Any, disabled_rate: Any) -> Any:
    """Matching neurons (bias, function) and weights evenly; a gene disabled in either is so in `disabled_rate`."""
    at, end = other.node_start[p], other.node_start[p + 1]
    for n in range(d.size[NODE]):
        while at < end and other.node_id[at] < d.node_id[n]:
            at += 1
        if at < end and other.node_id[at] == d.node_id[n] and uniform(key, n) < HALF:
            d.node_bias[n] = other.node_bias[at]
            d.node_kind[n] = other.node_kind[at]
    key = substream(key, 1)
    at, end = other.conn_start[p], other.conn_start[p + 1]
    for c in range(d.size[CONNECTION]):
        while at < end and other.conn_id[at] < d.conn_id[c]:
            at += 1
        if at < end and other.conn_id[at] == d.conn_id[c]:
            mine, theirs = d.conn_weight[c], other.conn_weight[at]
            d.conn_weight[c] = theirs if bits(key, 2 * c) & np.uint64(1) else mine
            if not (d.conn_on[c] and other.conn_on[at]):
                d.conn_on[c] = 0 if uniform(key, 2 * c + 1) < F(disabled_rate) else 1


@kernel
def cross_fixed(d: Any, other: Any, p: Any, key: Any, spreads: Any) -> Any:
    """SBX on every weight of the fixed topologies that both have; the weights of matching parts pair up."""
    index = 0
    for g in range(columns.SHARED_GENES, len(d.shared)):
        d.shared[g] = sbx(d.shared[g], other.shared[p, g], key, index, spreads)
        index += 1
    at, end = other.muscle_start[p], other.muscle_start[p + 1]
    for m in range(d.size[MUSCLE]):
        while at < end and other.muscle_id[at] < d.muscle_id[m]:
            at += 1
        if at < end and other.muscle_id[at] == d.muscle_id[m]:
            for g in range(columns.MUSCLE_GENES, d.muscle_gene.shape[1]):
                d.muscle_gene[m, g] = sbx(d.muscle_gene[m, g], other.muscle_gene[at, g], key, index, spreads)
                index += 1
    at, end = other.body_start[p], other.body_start[p + 1]
    for n in range(d.size[BODY]):
        while at < end and other.body_id[at] < d.body_id[n]:
            at += 1
        if at < end and other.body_id[at] == d.body_id[n]:
            for g in range(columns.BODY_GENES, d.body_gene.shape[1]):
                d.body_gene[n, g] = sbx(d.body_gene[n, g], other.body_gene[at, g], key, index, spreads)
                index += 1


@kernel
def cross(d: Any, other: Any, p: Any, key: Any, disabled_rate: Any, spreads: Any, fixed: Any) -> Any:
    """Mix genome `p` of `other` (the less fit parent) into the draft, a copy of the fitter.

    `fixed`: see `population.has`.
    """
    cross_body(d, other, p, substream(key, 0))
    if fixed is not None:
        cross_fixed(d, other, p, substream(key, 1), spreads)
    else:
        cross_network(d, other, p, substream(key, 2), disabled_rate)
