"""The functions of neurons, and of clocks, in sixteen lanes."""

from __future__ import annotations

from typing import Any

import numpy as np

from islands.genome import population as columns
from islands.kernel import kernel
from islands.lanes import fill, fma, select, vabs, vfloor, vmax, vmin

F = np.float32
TURN = 2.0 * np.pi
TURN_HIGH = F(6.28125)
"""2 pi, but for `TURN_LOW`: so few digits that its multiples up to 2^16 are exact."""
TURN_LOW = F(TURN - 6.28125)
_HALVINGS = 6
_EXPM1 = tuple(F(1.0 / n) for n in (5040.0, 720.0, 120.0, 24.0, 6.0, 2.0))


@kernel
def tanh_of(value: Any) -> Any:
    """tanh of sixteen lanes: the rational approximation of degree 13/6 that Eigen uses, error below 3e-7."""
    x = vmax(vmin(value, fill(F(7.90531110763549805))), fill(F(-7.90531110763549805)))
    q = x * x
    p = fma(q, fill(F(-2.76076847742355e-16)), fill(F(2.00018790482477e-13)))
    p = fma(q, p, fill(F(-8.60467152213735e-11)))
    p = fma(q, p, fill(F(5.12229709037114e-08)))
    p = fma(q, p, fill(F(1.48572235717979e-05)))
    p = fma(q, p, fill(F(6.37261928875436e-04)))
    p = fma(q, p, fill(F(4.89352455891786e-03)))
    d = fma(q, fill(F(1.19825839466702e-06)), fill(F(1.18534705686654e-04)))
    d = fma(q, d, fill(F(2.26843463243900e-03)))
    d = fma(q, d, fill(F(4.89352518554385e-03)))
    return p * x / d


@kernel
def sine_of_turns(turns: Any) -> Any:
    """sin(2 pi turns) of sixteen lanes: reduced to a quarter turn, then a polynomial; error below 2e-7."""
    r = turns - vfloor(turns + fill(F(0.5)))
    r = select(r > fill(F(0.25)), fill(F(0.5)) - r, r)
    r = select(r < fill(F(-0.25)), fill(F(-0.5)) - r, r)
    q = r * r
    p = fma(q, fill(F(-15.09464257682298)), fill(F(42.05869394489765)))
    p = fma(q, p, fill(F(-76.70585975306136)))
    p = fma(q, p, fill(F(81.60524927607504)))
    p = fma(q, p, fill(F(-41.34170224039976)))
    p = fma(q, p, fill(F(6.283185307179586)))
    return p * r


@kernel
def sine_of(value: Any) -> Any:
    """sin x of sixteen lanes; error below 1e-6 for x to 1000 either way."""
    turns = vfloor(fma(value, fill(F(1.0 / TURN)), fill(F(0.5))))
    rest = fma(turns, fill(-TURN_HIGH), value)
    rest = fma(turns, fill(-TURN_LOW), rest)
    return sine_of_turns(rest * fill(F(1.0 / TURN)))


@kernel
def gaussian_of(value: Any) -> Any:
    """exp(-x^2) of sixteen lanes; error below 1e-6.

    exp(y) - 1 by its series for a y of 2^-6 the size, then doubled six times: (1 + e)^2 - 1 = 2 e + e^2.
    """
    x = vmax(vmin(value, fill(F(5.6))), fill(F(-5.6)))
    y = x * x * fill(F(-1.0 / 2**_HALVINGS))
    p = fma(y, fill(_EXPM1[0]), fill(_EXPM1[1]))
    p = fma(y, p, fill(_EXPM1[2]))
    p = fma(y, p, fill(_EXPM1[3]))
    p = fma(y, p, fill(_EXPM1[4]))
    p = fma(y, p, fill(_EXPM1[5]))
    e = fma(y * y, p, y)
    for _ in range(_HALVINGS):
        e = fma(e, e, e + e)
    return vmax(fill(F(1.0)) + e, fill(F(0.0)))


@kernel
def activated(total: Any, activation: Any) -> Any:
    """The value of neurons whose weighted sums are `total`; see `Layout.activation`."""
    if activation == 0:
        return tanh_of(total)
    half = fill(F(0.5))
    return fma(half, tanh_of(total * fill(F(2.45))), half)


@kernel
def activated_by(total: Any, kinds: Any, activation: Any, activations: Any) -> Any:
    """The values of neurons of which each lane's has its own function: see `population.KINDS`.

    kinds: their numbers, as float32 lanes; activations: a bit for each function that may occur.
    """
    value = activated(total, activation)
    bound = fill(F(columns.BOUND))
    kept = vmax(vmin(total, bound), fill(F(0.0)) - bound)
    if activations & (1 << columns.TANH):
        value = select(_is(kinds, columns.TANH), activated(total, 0), value)
    if activations & (1 << columns.SIGMOID):
        value = select(_is(kinds, columns.SIGMOID), activated(total, 1), value)
    if activations & (1 << columns.RELU):
        value = select(_is(kinds, columns.RELU), vmax(kept, fill(F(0.0))), value)
    if activations & (1 << columns.SIN):
        value = select(_is(kinds, columns.SIN), sine_of(total), value)
    if activations & (1 << columns.GAUSSIAN):
        value = select(_is(kinds, columns.GAUSSIAN), gaussian_of(total), value)
    if activations & (1 << columns.IDENTITY):
        value = select(_is(kinds, columns.IDENTITY), kept, value)
    if activations & (1 << columns.ABS):
        value = select(_is(kinds, columns.ABS), vabs(kept), value)
    return value


@kernel
def _is(kinds: Any, kind: Any) -> Any:
    """The lanes of a kind."""
    wanted = fill(F(kind))
    return (kinds >= wanted) & (kinds <= wanted)
