"""EvoTorch's SNES on CartPole: all episodes as tensors, those that are over left out every ten steps."""

from __future__ import annotations

import time

import rounds
import torch
from evotorch import Problem
from evotorch.algorithms import SNES
from rounds import FARTHEST, FORCE, GRAVITY, HALF, HIDDEN, MOMENT, SCALE, STEEPEST, STEPS, TAU, TOTAL

WEIGHTS = 4 * HIDDEN + HIDDEN + HIDDEN + 1
COMPACT = 10
"""Steps after which finished episodes are left out."""

torch.set_num_threads(1)


@torch.no_grad()
def episodes(weights: torch.Tensor, state: tuple[float, ...]) -> tuple[torch.Tensor, int]:
    """Steps that each row of weights balances (float [P]), and steps computed in all."""
    count, padded = len(weights), 0
    steps, rows = torch.zeros(count), torch.arange(count)
    now = torch.tensor(state).repeat(count, 1)
    first, bias, second, last = weights.split((4 * HIDDEN, HIDDEN, HIDDEN, 1), dim=1)
    first, second = first.reshape(count, HIDDEN, 4), second.reshape(count, 1, HIDDEN)
    alive = torch.ones(count, dtype=torch.bool)
    for step in range(STEPS):
        if step % COMPACT == 0 and not alive.all():
            if not alive.any():
                break
            rows, now, first, bias, second, last = (each[alive] for each in (rows, now, first, bias, second, last))
            alive = alive[alive]
        padded += len(rows)
        steps[rows] += alive
        hidden = torch.tanh(torch.baddbmm(bias.unsqueeze(2), first, now.unsqueeze(2)))
        out = torch.baddbmm(last.unsqueeze(2), second, hidden).reshape(-1)
        x, speed, angle, spin = now.unbind(1)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        push = (torch.where(out > 0, FORCE, -FORCE) + MOMENT * spin * spin * sine) / TOTAL
        turn = (GRAVITY * sine - cosine * push) / (HALF * (4.0 / 3.0 - 0.1 * cosine * cosine / TOTAL))
        speed_after = speed + TAU * (push - MOMENT * turn * cosine / TOTAL)
        now = torch.stack((x + TAU * speed, speed_after, angle + TAU * spin, spin + TAU * turn), dim=1)
        alive = alive & (now[:, 0].abs() <= FARTHEST) & (now[:, 2].abs() <= STEEPEST)
    return steps, padded


def begin(population: int, seed: int) -> rounds.Play:
    known: dict[str, object] = {}

    def fitness(weights: torch.Tensor) -> torch.Tensor:
        began = time.process_time()
        # as an ordinary tensor: the read-only kind that is handed out makes every operation three times as slow
        steps, padded = episodes(weights.as_subclass(torch.Tensor), known["state"])  # type: ignore[arg-type]
        known["played"] = rounds.Generation(int(steps.sum()), padded, time.process_time() - began)
        return steps

    problem = Problem(
        "max", fitness, solution_length=WEIGHTS, initial_bounds=(0.0, 0.0), dtype=torch.float32, vectorized=True,
        seed=seed, num_actors=0,
    )  # fmt: skip
    search = SNES(problem, stdev_init=SCALE, popsize=population)

    def play(state: tuple[float, ...]) -> rounds.Generation:
        known["state"] = state
        search.step()
        return known["played"]  # type: ignore[return-value]

    return play


if __name__ == "__main__":
    rounds.serve(begin, ("evotorch", "torch"))
