"""What the tasks on truth tables share: every row once, in order, whatever the network answers.

A row is a number of `inputs` bits, each shown as 0 or 1; the answer is (output + 1) / 2, from 0 to 1. Fitness is
(rows - sum of |error|)^2, solved when every answer is on the right side of 0.5 (Stanley & Miikkulainen 2002, for XOR).
A network does not remember the row before. State: mean answer, mean answer on the rows with each input on (what it did,
for comparing genomes); then the row, the sum of the errors, the number of wrong answers, the answer just given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from islands.config import TaskConfig
from islands.tasks.rules import Rules, Shape, floor, where


class Numbers(NamedTuple):
    """What the rules need."""

    inputs: int
    address: int  # of the inputs, for `multiplexer`


def shape_of(inputs: int) -> Shape:
    """The shape of a task on a table of 2^inputs rows."""
    return Shape(inputs, 1, inputs + 5, 2**inputs, behaviour=inputs + 1, forget=1)


def bit(row: Any, index: Any) -> Any:
    """Bit `index` of a row, 0.0 or 1.0."""
    shifted = floor(row / 2.0**index)
    return shifted - 2.0 * floor(shifted / 2.0)


def target(row: Any, task: Any) -> Any:
    """The right answer to a row, 0.0 or 1.0; every task has its own."""
    raise NotImplementedError


def reset(state: Any, draws: Any, task: Any) -> None:
    """The first row."""
    for i in range(task.inputs + 5):
        state[i] = 0.0


def observe(state: Any, task: Any, out: Any) -> None:
    """The row's bits."""
    row = state[task.inputs + 1]
    for i in range(task.inputs):
        out[i] = bit(row, i)


def act(outputs: Any, task: Any) -> Any:
    """The answer, from 0 to 1."""
    return (outputs[0] + 1.0) * 0.5


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """Mark the answer and go on to the next row; the reward is minus its error."""
    n = task.inputs
    row = state[n + 1]
    right = target(row, task)
    error = abs(right - action)
    state[0] = state[0] + action / 2.0**n
    for i in range(n):
        state[1 + i] = state[1 + i] + bit(row, i) * action / 2.0 ** (n - 1)
    state[n + 1] = row + 1.0
    state[n + 2] = state[n + 2] + error
    state[n + 3] = state[n + 3] + where((right > 0.5) == (action > 0.5), 0.0, 1.0)
    state[n + 4] = action
    return 0.0 - error, 0


def score(end: Any, task: Any) -> tuple[Any, Any]:
    """(rows - sum of errors)^2, and whether no answer was wrong."""
    n = task.inputs
    left = 2.0**n - end.state[n + 2]
    return left * left, end.state[n + 3] < 0.5


def rules_of(parameters: type[TaskConfig], numbers: Callable[[Any], Numbers]) -> Rules:
    """The rules of the task whose file states `parameters` and its own `target`."""
    return Rules(
        parameters=parameters,
        reasons=("finished",),
        shape=lambda chosen: shape_of(numbers(chosen).inputs),
        numbers=numbers,
        reset=reset,
        observe=observe,
        act=act,
        step=step,
        score=score,
        shown=lambda chosen: True,
    )
