"""A piece of docs/benchmarks.md: what it measured lies in runs/benchmarks/, with what can be said of the machine."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from islands import files

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "runs" / "benchmarks"
LIBRARIES = ("numba", "numpy", "torch")
VARIABLES = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in VARIABLES}


def place(name: str) -> Path:
    """The file of a piece's figures."""
    return FOLDER / f"{name}.json"


def keep(name: str, figures: dict[str, Any], load_before: float) -> None:
    """Write a piece's figures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    stamp = {**machine(), "load": [load_before, os.getloadavg()[0]]}
    files.write_json(place(name), {"format": 1, "stamp": stamp, "figures": figures})


def kept(name: str) -> dict[str, Any] | None:
    """A piece's figures and stamp, where it was measured: here, or else elsewhere by what lies beside its file."""
    found = [path for path in (place(name), Path(__file__).with_name(f"{name}.elsewhere.json")) if path.exists()]
    return files.read_json(found[0]) if found else None


def machine() -> dict[str, Any]:
    """When, from which commit and on what."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": f"{datetime.date.today():%Y-%m-%d}",
        "commit": commit.stdout.strip() or "unknown",
        "processor": processor(),
        "cores": os.cpu_count(),
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }


def processor() -> str:
    """The processor's name, as the kernel has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def stamped(name: str, stamp: dict[str, Any]) -> str:
    """The sentence under a section's heading."""
    versions = ", ".join(f"{library} {number}" for library, number in stamp["versions"].items())
    load = ""
    if "load" in stamp:
        before, after = stamp["load"]
        load = f" The load average was {before:.1f} before and {after:.1f} after; above 1, other work shared the cores."
    return (
        f"Measured by `make bench ARGS={name}` on {stamp['date']}, commit {stamp['commit']}, {stamp['processor']},"
        f" {stamp['cores']} cores, {versions}.{load}"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def times(ratios: Sequence[float]) -> str:
    """Median and range of ratios."""
    return f"{short(statistics.median(ratios))} ({short(min(ratios))}–{short(max(ratios))})"


def short(value: float) -> str:
    """Three digits, with commas where there are more."""
    if value >= 1000:
        digits = max(0, len(str(int(value))) - 3)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"
