"""Islands that `evolab replay` evolves again from configuration, seed and log alone, two at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from islands.rundir import RunDir
from scripts.chaos import runs


def replay_all(run: RunDir, only: tuple[int, ...] | None = None) -> list[str]:
    """What does not replay to the digests it has, one line an island; `only` these islands."""

    def one(index: int) -> str | None:
        path = run.path.absolute()
        done = runs.evolab(path.parent, "replay", path, "--island", index, "--json", within=3600)
        told = (done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or [""])[-1]
        return None if done.returncode == 0 else f"island {index}: exit {done.returncode}: {told}"

    with ThreadPoolExecutor(2) as both:
        return [line for line in both.map(one, range(len(run.islands())) if only is None else only) if line]
