"""Parity: whether an odd number of the inputs is on: XOR of `bits` inputs. See `truth_tables`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from islands.config import TaskConfig, number
from islands.tasks.truth_tables import Numbers, bit, rules_of


@dataclass(frozen=True)
class Parity(TaskConfig):
    """`bits`: inputs."""

    name: str = "parity"
    bits: int = number(3, 2, 10)


def target(row: Any, task: Any) -> Any:
    """1 for an odd number of bits."""
    odd = bit(row, 0)
    for i in range(1, task.inputs):
        odd = abs(odd - bit(row, i))
    return odd


RULES = rules_of(Parity, lambda parameters: Numbers(parameters.bits, 0))
