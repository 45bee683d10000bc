"""evosax's SNES on CartPole: a whole generation compiled by JAX, its episodes in one loop until the last has ended."""

from __future__ import annotations

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import rounds
from evosax.algorithms import SNES
from rounds import FARTHEST, FORCE, GRAVITY, HALF, HIDDEN, MOMENT, SCALE, STEEPEST, STEPS, TAU, TOTAL

WEIGHTS = 4 * HIDDEN + HIDDEN + HIDDEN + 1


@jax.jit
def episodes(weights: Any, state: Any) -> tuple[Any, Any]:
    """Steps that each row of weights balances (int32 [P]), and how often the loop ran."""
    count = len(weights)
    first = weights[:, : 4 * HIDDEN].reshape(count, HIDDEN, 4)
    bias, second, last = weights[:, 4 * HIDDEN : 5 * HIDDEN], weights[:, 5 * HIDDEN : 6 * HIDDEN], weights[:, -1]

    def go_on(carried: Any) -> Any:
        step, _, alive, _ = carried
        return (step < STEPS) & alive.any()

    def turn_of(carried: Any) -> Any:
        step, now, alive, steps = carried
        hidden = jnp.tanh(jnp.einsum("pho,po->ph", first, now) + bias)
        out = (second * hidden).sum(axis=1) + last
        x, speed, angle, spin = now.T
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        push = (jnp.where(out > 0, FORCE, -FORCE) + MOMENT * spin * spin * sine) / TOTAL
        turn = (GRAVITY * sine - cosine * push) / (HALF * (4.0 / 3.0 - 0.1 * cosine * cosine / TOTAL))
        speed_after = speed + TAU * (push - MOMENT * turn * cosine / TOTAL)
        after = jnp.stack((x + TAU * speed, speed_after, angle + TAU * spin, spin + TAU * turn), axis=1)
        stands = (jnp.abs(after[:, 0]) <= FARTHEST) & (jnp.abs(after[:, 2]) <= STEEPEST)
        return step + 1, after, alive & stands, steps + alive

    begun = (0, jnp.tile(state, (count, 1)), jnp.ones(count, bool), jnp.zeros(count, jnp.int32))
    ran, _, _, steps = jax.lax.while_loop(go_on, turn_of, begun)
    return steps, ran


@functools.cache
def made(population: int) -> tuple[Any, Any]:
    search = SNES(population_size=population, solution=jnp.zeros(WEIGHTS))
    return search, search.default_params.replace(std_init=SCALE)


def begin(population: int, seed: int) -> rounds.Play:
    search, params = made(population)
    key = jax.random.key(seed)
    state = search.init(key, jnp.zeros(WEIGHTS), params)

    def play(first: tuple[float, ...]) -> rounds.Generation:
        nonlocal key, state
        key, asking, telling = jax.random.split(key, 3)
        weights, state = search.ask(asking, state, params)
        jax.block_until_ready(weights)
        began = time.process_time()
        steps, ran = episodes(weights, jnp.array(first))
        steps.block_until_ready()
        spent = time.process_time() - began
        state, _ = search.tell(telling, weights, -steps.astype(jnp.float32), state, params)
        jax.block_until_ready(state.mean)
        return rounds.Generation(int(steps.sum()), int(ran) * population, spent)

    return play


if __name__ == "__main__":
    rounds.serve(begin, ("evosax", "jax", "jaxlib"))
