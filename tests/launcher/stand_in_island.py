"""A stand-in for `python -m islands`: the same files, exit codes and obedience to signals, and no evolution.

    python stand_in_island.py RUN_DIR --island K | --all [--parent PID]

What goes wrong is told by the environment variable STAND_IN, `island:fault` pairs separated by commas:
`island-001:crash` (dies at once, always), `:crash-once`, `:refuse` (exit 78), `:full` (exit 74), `:silent` (exit 0
without a result), `:stubborn` (ignores SIGTERM), `:leave` (exits 85 unasked), `:hang` (its work stands still at
generation 3) and `:hang-once`. In a study the islands of one trial are meant by `0003/island-001`. STAND_IN_SECONDS is
the length of a generation. What a population comes to depends on its configuration and seed alone: see `worth`.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from islands import files, loading, process
from islands.config import Config
from islands.rundir import IslandDir, RunDir

stopping = False
hanging: set[str] = set()
"""Islands whose work will stand still."""


def stop(_number: int, _frame: object) -> None:
    global stopping
    stopping = True


def worth(config: Config, seed: int) -> tuple[float, float]:
    """Held-out mean and diversity: what makes one better makes the other worse, and every seed has its luck."""
    luck = seed * 7919 % 101 / 1000
    scale, rate = config.mutation.weight_scale, config.mutation.weight_rate
    return 10 * scale - 5 * (rate - 0.5) ** 2 + luck, 2 - scale - (rate - 0.5) ** 2 + luck


def heartbeat(island: IslandDir, state: str, generation: int, target: int, pid: int) -> None:
    beat = {
        "format": 1,
        "pid": pid,
        "started": process.started(pid),
        "boot_id": process.boot_id(),
        "epoch": 1,
        "state": state,
        "generation": generation - 1 if generation else None,
        "generations": target,
        "best": float(generation),
        "cpu_seconds": time.process_time(),
        "rss_mb": 1.0,
        "threads": {"os": 1, "pools": {}},
        "time": time.time(),
    }
    files.write_json(island.heartbeat, beat)


def fault(island: IslandDir) -> None:
    faults = dict(pair.split(":") for pair in os.environ.get("STAND_IN", "").split(",") if pair)
    trial = island.path.parents[1].name
    kind = faults.get(f"{trial}/{island.name}", faults.get(island.name))
    once = island.path / "crashed"
    if kind == "hang" or (kind == "hang-once" and not once.exists()):
        once.touch()
        hanging.add(island.name)
    if kind == "crash" or (kind == "crash-once" and not once.exists()):
        once.touch()
        print("the stand-in crashes as told", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if kind in ("refuse", "full"):
        code = 78 if kind == "refuse" else 74
        message = {"refuse": "the task cannot be played as configured", "full": "the disk is full"}[kind]
        record = {"format": 1, "kind": "ConfigError", "message": message, "exit_code": code, "generation": 0}
        files.write_json(island.error, record)
        sys.exit(code)
    if kind in ("silent", "leave"):
        sys.exit(0 if kind == "silent" else 85)
    if kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def evolve(island: IslandDir, entry: dict[str, Any], config: Config, parent: int | None) -> None:
    """Play the island in this process to its end, or until it is asked to stop."""
    environment = {key: value for key, value in os.environ.items() if key.endswith("_NUM_THREADS")}
    seen = {"cpus": sorted(os.sched_getaffinity(0)), "environment": environment, "from": generations_of(island)}
    with open(island.create().path / "seen.jsonl", "a") as stream:
        stream.write(json.dumps({**seen, "session": os.getsid(0)}) + "\n")
    heartbeat(island, "starting", generations_of(island), config.generations, os.getpid())
    fault(island)
    for _ in play(island, entry, config, os.getpid()):
        if stopping or asked(island) or (parent is not None and os.getppid() != parent):
            heartbeat(island, "stopped", generations_of(island), config.generations, os.getpid())
            sys.exit(85)
        if island.name in hanging and generations_of(island) >= 3:
            stand_still()


def asked(island: IslandDir) -> bool:
    """Whether somebody left a stop file."""
    return island.stop.exists() or RunDir(island.path.parent).stop.exists()


def stand_still() -> None:
    """Work that never ends."""
    while True:
        time.sleep(0.05)


def generations_of(island: IslandDir) -> int:
    """How many generations its checkpoint has."""
    checkpoint = island.checkpoints / "generation"
    return int(checkpoint.read_text()) if checkpoint.exists() else 0


def play(island: IslandDir, entry: dict[str, Any], config: Config, pid: int) -> Iterator[int]:
    """Go on from the checkpoint, a generation at a time; the files say that the process `pid` wrote them."""
    target, (mean, diversity) = config.generations, worth(config, entry["seed"])
    seconds = float(os.environ.get("STAND_IN_SECONDS", "0.02"))
    metrics = files.JsonLines(island.metrics, durable=False)
    for generation in range(generations_of(island), target):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.001)
        share = (generation + 1) / target
        record = {
            "generation": generation,
            "best": mean * share,
            "mean": mean * share - 0.1,
            "median": 0.5,
            "std": 0.1,
            "species": 3,
            "diversity": diversity * share,
        }
        metrics.append(
            {**record, "disqualified": {"flew": 1}, "limited": {}, "seconds": seconds, "digest": f"{generation:064}"}
        )
        files.replace_atomically(island.checkpoints / "generation", str(generation + 1).encode())
        heartbeat(island, "running", generation + 1, target, pid)
        yield generation
    champion = {"mean": mean, "ci95": [mean - 0.5, mean + 0.5], "episodes": 64, "digest": "c" * 64}
    champion["validation"] = mean
    counts = {"sent": 5, "received": 5, "admitted": 4, "refused": 1, "stopped": None}
    result = {"format": 1, "island": island.name, "index": entry["index"], "seed": entry["seed"], "generations": target}
    result |= {
        "best_fitness": mean + 1.0,
        "champion": champion,
        "diversity": diversity,
        "behaviour_mean": [0.0],
        "behaviour_variance": [diversity**2 / 2],
        "digest": "d" * 64,
        "seconds": 1.0,
        "cpu_seconds": 0.5,
    }
    files.write_json(island.result, {**result, "evaluations": 10, **counts})
    heartbeat(island, "done", target, target, pid)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--island", type=int)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--parent", type=int)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    run = RunDir(arguments.run)
    config = loading.load(run.config)
    for entry in run.read_plan()["islands"]:
        if arguments.all or entry["index"] == arguments.island:
            island = run.island(entry["name"])
            if not island.result.exists():
                evolve(island, entry, config, arguments.parent)


if __name__ == "__main__":
    main()
