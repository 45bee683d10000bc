"""The figures of a study while it runs: what live.json holds.

Utilisation is measured: CPU seconds that the trials' islands say they have used, over wall seconds times granted cores.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from launcher.identity import Identity
from launcher.study_summary import best_of
from launcher.trials import COMPLETE, FAIL, PRUNED, Trial
from launcher.utilisation import ENOUGH

if TYPE_CHECKING:
    from launcher.flight import Running, Slot

WINDOW = 30.0
"""Seconds over which utilisation is measured."""
SETTLED = 30.0
"""Seconds from the start before low utilisation is worth a warning."""


class Board:
    """Keeps the figures of one sitting."""

    def __init__(self, identity: Identity, slots: Sequence[Slot], backend: str, cost_per_hour: float | None) -> None:
        self.identity, self.slots, self.backend, self.rate = identity, slots, backend, cost_per_hour
        self.granted = sum(slot.cores for slot in slots)
        self._began = time.monotonic()
        self._seen: dict[int, dict[int, float]] = {}  # CPU seconds of each trial's processes
        self._busy = 0.0
        self._samples: deque[tuple[float, float]] = deque()
        self._durations: list[float] = []

    @property
    def seconds(self) -> float:
        """Of this sitting."""
        return time.monotonic() - self._began

    @property
    def cost(self) -> float | None:
        """Of this sitting, in the unit of `--cost-per-hour`."""
        return None if self.rate is None else self.rate * self.seconds / 3600

    def cpu_seconds(self, number: int) -> float:
        """CPU seconds of a trial's islands, as far as their processes have been seen in this sitting."""
        return sum(self._seen.get(number, {}).values())

    def finished(self, trial: Trial) -> None:
        """Learn how long trials take."""
        if trial.state == COMPLETE:
            self._durations.append(trial.seconds)

    def look(self, running: Iterable[Running], trials: Iterable[Trial], wanted: int) -> dict[str, Any]:
        """The content of live.json at this moment."""
        flights, known = list(running), list(trials)
        now = time.monotonic()
        for flight in flights:
            self.measure(flight)
        self._samples.append((now, self._busy))
        while len(self._samples) > 2 and self._samples[1][0] < now - WINDOW:
            self._samples.popleft()
        (then, before), (_, used) = self._samples[0], self._samples[-1]
        busy = max(0.0, used - before) / (now - then) if now - then >= 2.0 else None
        states = Counter(trial.state for trial in known)
        active = [flight for flight in flights if flight.progress.running]
        left = self._left(flights, wanted - sum(states[state] for state in (COMPLETE, PRUNED, FAIL)))
        state = {
            "format": 1,
            "study": self.identity.name,
            "backend": self.backend,
            "time": time.time(),
            "seconds": round(self.seconds, 1),
            "trials": {"wanted": wanted, **{name.lower(): states[name] for name in (COMPLETE, PRUNED, FAIL)}},
            "running": [_flight(flight) for flight in flights],
            "trials_running": len(active),
            "trials_asked_for": min(len(self.slots), len(flights) + max(0, wanted - len(known))),
            "cores_granted": self.granted,
            "cores_busy": None if busy is None else round(busy, 2),
            "utilisation": None if busy is None else round(busy / self.granted, 4),
            "best": best_of(known),
            "seconds_left": left,
            "cost": self.cost,
            "cost_in_all": self.rate * (self.seconds + left) / 3600
            if self.rate is not None and left is not None
            else None,
        }
        state["warnings"] = self._warnings(state, flights, active)
        return state

    def measure(self, flight: Running) -> None:
        """Add what a trial's islands have used since the last look; what earlier sittings used was not used now."""
        new = flight.trial.number not in self._seen
        seen = self._seen.setdefault(flight.trial.number, {})
        for pid, seconds in flight.progress.cpu.items():
            more = max(0.0, seconds - seen.get(pid, 0.0))
            seen[pid] = seen.get(pid, 0.0) + more
            self._busy += 0.0 if new else more

    def _left(self, flights: Sequence[Running], unfinished: int) -> float | None:
        """Seconds until all wanted trials have finished: by those that have, else by the pace of those in flight."""
        paces = []
        for flight in flights:
            done = flight.progress.generations - flight.before
            if done > 0 and flight.alive:
                elapsed = time.monotonic() - flight.since
                paces.append(elapsed / done * flight.trial.generations_wanted)
        typical = self._durations[-20:] or paces
        if unfinished <= 0:
            return 0.0
        if not typical:
            return None
        duration = sum(typical) / len(typical)
        begun = sum(flight.progress.generations / max(1, flight.trial.generations_wanted) for flight in flights)
        return round(max(0.0, unfinished - begun) * duration / len(self.slots), 1)

    def _warnings(self, state: dict[str, Any], flights: Sequence[Running], active: Sequence[Running]) -> list[str]:
        """Too little overlap, too little use, each with its cause."""
        if self.seconds < SETTLED or not flights:
            return []
        asked = state["trials_asked_for"]
        starting = [flight for flight in flights if flight not in active]
        why = []
        if len(flights) < asked:
            why.append(f"only {len(flights)} trials have been started")
        if starting:
            numbers = ", ".join(str(flight.trial.number) for flight in starting[:4])
            why.append(f"trial {numbers} is starting, between runs, or being judged on held-out episodes")
        warnings = []
        if len(active) < asked:
            warnings.append(f"{len(active)} of {asked} trials run at this moment: {'; '.join(why) or 'see their logs'}")
        use = state["utilisation"]
        if use is not None and use < ENOUGH and self._samples[-1][0] - self._samples[0][0] > 10.0:
            idle = [slot for slot in self.slots if slot not in [flight.slot for flight in flights]]
            if not why and idle:
                why.append(f"the last trials are running: {len(idle)} of {len(self.slots)} places are empty")
            if not why:
                why.append("islands wait: fewer islands than cores, other processes on the same cores, or a slow disk")
            warnings.append(f"{use:.0%} of {self.granted} cores used: {'; '.join(why)}")
        return warnings


def _flight(flight: Running) -> dict[str, Any]:
    return {
        "trial": flight.trial.number,
        "generations": flight.progress.generations,
        "generations_wanted": flight.trial.generations_wanted,
        "populations_running": flight.progress.running,
        "pids": list(flight.progress.pids),
        "threads": flight.progress.threads,
        "cpus": list(flight.slot.cpus) if flight.slot.cpus else None,
        "seconds": round(flight.spent + time.monotonic() - flight.since, 1),
    }
