"""N islands on N cores with migration, N processes without, and one island alone: the same work, in turns.

All three live at once, and all but one are stopped (SIGSTOP): rounds of some seconds, each arm once, in an order that
turns round every time (ABBA), so that what else the machine does meets all alike. What is measured lies between
generations, never in a start. Work is the same because bodies and networks stay as large as they are; but creatures
that move otherwise take a few per cent more or less to simulate, and populations drift apart: so each round has another
seed, and begins with the same genomes in all arms.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import files
from islands.rundir import RunDir
from launcher import cores, presets
from launcher import run as run_dirs
from launcher.utilisation import busy_seconds
from scripts.benchmarks.pieces import short, table, times
from scripts.chaos import runs
from scripts.chaos.stalls import SAME_SIZE, all_running, launched

PRESET = "neat_baseline"
SETTINGS = (*SAME_SIZE, "body.min_nodes=8", "body.max_nodes=8", "body.max_muscles=7", runs.ENDLESS)
"""Eight nodes and seven muscles, as many as most have after ten generations: every genome costs what another does, and
a generation nearly what one of the preset does."""
TITLES = {
    "migrating": "{count} islands by `evolab launch`, migration on",
    "independent": "{count} processes, no migration, no launcher",
    "alone": "one island alone",
}
ROUNDS, SLICE, SETTLING = 6, 4.0, 0.6
"""Rounds; seconds of a slice, and before it, until the caches are the arm's own again."""
WARM_UP = 5
LAST = 100
"""So many generations of each island tell what evaluation takes."""
EFFICIENCY, UTILISATION = 0.97, 0.97
QUIET = 0.02
"""Foreign load, as a share of the cores, up to which the clock judges."""


@dataclass(frozen=True)
class Arm:
    """An arm's run and the processes that are stopped and let go on with it; the launcher is none of its islands."""

    run: RunDir
    pids: tuple[int, ...]
    launcher: tuple[int, ...] = ()

    def send(self, number: int) -> None:
        """A signal to all of them."""
        for pid in (*self.launcher, *self.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def progress(self) -> float:
        """Generations done, all islands together, with the part of one that is under way."""
        total, now = 0.0, time.time()
        for place in self.run.islands():
            line = files.tail_jsonl(place.metrics, 1)[-1]
            total += line["generation"] + min(1.0, (now - line["time"]) / max(line["seconds"], 1e-9))
        return total

    def evaluation(self) -> float:
        """Seconds that its last generations spent on evaluation, the mean of them."""
        lines = [line for place in self.run.islands() for line in files.tail_jsonl(place.metrics, LAST)]
        return statistics.fmean(line["evaluate_seconds"] for line in lines)

    def cpu(self) -> float:
        """CPU seconds of its islands."""
        return sum(map(runs.cpu_seconds, self.pids))

    def all_cpu(self) -> float:
        """CPU seconds of its islands and its launcher."""
        return self.cpu() + sum(map(runs.cpu_seconds, self.launcher))


def measure(quick: bool) -> dict[str, Any]:
    """Rounds of slices; every slice's rates."""
    cpus = cores.usable().cpus
    rounds, seconds = (4, 2.0) if quick else (ROUNDS, SLICE)
    slices: dict[str, list[dict[str, float]]] = {name: [] for name in TITLES}
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="evolab-cores-") as folder, arms(Path(folder), cpus, number) as made:
            for name in list(TITLES)[:: 1 if number % 2 else -1]:
                slices[name].append(one_slice(made[name], cpus, seconds) | {"evaluation": made[name].evaluation()})
            print(f"round {number + 1} of {rounds}: {_told(slices)}", file=sys.stderr, flush=True)
    return {"cores": len(cpus), "seconds": seconds, "slices": slices}


def _told(slices: dict[str, list[dict[str, float]]]) -> str:
    return ", ".join(f"{name} {1e3 * found[-1]['cpu']:.1f} ms CPU a generation" for name, found in slices.items())


@contextlib.contextmanager
def arms(folder: Path, cpus: Sequence[int], seed: int) -> Iterator[dict[str, Arm]]:
    """All three, begun, warm and stopped; ended with the block."""
    config = presets.resolve(PRESET, [*SETTINGS, f"seed={seed}", "migration.every=0"])
    with contextlib.ExitStack() as ends:
        made = {"migrating": ends.enter_context(_migrating(folder, len(cpus), seed))}
        for name, count in (("independent", len(cpus)), ("alone", 1)):
            names = tuple((f"island-{index:03}", config.seed) for index in range(count))
            run = run_dirs.make(folder / name, config, run_dirs.Plan("launch", PRESET, names))
            children = [runs.start(run, index, frozenset({cpus[index]})) for index in range(count)]
            ends.callback(runs.end, children, signal.SIGKILL)
            runs.wait_until_running(run, children)
            made[name] = Arm(run, tuple(child.pid for child in children))
        for arm in made.values():
            runs.wait_for(lambda: min(map(runs.generation, arm.run.islands())) >= WARM_UP, 120, "warm islands")  # noqa: B023
            arm.send(signal.SIGSTOP)
            ends.callback(arm.send, signal.SIGCONT)
        yield made


@contextlib.contextmanager
def _migrating(folder: Path, count: int, seed: int) -> Iterator[Arm]:
    settings = [part for each in (*SETTINGS, f"seed={seed}") for part in ("--set", each)]
    run = RunDir(folder / "migrating")
    command = [sys.executable, "-P", "-m", "launcher", "launch", "-c", PRESET, "--islands", str(count), "--out",
               str(run.path), *settings]  # fmt: skip
    with launched(command, folder) as launcher:
        beats = runs.wait_for(lambda: all_running(run), 600, "that all islands run")
        yield Arm(run, tuple(int(beat["pid"]) for beat in beats), (launcher.pid,))


def one_slice(arm: Arm, cpus: Sequence[int], seconds: float) -> dict[str, float]:
    """Let an arm go on for so long. A generation's CPU and wall seconds, cores used by others, utilisation."""
    arm.send(signal.SIGCONT)
    try:
        time.sleep(SETTLING)
        before = (arm.progress(), time.monotonic(), arm.cpu(), arm.all_cpu(), busy_seconds(cpus), time.process_time())
        time.sleep(seconds)
        after = (arm.progress(), time.monotonic(), arm.cpu(), arm.all_cpu(), busy_seconds(cpus), time.process_time())
    finally:
        arm.send(signal.SIGSTOP)
    progress, wall, cpu, own, busy, mine = (b - a for a, b in zip(before, after, strict=True))
    return {
        "cpu": own / progress,
        "launcher": (own - cpu) / progress,
        "wall": wall * len(arm.pids) / progress,
        "foreign": max(0.0, busy - own - mine) / wall,
        "utilisation": cpu / (wall * len(arm.pids)),
    }


def section(found: dict[str, Any]) -> str:
    """The table of the arms, and what it comes to."""
    slices, count = found["slices"], found["cores"]
    rows = [
        (
            title.format(count=count),
            times([1e3 * each["cpu"] for each in slices[name]]),
            times([1e3 * each["wall"] for each in slices[name]]),
            times([1e3 * each["evaluation"] for each in slices[name]]),
            f"{statistics.median(each['utilisation'] for each in slices[name]):.1%}",
            times([each["foreign"] for each in slices[name]]),
        )
        for name, title in TITLES.items()
    ]
    header = (
        "arm",
        "CPU a generation, ms",
        "wall a generation and core, ms",
        "of it evaluation",
        "its cores used",
        "cores used by others",
    )
    about = (
        f"{len(slices['alone'])} rounds of {found['seconds']:g} s an arm, in turns, each with another seed, `{PRESET}`"
    )
    about += " with bodies and networks that stay as large as they are. Medians (range); the launcher's CPU is counted"
    about += " with its islands."
    return f"{about}\n\n{table(header, rows)}\n\n{verdicts(found)}"


def ratios(found: dict[str, Any], other: str, figure: str) -> list[float]:
    """How fast migrating islands are, against another arm: above 1 is faster; round by round."""
    slices = found["slices"]
    return [b[figure] / a[figure] for a, b in zip(slices["migrating"], slices[other], strict=True)]


def quiet(found: dict[str, Any]) -> bool:
    """Whether the machine was quiet enough for the clock to judge."""
    foreign = [each["foreign"] for arm in found["slices"].values() for each in arm]
    return statistics.median(foreign) <= QUIET * found["cores"]


def left_over(each: dict[str, float], count: int) -> float:
    """The share of what others left of the cores that an arm used."""
    return min(1.0, each["utilisation"] * count / max(count - each["foreign"], 1e-9))


def verdicts(found: dict[str, Any]) -> str:
    """Efficiency and utilisation against their bars."""
    wall, cpu = ratios(found, "independent", "wall"), ratios(found, "independent", "cpu")
    same = with_the_same_work(found)
    judge, how = (same, "by the clock") if quiet(found) else (cpu, "by CPU time, as the machine was not quiet")
    used = statistics.median(each["utilisation"] for each in found["slices"]["migrating"])
    left = statistics.median(left_over(each, found["cores"]) for each in found["slices"]["migrating"])
    return (
        f"Migrating islands against independent processes: {times(wall)} by the clock, {times(cpu)} by CPU time. Their"
        f" populations come to move otherwise, and evaluation alone, in which no migration has a part, compares as"
        f" {times(ratios(found, 'independent', 'evaluation'))}; with the same work in both, {times(same)} (at least"
        f" {EFFICIENCY:g}: {_met(statistics.median(judge), EFFICIENCY)}, judged {how}). Against one island alone:"
        f" {times(ratios(found, 'alone', 'wall'))} and {times(ratios(found, 'alone', 'cpu'))}."
        f" Utilisation by the islands: {used:.1%} of the cores, {left:.1%} of what others left of them"
        f" (at least {UTILISATION:.0%}: {_met(used if quiet(found) else left, UTILISATION)})."
    )


def with_the_same_work(found: dict[str, Any]) -> list[float]:
    """As `ratios` by the clock, had evaluation taken in both arms what it took on the average of them."""
    slices = found["slices"]
    same = []
    for a, b in zip(slices["migrating"], slices["independent"], strict=True):
        evaluation = (a["evaluation"] + b["evaluation"]) / 2
        same.append((evaluation + b["wall"] - b["evaluation"]) / (evaluation + a["wall"] - a["evaluation"]))
    return same


def _met(value: float, bar: float) -> str:
    return "met" if value >= bar else f"missed by {short(100 * (1 - value / bar))} %"
