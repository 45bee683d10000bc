"""`evolab benchmark`: how fast whole generations are, and where their time goes, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from islands import loading
from islands.errors import EvolabError
from launcher import inside, presets, run
from launcher.supervisor import environment


def benchmark(preset: str, population: int, generations: int, threads: int = 1) -> dict[str, Any]:
    """Run `generations` whole generations of a preset after a warm-up; the keys of `evolab benchmark --json`."""
    changed = presets.resolve(preset, [f"population={population}", f"generations={generations}"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(loading.dump(changed))
        done = subprocess.run(
            [sys.executable, "-P", "-m", "islands.benchmark", str(path), "--threads", str(threads)],
            env=environment(threads),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise EvolabError("benchmark", expected="a measurement", got=f"exit code {done.returncode} of its process")
    found: dict[str, Any] = json.loads(done.stdout)
    return {"config": preset, **found}


def profile(preset: str, population: int, generations: int) -> dict[str, Any]:
    """Phases of whole generations of one island with its files, on this folder's disk; see `islands.profiling`."""
    sets = [f"population={population}", f"generations={generations}", "record.checkpoint_seconds=0"]
    changed = presets.resolve(preset, sets)
    with room() as folder:
        made = run.make(folder / "run", changed, run.Plan("evolve", preset, (("island-000", changed.seed),)))
        (told,) = inside.said("islands.profiling", str(made.path))
    return told


@contextlib.contextmanager
def room() -> Iterator[Path]:
    """A folder on the disk where runs would lie (this one), or else in the temporary folder; gone afterwards."""
    place = "." if os.access(".", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".evolab-measured-", dir=place, ignore_cleanup_errors=True) as name:
        yield Path(name).absolute()
