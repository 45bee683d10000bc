"""System calls, as strace counts them: of a command, and of a living island between two of its generations."""

from __future__ import annotations

import re
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

STRACE = shutil.which("strace")
_TOTAL = re.compile(r"^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s.*total$", re.MULTILINE)
_LOCK = re.compile(r"\bflock\(\d+<[^>]*>, LOCK_EX")
_METRICS = re.compile(r"write\(\d+<[^>]*/metrics\.jsonl>")


class Calls(NamedTuple):
    """Medians over the generations that were seen whole, and how many of these there were.

    `polls`: looks at a lock that another process held, the mean of a migration; what they took is in neither figure.
    """

    generation: float
    migration: float
    polls: float
    seen: int


def of_command(command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """How many system calls a command makes, with all its threads."""
    assert STRACE
    out = folder / "calls.txt"
    subprocess.run(
        [STRACE, "-f", "-c", "-o", str(out), *command], cwd=folder, env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    found = _TOTAL.search(out.read_text())
    if not found:
        raise ValueError(f"no total in what strace says: {out}")
    return int(found[1])


def of_island(pid: int, folder: Path, enough: Callable[[], bool], within: float) -> Calls:
    """Watch a living island until `enough`; a migration is all calls from its first in the pool to its log's last."""
    assert STRACE
    out = folder / f"calls-{pid}.txt"
    tracer = subprocess.Popen(
        [STRACE, "-f", "-y", "-s", "0", "-o", str(out), "-p", str(pid)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + within
    while not enough() and time.monotonic() < deadline:
        time.sleep(0.1)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(30)
    return counted(out.read_text(errors="replace").splitlines())


def counted(lines: Sequence[str]) -> Calls:
    """System calls a generation and a migration; a generation lasts from one metrics line to the next."""
    every = [line for line in lines if "resumed>" not in line and "---" not in line and "+++" not in line]
    calls = without_waits(every)
    ends = [place for place, line in enumerate(calls) if _METRICS.search(line)]
    generations, migrations = [], []
    for first, last in zip(ends, ends[1:], strict=False):
        segment = calls[first:last]
        pool = [place for place, line in enumerate(segment) if "migration_pool" in line]
        log = [place for place, line in enumerate(segment) if "migrations.jsonl" in line]
        if pool and log:
            generations.append(len(segment))
            migrations.append(log[-1] - pool[0] + 1)
    if not migrations:
        raise ValueError("strace saw no migration")
    polls = sum("EAGAIN" in line for line in every if _LOCK.search(line)) / len(migrations)
    return Calls(statistics.median(generations), statistics.median(migrations), polls, len(migrations))


def without_waits(calls: Sequence[str]) -> list[str]:
    """The calls as if every lock had been free: of many tries at one the last alone is left.

    How often a lock is tried says how long its holder was kept from the processor, and so how crowded the machine is.
    """
    kept: list[str] = []
    waits = False
    for line in calls:
        tried = _LOCK.search(line) is not None
        if not waits:
            kept.append(line)
        if tried:
            waits = "EAGAIN" in line
    return kept
