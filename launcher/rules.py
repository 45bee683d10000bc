"""What a supervisor is told, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from launcher.places import HERE, Place
from launcher.restarts import Policy
from launcher.stall import Patience
from launcher.workers import PROGRAM

GRACE = 30.0
"""Seconds from SIGTERM to SIGKILL: time for an evaluation and a checkpoint."""


class Tell(Protocol):
    """Hears what happened to an island ("" for the run): a kind for programs, a text for people, and figures."""

    def __call__(self, kind: str, island: str, text: str, /, **figures: Any) -> None:
        """It has happened."""


class Asked(NamedTuple):
    """Why all islands are to stop: `why` is signal, halt, stop or limit."""

    why: str
    text: str


@dataclass(frozen=True)
class Rules:
    """How to supervise. `detach`: islands outlive a launcher that dies. `renew`: those that live are started anew,
    since what they play has changed."""

    program: Sequence[str] = PROGRAM
    policy: Policy = Policy()
    patience: Patience = Patience()
    grace: float = GRACE
    detach: bool = False
    place: Place = HERE
    renew: bool = False
    low_water: float | None = None
