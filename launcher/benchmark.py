"""`evolab benchmark`: how fast whole generations are, measured in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from islands import loading
from islands.errors import EvolabError
from launcher import presets
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
