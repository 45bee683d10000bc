#!/usr/bin/env python3
"""What `evolab dashboard` costs: CPU seconds of its process per second, while islands beat twice a second each.

    scripts/benchmarks/dashboard.py [--islands 128 8] [--seconds 30] [--history 300]

The islands are files that a writer replaces as islands do: a heartbeat every half second, a line of metrics a beat, and
migrants every tenth generation. The dashboard is a real one with one page open, which hears of every look and asks for
charts when it is told to. JSON on stdout.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # in place of this folder, where another script is called like a package

from islands import files, process  # noqa: E402
from islands.rundir import IslandDir, RunDir  # noqa: E402
from launcher import presets, run  # noqa: E402

BEAT = 0.5
SETTLING = 8.0
"""Seconds before the measurement: imports, the first charts."""


def generation(index: int, number: int) -> dict[str, Any]:
    level = 3.0 * math.log1p(number) + index / 7 + math.sin(number * (index + 2)) / 3
    line = {"generation": number, "best": level + 5, "mean": level, "median": level, "std": 1.2, "species": 3}
    line |= {"threshold": 3.0, "failed": 0, "nodes": 5 + number / 9, "connections": 12 + number / 3}
    line |= {"body_nodes": 4.5, "muscles": 5.1, "diversity": 1 / (1 + number), "evaluations": 40, "seconds": 0.5}
    return line | {"evaluate_seconds": 0.3, "reproduce_seconds": 0.1, "checkpoint_seconds": 0.01, "digest": "e" * 64}


def migrants(index: int, number: int, islands: int) -> list[dict[str, Any]]:
    source = f"island-{(index - 1) % islands:03}"
    digests = [f"{index:060}{k:04}" for k in range(5)]
    sent = {"generation": number, "event": "published", "sequence": number // 10, "digests": digests}
    came = {"generation": number, "slot": 7, "source": source, "sequence": number // 10, "admitted": True, "reason": ""}
    genome = "A" * 4000
    arrivals = [{**came, "digest": f"{index:064}", "fitness": 3.0, "genome": genome, "epoch": 1} for _ in range(5)]
    return [sent, *arrivals, {"generation": number, "event": "complete"}]


def beat(island: IslandDir, number: int, identity: dict[str, Any]) -> None:
    """Replace a heartbeat as an island does, but for the wait for the disk."""
    told = {"format": 1, **identity, "epoch": 1, "state": "running", "generation": number, "generations": 100_000}
    told |= {"step": None, "best": float(number), "cpu_seconds": number * BEAT * 0.9, "rss_mb": 250.0}
    told |= {"threads": {"os": 1}, "counts": {}, "time": time.time()}
    temporary = island.path / f".heartbeat.{identity['pid']}.tmp"
    temporary.write_text(json.dumps(told, indent=1))
    os.replace(temporary, island.heartbeat)


def write(path: Path, history: int) -> None:
    """Play all islands until killed, their beats spread over each half second."""
    islands, identity = RunDir(path).islands(), process.identity()
    began = time.monotonic()
    for number in range(history, 100_000):
        for index, island in enumerate(islands):
            due = BEAT * (number - history + index / len(islands))
            time.sleep(max(0.0, began + due - time.monotonic()))
            with open(island.metrics, "a") as stream:
                stream.write(json.dumps(generation(index, number)) + "\n")
            if number % 10 == 0:
                with open(island.migrations, "a") as stream:
                    stream.writelines(json.dumps(line) + "\n" for line in migrants(index, number, len(islands)))
            beat(island, number, identity)


def made(path: Path, islands: int, history: int) -> None:
    names = tuple((f"island-{index:03}", 42) for index in range(islands))
    place = run.make(path, presets.resolve("quick"), run.Plan("launch", "quick", names, migration_dir=path / "shared"))
    for index, island in enumerate(place.islands()):
        files.JsonLines(island.metrics, durable=False).extend(generation(index, n) for n in range(history))
        log = [line for n in range(10, history, 10) for line in migrants(index, n, islands)]
        files.JsonLines(island.migrations, durable=False).extend(log)


def used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Page:
    """What an open page asks for."""

    def __init__(self, url: str) -> None:
        self.looks = self.charts = self.bytes = 0
        self.closed = False
        self._url = url
        for work in (self._listen, self._draw):
            threading.Thread(target=work, daemon=True).start()

    def _listen(self) -> None:
        with urllib.request.urlopen(f"{self._url}/looks") as stream:
            for line in stream:
                if line.startswith(b"data: {"):
                    self.looks += 1
                    self.bytes += len(line)

    def _draw(self) -> None:
        have = 0
        while not self.closed:
            with urllib.request.urlopen(f"{self._url}/charts?have={have}") as answer:
                got = json.loads(answer.read())
            self.charts += got["version"] != have
            have = got["version"]
            time.sleep(got["again_in"])


def measured(islands: int, seconds: float, history: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        made(Path(folder) / "runs" / "many", islands, history)
        writer = multiprocessing.Process(target=write, args=(Path(folder) / "runs" / "many", history), daemon=True)
        writer.start()
        command = [sys.executable, "-m", "launcher", "dashboard", "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as dashboard:
            assert dashboard.stdout is not None
            found = re.search(r"http://\S+", dashboard.stdout.readline())
            assert found is not None
            page = Page(f"{found[0]}run/many")
            time.sleep(SETTLING)
            looks, charts, before, began = page.looks, page.charts, used(dashboard.pid), time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - began
            cores = (used(dashboard.pid) - before) / took
            page.closed = True
            dashboard.terminate()
        writer.kill()
        writer.join()
    return {
        "islands": islands, "seconds": round(took, 1), "cores": round(cores, 4),
        "updates_per_second": round((page.looks - looks) / took, 2), "charts": page.charts - charts,
        "bytes_of_a_look": page.bytes // max(1, page.looks),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--islands", type=int, nargs="+", default=[128, 8])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--history", type=int, default=300, help="generations before")
    wanted = parser.parse_args()
    print(json.dumps([measured(count, wanted.seconds, wanted.history) for count in wanted.islands], indent=1))


if __name__ == "__main__":
    main()
