"""What a launcher makes of its supervisor's reports: what people see, the events, launcher.json, the accounting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import EvolabError
from islands.notify import Notifier
from islands.rundir import RunDir
from launcher import cores, progress, prometheus, utilisation
from launcher.complaints import complaint
from launcher.events import Events
from launcher.live import Live
from launcher.refusals import EVERY as REFUSALS_EVERY
from launcher.refusals import Refusals
from launcher.rows import Row, crowd
from launcher.scalars import Scalars
from launcher.settings import Outcome, Settings
from launcher.states import DONE, PENDING
from launcher.supervisor import Asked, Supervisor
from launcher.workers import TOGETHER, Worker

SAMPLE_EVERY = 1.0
FIRST_REPORT, REPORT_EVERY = 20.0, 60.0
"""Seconds after which utilisation, pace, time left and cost are stated, and then again."""
PROMETHEUS_EVERY = 5.0
_AT_ONCE = ("adopt", "stall", "held", "failed", "disk-full", "disk-back", "stopping")
"""What `status` is to know without delay."""


class Watch:
    """What the supervisor reports to: samples, rows, the lines that are due."""

    def __init__(
        self, run: RunDir, plan: dict[str, Any], generations: int, granted: float, settings: Settings,
        display: progress.Progress,
    ) -> None:  # fmt: skip
        self.run, self.settings, self.display = run, settings, display
        self.islands = run.islands()
        self.events = Events(run)
        self.live = Live(run, settings.cost_per_hour, settings.detach, settings.where.record())
        self.follower = progress.Follower(self.islands, generations, display.trends)
        self.meter = utilisation.Meter(granted, settings.cost_per_hour)
        self.workers: list[Worker] = []
        self.started = time.monotonic()
        self._threads = int(plan["threads"])
        self._cpus = () if settings.where.elsewhere else cores.usable().cpus
        self._refusals = Refusals(self.islands)
        self._next_sample, self._next_report = 0.0, self.started + FIRST_REPORT
        self._next_refusals, self._next_text = self.started + REFUSALS_EVERY, 0.0
        self._footer = ""
        self._scalars = self._scalars_for(settings.tensorboard)
        self._notifier, self._told = Notifier(), "nothing left to do"
        self._rows: list[Row] = []

    def _scalars_for(self, folder: Path | None) -> Scalars | None:
        return Scalars(folder, self.run, lambda text: self.tell("tensorboard", "", text)) if folder else None

    def announce(self, plan: dict[str, Any], granted: cores.Cores) -> None:
        """The first sign of life: what starts where."""
        count = len(plan["islands"])
        noun = "population" if plan["command"] == "run" else "island"
        place = self.settings.where
        where = f", {granted.granted:g} usable cores" if not place.elsewhere else f" {place.title}"
        text = f"{self.run.path}: {count} {noun}{'s' * (count != 1)}{where}"
        if self.settings.pin and granted.limited_by_quota:
            text += "; not pinned, since a quota and not the affinity mask limits them"
        self.tell("launch", "", text, islands=count, cores=granted.granted or self.meter.granted)

    def tell(self, kind: str, job: str, text: str, /, **figures: Any) -> None:
        """Pass on what happened: to the events, and to people; a failure with its reason."""
        island = "" if job == TOGETHER else job
        if kind == "exit":
            self._exit(island, **figures)
            return
        if kind in ("failed", "held"):
            worker = next(worker for worker in self.workers if worker.name == job)
            told = next((one for one in worker.job.islands if one.error.exists()), worker.job.islands[0])
            text += f": {complaint(told, worker.job.log)}"
        self.events.event(kind, island, text=text, **figures)
        self.display.event(island, text)
        if kind in _AT_ONCE:
            self.live.write(self.workers, self.figures(), force=True)

    def _exit(
        self, island: str, pid: int, code: int | None, seconds: float, began: float, command: Sequence[str]
    ) -> None:
        number = -code if code is not None and code < 0 else None
        shown = None if number else code
        self.events.event("exit", island, pid=pid, code=shown, signal=number, seconds=round(seconds, 3))
        self.events.job(began, seconds, code, command)

    def tick(self) -> None:
        """Sample, report, write and redraw when due."""
        now = time.monotonic()
        if now < self._next_sample:
            return
        self._next_sample = now + SAMPLE_EVERY
        self._look()
        self._sample(now)
        if self.settings.account and now >= self._next_report:
            self._next_report = now + REPORT_EVERY
            self._report()
        if now >= self._next_refusals:
            self._next_refusals = now + REFUSALS_EVERY
            self._look_at_refusals()
        self.live.write(self.workers, self.figures())
        if now >= self._next_text:
            self._next_text = now + PROMETHEUS_EVERY
            self._write_prometheus()
        if self._scalars:
            self._scalars.write()
        self.events.flush()
        self.display.update(self._rows, self._footer)
        self._told = "; ".join(filter(None, [crowd(self._rows), self._footer]))
        self.notify()

    def notify(self) -> None:
        """Tell systemd, where it supervises this launcher, that the loop turns and how the run goes."""
        self._notifier.turned(self._told)

    def close(self, supervisor: Supervisor) -> Outcome:
        """Write down how it ended; everything the summary needs."""
        self._look_at_refusals()
        outcome = self._outcome(supervisor)
        states = ", ".join(
            f"{list(outcome.states.values()).count(s)} {s}" for s in dict.fromkeys(outcome.states.values())
        )
        self.events.event("end", text=states, exit_code=outcome.exit_code, seconds=round(outcome.seconds, 1))
        self._look()
        self.live.write(self.workers, {**self.figures(), "exit_code": outcome.exit_code}, force=True)
        self._write_prometheus()
        if self._scalars:
            self._scalars.close()
        self.notify()
        return outcome

    def limit(self) -> Asked | None:
        """The limit that is reached, if one is."""
        hours, cost = (time.monotonic() - self.started) / 3600, self.cost
        if self.settings.max_hours is not None and hours >= self.settings.max_hours:
            return Asked("limit", f"{self.settings.max_hours:g} hours are over: islands checkpoint and stop")
        if self.settings.max_cost is not None and cost is not None and cost >= self.settings.max_cost:
            return Asked("limit", f"it has cost {cost:.2f}, the limit: islands checkpoint and stop")
        return None

    @property
    def cost(self) -> float | None:
        """What the run has cost so far, earlier sittings included."""
        rate = self.settings.cost_per_hour
        return None if rate is None else self.live.cost_before + rate * (time.monotonic() - self.started) / 3600

    def figures(self) -> dict[str, Any]:
        """The run as a whole, for launcher.json."""
        seconds = time.monotonic() - self.started
        return {
            "utilisation": round(self._used() / max(seconds * self.meter.granted, 1e-9), 4),
            "utilisation_now": round(self.meter.recent, 4),
            "generations_per_second": round(self.meter.pace, 4),
            "cores": self.meter.granted,
            "seconds": round(self.live.seconds_before + seconds, 1),
            "cost": None if self.cost is None else round(self.cost, 6),
            "disk": next((worker.reason for worker in self.workers if worker.waits_for_disk), None),
        }

    def _used(self) -> float:
        return sum(worker.cpu_seconds for worker in self.workers)

    def _outcome(self, supervisor: Supervisor) -> Outcome:
        now = time.monotonic()
        by_island = {name: worker for name, worker in self._by_island().items() if worker is not None}
        return Outcome(
            states={
                island.name: by_island[island.name].state if island.name in by_island else DONE
                for island in self.islands
            },
            codes={worker.name: worker.code for worker in self.workers},
            restarts={name: worker.restarts for name, worker in by_island.items()},
            cpu_utilisation={name: worker.utilisation(now) for name, worker in by_island.items()},
            utilisation=self._used() / max((now - self.started) * self.meter.granted, 1e-9),
            seconds=now - self.started,
            signal=supervisor.signal,
            ending=supervisor.ending,
            disk=any(worker.waits_for_disk for worker in self.workers),
        )

    def _by_island(self) -> dict[str, Worker | None]:
        its = {island.name: worker for worker in self.workers for island in worker.job.islands}
        return {island.name: its.get(island.name) for island in self.islands}

    def _states(self) -> dict[str, tuple[str, int | None, str]]:
        return {
            name: (
                worker.state,
                worker.process.pid if worker.process else None,
                worker.reason if worker.state == PENDING else "",
            )
            for name, worker in self._by_island().items()
            if worker is not None
        }

    def _look(self) -> None:
        """Look at every island."""
        self._rows = self.follower.rows(self._states())
        workers = self._by_island()
        for row in self._rows:
            worker = workers.get(row.name)
            row.restarts = worker.restarts if worker else None

    def _sample(self, now: float) -> None:
        done = sum(row.done for row in self._rows)
        self.meter.take(utilisation.Sample(now, self._used(), utilisation.busy_seconds(self._cpus), done))
        if self.settings.account and self.meter.seconds >= 5:
            self._footer = utilisation.report(self.meter, utilisation.time_left(self._accounts(False)))

    def _report(self) -> None:
        accounts = self._accounts(True)
        self.display.event("", utilisation.report(self.meter, utilisation.time_left(accounts)))
        together = any(len(worker.job.islands) > 1 for worker in self.workers)
        reasons = utilisation.causes(self.meter, accounts, self._threads, together)
        if reasons:
            text = f"warning: {self.meter.recent:.0%} utilisation: {'; '.join(reasons)}"
            self.tell("utilisation", "", text, utilisation=round(self.meter.recent, 4))

    def _accounts(self, detailed: bool) -> list[utilisation.Island]:
        rows = zip(self._rows, self.islands, strict=True)
        return [progress.accounting(row, island, detailed) for row, island in rows]

    def _look_at_refusals(self) -> None:
        if found := self._refusals.look():
            self.events.event("refusals", text=f"{found['refused']} migrants refused", **found)

    def _write_prometheus(self) -> None:
        if self.settings.prometheus is None:
            return
        islands = [{**asdict(row), "island": row.name} for row in self._rows]
        with suppress(OSError, EvolabError):
            text = prometheus.render(str(self.run.path), islands, self.figures())
            files.replace_atomically(self.settings.prometheus, text.encode())
