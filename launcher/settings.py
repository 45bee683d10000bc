"""How a run is driven, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from islands.errors import ConfigError
from launcher import scalars
from launcher.places import HERE, Place
from launcher.restarts import Policy
from launcher.stall import Patience
from launcher.states import DONE, HELD
from launcher.workers import PROGRAM

LIMIT, STOP_FILE, DISK = 124, 143, 75
"""Exit codes of a launcher beside 0, 1, 2 (usage), 3 (another holds the run), 4 (held) and 128 + signal."""


@dataclass(frozen=True)
class Settings:
    """How to drive a run: what it may use, what an hour costs, how an island process starts.

    `claim`: whether the run takes its cores for itself, or runs on cores that somebody has claimed for it. `halt`:
    asked ten times a second; True stops the islands with checkpoints. `detach`: islands outlive this launcher's death.
    `max_cost`: of the run, earlier sittings included; `max_hours`: of this one. `on_finish`: a shell's command.
    `renew`: living islands are started anew, since the configuration has changed. `tensorboard`: DIR of that option.
    `place`: where islands run; None: where the run's last launcher had them, or on this machine.
    """

    pin: bool = False
    cost_per_hour: float | None = None
    program: Sequence[str] = PROGRAM
    account: bool = True
    claim: bool = True
    halt: Callable[[], bool] = lambda: False
    detach: bool = False
    renew: bool = False
    max_cost: float | None = None
    max_hours: float | None = None
    on_finish: str | None = None
    prometheus: Path | None = None
    tensorboard: Path | None = None
    low_water: float | None = None
    place: Place | None = None
    policy: Policy = Policy()
    patience: Patience = Patience()

    @property
    def where(self) -> Place:
        """Where islands run."""
        return self.place or HERE

    def check(self, rate: float | None = None) -> None:
        """Refuse limits that cannot be kept, and what is not installed.

        `rate`: what an hour is known to cost, where that was not said.
        """
        if self.max_cost is not None and self.cost_per_hour is None and rate is None:
            raise ConfigError("--max-cost", expected="--cost-per-hour too", got="none")
        for name, value in (("--max-cost", self.max_cost), ("--max-hours", self.max_hours)):
            if value is not None and not value > 0:
                raise ConfigError(name, expected="more than 0", got=f"{value:g}")
        if self.tensorboard is not None:
            scalars.check(self.tensorboard)


@dataclass(frozen=True)
class Outcome:
    """What became of a run's processes. `utilisation` is the share of the granted cores, by island that of its own.

    `ending` says why all were stopped: signal, halt, stop (a stop file), limit; "" when they ended by themselves.
    `disk`: some waited for the disk then, or could not write their last checkpoint.
    """

    states: dict[str, str]
    codes: dict[str, int | None]
    restarts: dict[str, int]
    cpu_utilisation: dict[str, float]
    utilisation: float
    seconds: float
    signal: int | None
    ending: str = ""
    disk: bool = False

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed or were stopped, 2 none could use its configuration, 4 some held; when all were
        stopped: 75 while the disk took nothing, else 128 + signal, 143 by a stop file, 124 at a limit."""
        if self.disk:
            return DISK
        if self.signal is not None:
            return 128 + self.signal
        states = set(self.states.values())
        if states <= {DONE}:
            return 0
        if self.ending in ("stop", "limit"):
            return STOP_FILE if self.ending == "stop" else LIMIT
        if HELD in states:
            return 4
        refused = set(self.codes.values()) == {ConfigError.exit_code} and DONE not in states
        return 2 if refused else 1
