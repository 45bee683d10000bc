"""A stand-in for `python -m islands`: the same files, exit codes and obedience to signals, and no evolution.

    python stand_in_island.py RUN_DIR --island K | --all [--parent PID]

What goes wrong is told by the environment variable STAND_IN, `island:fault` pairs separated by commas:
`island-001:crash` (dies at once, always), `:crash-once`, `:refuse` (exit 78), `:full` (exit 74), `:silent` (exit 0
without a result), `:stubborn` (ignores SIGTERM), `:leave` (exits 85 unasked).
STAND_IN_SECONDS is the length of a generation.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from islands import files, loading
from islands.rundir import IslandDir, RunDir

stopping = False


def stop(_number: int, _frame: object) -> None:
    global stopping
    stopping = True


def heartbeat(island: IslandDir, state: str, generation: int, target: int) -> None:
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    beat = {
        "format": 1,
        "pid": os.getpid(),
        "started": started,
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
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
    kind = faults.get(island.name)
    once = island.path / "crashed"
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


def evolve(island: IslandDir, entry: dict[str, object], target: int, parent: int | None) -> None:
    checkpoint = island.create().checkpoints / "generation"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    heartbeat(island, "starting", done, target)
    environment = {key: value for key, value in os.environ.items() if key.endswith("_NUM_THREADS")}
    seen = {"cpus": sorted(os.sched_getaffinity(0)), "environment": environment, "from": done, "session": os.getsid(0)}
    with open(island.path / "seen.jsonl", "a") as stream:
        stream.write(json.dumps(seen) + "\n")
    fault(island)
    metrics = files.JsonLines(island.metrics, durable=False)
    for generation in range(done, target):
        end = time.monotonic() + float(os.environ.get("STAND_IN_SECONDS", "0.02"))
        while time.monotonic() < end:
            time.sleep(0.001)
        seconds = float(os.environ.get("STAND_IN_SECONDS", "0.02"))
        record = {
            "generation": generation,
            "best": generation + 1.0,
            "mean": 0.5,
            "median": 0.5,
            "std": 0.1,
            "species": 3,
        }
        metrics.append(
            {**record, "disqualified": {"flew": 1}, "limited": {}, "seconds": seconds, "digest": f"{generation:064}"}
        )
        files.replace_atomically(checkpoint, str(generation + 1).encode())
        heartbeat(island, "running", generation + 1, target)
        if stopping or (parent is not None and os.getppid() != parent):
            sys.exit(85)
    champion = {"mean": target + 0.25, "ci95": [target - 0.5, target + 1.0], "episodes": 64, "digest": "c" * 64}
    counts = {"sent": 5, "received": 5, "admitted": 4, "refused": 1, "stopped": None}
    result = {"format": 1, "island": island.name, "index": entry["index"], "seed": entry["seed"], "generations": target}
    result |= {
        "best_fitness": float(target),
        "champion": champion,
        "digest": "d" * 64,
        "seconds": 1.0,
        "cpu_seconds": 0.5,
    }
    files.write_json(island.result, {**result, "evaluations": 10, **counts})
    heartbeat(island, "done", target, target)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--island", type=int)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--parent", type=int)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    run = RunDir(arguments.run)
    target = loading.load(run.config).generations
    for entry in run.read_plan()["islands"]:
        if arguments.all or entry["index"] == arguments.island:
            island = run.island(entry["name"])
            if not island.result.exists():
                evolve(island, entry, target, arguments.parent)


if __name__ == "__main__":
    main()
