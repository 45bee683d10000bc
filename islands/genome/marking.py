"""Historical markings without a counter.

A marking is a uint64: the depth of the innovation in its top 8 bits, a hash of
what was split or joined in the other 56. Equal innovations get equal markings
on every island and in every generation, and nobody has to be asked. Two
different innovations of one depth collide with probability 2^-56 per pair.

Depth takes the place of NEAT's innovation order (Stanley & Miikkulainen 2002):
first-draw parts have depth 0, a node that splits a connection is one deeper
than it, a connection is as deep as its deeper end. A gene is *excess* when it
is deeper than everything in the other genome, *disjoint* otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from islands.kernel import kernel, kernel_as
from islands.rng import mix

INPUT, OUTPUT, CONNECTION, SPLIT, BODY_NODE, MUSCLE, GROWN, CONSTANT, STRAIN, CONTACT, VELOCITY = (
    np.uint64(i + 1) for i in range(11)
)
"""Kinds of marked things. VELOCITY is followed by two more values for its other components."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_EIGHT = np.uint64(8)
_DEPTH_BITS = np.uint64(56)
_DEEPEST = np.uint64(255)


@kernel_as("uint64(uint64, uint64, uint64, uint64)")
def mark(kind: Any, first: Any, second: Any, depth: Any) -> Any:
    """The marking of `kind` made from `first` and `second` (uint64 markings or numbers) at `depth` (uint64)."""
    word = mix(np.uint64(kind) * _GOLDEN + np.uint64(first))
    word = mix(word + _GOLDEN * np.uint64(second) + np.uint64(1))
    return (min(np.uint64(depth), _DEEPEST) << _DEPTH_BITS) | (word >> _EIGHT)


@kernel
def depth(marking: Any) -> Any:
    """The depth of a marking (uint64, 0 to 255)."""
    return np.uint64(marking) >> _DEPTH_BITS


@kernel
def connection_mark(source: Any, target: Any) -> Any:
    """The marking of the connection source -> target."""
    return mark(CONNECTION, source, target, max(depth(source), depth(target)))


@kernel
def muscle_mark(one: Any, other: Any) -> Any:
    """The marking of the muscle between two body nodes, in either order."""
    return mark(MUSCLE, min(one, other), max(one, other), max(depth(one), depth(other)))


@kernel
def output_mark(muscle: Any) -> Any:
    """The marking of the output neuron that drives a muscle: it belongs to the muscle, so its depth is 0."""
    return mark(OUTPUT, muscle, 0, 0)


@kernel
def is_output(node: Any) -> Any:
    """Whether a node's marking is an output's: hidden nodes were split into being and are deeper."""
    return depth(node) == np.uint64(0)
