"""Multiplexer: `address` inputs say which of the 2^address data inputs is the answer. See `truth_tables`.

3, 6 and 11 inputs with 1, 2 and 3 address bits; the address is the lowest bits of a row, as in SharpNEAT's tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from islands.config import TaskConfig, number
from islands.tasks.rules import where
from islands.tasks.truth_tables import Numbers, bit, rules_of


@dataclass(frozen=True)
class Multiplexer(TaskConfig):
    """`address`: inputs that say which data input counts."""

    name: str = "multiplexer"
    address: int = number(2, 1, 3)

    @property
    def inputs(self) -> int:
        """Address and data inputs."""
        return int(self.address + 2**self.address)


def target(row: Any, task: Any) -> Any:
    """The data input that the address names."""
    address = bit(row, 0)
    for i in range(1, task.address):
        address = address + 2.0**i * bit(row, i)
    answer = bit(row, task.address)
    for i in range(task.address, task.inputs):
        answer = where(address == i - task.address, bit(row, i), answer)
    return answer


RULES = rules_of(Multiplexer, lambda parameters: Numbers(parameters.inputs, parameters.address))
