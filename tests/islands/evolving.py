"""What the tests of evolution build with: tiny runs, evolved in this process or by real island processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from islands import files, loading
from islands.__main__ import already_finished, evolve_batch, island_of
from islands.config import Config
from islands.loop import Island
from islands.rundir import RunDir
from islands.tasks import Task, make
from islands.threads import VARIABLES

REPOSITORY = Path(__file__).parents[2]
TINY = ("population=12", "generations=5", "task.duration=0.5", "speciation.target=3", "record.checkpoint_seconds=0")
MANY_THREADS = 1024
"""What a plan allows so that the process of the tests may play an island."""


def tiny(*assignments: str) -> Config:
    """A configuration of a few milliseconds, with `assignments` on top."""
    return loading.override(Config(), [*TINY, *assignments])


def make_run(
    folder: Path,
    config: Config,
    names: Sequence[str] = ("island-000",),
    seeds: Sequence[int] = (),
    shared: Path | None = None,
    **plan: Any,
) -> RunDir:
    """A run directory as the launcher writes it. `shared`: the migration directory; None for islands without."""
    run = RunDir(folder)
    seeds = seeds or [config.seed] * len(names)
    islands = [{"index": i, "name": name, "seed": seeds[i]} for i, name in enumerate(names)]
    run.write_plan(
        {
            "format": 1,
            "run": run.name,
            "run_id": "0" * 32,
            "command": "launch",
            "islands": islands,
            "batched": True,
            "migration_dir": str(shared) if shared else None,
            "threads": MANY_THREADS,
            **plan,
        }
    )
    write_config(run, config)
    return run


def write_config(run: RunDir, config: Config) -> None:
    """Make `config` the run's."""
    files.replace_atomically(run.config, loading.dump(config).encode())


def never() -> bool:
    """Nobody asks for a halt."""
    return False


def after(generations: int) -> Callable[[], bool]:
    """A halt that is asked for once so many generations have been evaluated."""
    left = iter([False] * (generations - 1))
    return lambda: next(left, True)


def evolve(
    run: RunDir,
    only: Sequence[str] | None = None,
    halted: Callable[[], bool] = never,
    played_by: Callable[[Config], Task] = make,
    workers: int = 1,
) -> list[Island]:
    """Evolve a run's islands (or `only` some) as one batch, as `python -m islands --all` does, by so many `workers`."""
    config, plan = loading.load(run.config), run.read_plan()
    task = played_by(config)
    entries = [entry for entry in plan["islands"] if only is None or entry["name"] in only]
    for entry in entries:
        run.island(entry["name"]).create()
    islands = [island_of(run, plan, entry, config, task.layout, {}) for entry in entries]
    unfinished = [island for island in islands if not already_finished(island.place, config)]
    for island in unfinished:
        island.place.result.unlink(missing_ok=True)
    if unfinished:
        evolve_batch(config, task, unfinished, halted, workers)
    return islands


def history(run: RunDir, name: str = "island-000") -> list[dict[str, Any]]:
    """The metrics of an island, one line a generation."""
    return files.read_jsonl(run.island(name).metrics)


def digests(run: RunDir, name: str = "island-000") -> list[str]:
    """Every generation's digest; the generations are 0, 1, 2, … or the test fails."""
    lines = history(run, name)
    assert [line["generation"] for line in lines] == list(range(len(lines)))
    return [line["digest"] for line in lines]


def log(run: RunDir, name: str = "island-000") -> list[dict[str, Any]]:
    """An island's migrations log."""
    return files.read_jsonl(run.island(name).migrations)


def result(run: RunDir, name: str = "island-000") -> dict[str, Any]:
    """An island's result."""
    return files.read_json(run.island(name).result)


def start(run: RunDir, *options: str, **environment: str) -> subprocess.Popen[str]:
    """A real island process."""
    command = [sys.executable, "-m", "islands", str(run.path), *options]
    threads = dict.fromkeys(VARIABLES, "1")
    return subprocess.Popen(
        command, cwd=REPOSITORY, env={**os.environ, **threads, **environment}, stderr=subprocess.PIPE, text=True
    )


def wait_until(true: Callable[[], object], *, while_running: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that comes sooner or later."""
    deadline = time.monotonic() + 120
    while not true():
        assert while_running is None or while_running.poll() is None, while_running.communicate()[1]
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
