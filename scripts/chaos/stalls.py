"""SIGSTOP of one island of 8 for 120 s, also while it holds its outbox's lock: nobody else's pace depends on it."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands.rundir import IslandDir, RunDir
from launcher import events, status
from launcher.states import RUNNING, STALLED
from scripts.chaos import runs
from scripts.chaos.replaying import replay_all
from scripts.chaos.report import Report

ISLANDS = 8
SAME_SIZE = tuple(
    f"mutation.{rate}=0" for rate in ("add_node", "add_connection", "add_body_node", "remove_body_node", "add_muscle",
                                      "remove_muscle")
)  # fmt: skip
"""Networks and bodies stay as large as they are, so that one generation costs what another does."""
CONFIG = ("population=100", "task.duration=10.0", "migration.every=5", *SAME_SIZE)
MOST_SLOWER = 0.05
MOST_SLOWER_BY_THE_CLOCK = 0.25
"""Coarse, because what else this machine does is in it: it shows whether the others are kept waiting."""
LIMIT = 60.0
"""Seconds of silence that make an island STALLED, where ten of its generations are shorter."""


@dataclass(frozen=True)
class Pace:
    """Generations of some islands in a time, by the clock and by their CPU time."""

    generations: int
    seconds: float
    cpu: float

    @property
    def per_cpu(self) -> float:
        """Generations a CPU second."""
        return self.generations / self.cpu

    @property
    def per_second(self) -> float:
        """Generations a second of the clock."""
        return self.generations / self.seconds


@dataclass(frozen=True)
class Stop:
    """What an island's standstill did: the others' pace before, during and after, when it was flagged (s)."""

    before: Pace
    during: Pace
    after: Pace
    flagged: float | None
    held: bool  # whether it held its outbox's lock
    seconds: float

    @property
    def slower(self) -> float:
        """By which share the others were slower by CPU time, compared with before and after."""
        usual = (self.before.per_cpu + self.after.per_cpu) / 2
        return 1 - self.during.per_cpu / usual

    @property
    def slower_by_the_clock(self) -> float:
        """By which share the others were slower by the clock; they have one island less to share the cores with."""
        usual = (self.before.per_second + self.after.per_second) / 2
        return 1 - self.during.per_second / usual


def main(report: Report, folder: Path) -> None:
    """Islands without a launcher, which wait as long as it takes, and with one, which replaces the stalled island."""
    without_launcher(report, folder)
    if not report.quick:  # a launcher waits for a minute before it says that an island stands still
        with_launcher(report, folder)


def without_launcher(report: Report, folder: Path) -> None:
    """It rejoins when it is let go on."""
    pool = folder / "pool"
    run = runs.make(folder / "alone", runs.config(*CONFIG, runs.ENDLESS), ISLANDS, pool)
    cases = [(5, True)] if report.quick else [(3, False), (5, True)]
    with runs.alive(run, range(ISLANDS)) as children:
        runs.wait_until_running(run, children)
        pids = [child.pid for child in children]
        time.sleep(5)
        for victim, locked in cases:
            stop = stood_still(report, run, pids, victim, pool if locked else None)
            told_stop(report, stop, "no launcher")
            wait_for_generations(run.islands()[victim])
        codes = runs.end(children, signal.SIGTERM)
    twice = [text for place in run.islands() for text in runs.told_twice(place)]
    report.tell("replaying the islands that were stopped from their logs")
    wrong = replay_all(run, tuple(victim for victim, _ in cases))
    report.check(
        "islands that were stopped and went on",
        "rejoin: they come to further generations, replay from their logs, and nothing is taken twice by anybody",
        f"exit codes {sorted(set(codes))}, {len(twice)} taken twice, {len(wrong)} replay otherwise {wrong or ''}",
        set(codes) == {85} and not twice and not wrong,
    )


def with_launcher(report: Report, folder: Path) -> None:
    """It is replaced, although it holds the lock of its outbox."""
    run = RunDir(folder / "launched")
    settings = [part for assignment in CONFIG for part in ("--set", assignment)]
    command = [sys.executable, "-P", "-m", "launcher", "launch", "-c", "quick", "--islands", str(ISLANDS), "--no-pin",
               "-g", "10000000", "--out", str(run.path), *settings]  # fmt: skip
    with launched(command, folder):
        beats = runs.wait_for(lambda: all_running(run), 600, "that all islands run")
        time.sleep(5)
        pids, victim = [beat["pid"] for beat in beats], 2
        pool = Path(run.read_plan()["migration_dir"])
        stop = stood_still(report, run, pids, victim, pool)
        told_stop(report, stop, "evolab launch")
        place = run.islands()[victim]
        wait_for_generations(place)
        again = runs.beat(place)
        runs.evolab(folder, "stop", run.path)
    told = {kind: [e for e in events.read(run) if e["event"] == kind and e.get("island") == place.name]
            for kind in ("stall", "exit", "restart")}  # fmt: skip
    killed = [event for event in told["exit"] if event.get("signal") == signal.SIGKILL]
    twice = [text for each in run.islands() for text in runs.told_twice(each)]
    report.tell("replaying the island that was replaced")
    wrong = replay_all(run, (victim,))
    report.check(
        "the launcher's answer to an island that stands still",
        "one stall, SIGKILL, one restart; the island goes on, replays from its log, nothing is taken twice by anybody",
        f"{len(told['stall'])} stall, {len(killed)} killed, {len(told['restart'])} restart, another process: "
        f"{again.get('pid') != pids[victim]}, {len(twice)} taken twice, {len(wrong)} replay otherwise {wrong or ''}",
        [len(told["stall"]), len(killed), len(told["restart"])] == [1, 1, 1]
        and again.get("pid") != pids[victim] and not twice and not wrong,
    )  # fmt: skip


def told_stop(report: Report, stop: Stop, who: str) -> None:
    """How the others fared, and when somebody noticed."""
    what = "holding its outbox's lock" if stop.held else "at any moment"
    report.check(
        f"SIGSTOP of one island of {ISLANDS} for {stop.seconds:.0f} s, {what}; {who}",
        f"the others within {MOST_SLOWER:.0%} of their pace before and after by CPU time, and not kept waiting: within "
        f"{MOST_SLOWER_BY_THE_CLOCK:.0%} by the clock",
        f"{-stop.slower:+.1%} by CPU time, {-stop.slower_by_the_clock:+.1%} by the clock "
        f"({stop.before.per_second:.0f}, {stop.during.per_second:.0f}, {stop.after.per_second:.0f} generations a "
        f"second before, meanwhile, after)",
        stop.slower <= MOST_SLOWER and stop.slower_by_the_clock <= MOST_SLOWER_BY_THE_CLOCK,
    )
    if stop.seconds < LIMIT:
        report.check(f"the same island in `evolab status`; {who}", "STALLED", "not with --quick", None)
        return
    report.check(
        f"the same island in `evolab status`; {who}",
        f"STALLED after {LIMIT:g} s of silence, {LIMIT + 5:g} s at the latest",
        "never" if stop.flagged is None else f"after {stop.flagged:.1f} s",
        stop.flagged is not None and LIMIT - 1 <= stop.flagged <= LIMIT + 5,
    )


def stood_still(report: Report, run: RunDir, pids: Sequence[int], victim: int, pool: Path | None) -> Stop:
    """Stop the island `victim`, in `pool` while it holds its outbox's lock, and let it go on after a while."""
    places, others = run.islands(), [index for index in range(len(pids)) if index != victim]
    window, standstill = (8.0, 15.0) if report.quick else (20.0, 120.0)
    measure = Meter([(places[index], pids[index]) for index in others])
    time.sleep(window)
    before = measure.since_last()
    report.tell(f"stopping {places[victim].name}{' while it holds its lock' if pool else ''}")
    lock = pool / "migration_pool" / places[victim].name / ".lock" if pool else None
    stop_holding(pids[victim], lock) if lock else halt(pids[victim])
    began, flagged = time.monotonic(), None
    time.sleep(2.5)  # in which each of the others finds out about the lock
    measure.since_last()
    while time.monotonic() - began < standstill:
        if flagged is None and state(run, victim) == STALLED:
            flagged = time.monotonic() - began
        if lock and time.monotonic() - began < LIMIT and not is_held(lock):
            raise RuntimeError("the stopped island does not hold its lock any more")
        time.sleep(0.25)
    during = measure.since_last()
    go_on(pids[victim])
    time.sleep(5)
    measure.since_last()
    time.sleep(window)
    return Stop(before, during, measure.since_last(), flagged, pool is not None, standstill)


class Meter:
    """Generations and CPU time of some islands, from one look to the next."""

    def __init__(self, islands: Sequence[tuple[IslandDir, int]]) -> None:
        self.islands = islands
        self._last = self._look()

    def _look(self) -> tuple[int, float, float]:
        done = sum(runs.generation(place) for place, _ in self.islands)
        return done, time.monotonic(), sum(runs.cpu_seconds(pid) for _, pid in self.islands)

    def since_last(self) -> Pace:
        """What was done since the last look."""
        before, self._last = self._last, self._look()
        done, seconds, cpu = (now - then for now, then in zip(self._last, before, strict=True))
        return Pace(int(done), float(seconds), float(cpu))


def halt(pid: int) -> None:
    """SIGSTOP; returns when the process has stopped."""
    os.kill(pid, signal.SIGSTOP)
    runs.wait_for(lambda: stopped(pid), 10, "that the process stops", every=0.001)


def stopped(pid: int) -> bool:
    """Whether the kernel says that it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stop_holding(pid: int, lock: Path) -> None:
    """Stop the process at a moment at which it holds `lock`: try again until that is so."""
    moments = random.Random(3)
    for _ in range(2000):
        halt(pid)
        if is_held(lock):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(moments.uniform(0.005, 0.06))
    raise RuntimeError("in 2000 tries it was never stopped while it held its lock")


def is_held(lock: Path, seconds: float = 0.2) -> bool:
    """Whether somebody holds the lock for as long as that; whoever lives holds it for milliseconds."""
    deadline = time.monotonic() + seconds
    with open(lock, "rb") as file:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.004)
            else:
                return False
    return True


def go_on(pid: int) -> None:
    """SIGCONT, to a process that may have been killed meanwhile."""
    if Path(f"/proc/{pid}").exists() and stopped(pid):
        os.kill(pid, signal.SIGCONT)


def state(run: RunDir, index: int) -> str:
    """An island's state as `evolab status` has it."""
    return str(status.run_status(run)["islands"][index]["state"])


def wait_for_generations(place: IslandDir, more: int = 20) -> None:
    """The island comes to further generations."""
    from_here = runs.generation(place)
    runs.wait_for(lambda: runs.generation(place) >= from_here + more, 120, f"that {place.name} goes on")


def all_running(run: RunDir) -> list[dict[str, Any]] | None:
    """The heartbeats of a run whose islands all evolve."""
    if not run.plan.exists():
        return None
    beats = [runs.beat(place) for place in run.islands()]
    return beats if all(beat.get("state") == RUNNING.lower() for beat in beats) else None


@contextmanager
def launched(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher in `folder`; it ends with its islands, whatever happens."""
    with open(folder / "launcher.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=runs.environment(folder), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
