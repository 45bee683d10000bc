"""Trials in flight: the places they run in, and what the parent knows of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.objective import Progress
from launcher.trials import Trial


@dataclass(frozen=True, eq=False)
class Slot:
    """A place for one trial: the cores it is pinned to (None: wherever the backend puts it).

    Each is equal to itself alone: places that overlap, or that nobody is pinned to, look the same.
    """

    cpus: tuple[int, ...] | None
    cores: int


@dataclass(frozen=True)
class Options:
    """What may differ between two sittings of one study."""

    trials: int
    backend: str
    slots: tuple[Slot, ...]
    threads: int = 1
    timeout: float | None = None
    cost_per_hour: float | None = None
    max_cost: float | None = None


@dataclass
class Running:
    """A trial in flight."""

    trial: Trial
    slot: Slot
    since: float
    progress: Progress = field(default_factory=Progress)
    asked_to_stop: float | None = None
    pruned: str = ""
    not_before: float = 0.0
    alive: bool = False
    before: int = 0  # generations when its process was last started
    fruitless: int = 0
    spent: float = 0.0  # seconds of earlier sittings
