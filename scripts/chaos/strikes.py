"""Signals at random moments to islands that are started again each time, spread over the generations that they have."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from islands import occupied
from islands.rundir import IslandDir, RunDir
from launcher.workers import Child, Ended
from scripts.chaos import runs
from scripts.chaos.report import Report

IN_START = 0.2
"""Share of the signals that come while a process still starts."""
_LOOK, _TICK = 0.02, 0.003
_LAST = 10
"""Generations before its end within which no signal is planned for an island: it goes on until the signal comes."""


@dataclass
class Victim:
    """An island and its present process."""

    index: int
    place: IslandDir
    left: int  # signals that it is still to get
    child: Child
    started: float
    aim: int | None = None  # the generation at which the next one comes
    due: float | None = None  # when it comes
    running: float | None = None  # since when it evolves
    struck: float | None = None
    look_at: float = 0.0
    reached: int = -1
    over: bool = False


@dataclass
class Tally:
    """What happened: signals delivered to living processes while they started and while they evolved, other ends."""

    starting: int = 0
    evolving: int = 0
    unexpected: list[str] = field(default_factory=list)
    between: list[int] = field(default_factory=list)  # the generation at each signal
    seconds: list[float] = field(default_factory=list)  # from signal to end

    @property
    def delivered(self) -> int:
        """All of them."""
        return self.starting + self.evolving


Ending = Callable[[Victim, Ended], str | None]
"""Looks at what a struck process left; what is wrong with it, if anything."""


class Strikes:
    """`count` signals `number` to the islands of a run; they are spread over the `generations` that an island has, or
    come within a second of its start (None: it has no end)."""

    def __init__(
        self, report: Report, run: RunDir, count: int, number: int, generations: int | None, ending: Ending
    ) -> None:
        self.report, self.run_dir, self.count, self.number = report, run, count, number
        self.generations, self.ending, self.random = generations, ending, random.Random(1)
        self.tally = Tally()
        self.start_seconds = 2.0  # measured on the way

    def run(self, within: float) -> Tally:
        """Strike until all signals are delivered; then let the islands finish, where they have an end."""
        places = self.run_dir.islands()
        shares = [self.count // len(places) + (i < self.count % len(places)) for i in range(len(places))]
        victims = [
            self._begin(Victim(i, place, shares[i], runs.start(self.run_dir, i), 0.0)) for i, place in enumerate(places)
        ]
        deadline = time.monotonic() + within
        try:
            while not all(victim.over for victim in victims) and len(self.tally.unexpected) < 10:
                for victim in victims:
                    self._attend(victim)
                if time.monotonic() > deadline:
                    self.tally.unexpected.append(f"not over within {within:g} s")
                    break
                time.sleep(_TICK)
        finally:
            runs.end([victim.child for victim in victims], signal.SIGKILL)
        return self.tally

    def _begin(self, victim: Victim) -> Victim:
        victim.started, victim.running, victim.struck = time.monotonic(), None, None
        victim.aim = victim.due = None
        if victim.left and self.random.random() < IN_START:
            victim.due = victim.started + self.random.uniform(0.0, self.start_seconds)
        return victim

    def _attend(self, victim: Victim) -> None:
        if victim.over:
            return
        ended, now = victim.child.poll(), time.monotonic()
        if ended:
            self._ended(victim, ended, now)
        elif victim.running is None and now >= victim.look_at:
            victim.look_at = now + _LOOK
            self._see_whether_it_runs(victim, now)
        elif victim.aim is not None and victim.due is None and now >= victim.look_at:
            victim.look_at = now + _LOOK
            if runs.generation(victim.place) >= victim.aim:
                victim.due = now + self.random.uniform(0.0, _LOOK)
        if not victim.over and victim.struck is None and victim.due is not None and now >= victim.due:
            self._strike(victim, now)

    def _see_whether_it_runs(self, victim: Victim, now: float) -> None:
        if not runs.is_running(victim.place, victim.child.pid):
            return
        victim.running = now
        self.start_seconds += 0.1 * (now - victim.started - self.start_seconds)
        if victim.left and victim.due is None:
            if self.generations is None:
                victim.due = now + self.random.uniform(0.0, 1.0)
            else:
                ahead = max(0, self.generations - _LAST - victim.reached)
                victim.aim = victim.reached + int(self.random.uniform(0.0, 2 * ahead / (victim.left + 1)))

    def _strike(self, victim: Victim, now: float) -> None:
        """A signal, if the process can hear it: SIGTERM means something to an island once it has taken its place."""
        if self.number == signal.SIGTERM and occupied.holder(victim.place).get("pid") != victim.child.pid:
            victim.due = now + 0.05
        elif victim.child.poll() is None:
            victim.struck = time.monotonic()
            victim.child.send(self.number)

    def _ended(self, victim: Victim, ended: Ended, now: float) -> None:
        """Count, look at what it left, start it again."""
        victim.reached = runs.generation(victim.place)
        if victim.struck is None or ended.code == 0:
            if ended.code != 0:
                told = victim.place.log.read_text(errors="replace").strip().splitlines()[-1:]
                self.tally.unexpected.append(f"{victim.place.name}: exit {ended.code}: {told}")
            victim.over = ended.code == 0
        else:
            self._count(victim, ended, now)
            victim.over = not victim.left and self.generations is None
        if not victim.over:
            victim.child = runs.start(self.run_dir, victim.index)
            self._begin(victim)

    def _count(self, victim: Victim, ended: Ended, now: float) -> None:
        assert victim.struck is not None
        wrong = self.ending(victim, ended)
        if wrong:
            self.tally.unexpected.append(f"{victim.place.name}: {wrong}")
            return
        victim.left -= 1
        self.tally.seconds.append(now - victim.struck)
        self.tally.between.append(victim.reached)
        last = runs.beat(victim.place)
        if last.get("pid") == victim.child.pid and last.get("state") != "starting":
            self.tally.evolving += 1
        else:
            self.tally.starting += 1
        if self.tally.delivered % 50 == 0:
            low, high = min(self.tally.between[-50:]), max(self.tally.between[-50:])
            name = signal.Signals(self.number).name
            self.report.tell(f"{self.tally.delivered} of {self.count} {name}s, generations {low} to {high}")


def torn(victim: Victim, pool: Path | None) -> int:
    """How many writes a killed process was in the middle of: temporary files, unterminated lines."""
    folders = [victim.place.path, *([pool / "migration_pool" / victim.place.name] if pool else [])]
    cut = 0
    for path in (victim.place.metrics, victim.place.migrations):
        if path.exists() and path.stat().st_size:
            with open(path, "rb") as file:
                file.seek(-1, 2)
                cut += file.read(1) != b"\n"
    return cut + len(runs.temporaries(*folders))
