"""Runs the island processes of one run directory to their end: supervision, what a person sees, and the accounting."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from islands import files
from islands.errors import ConfigError, EvolabError
from islands.rundir import IslandDir, RunDir
from launcher import claims, cores, progress, utilisation
from launcher.complaints import complaint
from launcher.locks import Held
from launcher.run import held, read
from launcher.status import alive, here
from launcher.supervisor import GRACE, PROGRAM, Job, Supervisor, Worker

SAMPLE_EVERY = 1.0
FIRST_REPORT, REPORT_EVERY = 20.0, 60.0
"""Seconds after which utilisation, pace, time left and cost are stated, and then again."""


@dataclass(frozen=True)
class Settings:
    """How to drive a run: what it may use, what an hour costs, how an island process starts.

    `claim`: whether the run takes its cores for itself, or runs on cores that somebody has claimed for it. `halt`:
    asked ten times a second; True stops the islands with checkpoints.
    """

    pin: bool = False
    cost_per_hour: float | None = None
    program: Sequence[str] = PROGRAM
    account: bool = True
    claim: bool = True
    halt: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Outcome:
    """What became of a run's processes. `utilisation` is the share of the granted cores, by island that of its own."""

    states: dict[str, str]
    codes: dict[str, int | None]
    restarts: dict[str, int]
    cpu_utilisation: dict[str, float]
    utilisation: float
    seconds: float
    signal: int | None

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some island failed or was stopped, 2 none could use its configuration, 128 + signal."""
        if self.signal is not None:
            return 128 + self.signal
        if all(state == "done" for state in self.states.values()):
            return 0
        refused = set(self.codes.values()) == {ConfigError.exit_code} and "done" not in self.states.values()
        return 2 if refused else 1


def drive(run: RunDir, settings: Settings) -> Outcome:
    """Start what is not finished yet, see it through, and say what happened. One launcher a run."""
    plan, config = read(run)
    granted = cores.usable()
    wanted = len(plan["islands"]) * int(plan["threads"]) if settings.pin and settings.claim else 0
    with held(run), progress.showing() as display, claims.claimed(granted.cpus, wanted) as claimed:
        end_orphans(run, display)
        jobs = jobs_of(run, plan, replace(granted, cpus=claimed.cpus), settings.pin)
        watch = _Watch(run, config.generations, _granted(granted, plan, settings), settings.cost_per_hour, display)
        watch.announce(plan, granted, settings)
        if claimed.taken:
            held_by_others = len(claimed.taken)
            watch.event(
                "", f"another launcher holds {held_by_others} of the cores: they are shared, or --islands fewer"
            )
        supervisor = Supervisor(run.path, jobs, watch.event, watch.tick, settings.program, settings.halt)
        watch.supervisor = supervisor if settings.account else None
        watch.workers = supervisor.workers
        stopped_by = supervisor.run()
    return watch.outcome(plan, stopped_by)


def jobs_of(run: RunDir, plan: dict[str, Any], granted: cores.Cores, pin: bool) -> list[Job]:
    """The processes that the run still needs: one for all populations of `run`, one an island otherwise."""
    islands = run.islands()
    todo = [island for island in islands if not island.result.exists()]
    threads = int(plan["threads"])
    if plan["command"] == "run":
        results = tuple(island.result for island in islands)
        log = islands[0].log if len(islands) == 1 else run.log_dir / "run.log"
        return [Job("run", ("--all",), log, results, threads=threads)] if todo else []
    shares = cores.share(granted, len(islands), threads, pin)
    indices = {entry["name"]: int(entry["index"]) for entry in plan["islands"]}
    return [
        Job(island.name, ("--island", str(indices[island.name])), island.log, (island.result,), cpus, threads)
        for island, cpus in zip(islands, shares, strict=True)
        if island in todo
    ]


def end_orphans(run: RunDir, display: progress.Progress) -> None:
    """Islands of a launcher that died may still finish a generation: ask them to stop, and wait for it."""
    living = [beat for beat in map(_beat, run.islands()) if beat and alive(beat)]
    if not living:
        return
    if not all(map(here, living)):
        raise Held(f"islands of {run.path} run on another host", do="stop their launcher first, or wait a minute")
    display.event("", f"{len(living)} island processes of an earlier launcher are still there: they stop first")
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 5.0)):
        for beat in filter(alive, living):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(beat["pid"]), number)
        deadline = time.monotonic() + patience
        while any(map(alive, living)) and time.monotonic() < deadline:
            time.sleep(0.1)


class _Watch:
    """What the supervisor reports to: samples, rows, the lines that are due."""

    def __init__(
        self, run: RunDir, generations: int, granted: float, cost_per_hour: float | None, display: progress.Progress
    ) -> None:
        self.run, self.display = run, display
        self.islands = run.islands()
        self.follower = progress.Follower(self.islands, generations)
        self.meter = utilisation.Meter(granted, cost_per_hour)
        self.workers: list[Worker] = []
        self.supervisor: Supervisor | None = None
        self.started = time.monotonic()
        self._cpus = cores.usable().cpus
        self._next_sample, self._next_report = 0.0, self.started + FIRST_REPORT
        self._footer = ""
        self._threads = 1

    def announce(self, plan: dict[str, Any], granted: cores.Cores, settings: Settings) -> None:
        """The first sign of life: what starts where."""
        self._threads = int(plan["threads"])
        count = len(plan["islands"])
        noun = "population" if plan["command"] == "run" else "island"
        text = f"{self.run.path}: {count} {noun}{'s' * (count != 1)}, {granted.granted:g} usable cores"
        if settings.pin and granted.limited_by_quota:
            text += "; not pinned, since a quota and not the affinity mask limits them"
        self.event("", text)

    def event(self, job: str, text: str) -> None:
        """Pass on what happened; a failure with its reason."""
        if text.startswith("failed") or "are enough" in text:
            worker = next(worker for worker in self.workers if worker.job.name == job)
            islands = [island for island in self.islands if job in (island.name, "run")]
            told = next((island for island in islands if island.error.exists()), islands[0])
            text += f": {complaint(told, worker.job.log)}"
        self.display.event("" if job == "run" else job, text)

    def tick(self) -> None:
        """Sample, report and redraw when due."""
        now = time.monotonic()
        if now < self._next_sample:
            return
        self._next_sample = now + SAMPLE_EVERY
        rows = self.follower.rows(self._states())
        self._sample(now, rows)
        if self.supervisor is not None and now >= self._next_report:
            self._next_report = now + REPORT_EVERY
            self._report(rows)
        self.display.update(rows, self._footer)

    def outcome(self, plan: dict[str, Any], stopped_by: int | None) -> Outcome:
        """Everything the summary needs."""
        now = time.monotonic()
        used = sum(worker.cpu_seconds for worker in self.workers)
        by_island = {name: worker for name, worker in self._by_island().items() if worker is not None}
        return Outcome(
            states={
                island.name: "done" if island.name not in by_island else by_island[island.name].state
                for island in self.islands
            },
            codes={worker.job.name: worker.code for worker in self.workers},
            restarts={name: len(worker.restarts) for name, worker in by_island.items()},
            cpu_utilisation={name: worker.utilisation(now) for name, worker in by_island.items()},
            utilisation=used / max((now - self.started) * self.meter.granted, 1e-9),
            seconds=now - self.started,
            signal=stopped_by,
        )

    def _by_island(self) -> dict[str, Worker | None]:
        jobs = {worker.job.name: worker for worker in self.workers}
        return {island.name: jobs.get(island.name, jobs.get("run")) for island in self.islands}

    def _states(self) -> dict[str, tuple[str, int | None]]:
        return {
            name: (worker.state, worker.process.pid if worker.process else None)
            for name, worker in self._by_island().items()
            if worker is not None
        }

    def _sample(self, now: float, rows: Sequence[progress.Row]) -> None:
        used = sum(worker.cpu_seconds for worker in self.workers)
        done = sum(row.done for row in rows)
        self.meter.take(utilisation.Sample(now, used, utilisation.busy_seconds(self._cpus), done))
        if self.supervisor is not None and self.meter.seconds >= 5:
            self._footer = utilisation.report(self.meter, utilisation.time_left(self._accounts(rows, False)))

    def _report(self, rows: Sequence[progress.Row]) -> None:
        accounts = self._accounts(rows, True)
        self.display.event("", utilisation.report(self.meter, utilisation.time_left(accounts)))
        reasons = utilisation.causes(self.meter, accounts, self._threads)
        if reasons:
            self.display.event("", f"warning: {self.meter.recent:.0%} utilisation: {'; '.join(reasons)}")

    def _accounts(self, rows: Sequence[progress.Row], detailed: bool) -> list[utilisation.Island]:
        return [progress.accounting(row, island, detailed) for row, island in zip(rows, self.islands, strict=True)]


def _granted(granted: cores.Cores, plan: dict[str, Any], settings: Settings) -> float:
    """What utilisation is measured against: all usable cores for `launch`, its own threads for a single process."""
    return granted.granted if settings.account else min(granted.granted, float(plan["threads"]))


def _beat(island: IslandDir) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, EvolabError):
        return files.read_json(island.heartbeat)
    return None
