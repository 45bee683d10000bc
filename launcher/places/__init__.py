"""Places: where islands' processes are started. One supervisor, one set of rules; a place is an argument.

Launcher and islands meet in the run directory wherever the islands are, so that it has to lie on a file system that all
machines share. A place only starts processes, says how they ended, and passes signals on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from islands.errors import ConfigError
from islands.rundir import RunDir

if TYPE_CHECKING:
    from launcher.workers import Job, Process

NAMES = ("here", "ray", "slurm")
_TITLES = {"here": "this machine", "ray": "Ray", "slurm": "Slurm"}


class Starter(Protocol):
    """Starts the processes of one run's jobs."""

    def ready(self) -> bool:
        """Whether it can start something; the first question may begin a preparation."""

    def find(self, job: Job) -> Process | None:
        """The job's process, if it has been started already and has not ended."""

    def blocked(self, job: Job) -> str:
        """Why the job cannot be started now, although `find` knows no process of it; "": it can."""

    def start(self, job: Job) -> Process:
        """Start its process, or have it started with the next `flush`."""

    def flush(self) -> None:
        """Hand over what was started since the last call."""

    def close(self) -> None:
        """Leave nothing behind but the processes."""


@dataclass(frozen=True)
class Place:
    """Where islands run, and what that place is asked for; see `launcher.cli_places` for what it means.

    `time` in minutes, `memory` in GB an island; `extra`: further options of sbatch, KEY=VALUE or KEY.
    """

    on: str = "here"
    address: str | None = None
    partition: str | None = None
    account: str | None = None
    time: int | None = None
    memory: float | None = None
    cpus: int | None = None
    extra: tuple[str, ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether processes are not this machine's own."""
        return self.on != "here"

    @property
    def title(self) -> str:
        """What it is called."""
        return f"on {_TITLES[self.on]}"

    def check(self, detach: bool = False) -> None:
        """Refuse what cannot be had, before anything is written."""
        if self.on == "slurm":
            from launcher.places import slurm

            slurm.check(self)
        elif self.on == "ray":
            from launcher.places import ray

            ray.check(self, detach)

    def count(self) -> int:
        """How many islands of one thread fit, where nobody says how many."""
        if self.on == "slurm":
            do = "--islands N: an array of N tasks"
            raise ConfigError("--islands", expected="a number, on Slurm", got="auto", do=do)
        if self.on == "ray":
            from launcher.places import ray

            return ray.cores(self)
        from launcher import cores

        return cores.usable().count

    def starter(self, run: RunDir, jobs: Sequence[Job], program: Sequence[str], detach: bool) -> Starter:
        """What starts the processes of `jobs`."""
        if self.on == "slurm":
            from launcher.places.slurm import Slurm

            return Slurm(run, self, program)
        if self.on == "ray":
            from launcher.places.ray import Ray

            return Ray(run, self, program)
        from launcher import starting

        return starting.starter(run.path.absolute(), jobs, program, detach)

    def record(self) -> dict[str, Any]:
        """As launcher.json keeps it."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value}


HERE = Place()


def recorded(record: Mapping[str, Any]) -> Place:
    """The place that a launcher.json tells of; this machine where it tells of none."""
    found = record.get("place")
    known = {field.name for field in dataclasses.fields(Place)}
    if not isinstance(found, dict) or found.get("on") not in NAMES or not found.keys() <= known:
        return HERE
    return Place(**{**found, "extra": tuple(found.get("extra") or ())})
