#!/usr/bin/env python3
"""What a study's rules are worth, measured on this machine with real trials.

    scripts/benchmarks/searching.py pruning      # does the median pruner save generations without losing a good trial?
    scripts/benchmarks/searching.py samplers     # does TPE beat random search?
    scripts/benchmarks/searching.py objectives   # does a study of two objectives find a front?

Trials are single populations, two at a time or as many as there are cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WIDE = """\
mutation.weight_scale: {type: float, low: 0.003, high: 3.0, log: true}
mutation.weight_rate: {type: float, low: 0.01, high: 0.95, log: true}
mutation.body_rate: {type: float, low: 0.01, high: 0.9, log: true}
selection.cull: {type: float, low: 0.0, high: 0.9}
network.connectivity: {type: categorical, choices: [full, sparse_inputs, sparse_outputs, none]}
task.proprioception: {type: categorical, choices: [none, strain, velocity, contact, all]}
"""
"""Ranges wide enough for good and bad trials."""
SMALL = """\
mutation.weight_scale: {type: float, low: 0.003, high: 3.0, log: true}
mutation.body_scale: {type: float, low: 0.003, high: 3.0, log: true}
selection.cull: {type: float, low: 0.0, high: 0.95}
"""


def search(folder: Path, name: str, space: str | None, *options: object) -> list[dict[str, Any]]:
    """Run a study to its end: its trials' records."""
    command = [sys.executable, "-P", "-m", "launcher", "search", name, "--islands", "1"]
    if space is not None:
        (folder / "space.yaml").write_text(space)
        command += ["--space", "space.yaml"]
    command += ["-w", str(len(os.sched_getaffinity(0))), "--backend", "processes", "--stagnation-limit", "0"]
    done = subprocess.run(
        [*command, *map(str, options)], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return [json.loads(path.read_text()) for path in sorted((folder / "studies" / name).glob("trial_*.json"))]


def pruning(folder: Path, trials: int) -> bool:
    """The same random points unpruned and pruned by the median."""
    budget = ["-m", "neat", "-n", trials, "-g", 80, "-s", 4, "-p", 150, "--sampler", "random"]
    whole = search(folder, "whole", WIDE, *budget)
    pruned = search(folder, "pruned", WIDE, *budget, "--pruner", "median")
    worth = {trial["number"]: trial["values"][0] for trial in whole}
    top = sorted(worth, key=lambda number: -worth[number])[: max(1, trials // 10)]
    lost = [number for number in top if pruned[number - 1]["state"] == "PRUNED"]
    done = [sum(trial["generations"] for trial in each) for each in (whole, pruned)]
    saved = 1 - done[1] / done[0]
    states = [trial["state"] for trial in pruned]
    print(f"{trials} trials: {states.count('PRUNED')} pruned, {saved:.0%} of the generations saved")
    print(f"the top tenth unpruned: {[(n, round(worth[n], 1)) for n in top]}; pruned of these: {lost or 'none'}")
    return saved >= 0.25 and not lost


def samplers(folder: Path, trials: int, repetitions: int) -> bool:
    """The best value of TPE and of random search, several times; by the best trial's worth in a further run."""
    budget = ["-c", "quick", "-n", trials, "-g", 30, "-s", 2]
    gains = []
    for seed in range(1, repetitions + 1):
        best = {}
        for sampler in ("tpe", "random"):
            found = search(folder, f"{sampler}-{seed}", SMALL, *budget, "--sampler", sampler, "--seed", seed)
            best[sampler] = max(trial["values"][0] for trial in found)
        gains.append(best["tpe"] - best["random"])
        print(f"repetition {seed}: TPE {best['tpe']:.2f}, random {best['random']:.2f}", flush=True)
    print(f"median gain of TPE over {repetitions} repetitions of {trials} trials: {statistics.median(gains):+.2f}")
    return statistics.median(gains) > 0


def objectives(folder: Path, trials: int) -> bool:
    """The front of fitness and behavioural diversity."""
    found = search(folder, "two", None, "-m", "neat", "-n", trials, "-g", 40, "-s", 2, "-p", 100, "--multi-objective")
    summary = json.loads((folder / "studies" / "two" / "summary.json").read_text())
    front = [point["values"] for point in summary["pareto_front"]]
    everyone = [trial["values"] for trial in found if trial["state"] == "COMPLETE"]
    dominated = [
        one for one in front for other in everyone if other != one and other[0] >= one[0] and other[1] >= one[1]
    ]
    print(f"front of {len(front)} of {len(everyone)} trials: {[[round(v, 2) for v in values] for values in front]}")
    return len(front) >= 3 and not dominated


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pruning", "samplers", "objectives"))
    parser.add_argument("--trials", type=int)
    parser.add_argument("--repetitions", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.what == "pruning":
            good = pruning(Path(folder), chosen.trials or 30)
        elif chosen.what == "samplers":
            good = samplers(Path(folder), chosen.trials or 60, chosen.repetitions)
        else:
            good = objectives(Path(folder), chosen.trials or 20)
    print("as it should be" if good else "NOT as it should be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
