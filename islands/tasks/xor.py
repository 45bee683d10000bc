"""XOR: the smallest task that a network without hidden neurons cannot do (Stanley & Miikkulainen 2002, 4.1).

Two inputs of 0 or 1; fitness (4 - sum of |error| over the four rows)^2; solved when all four answers are on the right
side of 0.5. See `truth_tables`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from islands.config import TaskConfig
from islands.tasks.truth_tables import Numbers, bit, rules_of


@dataclass(frozen=True)
class Xor(TaskConfig):
    """XOR has no parameters."""

    name: str = "xor"


def target(row: Any, task: Any) -> Any:
    """1 where the two bits differ."""
    return abs(bit(row, 0) - bit(row, 1))


RULES = rules_of(Xor, lambda parameters: Numbers(2, 0))
