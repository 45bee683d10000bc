"""How far apart two genomes are.

Compatibility distance (Stanley & Miikkulainen 2002): c1 E / N + c2 D / N + c3 W,
over the genes that make up a genome: connections (neat), body nodes and muscles.
E and D count excess and disjoint genes (see `marking`), W is the mean absolute
difference of the matching genes' weights. The paper takes N = 1 for genomes
below 20 genes; N here is genes / 20 of the larger genome and at least 1, which
says the same without the jump at 20. A matching part counts with its genes' mean
difference over their ranges, a fixed-topology part with its weights' as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from islands.genome import population as columns
from islands.genome.marking import depth
from islands.genome.mutation import BODY_BOUNDS, MUSCLE_BOUNDS

F = np.float32
SMALL = F(20.0)
"""Genes up to which N is 1."""


class Coefficients(NamedTuple):
    """c1, c2 and c3 of the distance."""

    excess: float
    disjoint: float
    weight: float


@njit(cache=True)  # type: ignore[untyped-decorator]
def align(ids: Any, a0: Any, a1: Any, others: Any, b0: Any, b1: Any, pairs: Any) -> Any:
    """Merge two sorted runs of markings; returns (matching, disjoint, excess) and fills `pairs` with matching rows.

    pairs: int32 [>= min(a1 - a0, b1 - b0), 2]. Cost O(rows).
    """
    deepest_a = depth(ids[a1 - 1]) if a1 > a0 else np.uint64(0)
    deepest_b = depth(others[b1 - 1]) if b1 > b0 else np.uint64(0)
    matching, disjoint, excess = 0, 0, 0
    i, j = a0, b0
    while i < a1 or j < b1:
        if i < a1 and j < b1 and ids[i] == others[j]:
            pairs[matching, 0], pairs[matching, 1] = i, j
            matching += 1
            i += 1
            j += 1
        elif j >= b1 or (i < a1 and ids[i] < others[j]):
            if depth(ids[i]) > deepest_b:
                excess += 1
            else:
                disjoint += 1
            i += 1
        else:
            if depth(others[j]) > deepest_a:
                excess += 1
            else:
                disjoint += 1
            j += 1
    return matching, disjoint, excess


@njit(cache=True)  # type: ignore[untyped-decorator]
def row_difference(one: Any, i: Any, two: Any, j: Any, bounds: Any, own: Any) -> Any:
    """Mean absolute difference of two part rows: body genes over their ranges, plus weights' (columns from `own`)."""
    total = F(0.0)
    for g in range(len(bounds)):
        total += abs(one[i, g] - two[j, g]) / (bounds[g, 1] - bounds[g, 0])
    total /= F(len(bounds))
    width = one.shape[1] - own
    if width > 0:
        weights = F(0.0)
        for g in range(own, one.shape[1]):
            weights += abs(one[i, g] - two[j, g])
        total += weights / F(width)
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def distance(one: Any, p: Any, two: Any, q: Any, coefficients: Any, pairs: Any) -> Any:
    """Compatibility distance (float32, >= 0) of genome `p` of `one` and genome `q` of `two`.

    pairs: scratch int32 [R, 2], R at least the rows of the largest table of a genome. Cost O(genes), no sorting.
    """
    matching = disjoint = excess = genes_p = genes_q = 0
    difference = F(0.0)
    a0, a1, b0, b1 = one.conn_start[p], one.conn_start[p + 1], two.conn_start[q], two.conn_start[q + 1]
    same, apart, beyond = align(one.conn_id, a0, a1, two.conn_id, b0, b1, pairs)
    for k in range(same):
        difference += abs(one.conn_weight[pairs[k, 0]] - two.conn_weight[pairs[k, 1]])
    matching, disjoint, excess = matching + same, disjoint + apart, excess + beyond
    genes_p, genes_q = genes_p + a1 - a0, genes_q + b1 - b0
    a0, a1, b0, b1 = one.body_start[p], one.body_start[p + 1], two.body_start[q], two.body_start[q + 1]
    same, apart, beyond = align(one.body_id, a0, a1, two.body_id, b0, b1, pairs)
    for k in range(same):
        difference += row_difference(
            one.body_gene, pairs[k, 0], two.body_gene, pairs[k, 1], BODY_BOUNDS, columns.BODY_GENES
        )
    matching, disjoint, excess = matching + same, disjoint + apart, excess + beyond
    genes_p, genes_q = genes_p + a1 - a0, genes_q + b1 - b0
    a0, a1, b0, b1 = one.muscle_start[p], one.muscle_start[p + 1], two.muscle_start[q], two.muscle_start[q + 1]
    same, apart, beyond = align(one.muscle_id, a0, a1, two.muscle_id, b0, b1, pairs)
    for k in range(same):
        difference += row_difference(
            one.muscle_gene, pairs[k, 0], two.muscle_gene, pairs[k, 1], MUSCLE_BOUNDS, columns.MUSCLE_GENES
        )
    matching, disjoint, excess = matching + same, disjoint + apart, excess + beyond
    genes_p, genes_q = genes_p + a1 - a0, genes_q + b1 - b0
    width = one.shared.shape[1] - columns.SHARED_GENES
    if width > 0:
        weights = F(0.0)
        for g in range(columns.SHARED_GENES, one.shared.shape[1]):
            weights += abs(one.shared[p, g] - two.shared[q, g])
        difference += weights / F(width)
        matching += 1
    larger = max(F(1.0), F(max(genes_p, genes_q)) / SMALL)
    mean = difference / F(matching) if matching > 0 else F(0.0)
    apart_share = F(coefficients.disjoint) * F(disjoint) + F(coefficients.excess) * F(excess)
    return apart_share / larger + F(coefficients.weight) * mean
