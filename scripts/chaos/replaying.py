"""Islands that are evolved again from configuration, seed and log alone, two at a time.

python -m scripts.chaos.replaying RUN ISLAND       # exit code 1 where a digest differs
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from islands.rundir import RunDir
from scripts.chaos import runs


def replay_all(run: RunDir, only: tuple[int, ...] | None = None) -> list[str]:
    """What does not replay to the digests it has, one line an island; `only` these islands."""
    folder, path = run.path.parent, run.path.absolute()
    has_command = runs.evolab(folder, "replay", "--help").returncode == 0

    def one(index: int) -> str | None:
        if has_command:
            done = runs.evolab(folder, "replay", path, "--island", index, "--json", within=3600)
        else:
            command = [sys.executable, "-m", "scripts.chaos.replaying", str(path), str(index)]
            done = subprocess.run(
                command, cwd=runs.ROOT, env=runs.environment(folder), capture_output=True, text=True, check=False
            )
        told = (done.stderr.strip().splitlines() or [""])[-1]
        return None if done.returncode == 0 else f"island {index}: exit {done.returncode}: {told}"

    with ThreadPoolExecutor(2) as both:
        return [line for line in both.map(one, range(len(run.islands())) if only is None else only) if line]


def replayed(run: RunDir, index: int, folder: Path) -> list[str]:
    """Every generation's digest of an island evolved in `folder` from the run's configuration, seed and its log."""
    from islands import loading
    from islands.loop import Evolution, Island
    from islands.migration import Migrator
    from islands.record import Recorder
    from islands.rng import island_number
    from islands.tasks import make

    entry, place = run.read_plan()["islands"][index], run.islands()[index]
    reached = len(runs.digests(place))
    config = loading.override(loading.load(run.config), [f"generations={reached}"])
    task, key = make(config), (entry["seed"], island_number(place.name))
    home = RunDir(folder).island(place.name).create()
    for path in place.path.glob("migrations*.jsonl"):
        shutil.copy(path, home.path)
    migrator = Migrator(config, task.layout, place.name, key, home.migrations)
    migrator.recall(0)
    island = Island(place.name, *key, home, Recorder(home, index, config.generations, {}), migrator, {})
    Evolution(config, task, [island], lambda: False).run()
    return runs.digests(home)


def main() -> int:
    run, index = RunDir(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        same = replayed(run, index, Path(folder)) == runs.digests(run.islands()[index])
    if not same:
        print("its log tells another history than its metrics", file=sys.stderr)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
