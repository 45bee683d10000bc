"""How much of the cores that were granted is really used, what it costs, and why when it is too little.

Measured, not guessed: CPU seconds of the island processes from `/proc`, over wall seconds times granted cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.states import OVER, PENDING

ENOUGH = 0.8
"""Below this share of the granted cores the launcher warns."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Sample:
    """What was measured at one moment. Times in s; `foreign` counts all other processes on the granted cores."""

    time: float
    used: float
    busy: float
    generations: int


@dataclass(frozen=True)
class Island:
    """What the accounting needs to know about one island."""

    name: str
    state: str
    done: int
    generations: int
    seconds_per_generation: float | None = None
    quiet_seconds: float = 0.0
    migrate_share: float = 0.0
    disk_share: float = 0.0
    starting: bool = False

    @property
    def left(self) -> int:
        """Generations still to go."""
        return 0 if self.state in OVER else max(0, self.generations - self.done)


def process_seconds(pid: int) -> float | None:
    """CPU seconds (user and system, all threads) of a living process; None when it is gone."""
    return _seconds(pid, _PROC, 2)


def family_seconds(pid: int, proc: Path = _PROC) -> float | None:
    """`process_seconds` of a process and of its children, the ended ones that it waited for included."""
    own = _seconds(pid, proc, 4)
    if own is None:
        return None
    try:
        children = (proc / f"{pid}/task/{pid}/children").read_text().split()
    except OSError:  # a kernel that does not say
        children = []
    return own + sum(_seconds(int(child), proc, 2) or 0.0 for child in children)


def _seconds(pid: int, proc: Path, fields: int) -> float | None:
    """The first so many of: user, system; user and system of children that have ended and were waited for."""
    try:
        told = (proc / f"{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, told[11 : 11 + fields])) / _TICKS
    except (OSError, IndexError, ValueError):
        return None


def busy_seconds(cpus: Iterable[int], stat: Path = Path("/proc/stat")) -> float:
    """CPU seconds spent on `cpus` by anyone since boot, time stolen by the hypervisor included."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    total = 0
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0.0
    for line in lines:
        name, *fields = line.split()
        if name in wanted and len(fields) >= 8:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            total += user + nice + system + irq + softirq + steal
    return total / _TICKS


class Meter:
    """Accounting of one run: `take` a sample now and then, then ask.

    The window (30 s) judges the present, the whole run gives the figure of record.
    """

    window = 30.0

    def __init__(self, granted: float, cost_per_hour: float | None = None) -> None:
        self.granted, self.cost_per_hour = granted, cost_per_hour
        self._samples: list[Sample] = []

    def take(self, sample: Sample) -> None:
        """Remember a sample; only the first and those of the window are kept."""
        self._samples.append(sample)
        horizon = sample.time - self.window
        while len(self._samples) > 3 and self._samples[2].time <= horizon:
            del self._samples[1]

    @property
    def seconds(self) -> float:
        """Wall seconds covered so far."""
        return self._samples[-1].time - self._samples[0].time if self._samples else 0.0

    @property
    def overall(self) -> float:
        """Share of the granted cores used since the start."""
        return self._used(0)

    @property
    def recent(self) -> float:
        """Share of the granted cores used within the window."""
        return self._used(min(1, len(self._samples) - 1))

    @property
    def pace(self) -> float:
        """Generations per second, all islands together, within the window."""
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[min(1, len(self._samples) - 2)], self._samples[-1]
        return max(0, last.generations - first.generations) / max(last.time - first.time, 1e-9)

    @property
    def foreign(self) -> float:
        """Cores that others used within the window (on the granted ones)."""
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[min(1, len(self._samples) - 2)], self._samples[-1]
        others = (last.busy - first.busy) - (last.used - first.used)
        return max(0.0, others / max(last.time - first.time, 1e-9))

    @property
    def cost(self) -> float | None:
        """What the run has cost so far, in the unit of `cost_per_hour`."""
        return None if self.cost_per_hour is None else self.cost_per_hour * self.seconds / 3600

    def total_cost(self, left: float | None) -> float | None:
        """What the run will have cost, given the seconds left."""
        if self.cost_per_hour is None or left is None:
            return None
        return self.cost_per_hour * (self.seconds + left) / 3600

    def _used(self, since: int) -> float:
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[min(since, len(self._samples) - 2)], self._samples[-1]
        return (last.used - first.used) / max((last.time - first.time) * self.granted, 1e-9)


def time_left(islands: Sequence[Island]) -> float | None:
    """Seconds until the slowest island has finished; None as long as one that is left has no pace yet."""
    longest = 0.0
    for island in islands:
        if island.left and island.seconds_per_generation is None:
            return None
        longest = max(longest, island.left * (island.seconds_per_generation or 0.0))
    return longest


def report(meter: Meter, left: float | None) -> str:
    """One line: utilisation, generations per second, time left, cost."""
    line = f"utilisation {meter.recent:.0%} of {meter.granted:g} cores"
    line += f" ({meter.overall:.0%} since the start) · {meter.pace:.3g} generations/s"
    line += f" · {'time left unknown yet' if left is None else clock(left) + ' left'}"
    if meter.cost is not None:
        total = meter.total_cost(left)
        line += f" · cost {meter.cost:.2f}" + ("" if total is None else f" of {total:.2f}")
    return line


def causes(meter: Meter, islands: Sequence[Island], threads: int, together: bool = False) -> list[str]:
    """Likely causes of low utilisation, the likeliest first; empty when it is fine.

    `threads`: of each island, or of all where they live `together` in one process.
    """
    if meter.recent >= ENOUGH or not islands:
        return []
    found: list[str] = []
    active = [island for island in islands if island.left]
    starting = [island for island in active if island.starting]
    if starting:
        found.append(f"{len(starting)} of {len(islands)} islands are still starting (imports, compiling kernels)")
    pending = sum(island.state == PENDING and not island.starting for island in active)
    if pending:
        found.append(f"{pending} of {len(islands)} islands wait for a place to run")
    found += _load_causes(meter, active, islands, threads, together)
    quiet = [i for i in active if i.quiet_seconds > max(60.0, 10 * (i.seconds_per_generation or 0.0))]
    if quiet:
        found.append(f"no sign of life from {_names(quiet)}")
    waiting = [island for island in active if island.migrate_share > 0.1]
    if waiting:
        found.append(
            f"{_names(waiting)} spend over 10 % of a generation on migration (slow or locked shared directory)"
        )
    slow_disk = [island for island in active if island.disk_share > 0.1]
    if slow_disk:
        cure = "slow disk: raise record.checkpoint_seconds"
        found.append(f"{_names(slow_disk)} spend over 10 % of a generation on checkpoints ({cure})")
    if together and not found:
        return []  # while the batch is played, the cores that breed have nothing to do
    return found or ["the islands wait for something else: see their island.log"]


def _load_causes(
    meter: Meter, active: Sequence[Island], islands: Sequence[Island], threads: int, together: bool
) -> list[str]:
    found: list[str] = []
    ended = len(islands) - len(active)
    wanted = min(len(active), threads) if together else len(active) * threads
    if meter.foreign > 0.1 * meter.granted:
        found.append(f"other processes use {meter.foreign:.1f} of the {meter.granted:g} cores")
    if wanted < meter.granted * ENOUGH:
        why = f"{ended} of {len(islands)} islands have ended" if ended else "too few islands"
        them = len(active) if together else f"{len(active)} × {threads} thread"
        found.append(f"{why}: {them} can use only {wanted} of {meter.granted:g} cores")
    elif wanted > meter.granted:
        found.append(f"more islands than cores: {len(active)} × {threads} thread on {meter.granted:g} cores")
    return found


def _names(islands: Sequence[Island]) -> str:
    names = [island.name for island in islands]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def clock(seconds: float) -> str:
    """`75` as `1:15`, `7384` as `2:03:04`."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def shares(record: Mapping[str, object]) -> tuple[float, float]:
    """The shares of a generation (a line of metrics.jsonl) that migration and checkpoints took."""
    seconds = _number(record.get("seconds"))
    if seconds <= 0:
        return 0.0, 0.0
    return _number(record.get("migrate_seconds")) / seconds, _number(record.get("checkpoint_seconds")) / seconds


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
