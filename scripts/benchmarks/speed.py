"""Whole generations of the pellets task on one core, beside the older system's, and where a generation's time goes."""

from __future__ import annotations

import statistics
import sys
from typing import Any

from launcher import benchmark
from scripts.benchmarks.pieces import short, table, times

TITLE = "Whole generations on one core"
ROUNDS, GENERATIONS, POPULATION = 5, 10, 500
PRESETS: dict[str, tuple[float, float]] = {
    "pure_baseline": (225.0, 50.0),
    "neat_baseline": (77.0, 100.0),
    "hybrid_baseline": (0.0, 0.0),
    "cartpole": (0.0, 0.0),
}
"""Creatures/s of the older system, measured elsewhere on one core, and the bar: so many times that."""
PROFILED = ("neat_baseline", "pure_baseline", "cartpole")


def measure(quick: bool) -> dict[str, Any]:
    """Interleaved rounds of `evolab benchmark`, then a profile each."""
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in PRESETS}
    for _ in range(2 if quick else ROUNDS):
        for name, told in rounds.items():
            told.append(benchmark.benchmark(name, POPULATION, GENERATIONS))
            print(f"{name}: {_creatures(told[-1]):,.0f} creatures per CPU second", file=sys.stderr)
    profiles = {name: benchmark.profile(name, POPULATION, GENERATIONS) for name in PROFILED}
    return {"rounds": rounds, "profiles": profiles}


def _creatures(told: dict[str, Any]) -> float:
    return float(told["population"] / told["cpu_seconds_per_generation"])


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    rounds = found["rounds"]
    count, generations = len(rounds["cartpole"]), rounds["cartpole"][0]["generations"]
    return "\n\n".join([
        f"`evolab benchmark -c PRESET -p {POPULATION}`: evaluation, species, statistics with the digest, reproduction;"
        f" one thread, medians of {generations} generations, then median (range) of {count} interleaved rounds."
        " Pellets: 900 steps a creature. The older system's figures are quoted as measured elsewhere, on one core, CPU"
        " time.",
        table(
            ("preset", "creatures/s of CPU", "steps/s of CPU", "the older system", "ratio", "bar", "peak MB"),
            (_line(name, told) for name, told in rounds.items()),
        ),
        "Where a generation's time goes (`evolab benchmark --profile`: one island with its files, a checkpoint every"
        " generation, where runs write one in half a second, after two generations of warm-up); ms of wall time, of"
        " CPU, and the share of CPU:",
        profiles(found["profiles"]),
    ])  # fmt: skip


def _line(name: str, told: list[dict[str, Any]]) -> tuple[str, ...]:
    rates = [_creatures(one) for one in told]
    older, bar = PRESETS[name]
    steps = statistics.median(one["steps_per_cpu_second"] for one in told)
    peak = f"{max(one['peak_rss_mb'] for one in told):.0f}"
    if not older:
        return f"`{name}`", times(rates), short(steps), "–", "–", "–", peak
    ratios = [rate / older for rate in rates]
    verdict = "met" if statistics.median(ratios) >= bar else "missed"
    return (
        f"`{name}`",
        times(rates),
        short(steps),
        f"{older:.0f}",
        f"{times(ratios)} ×",
        f"{bar:.0f} ×: {verdict}",
        peak,
    )


def profiles(found: dict[str, dict[str, Any]]) -> str:
    """A line a phase, the presets side by side."""
    by_phase = {name: {each["phase"]: each for each in told["phases"]} for name, told in found.items()}
    phases = [each["phase"] for each in next(iter(found.values()))["phases"]]
    rows = []
    for phase in phases:
        cells = (_cell(by_phase[name].get(phase), told) for name, told in found.items())
        rows.append((phase, *cells))
    whole = (
        f"{told['seconds_per_generation'] * 1e3:.1f} · {told['cpu_seconds_per_generation'] * 1e3:.1f}"
        for told in found.values()
    )
    rows.append(("whole generation", *whole))
    return table(("phase", *(f"`{name}`" for name in found)), rows)


def _cell(phase: dict[str, Any] | None, told: dict[str, Any]) -> str:
    if phase is None:
        return "–"
    share = phase["cpu_seconds"] / told["cpu_seconds_per_generation"]
    return f"{phase['seconds'] * 1e3:.2f} · {phase['cpu_seconds'] * 1e3:.2f} · {share:.0%}"
