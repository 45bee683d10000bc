#!/usr/bin/env python3
"""The rows of `parallel_trials.py`: kinds of work, and ways of doing several at a time. Run in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
Interval = tuple[float, float, int]


# ---- the work: what one trial does, in the process or thread that it is called in -----------------------------------


def python_work() -> None:
    total = 0
    for i in range(8_000_000):
        total = (total * 31 + i) & 0xFFFFFFFF


def tensor_work() -> None:
    import torch

    x, w = torch.full((500, 2), 0.5), torch.full((500, 2), 0.01)
    for _ in range(30_000):
        y = torch.relu(torch.add(torch.mul(x, w), 0.1))
        x = torch.clamp(y, -1.0, 1.0)


def layer_work() -> None:
    import torch

    x, w = torch.full((500, 16, 16), 0.5), torch.full((500, 16, 16), 0.01)
    for _ in range(5_000):
        y = torch.relu(torch.add(torch.mul(x, w), 0.1))
        x = torch.clamp(y, -1.0, 1.0)


def pellets_work(population: int = 300, generations: int = 30) -> None:
    from islands import loading
    from islands.benchmark import measure
    from islands.config import Config

    config = loading.override(Config(), [f"population={population}", f"generations={generations}"])
    measure(config, 10_000)


WORK: dict[str, Callable[[], None]] = {
    "python": python_work,
    "tensors": tensor_work,
    "layers": layer_work,
    "pellets": pellets_work,
}


def prepare(work: str) -> None:
    """Import and compile, so that it is not counted."""
    if work in ("tensors", "layers"):
        import torch

        torch.clamp(torch.full((2, 2), 0.5), -1.0, 1.0)
    if work == "pellets":
        pellets_work(20, 1)


def timed(work: str) -> Interval:
    began = time.time()
    WORK[work]()
    return began, time.time(), os.getpid()


# ---- the arms: ways of running `trials` trials, `jobs` at a time -----------------------------------------------------


def with_optuna(work: str, jobs: int, trials: int) -> list[Interval]:
    """`study.optimize(n_jobs=…)`: threads of this process."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: list[Interval] = []

    def objective(trial: Any) -> float:
        found.append(timed(work))
        return trial.suggest_float("x", 0, 1)

    optuna.create_study().optimize(objective, n_trials=trials, n_jobs=jobs)
    return found


def with_processes(work: str, jobs: int, trials: int) -> list[Interval]:
    """Processes that were started with the environment of this one and share the trials evenly."""
    command = [sys.executable, __file__, "--worker", work, "--trials", str(-(-trials // jobs))]
    workers = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(jobs)]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()  # it has imported what it needs
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [tuple(each) for worker in workers for each in json.loads(worker.communicate()[0])]


def with_pool(work: str, jobs: int, trials: int) -> list[Interval]:
    """A `ProcessPoolExecutor`, its workers warm."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=prepare, initargs=(work,)) as pool:
        list(pool.map(time.sleep, [1.0] * jobs))
        return list(pool.map(timed, [work] * trials))


def with_ray(work: str, jobs: int, trials: int) -> list[Interval]:
    """Ray tasks with one CPU each, on workers that are warm."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             runtime_env={"env_vars": {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}})  # fmt: skip

    def warm(work: str) -> None:
        import parallel_arms

        parallel_arms.prepare(work)
        time.sleep(2.0)

    def one(work: str) -> Interval:
        import parallel_arms

        return parallel_arms.timed(work)

    ray.get([ray.remote(num_cpus=1)(warm).remote(work) for _ in range(jobs)])
    found = ray.get([ray.remote(num_cpus=1)(one).remote(work) for _ in range(trials)])
    ray.shutdown()
    return list(found)


ARM = {"optuna": with_optuna, "processes": with_processes, "pool": with_pool, "ray": with_ray}


def run_arm(kind: str, work: str, jobs: int, trials: int) -> None:
    """In a process of its own: run an arm and print what happened."""
    if kind == "optuna":
        prepare(work)
    began, switches = time.time(), switched()
    found = ARM[kind](work, jobs, trials)
    print(json.dumps({"began": began, "trials": found, "switches": switched() - switches}))


def switched() -> int:
    """Context switches of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_nvcsw + usage.ru_nivcsw for usage in usages)


def worker(work: str, trials: int) -> None:
    """One of K processes: get ready, wait for the word, do the trials."""
    prepare(work)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps([timed(work) for _ in range(trials)]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", choices=WORK)
    parser.add_argument("--arm", choices=ARM)
    parser.add_argument("--work", choices=WORK)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--trials", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.worker:
        worker(chosen.worker, chosen.trials)
    else:
        run_arm(chosen.arm, chosen.work, chosen.jobs, chosen.trials)


if __name__ == "__main__":
    main()
