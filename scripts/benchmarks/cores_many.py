"""128 islands of a tiny task on these cores beside 8: what each costs, from the scenario `cost` of `make chaos`."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.benchmarks.pieces import short, table
from scripts.chaos import cost, runs
from scripts.chaos.report import Report

COUNTS, QUICK = (8, 128), (2, 8)
SETTINGS = (*runs.TINY, "migration.every=1", "record.checkpoint_every=2")
"""A migration every generation, so that one is always near."""
MOST_MORE = 0.10
ROWS = {
    "CPU ms a generation": "CPU of an island's generation, ms",
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
        return [cost.measured(report, folder / str(count), count, SETTINGS) for count in (QUICK if quick else COUNTS)]


def section(rows: list[dict[str, Any]]) -> str:
    """The table, and whether many cost what few do."""
    few, many = rows
    lines = [
        (title, *(short(float(row[key])) if key in row else "no strace" for row in rows)) for key, title in ROWS.items()
    ]
    header = ("", *(f"{row['islands']} islands" for row in rows))
    more = many["CPU ms a generation"] / few["CPU ms a generation"] - 1
    met = "met" if more <= MOST_MORE else f"missed: {more / MOST_MORE:.1f} times as much"
    return (
        f"Islands of a tiny task (population 30, episodes of 2 s, a migration every generation) on"
        f" {len(os.sched_getaffinity(0))} cores.\n\n{table(header, lines)}\n\nAn island's generation takes {more:+.1%}"
        f" CPU among {many['islands']} of what it takes among {few['islands']} (within {MOST_MORE:.0%}: {met})."
    )
