"""Runs to do harm to: small configurations, island processes without a launcher, what their files say in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from islands import files, loading
from islands.config import Config
from islands.migration_log import put_aside
from islands.rundir import IslandDir, RunDir
from launcher import run as runs
from launcher import starting, utilisation, workers
from launcher.workers import Child, Job

ROOT = Path(__file__).resolve().parents[2]
TINY = ("population=30", "task.duration=2.0", "speciation.target=3", "record.checkpoint_seconds=0")
"""A generation of some milliseconds."""
ENDLESS = "generations=10000000"


def config(*assignments: str) -> Config:
    """A small configuration with `assignments` on top."""
    return loading.override(Config(), [*TINY, *assignments])


def make(path: Path, wanted: Config, count: int, pool: Path | None, command: str = "launch") -> RunDir:
    """A run of `count` islands that meet in `pool` (None: nowhere). One of the `command` "evolve" joins any pool."""
    names = tuple((f"island-{index:03}", wanted.seed) for index in range(count))
    return runs.make(path, wanted, runs.Plan(command, "chaos", names, migration_dir=pool))


def start(run: RunDir, index: int, cpus: frozenset[int] | None = None) -> Child:
    """An island's process, as a launcher starts it, on `cpus` (None: anywhere). It stops when this process ends."""
    island = run.islands()[index]
    job = Job(island.name, ("--island", str(index)), island.log, (island,), cpus)
    return starting.Plain(run.path.absolute(), workers.PROGRAM, detach=False).start(job)


@contextmanager
def alive(run: RunDir, indices: Sequence[int]) -> Iterator[list[Child]]:
    """Some islands' processes; killed in the end, whatever happens."""
    children = [start(run, index) for index in indices]
    try:
        yield children
    finally:
        end(children, signal.SIGKILL)


def end(children: Sequence[Child], number: int, within: float = 60.0) -> list[int]:
    """Send all of them a signal and wait; exit codes (-N: by signal N)."""
    codes: dict[int, int] = {}
    for child in children:
        if child._popen.returncode is None:
            child.send(number)
            child.send(signal.SIGCONT)
    deadline = time.monotonic() + within
    while len(codes) < len(children):
        for place, child in enumerate(children):
            code = child._popen.returncode
            if code is None and (ended := child.poll()):
                code = ended.code
            if code is not None:
                codes[place] = code
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(children) - len(codes)} processes did not end within {within:g} s")
        time.sleep(0.005)
    return [codes[place] for place in range(len(children))]


def evolab(folder: Path, *arguments: object, within: float = 600.0) -> subprocess.CompletedProcess[str]:
    """The command itself, in `folder`."""
    command = [sys.executable, "-P", "-m", "launcher", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=within
    )


def environment(folder: Path) -> dict[str, str]:
    """The environment of a command in `folder`: this checkout, and cores that are claimed among its own kind."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


def wait_for(condition: Callable[[], Any], within: float, what: str, every: float = 0.02) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every)
    raise TimeoutError(f"{what} did not happen within {within:g} s")


def beat(island: IslandDir) -> dict[str, Any]:
    """An island's heartbeat; {} where there is none."""
    return files.read_json(island.heartbeat) if island.heartbeat.exists() else {}


def is_running(island: IslandDir, pid: int) -> bool:
    """Whether the process `pid` has started to evolve the island."""
    found = beat(island)
    return bool(found.get("pid") == pid and found.get("state") == "running")


def wait_until_running(run: RunDir, children: Sequence[Child], within: float = 600.0) -> None:
    """All of a run's islands evolve (the very first start compiles kernels)."""
    pairs = list(zip(run.islands()[: len(children)], children, strict=True))
    wait_for(lambda: all(is_running(place, child.pid) for place, child in pairs), within, "that all islands run")


def generation(island: IslandDir) -> int:
    """The newest generation in an island's metrics; -1 before the first."""
    lines = files.tail_jsonl(island.metrics, 1)
    return int(lines[0]["generation"]) if lines else -1


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far."""
    return utilisation.process_seconds(pid) or 0.0


def digests(island: IslandDir) -> list[str]:
    """Every generation's digest, from generation 0 on; an error where one is missing or told twice."""
    lines = files.read_jsonl(island.metrics)
    if [line["generation"] for line in lines] != list(range(len(lines))):
        raise ValueError(f"{island.metrics}: generations are missing or there twice")
    return [line["digest"] for line in lines]


def log_of(island: IslandDir) -> list[dict[str, Any]]:
    """An island's whole migrations log."""
    return [*files.read_jsonl(put_aside(island.migrations)), *files.read_jsonl(island.migrations)]


def arrivals(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of a log that tell of arrivals."""
    return [line for line in lines if "admitted" in line]


def told_twice(island: IslandDir) -> list[str]:
    """What an island's log says happened more than once: migrations completed, genomes taken, publications seen."""
    lines = log_of(island)
    complete = Counter(line["generation"] for line in lines if line.get("event") == "complete")
    good = [line for line in arrivals(lines) if line["digest"]]
    taken = Counter((line["source"], line["sequence"], line["digest"]) for line in good)
    visits = Counter((source, seq) for source, seq, _ in {(x["source"], x["sequence"], x["generation"]) for x in good})
    return [
        f"{island.name}: {what} {key}"
        for what, counts in (("complete", complete), ("taken", taken), ("publication", visits))
        for key, count in counts.items()
        if count > 1
    ]


def temporaries(*folders: Path) -> list[Path]:
    """Files that a write in progress has, and nothing else may leave."""
    return [path for folder in folders for path in folder.rglob(".*.tmp")]
