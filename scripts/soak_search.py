#!/usr/bin/env python3
"""Trials longer than 12 minutes with every backend, two at a time (`sequential`: one after another), side by side.

    make soak-search        # about 15 minutes on 2 cores; ARGS='--minutes 30' for longer trials

The backends share the machine (`--oversubscribe`), so a trial is long without much work. Shown at the end: how long the
trials were, that they overlapped, from how many processes, and that equal parameters gave equal values everywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = {"sequential": 1, "processes": 2, "pool": 2, "ray": 2}


def start(backend: str, trials: int, generations: int, folder: Path) -> subprocess.Popen[bytes]:
    """A search of its own for one backend."""
    command = [sys.executable, "-P", "-m", "launcher", "search", backend, "--backend", backend, "-n", str(trials)]
    command += ["-g", str(generations), "-s", "1", "-p", "100", "--islands", "1", "--stagnation-limit", "0"]
    command += ["--oversubscribe", "--set", "record.checkpoint_every=50"]
    command += ["-w", str(trials)] if trials > 1 else []
    command += [] if backend == "pool" else ["--sampler", "random"]
    with open(folder / f"{backend}.log", "wb") as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )


def pace(folder: Path) -> float:
    """Generations a second of the fastest trial while all seven share the machine, from a first short try."""
    processes = [start(name, trials, 1000, folder) for name, trials in BACKENDS.items()]
    if any(process.wait() for process in processes):
        sys.exit(f"a search failed: see the logs in {folder}")
    rates = []
    for path in folder.glob("studies/*/trials/*/populations/*/metrics.jsonl"):
        lines = path.read_text().splitlines()
        first, last = json.loads(lines[0]), json.loads(lines[-1])
        rates.append((last["generation"] - first["generation"]) / (last["time"] - first["time"]))
    return max(rates)


def report(folder: Path, wanted: float) -> bool:
    """Print what happened; whether it is what was to be shown."""
    good, values = True, {}
    for backend, trials in BACKENDS.items():
        records = [json.loads(path.read_text()) for path in sorted((folder / "studies" / backend).glob("trial_*.json"))]
        spans = [(record["workers"][0]["started"], record["workers"][-1]["ended"]) for record in records]
        shortest = min(end - begin for begin, end in spans)
        overlap = max(sum(a <= begin < b for a, b in spans) for begin, _ in spans)
        pids = {worker["pid"] for record in records for worker in record["workers"]}
        states = [record["state"] for record in records]
        values[backend] = [record["values"] for record in records]
        fine = states == ["COMPLETE"] * trials and shortest > wanted and overlap == trials and len(pids) == trials
        print(f"{backend}: {states}, shortest trial {shortest / 60:.1f} min, {overlap} at once, {len(pids)} processes")
        print(f"  values {values[backend]}: {'good' if fine else 'NOT as it should be'}")
        good &= fine
    same = all(found[0] == values["sequential"][0] for found in values.values())
    print(f"trial 1 has the same value with every backend: {same}")
    return good and same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=12.0, help="how long the shortest trial must be")
    parser.add_argument("--generations", type=int, help="of a trial, instead of a first try that finds out how many")
    arguments = parser.parse_args()
    generations = arguments.generations
    if generations is None:
        with tempfile.TemporaryDirectory() as first:
            generations = int(pace(Path(first)) * arguments.minutes * 60 * 1.25)
    folder = Path(tempfile.mkdtemp(prefix="evolab-soak-"))
    print(f"{generations} generations a trial, in {folder}", flush=True)
    processes = [start(name, trials, generations, folder) for name, trials in BACKENDS.items()]
    codes = [process.wait() for process in processes]
    print(f"exit codes {codes}")
    return 0 if report(folder, arguments.minutes * 60) and not any(codes) else 1


if __name__ == "__main__":
    sys.exit(main())
