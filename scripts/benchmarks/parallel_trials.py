#!/usr/bin/env python3
"""Why 128 cores did nothing: trials at a time by threads, by processes and by this project's backends, on this machine.

    scripts/benchmarks/parallel_trials.py --write        # about ten minutes; rewrites the tables of the page in docs/

Every row runs in processes of its own, whose environment is set before they start. Rows of one kind of work are
interleaved over the rounds; figures are medians, ratios are taken within a round. Wall time excludes starting Python.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "why-128-cores-did-nothing.md"
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
WORKS = {
    "python": "pure Python: 8 million steps of a loop",
    "tensors": "tiny tensor operations: 120,000 on 500 × 2 numbers, as a step of a small population is",
    "layers": "tensor operations on 500 × 16 × 16 numbers, 20,000 of them",
    "pellets": "a real pellets trial: 300 creatures, 30 generations",
}
ARMS = {
    "optuna n_jobs=1": ("optuna", 1, False),
    "optuna n_jobs=K, thread limits off": ("optuna", None, False),
    "optuna n_jobs=K, thread limits on": ("optuna", None, True),
    "K processes, thread limits off": ("processes", None, False),
    "K processes, thread limits on": ("processes", None, True),
    "process pool, thread limits on": ("pool", None, True),
    "Ray tasks, thread limits on": ("ray", None, True),
}
BACKENDS = ("sequential", "processes", "pool", "ray")
SPACE = "mutation.weight_rate: {type: float, low: 0.7, high: 0.9}\n"
"""Unlike trials of about the same length: of few unequal ones the longest is waited for, whoever starts them."""
ROWS = Path(__file__).with_name("parallel_arms.py")
Interval = tuple[float, float, int]


# ---- measuring -------------------------------------------------------------------------------------------------------


class ThreadWatch:
    """The most threads that one process of a tree has had, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.most, self._pid, self._over = 0, pid, threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        import psutil

        while not self._over.wait(0.1):
            try:
                root = psutil.Process(self._pid)
                python = [
                    p for p in (root, *root.children(recursive=True)) if "ython" in p.name() or "ray::" in p.name()
                ]
                self.most = max([self.most, *(p.num_threads() for p in python)])
            except psutil.Error:
                continue

    def end(self) -> int:
        """Stop looking; the most that were seen."""
        self._over.set()
        self._watcher.join()
        return self.most


def environment(limited: bool) -> dict[str, str]:
    """This process's environment with one thread for every library, or with no limit at all."""
    plain = {key: value for key, value in os.environ.items() if key not in LIMITS}
    return plain | (dict.fromkeys(LIMITS, "1") if limited else {})


def figures(trials: Iterable[Interval], threads: int, switches: int | None) -> dict[str, Any]:
    """The columns of the table."""
    known = sorted(trials)
    began, over = min(t[0] for t in known), max(t[1] for t in known)
    return {
        "wall": over - began,
        "first": min(t[1] for t in known) - began,
        "overlap": max(sum(a <= start < b for a, b, _ in known) for start, _, _ in known),
        "processes": len({pid for _, _, pid in known}),
        "threads": threads,
        "switches": switches,
    }


def measure_arm(name: str, work: str, jobs: int, trials: int) -> dict[str, Any]:
    """One row, once."""
    kind, fixed, limited = ARMS[name]
    command = [sys.executable, str(ROWS), "--arm", kind, "--work", work, "--jobs", str(fixed or jobs)]
    with subprocess.Popen(
        [*command, "--trials", str(trials)], env=environment(limited), stdout=-1, text=True
    ) as process:
        watch = ThreadWatch(process.pid)
        out, _ = process.communicate()
    threads = watch.end()
    if process.returncode:
        raise SystemExit(f"{name} failed on {work}")
    said = json.loads(out.splitlines()[-1])
    return figures([tuple(t) for t in said["trials"]], threads, said["switches"] if kind != "ray" else None)


def measure_backend(name: str, jobs: int, trials: int, generations: int) -> dict[str, Any]:
    """One of this project's backends on real trials of single populations, starts of processes included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", "launcher", "search", "s", "--backend", name, "-n", str(trials)]
        command += ["-g", str(generations), "-s", "1", "-p", "300", "--islands", "1", "--stagnation-limit", "0"]
        (Path(folder) / "space.yaml").write_text(SPACE)
        command += ["-m", "pure", "--space", "space.yaml"]
        command += ["--sampler", "random"] if name != "pool" else []
        command += ["-w", str(jobs)] if name != "sequential" else []
        process = subprocess.Popen(
            command, cwd=folder, env=environment(False) | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if process.wait():
            raise SystemExit(f"backend {name} failed")
        records = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("studies/s/trial_*.json"))]
    workers = [record["workers"][-1] for record in records]
    found = figures([(w["started"], w["ended"], w["pid"]) for w in workers], max(w["threads"] for w in workers), None)
    return found | {"values": [record["values"][0] for record in records]}


def thread_counts(team: int) -> dict[int, int]:
    """Threads of one process that runs k Optuna jobs on tensors large enough for a team of `team` threads each."""
    code = (
        "import sys, torch, optuna; k, team = int(sys.argv[1]), int(sys.argv[2]); torch.set_num_threads(team)\n"
        "optuna.logging.set_verbosity(40); most = []\n"
        "def objective(trial):\n"
        "    x = torch.full((500, 64, 64), 0.5)\n"
        "    for _ in range(30):\n"
        "        x = torch.clamp(x * 0.9 + 0.1, -1, 1)\n"
        "        most.append(int(open('/proc/self/status').read().split('Threads:')[1].split()[0]))\n"
        "    return 1.0\n"
        "optuna.create_study().optimize(objective, n_trials=2 * k, n_jobs=k); print(max(most))"
    )
    return {
        jobs: int(
            subprocess.run(
                [sys.executable, "-c", code, str(jobs), str(team)],
                env=environment(False),
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )  # fmt: skip
        for jobs in (1, 2, 5)
    }


def set_too_late() -> tuple[int, int]:
    """Threads of torch before and after `OMP_NUM_THREADS=1` is set in a process that has imported it."""
    code = (
        "import os, torch; a = torch.get_num_threads(); os.environ['OMP_NUM_THREADS'] = '1'\n"
        "torch.clamp(torch.full((500, 64, 64), 0.5) * 2, -1, 1); print(a, torch.get_num_threads())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(False), capture_output=True, text=True, check=True
    )
    before, after = done.stdout.split()
    return int(before), int(after)


def rounds_of(rows: dict[str, Callable[[], dict[str, Any]]], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Every row once a round, so that a disturbance meets all of them."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    for index in range(rounds):
        for name, measure in rows.items():
            print(f"round {index + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            found[name].append(measure())
    return found


# ---- the page --------------------------------------------------------------------------------------------------------


def table(found: dict[str, list[dict[str, Any]]], first: str) -> str:
    """A row an arm: medians, and the speed-up over the row `first` of the same round with its range."""
    lines = [
        "| how | wall, s | speed-up (range) | first result, s | threads | context switches | at once | processes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in found.items():
        ratios = [base["wall"] / row["wall"] for base, row in zip(found[first], rows, strict=True)]
        middle = {key: statistics.median(row[key] for row in rows) for key in ("wall", "first", "threads", "overlap")}
        switches = [row["switches"] for row in rows if row["switches"] is not None]
        lines.append(
            f"| {name} | {middle['wall']:.2f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) "
            f"| {middle['first']:.2f} | {middle['threads']:.0f} "
            f"| {f'{statistics.median(switches):,.0f}' if switches else '–'} | {middle['overlap']:.0f} "
            f"| {max(row['processes'] for row in rows)} |"
        )
    return "\n".join(lines)


def page_with(section: str, text: str, page: str) -> str:
    """The page with the part between the marks of `section` replaced."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def sections(arguments: argparse.Namespace) -> dict[str, str]:
    """Measure everything: the text of each section of the page."""
    jobs, trials, rounds = arguments.jobs, arguments.trials, arguments.rounds
    parts = {}
    for work in (work for work in WORKS if work in arguments.only):
        arms = {
            name: (lambda name=name, work=work: measure_arm(name, work, jobs, trials)) for name in ARMS
        }  # fmt: skip
        parts[work] = f"{WORKS[work]}; {trials} trials, K = {jobs}\n\n" + table(
            rounds_of(arms, rounds), "optuna n_jobs=1"
        )
    if "backends" in arguments.only:
        parts["backends"] = told_backends(jobs, trials, rounds, arguments.generations)
    if "threads" in arguments.only:
        parts["threads"] = told_threads(thread_counts(64), set_too_late())
    versions = [f"{name} {__import__(name).__version__}" for name in ("torch", "optuna", "ray", "numba")]
    parts["machine"] = (
        f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({processor()}), Python "
        f"{sys.version.split()[0]}, {', '.join(versions)}; medians over interleaved rounds, by "
        f"`scripts/benchmarks/parallel_trials.py --write`."
    )
    return parts


def told_backends(jobs: int, trials: int, rounds: int, generations: int) -> str:
    """The table of this project's backends, and whether they gave the same values."""
    backends = {
        name: (lambda name=name: measure_backend(name, jobs, trials, generations)) for name in BACKENDS
    }  # fmt: skip
    found = rounds_of(backends, rounds)
    same = all(row["values"] == found["sequential"][0]["values"] for rows in found.values() for row in rows)
    return (
        f"`evolab search --backend …`: {trials} trials of about the same length (one population of 300, {generations} "
        f"generations), K = {jobs}; starting the trials' processes is included.\n\n{table(found, 'sequential')}\n\n"
        f"The values of the trials are {'identical in all rows and rounds' if same else 'NOT identical'}."
    )


def told_threads(counts: dict[int, int], late: tuple[int, int]) -> str:
    """What the thread counts say, next to the seed's 387."""
    slope = (counts[5] - counts[1]) / 4
    fixed = counts[1] - slope
    listed = ", ".join(f"{jobs} jobs: {count}" for jobs, count in counts.items())
    return (
        f"- One process with OpenMP teams of 64, as torch makes them on 64 physical cores: {listed} threads. That is "
        f"{slope:.0f} a job and {fixed:.0f} besides. The seed saw 387 with 5 jobs (65 a job and 62 besides); "
        f"{slope:.0f} × 5 + {fixed:.0f} = {5 * slope + fixed:.0f}.\n"
        f"- `OMP_NUM_THREADS=1` set after `import torch`: torch had {late[0]} threads before and {late[1]} after it."
    )


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="K: trials at a time")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--generations", type=int, default=500, help="of a trial of this project's backends")
    everything = [*WORKS, "backends", "threads"]
    parser.add_argument("--only", nargs="+", choices=everything, default=everything, help="which tables")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    chosen = parser.parse_args(arguments)
    parts = sections(chosen)
    for text in parts.values():
        print(f"\n{text}")
    if chosen.write:
        page = PAGE.read_text()
        for section, text in parts.items():
            page = page_with(section, text, page)
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
