"""How soon a run is at work: from the command to its first words and to the first generation on disk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.benchmarks.pieces import ROOT, table, times

TITLE = "From the command to the first generation"
PRESETS = ("neat_baseline", "pure_baseline", "cartpole")
BARS = {"warm": 3.0, "cold": 10.0}
"""Seconds with all kernels in the cache, and with none."""
ROUNDS, PATIENCE = 3, 300.0
POLL = 0.01


def measure(quick: bool) -> dict[str, Any]:
    """A cold start, then warm ones, by preset; wall and CPU seconds, the launcher's children included."""
    found: dict[str, Any] = {}
    for preset in PRESETS[-1:] if quick else PRESETS:
        cold, warm = [], []
        for _ in range(1 if quick else ROUNDS):
            with tempfile.TemporaryDirectory() as cache:
                cold.append(started(preset, Path(cache)))
                warm.append(started(preset, Path(cache)))
        found[preset] = {"cold": cold, "warm": warm}
        print(f"{preset}: {cold[0]['generation']:.1f} s cold, {warm[0]['generation']:.1f} s warm", file=sys.stderr)
    return found


def started(preset: str, cache: Path) -> dict[str, float]:
    """Seconds until the first words and the first metrics line of `evolab launch`, and CPU seconds of the whole run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-P", "-m", "launcher", "launch", "-c", preset, "--islands", "1", "-g", "2"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "EVOLAB_KERNEL_CACHE": str(cache)}
        before, began = os.times(), time.monotonic()
        with open(Path(folder) / "said", "wb") as said:
            process = subprocess.Popen(
                [*command, "--out", str(run)], cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT
            )
        words = _seconds_until(lambda: os.path.getsize(Path(folder) / "said") > 0, began)
        metrics = run / "island-000" / "metrics.jsonl"
        generation = _seconds_until(lambda: metrics.exists() and metrics.stat().st_size > 0, began)
        process.wait()
    used = os.times()
    cpu = used.children_user + used.children_system - before.children_user - before.children_system
    return {"words": words, "generation": generation, "cpu": cpu}


def _seconds_until(true: Any, began: float) -> float:
    while not true():
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError(f"nothing after {PATIENCE:g} s")
        time.sleep(POLL)
    return time.monotonic() - began


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    return "\n\n".join([
        "`evolab launch -c PRESET --islands 1 -g 2` at the default population: seconds of the wall from the command to"
        " its first words and to the first line of metrics.jsonl; CPU seconds of all of it, to the end of the second"
        " generation. *Cold*: with an empty kernel cache; *warm*: with all kernels in it. Medians (ranges) of"
        f" {len(next(iter(found.values()))['warm'])}.",
        table(
            ("preset", "cache", "first words, s", "first generation, s", "CPU s", "bar"),
            (_row(preset, kind, told[kind]) for preset, told in found.items() for kind in BARS),
        ),
    ])  # fmt: skip


def _row(preset: str, kind: str, told: list[dict[str, float]]) -> tuple[str, ...]:
    words, generation, cpu = (statistics.median(each[key] for each in told) for key in ("words", "generation", "cpu"))
    bar = BARS[kind]
    verdict = "met" if generation <= bar else f"missed by {generation / bar - 1:.0%}"
    return (
        f"`{preset}`",
        kind,
        f"{words:.2f}",
        times([each["generation"] for each in told]),
        f"{cpu:.1f}",
        f"{bar:g} s: {verdict}",
    )
