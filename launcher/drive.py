"""Runs the island processes of one run directory to their end: who may, on which cores, and what happens afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

from islands.config import Config
from islands.rundir import RunDir
from launcher import claims, cores, live, progress
from launcher.locks import Held
from launcher.places import Place, recorded
from launcher.run import held, read
from launcher.settings import Outcome, Settings
from launcher.status import alive, beat_of, here
from launcher.supervisor import Asked, Job, Rules, Supervisor
from launcher.watching import Watch
from launcher.workers import TOGETHER

__all__ = ["Outcome", "Settings", "drive", "jobs_of"]


def drive(run: RunDir, settings: Settings) -> Outcome:
    """Start what is not finished yet, see it through, and say what happened. One launcher a run."""
    settings.check(live.read(run).get("cost_per_hour"))
    settings = replace(settings, place=place_of(run, settings))
    with held(run):
        outcome = _drive(run, settings)
    if settings.on_finish:
        _finish(run, settings.on_finish, outcome.exit_code)
    return outcome


def _drive(run: RunDir, settings: Settings) -> Outcome:
    plan, config = read(run)
    together, elsewhere = one_process(plan, config), settings.where.elsewhere
    needed = (1 if together else len(plan["islands"])) * int(plan["threads"])
    granted = cores.Cores(()) if elsewhere else cores.usable()
    wanted = needed if settings.pin and settings.claim and not elsewhere else 0
    if settings.cost_per_hour is None:
        settings = replace(settings, cost_per_hour=live.read(run).get("cost_per_hour"))
    if not elsewhere:
        _refuse_what_lives_elsewhere(run)
    with progress.showing() as display, claims.claimed(granted.cpus, wanted) as claimed:
        jobs = jobs_of(run, plan, together, replace(granted, cpus=claimed.cpus), settings.pin)
        watch = Watch(run, plan, config.generations, _granted(granted, plan, settings), settings, display)
        watch.announce(plan, granted)
        if claimed.taken:
            count = len(claimed.taken)
            text = f"another launcher holds {count} of the cores: they are shared, or --islands fewer"
            watch.tell("cores", "", text, taken=count)
        rules = Rules(
            settings.program, settings.policy, settings.patience, detach=settings.detach, place=settings.where,
            renew=settings.renew, low_water=settings.low_water,
        )  # fmt: skip

        def ask() -> Asked | None:
            if settings.halt():
                return Asked("halt", "asked to stop: islands checkpoint and stop")
            if run.stop.exists():
                return Asked("stop", "asked to stop (evolab stop): islands checkpoint and stop")
            return watch.limit()

        supervisor = Supervisor(run, jobs, watch.tell, rules, watch.tick, ask)
        watch.workers = supervisor.workers
        supervisor.run()
        return watch.close(supervisor)


def place_of(run: RunDir, settings: Settings) -> Place:
    """Where the run's islands are to be: as asked, or else as last time."""
    return settings.place or recorded(live.read(run))


def one_process(plan: dict[str, Any], config: Config) -> bool:
    """Whether all populations live in one process: those of `run`, and an archipelago on a GPU, which is one batch."""
    return bool(plan["command"] == "run" or (plan["command"] == "launch" and config.device != "cpu"))


def jobs_of(run: RunDir, plan: dict[str, Any], together: bool, granted: cores.Cores, pin: bool) -> list[Job]:
    """The processes that the run still needs: one for all populations that live `together`, one an island otherwise."""
    islands = run.islands()
    todo = [island for island in islands if not island.result.exists()]
    threads = int(plan["threads"])
    if together:
        log = islands[0].log if len(islands) == 1 else run.log
        return [Job(TOGETHER, ("--all",), log, tuple(islands), threads=threads)] if todo else []
    shares = cores.share(granted, len(islands), threads, pin and bool(granted.cpus))
    indices = {entry["name"]: int(entry["index"]) for entry in plan["islands"]}
    return [
        Job(island.name, ("--island", str(indices[island.name])), island.log, (island,), cpus, threads)
        for island, cpus in zip(islands, shares, strict=True)
        if island in todo
    ]


def _refuse_what_lives_elsewhere(run: RunDir) -> None:
    """Islands that run on another host can be neither watched nor stopped from here."""
    beats = [beat_of([island]) for island in run.islands()]
    if any(beat and not here(beat) and alive(beat) for beat in beats):
        raise Held(f"islands of {run.path} run on another host", do="stop their launcher first, or wait a minute")


def _granted(granted: cores.Cores, plan: dict[str, Any], settings: Settings) -> float:
    """What utilisation is measured against: all usable cores for `launch`, its own threads for a single process."""
    if settings.where.elsewhere:
        return float(len(plan["islands"]) * int(plan["threads"]))
    return granted.granted if settings.account else min(granted.granted, float(plan["threads"]))


def _finish(run: RunDir, command: str, code: int) -> None:
    """Run the user's command, its output on stderr; whatever becomes of it, the run's exit code stays."""
    environment = dict(os.environ, EVOLAB_RUN=str(run.path.absolute()), EVOLAB_EXIT_CODE=str(code))
    try:
        ended = subprocess.run(command, shell=True, env=environment, stdin=subprocess.DEVNULL, stdout=2, check=False)
    except OSError as error:
        print(f"evolab: --on-finish: {error}", file=sys.stderr)
        return
    if ended.returncode:
        print(f"evolab: --on-finish ended with {ended.returncode}", file=sys.stderr)
