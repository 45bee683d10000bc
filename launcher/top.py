"""`evolab top`: every run of this machine, those in ./runs and those that living processes work on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from islands.rundir import RunDir
from launcher.run import every
from launcher.status import overview
from launcher.utilisation import process_seconds
from launcher.workers import command_of


def look(proc: Path = Path("/proc")) -> list[dict[str, Any]]:
    """One entry a run, those at work first: as `evolab status`, with its living processes and their CPU seconds."""
    working: dict[Path, list[int]] = {}
    for pid, folder in _processes(proc):
        working.setdefault(folder, []).append(pid)
    runs = {run.path.resolve(): run for run in every()}
    runs |= {folder: RunDir(folder) for folder in working if folder not in runs}
    entries = []
    for folder, run in runs.items():
        with contextlib.suppress(Exception):  # a run that cannot be read is no reason to hide the others
            (entry,) = overview([run])
            pids = working.get(folder, [])
            spent = sum(process_seconds(pid) or 0.0 for pid in pids)
            entries.append({**entry, "processes": len(pids), "cpu_seconds": round(spent, 1)})
    return sorted(entries, key=lambda entry: (-entry["processes"], entry["run"]))


def _processes(proc: Path) -> Iterator[tuple[int, Path]]:
    """(process, run directory) of every island process of this user's, or of all where that may be seen."""
    for name in os.listdir(proc):
        if name.isdecimal():
            command = command_of(int(name))
            folder = _run_of(command)
            if folder is not None and folder.is_absolute() and RunDir(folder).plan.is_file():
                yield int(name), folder.resolve()


def _run_of(command: tuple[str, ...]) -> Path | None:
    """The run directory in an island's command line: what comes before `--island K` or `--all`."""
    for index, word in enumerate(command):
        if word in ("--island", "--all") and index > 1:
            return Path(command[index - 1])
    return None
