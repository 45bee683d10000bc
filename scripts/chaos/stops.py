"""200 SIGTERMs at random moments: a checkpoint of the current generation every time, soon."""

from __future__ import annotations

import signal
from pathlib import Path

from islands.errors import STOPPED
from islands.rundir import RunDir, checkpoints_in
from launcher.workers import Ended
from scripts.chaos import runs
from scripts.chaos.report import Report
from scripts.chaos.strikes import Strikes, Victim

ISLANDS = 4
SMALL = ("population=60", "task.duration=8.0", "migration.every=0")
LATEST = 5.0
"""Seconds in which 99 of 100 must have ended."""


def main(report: Report, folder: Path) -> None:
    """Islands that write no checkpoint but the one at a stop, stopped again and again."""
    count = 24 if report.quick else 200
    wanted = runs.config(*SMALL, runs.ENDLESS, "record.checkpoint_every=1000000")
    run = runs.make(folder / "stopped", wanted, ISLANDS, None)
    tally = Strikes(report, run, count, signal.SIGTERM, None, ending).run(within=1800)
    seconds = sorted(tally.seconds)
    p99 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))] if seconds else float("inf")
    report.check(
        f"SIGTERM at random moments to {ISLANDS} islands whose only checkpoints are those of stops",
        f"{count} delivered to living islands; each ends with {STOPPED} and a checkpoint of its newest generation; "
        f"99 % within {LATEST:g} s",
        f"{tally.delivered} ({tally.evolving} while evolving, {tally.starting} while starting), median "
        f"{seconds[len(seconds) // 2] if seconds else 0:.2f} s, 99 % within {p99:.2f} s, longest "
        f"{seconds[-1] if seconds else 0:.2f} s; otherwise: {tally.unexpected or 'none'}",
        tally.delivered == count and tally.evolving > count // 2 and not tally.unexpected and p99 < LATEST,
    )
    same_history(report, folder, run)


def ending(victim: Victim, ended: Ended) -> str | None:
    """What is wrong with how a process stopped."""
    newest = max((int(path.stem) for path in checkpoints_in(victim.place.checkpoints)), default=-1)
    reached = runs.generation(victim.place)
    if ended.code != STOPPED:
        return f"exit {ended.code} instead of {STOPPED}"
    if newest != reached:
        return f"its checkpoint is of generation {newest}, its metrics end with {reached}"
    found = runs.beat(victim.place)
    told = found.get("state")
    if victim.running is not None and (found.get("pid"), told) != (victim.child.pid, "stopped"):
        return f"its heartbeat says {told}"
    return None


def same_history(report: Report, folder: Path, run: RunDir) -> None:
    """Stopped again and again, every generation is still the one of a run that was not."""
    stopped = [runs.digests(place) for place in run.islands()]
    wanted = runs.config(*SMALL, f"generations={max(map(len, stopped))}")
    calm = runs.make(folder / "calm", wanted, ISLANDS, None)
    with runs.alive(calm, range(ISLANDS)) as children:
        codes = [runs.wait_for(child.poll, 600, "the undisturbed run's end").code for child in children]
    same = [
        runs.digests(place)[: len(digests)] == digests for place, digests in zip(calm.islands(), stopped, strict=True)
    ]
    report.check(
        "the same islands without any SIGTERM",
        "every generation's digest is the same",
        f"{sum(same)} of {ISLANDS} islands, {sum(map(len, stopped))} generations",
        all(same) and codes == [0] * ISLANDS,
    )
