"""128 islands of a tiny task on these cores beside 8: what each costs, from the scenario `cost` of `make chaos`."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from islands.config import RecordConfig
from launcher import cores
from scripts.benchmarks.cores_arms import SLICE, Arm, one_slice
from scripts.benchmarks.pieces import short, table
from scripts.chaos import cost, runs
from scripts.chaos.report import Report

COUNTS, QUICK = (8, 128), (2, 8)
SETTINGS = (*runs.TINY, "migration.every=1", "record.checkpoint_every=2")
"""A migration every generation, so that one is always near."""
USUAL = (*runs.TINY, f"record.checkpoint_seconds={RecordConfig.checkpoint_seconds}")
"""Migrations and checkpoints as often as they come unless somebody says otherwise."""
ROUNDS = 10
"""Turns of each archipelago, so that the machine's own changes of pace meet both."""
MOST_MORE = 0.10
ROWS = {
    "CPU ms a generation": "CPU of an island's generation, ms",
    "waits a generation": "times that it waits, mostly for the disk",
    "CPU ms, migrating": "CPU of a generation if each has a migration, ms",
    "waits, migrating": "times that it waits then",
    "start CPU s": "start of an island, CPU s",
    "launcher CPU s": "launcher until all run, CPU s",
    "start wall s": "start of all, wall s",
    "private MB": "private memory (USS) of an island, MB",
    "PSS MB": "share of memory (PSS) of an island, MB",
    "whole tree MB": "all processes (PSS), MB",
    "open files": "open files of an island",
    "locks": "kernel locks of all at once",
    "inotify watches": "inotify watches of islands and launcher",
    "files": "directory entries of run and pool",
    "files came": "of these came while islands went on",
    "fullest folder": "entries of the fullest folder",
    "calls a generation": "system calls a generation",
    "calls a migration": "system calls a migration",
    "calls of status": "system calls of `evolab status`",
    "status CPU s": "`evolab status`, CPU s",
    "launcher cores": "launcher at work, cores",
}
"""What is tabled: the key of `cost`, and how it is called."""


def measure(quick: bool) -> list[dict[str, Any]]:
    """A row a number of islands."""
    with tempfile.TemporaryDirectory(prefix="evolab-cores-") as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        report = Report(folder, quick=True)  # fewer generations under strace: these are tabled, not judged
        report.scenario = "cores"
        counts = QUICK if quick else COUNTS
        rows = [cost.measured(report, folder / str(count), count, SETTINGS) for count in counts]
        for settings, kind in ((USUAL, " a generation"), (SETTINGS, ", migrating")):
            (place := folder / kind.strip(" ,")).mkdir()
            them = in_turns(report, place, counts, settings, 2 if quick else ROUNDS)
            for row, turns in zip(rows, them, strict=True):
                taken, often = zip(*turns, strict=True)
                row |= {f"CPU ms{kind}": statistics.median(taken), f"waits{kind}": statistics.median(often)}
                row[f"in turns{kind}"] = taken
    return rows


def in_turns(
    report: Report, folder: Path, counts: Sequence[int], settings: Sequence[str], rounds: int
) -> list[list[tuple[float, float]]]:
    """CPU ms of an island's generation and how often it waited, a list an archipelago: all live at once, and one at a
    time goes on."""
    cpus = cores.usable().cpus
    found: list[list[tuple[float, float]]] = [[] for _ in counts]
    with contextlib.ExitStack() as stack:
        them = [stack.enter_context(cost.archipelago(report, folder / f"turns-{n}", n, settings)) for n in counts]
        arms = [Arm(run, tuple(pids), (launcher,)) for run, launcher, pids, _ in them]
        for arm in arms:
            stack.callback(arm.send, signal.SIGCONT)
            arm.send(signal.SIGSTOP)
        for number in range(rounds):
            for which in range(len(arms))[:: 1 if number % 2 else -1]:
                arm = arms[which]
                done, waited = arm.progress(), waits(arm.pids)
                one = one_slice(arm, cpus, SLICE)
                often = (waits(arm.pids) - waited) / (arm.progress() - done)
                found[which].append((1e3 * (one["cpu"] - one["launcher"]), often))
    return found


def waits(pids: Sequence[int]) -> int:
    """How often these processes have left a core because they waited for something."""
    return sum(psutil.Process(pid).num_ctx_switches().voluntary for pid in pids)


def section(rows: list[dict[str, Any]]) -> str:
    """The table, and whether many cost what few do."""
    few, many = rows
    lines = [
        (title, *(short(float(row[key])) if key in row else "no strace" for row in rows)) for key, title in ROWS.items()
    ]
    header = ("", *(f"{row['islands']} islands" for row in rows))
    more, told = compared(few, many, " a generation")
    met = "met" if more <= MOST_MORE else f"missed: {more / MOST_MORE:.1f} times as much"
    verdict = (
        f"An island's generation takes {told} CPU among {many['islands']} of what it takes among {few['islands']},"
        f" measured in {len(few['in turns a generation'])} turns of each (within {MOST_MORE:.0%}: {met}). If each has a"
        f" migration, {compared(few, many, ', migrating')[1]}: each time that one waits for the disk, its core and the"
        " caches go to the others that share it; a few find theirs again as they left them, many do not. An island that"
        " has a core is not concerned."
    )
    return (
        f"Islands of a tiny task (population 30, episodes of 2 s) on {len(os.sched_getaffinity(0))} cores; system calls"
        " are those of a run with a migration every generation and a checkpoint every other.\n\n"
        f"{table(header, lines)}\n\n{verdict}"
    )


def compared(few: dict[str, Any], many: dict[str, Any], kind: str) -> tuple[float, str]:
    """How much more a generation takes among many: the median of the turns, and in words with their range."""
    turns = zip(few[f"in turns{kind}"], many[f"in turns{kind}"], strict=True)
    ratios = [b / a - 1 for a, b in turns]
    more = statistics.median(ratios)
    return more, f"{more:+.1%} ({min(ratios):+.1%} to {max(ratios):+.1%})"
