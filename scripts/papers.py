#!/usr/bin/env python3
"""Measure what the papers report: evaluations to solve XOR and the double pole, over many seeds.

    scripts/papers.py                 # every row of docs/papers.md, as many runs at a time as there are usable cores
    scripts/papers.py xor --seeds 20  # one row, fewer seeds

The same command again goes on where it stopped: runs lie in runs/papers/, finished ones are not repeated. The page is
written anew from all the runs that are there. Seeds begin at 1001; presets were tuned on others.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.special import stdtrit

ROOT = Path(__file__).resolve().parents[1]
FIRST_SEED, CHUNK = 1001, 10


@dataclass(frozen=True)
class Row:
    """One measurement: its preset in configs/papers/, what the literature says and what is to be met."""

    title: str
    literature: str
    seeds: int
    bar: float | None  # mean evaluations at most; None: told for comparison
    generalisation: float | None = None  # mean at least
    unfailing: bool = False  # no failure allowed


ROWS = {
    "xor": Row("XOR, NEAT, population 150", "NEAT 4,755 (2002) · re-implementation 6,719", 100, 4755, unfailing=True),
    "xor_2002": Row("XOR, with the rates of 2002", "NEAT 4,755 (2002) · re-implementation 6,719", 100, None),
    "double_pole": Row(
        "Double pole with velocities, NEAT, population 150", "ESP 3,800 · NEAT 3,600 (2002)", 100, 3600, unfailing=True
    ),
    "double_pole_memory_1000": Row(
        "Double pole without velocities, NEAT, population 1000",
        "NEAT 33,184, generalisation 286 (2002)",
        20,
        33184,
        250,
    ),
    "double_pole_memory": Row(
        "Double pole without velocities, NEAT, best setting", "NEAT 6,929 (2008, population 16)", 100, 6929, 250
    ),
    "double_pole_fixed": Row(
        "Double pole with velocities, CMA-ES, one hidden neuron",
        "CoSyNE 954 · CMA-ES 895 (2008)",
        100,
        954,
        unfailing=True,
    ),
    "double_pole_memory_fixed": Row(
        "Double pole without velocities, CMA-ES, one recurrent neuron",
        "CoSyNE 3,416 · CMA-ES 6,061 (2008)",
        100,
        3416,
        200,
        unfailing=True,
    ),
}


def command(name: str, first: int, count: int) -> list[str]:
    """The command of one run: `count` seeds from `first` on."""
    place = f"runs/papers/{name}/seeds-{first}-{first + count - 1}"
    return [
        "run",
        "-c",
        f"configs/papers/{name}.yaml",
        "-s",
        str(count),
        "--seed",
        str(first),
        "--out",
        place,
        "--json",
    ]


def measure(name: str, first: int, count: int) -> tuple[str, list[dict[str, Any]]]:
    """The seeds of one run, run now if they have not been; (row, seeds)."""
    arguments = command(name, first, count)
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"evolab {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    print(f"{name}: seeds {first} to {first + count - 1}", file=sys.stderr, flush=True)
    seeds: list[dict[str, Any]] = json.loads(done.stdout)["seeds"]
    return name, seeds


def half_width(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean (Student's t); NaN for fewer than two."""
    if len(values) < 2:
        return math.nan
    return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))


def figures(seeds: list[dict[str, Any]]) -> dict[str, float]:
    """What the page tells of a row's seeds; means are of those that solved the task."""
    solved = [seed for seed in seeds if seed["solved"]]
    evaluations = [float(seed["evaluations_to_solve"]) for seed in solved]
    general = [float(seed["generalisation"]) for seed in solved if seed["generalisation"] is not None]
    return {
        "seeds": len(seeds),
        "failures": len(seeds) - len(solved),
        "mean": statistics.fmean(evaluations) if evaluations else math.nan,
        "half": half_width(evaluations),
        "median": statistics.median(evaluations) if evaluations else math.nan,
        "sd": statistics.stdev(evaluations) if len(evaluations) > 1 else math.nan,
        "generations": statistics.fmean(seed["generations"] for seed in solved) if solved else math.nan,
        "hidden": statistics.fmean(seed["hidden_nodes"] for seed in solved) if solved else math.nan,
        "generalisation": statistics.fmean(general) if general else math.nan,
    }


def verdict(row: Row, found: dict[str, float]) -> str:
    """Whether the bar is met, and by how much it is missed."""
    if row.bar is None:
        return "for comparison"
    missed = []
    if not found["mean"] <= row.bar:
        missed.append(f"evaluations by {found['mean'] / row.bar - 1:.0%}")
    if row.unfailing and found["failures"]:
        missed.append(f"{found['failures']:.0f} failures")
    if row.generalisation is not None and not found["generalisation"] >= row.generalisation:
        missed.append(f"generalisation by {row.generalisation - found['generalisation']:.0f}")
    return f"**missed**: {', '.join(missed)}" if missed else "met"


def page(results: dict[str, list[dict[str, Any]]]) -> str:
    """The page."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout
    lines = [INTRODUCTION.format(commit=commit.strip() or "unknown", date=time.strftime("%Y-%m-%d"))]
    header = ("task", "literature", "bar", "mean ± 95 %", "median", "s.d.", "failures", "generations", "hidden nodes",
              "generalisation", "verdict")  # fmt: skip
    lines += [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name, row in ROWS.items():
        if not (seeds := results.get(name)):
            continue
        found = figures(seeds)
        general = "–" if math.isnan(found["generalisation"]) else f"{found['generalisation']:.0f}"
        bar = "–" if row.bar is None else f"{row.bar:,.0f}"
        cells = (
            row.title, row.literature, bar, f"{found['mean']:,.0f} ± {found['half']:,.0f}", f"{found['median']:,.0f}",
            f"{found['sd']:,.0f}", f"{found['failures']:.0f} of {found['seeds']:.0f}", f"{found['generations']:.1f}",
            f"{found['hidden']:.2f}", general, verdict(row, found),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    commands = [f"evolab {' '.join(command(name, FIRST_SEED, CHUNK))}" for name in ROWS if results.get(name)]
    return "\n".join([*lines, "", "One run of each row:", "```", *commands, "```", ""])


INTRODUCTION = """\
# The papers' figures, measured

Evaluations until a task is solved, over many seeds. `make papers` measures them and writes this page (here at commit
{commit}, {date}); the presets in `configs/papers/` give a reason for every line. Seeds begin at 1001: the presets were
tuned on others. Evaluations are counted genome by genome; means are over the seeds that solved the task, the others are
failures. The tasks follow the original NEAT program (`islands/tasks/xor.py`, `islands/tasks/double_pole.py`).

Literature: Stanley & Miikkulainen 2002 (Evolutionary Computation 10:99–127); Gomez, Schmidhuber & Miikkulainen 2008
(JMLR 9:937–965).
"""


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--seeds", type=int, help="at most so many of each row")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "papers.md")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    sys.path.insert(0, str(ROOT))
    from launcher.cores import usable

    wanted = []
    for name in arguments.rows or ROWS:
        count = min(ROWS[name].seeds, arguments.seeds or ROWS[name].seeds)
        wanted += [(name, FIRST_SEED + at, min(CHUNK, count - at)) for at in range(0, count, CHUNK)]
    results: dict[str, list[dict[str, Any]]] = {}
    with ThreadPoolExecutor(usable().count) as pool:
        for name, seeds in pool.map(lambda each: measure(*each), wanted):
            results.setdefault(name, []).extend(seeds)
    arguments.out.write_text(page(results), encoding="utf-8")
    print(f"written: {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
