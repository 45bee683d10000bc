"""How far apart two genomes are.

Compatibility distance (Stanley & Miikkulainen 2002): c1 E / N + c2 D / N + c3 W,
over the genes that make up a genome: connections (neat), body nodes and muscles. The
plain outputs of a task without bodies have no genes in neat, and so do not count.
E and D count excess and disjoint genes (see `marking`), W is the mean absolute
difference of the matching genes' weights. The paper takes N = 1 for genomes
below 20 genes; N here is genes / 20 of the larger genome and at least 1, which
says the same without the jump at 20. A matching part counts with its genes' mean
difference over their ranges, a fixed-topology part with its weights' as well. Neurons are not genes
here, as in the paper: neither their biases nor their functions count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.genome import population as columns
from islands.genome.marking import depth
from islands.genome.mutation import BODY_BOUNDS, MUSCLE_BOUNDS
from islands.genome.population import Array, Genomes
from islands.kernel import kernel

F = np.float32
SMALL = F(20.0)
"""Genes up to which N is 1."""
MANY = F(2.0**30)
"""More genes than any genome has."""


class Coefficients(NamedTuple):
    """c1, c2 and c3 of the distance."""

    excess: float
    disjoint: float
    weight: float


@kernel
def align(ids: Any, a0: Any, a1: Any, others: Any, b0: Any, b1: Any, pairs: Any, most: Any) -> Any:
    """Merge two sorted runs of markings; returns (matching, disjoint, excess) and fills `pairs` with matching rows.

    pairs: int32 [>= min(a1 - a0, b1 - b0), 2]. Once more than `most` rows have no match the rest is not looked at. Cost
    O(rows).
    """
    deepest_a = depth(ids[a1 - 1]) if a1 > a0 else np.uint64(0)
    deepest_b = depth(others[b1 - 1]) if b1 > b0 else np.uint64(0)
    matching, disjoint, excess = 0, 0, 0
    i, j = a0, b0
    while (i < a1 or j < b1) and disjoint + excess <= most:
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


@kernel
def most_unmatched(coefficients: Any, larger: Any, limit: Any) -> Any:
    """A number of genes without a match (int64) beyond which any distance reaches `limit`, rounding included."""
    least = min(F(coefficients.excess), F(coefficients.disjoint))
    bound = F(1.001) * F(limit) * larger
    return np.int64(bound / least) + 1 if least > F(0.0) and bound < least * MANY else np.int64(MANY)


@kernel
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


@kernel
def part_difference(one: Any, two: Any, pairs: Any, count: Any, bounds: Any) -> Any:
    """Sum of `row_difference` over the first `count` matching rows of a table of parts."""
    total = F(0.0)
    for k in range(count):
        total += row_difference(one, pairs[k, 0], two, pairs[k, 1], bounds, len(bounds))
    return total


@kernel
def distance(one: Any, p: Any, two: Any, q: Any, coefficients: Any, pairs: Any, limit: Any = np.inf) -> Any:
    """Compatibility distance (float32, >= 0) of genome `p` of `one` and genome `q` of `two`.

    pairs: scratch int32 [3, R, 2], R at least the rows of the largest table of a genome. Where the excess and disjoint
    genes alone reach `limit`, what is returned is only known to reach it, too. Cost O(genes), no sorting.
    """
    a0, a1, b0, b1 = one.body_start[p], one.body_start[p + 1], two.body_start[q], two.body_start[q + 1]
    c0, c1, d0, d1 = one.muscle_start[p], one.muscle_start[p + 1], two.muscle_start[q], two.muscle_start[q + 1]
    e0, e1, f0, f1 = one.conn_start[p], one.conn_start[p + 1], two.conn_start[q], two.conn_start[q + 1]
    if a1 == a0 and one.muscle_gene.shape[1] == columns.MUSCLE_GENES:
        c1, d1 = c0, d0
    genes = max(a1 - a0 + c1 - c0 + e1 - e0, b1 - b0 + d1 - d0 + f1 - f0)
    larger = max(F(1.0), F(genes) / SMALL)
    most = most_unmatched(coefficients, larger, limit)
    if abs(a1 - a0 - b1 + b0) + abs(c1 - c0 - d1 + d0) + abs(e1 - e0 - f1 + f0) > most:
        return max(F(limit), F(0.0))
    bodies, disjoint, excess = align(one.body_id, a0, a1, two.body_id, b0, b1, pairs[0], most)
    muscles, apart, beyond = align(one.muscle_id, c0, c1, two.muscle_id, d0, d1, pairs[1], most)
    disjoint, excess = disjoint + apart, excess + beyond
    share = (F(coefficients.disjoint) * F(disjoint) + F(coefficients.excess) * F(excess)) / larger
    if share >= limit:
        return share
    links, apart, beyond = align(one.conn_id, e0, e1, two.conn_id, f0, f1, pairs[2], most)
    disjoint, excess = disjoint + apart, excess + beyond
    share = (F(coefficients.disjoint) * F(disjoint) + F(coefficients.excess) * F(excess)) / larger
    if share >= limit:
        return share
    difference = part_difference(one.body_gene, two.body_gene, pairs[0], bodies, BODY_BOUNDS)
    difference += part_difference(one.muscle_gene, two.muscle_gene, pairs[1], muscles, MUSCLE_BOUNDS)
    for k in range(links):
        difference += abs(one.conn_weight[pairs[2, k, 0]] - two.conn_weight[pairs[2, k, 1]])
    matching = bodies + muscles + links
    width = one.shared.shape[1] - columns.SHARED_GENES
    if width > 0:
        weights = F(0.0)
        for g in range(columns.SHARED_GENES, one.shared.shape[1]):
            weights += abs(one.shared[p, g] - two.shared[q, g])
        difference += weights / F(width)
        matching += 1
    mean = difference / F(matching) if matching > 0 else F(0.0)
    return share + F(coefficients.weight) * mean


def scratch(*parts: Genomes) -> Array:
    """The scratch that `distance` needs for genomes of `parts`: int32 [3, R, 2]."""
    tables = ("body_start", "muscle_start", "conn_start")
    longest = max(int(np.diff(getattr(part, table)).max(initial=0)) for part in parts for table in tables)
    return np.empty((3, longest + 1, 2), np.int32)
