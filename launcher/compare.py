"""Ranks runs or configurations by their champions' held-out means, and says whether differences are more than noise.

The unit is an independent population: a seed of `run`, an island that did not migrate. An archipelago with migration,
or a single population, is one champion; then the held-out episodes of that champion are the sample. Each entry is
tested against the first of the ranking by Welch's t-test, from means, deviations and sizes; p-values are corrected
by Holm's method. Where both sides have at least three populations, a Mann–Whitney test is stated as well.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from islands import files
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher.run import exists, find
from launcher.summary import best_champion

LEVEL = 0.05
"""Differences with a corrected p-value below this are more than noise."""


@dataclass(frozen=True)
class Sample:
    """A ranked thing: its mean, deviation and size; `values` are the populations' means, () when episodes count."""

    name: str
    run: str
    mean: float
    deviation: float
    size: int
    values: tuple[float, ...]
    best_fitness: float | None

    @property
    def basis(self) -> str:
        """What the figures rest on."""
        return f"{self.size} populations" if self.values else f"{self.size} episodes of one champion"

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean, by Student's t."""
        if self.size < 2:
            return self.mean, self.mean
        half = _quantile(self.size) * self.deviation / math.sqrt(self.size)
        return self.mean - half, self.mean + half


def compare(names: Sequence[str], overrides: tuple[str, ...] = (), seeds: int = 5) -> dict[str, Any]:
    """The JSON of `evolab compare`. Names of configurations are run first, with `overrides` and `seeds`."""
    if len(set(names)) < len(names):
        raise ConfigError("compare", expected="different names", got=", ".join(names))
    return ranked([sample_of(name, find_or_run(name, overrides, seeds)) for name in names])


def ranked(samples: Sequence[Sample]) -> dict[str, Any]:
    """The samples from the best to the last, each but the first tested against it; the JSON of `evolab compare`."""
    samples = sorted(samples, key=lambda sample: -sample.mean)
    tests = _tests(samples)
    corrected = holm([welch for welch, _ in tests])
    ranking = []
    for rank, (sample, p, test) in enumerate(zip(samples, [None, *corrected], [None, *tests], strict=True), 1):
        ranking.append(
            {
                "rank": rank,
                "name": sample.name,
                "run": sample.run,
                "mean": sample.mean,
                "ci95": list(sample.interval),
                "basis": sample.basis,
                "populations": list(sample.values),
                "best_fitness": sample.best_fitness,
                "p": _finite(p),
                "p_mann_whitney": _finite(test[1]) if test else None,
                "verdict": "–" if test is None else verdict(p),
            }
        )
    return {"ranking": ranking, "level": LEVEL, "conclusion": conclusion(ranking)}


def find_or_run(name: str, overrides: tuple[str, ...], seeds: int) -> RunDir:
    """The run called `name`; otherwise `name` is a configuration, which is run now by the code of `evolab run`."""
    if exists(name):
        return find(name)
    from launcher.start import Request, complaints, run_seeds

    print(f"compare: running {name} with {seeds} seeds", file=sys.stderr, flush=True)
    run, outcome = run_seeds(Request(preset=name, overrides=overrides), seeds, batched=True)
    if outcome.exit_code:
        for line in complaints(run, outcome) or [f"the run of {name} was stopped; see {run.path}"]:
            print(f"evolab: {line}", file=sys.stderr)
        sys.exit(outcome.exit_code)
    return run


def sample_of(name: str, run: RunDir) -> Sample:
    """What a run's finished populations say about it."""
    plan = run.read_plan()
    results = [files.read_json(island.result) for island in run.islands() if island.result.exists()]
    results = [result for result in results if (result.get("champion") or {}).get("mean") is not None]
    if not results:
        raise ConfigError(f"{run.path}", expected="a finished run", got="no result yet", do="wait, or resume it")
    best = max((result["best_fitness"] for result in results if result["best_fitness"] is not None), default=None)
    values = tuple(float(result["champion"]["mean"]) for result in results)
    if len(values) > 1 and plan.get("migration_dir") is None:
        return Sample(name, str(run.path), statistics.mean(values), statistics.stdev(values), len(values), values, best)
    champion = best_champion(results) or {}
    episodes = int(champion["episodes"])
    low, high = champion["ci95"]
    deviation = (high - low) / 2 * math.sqrt(episodes) / _quantile(episodes) if episodes > 1 else 0.0
    return Sample(name, str(run.path), float(champion["mean"]), deviation, episodes, (), best)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction; NaN (no test possible) stays NaN and does not count."""
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    corrected = [math.nan] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p_values[index]))
        corrected[index] = highest
    return corrected


def verdict(p: float | None) -> str:
    """A corrected p-value in words."""
    if p is None or math.isnan(p):
        return "no test possible"
    return "worse, more than noise" if p < LEVEL else "no difference shown"


def conclusion(ranking: Sequence[dict[str, Any]]) -> str:
    """The ranking in one sentence."""
    first = ranking[0]["name"]
    if len(ranking) == 1:
        return f"{first} alone: nothing to compare with"
    behind = [entry["name"] for entry in ranking[1:] if entry["verdict"].startswith("worse")]
    level = [entry["name"] for entry in ranking[1:] if not entry["verdict"].startswith("worse")]
    parts = [f"{first} is better than {', '.join(behind)} by more than noise"] if behind else []
    parts += [f"{first} is first, but not shown to be better than {', '.join(level)}"] if level else []
    return "; ".join(parts) + f" (Welch's t-test, Holm-corrected, level {LEVEL:g})"


def _tests(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Of every sample but the first against the first: p of Welch's test and of Mann–Whitney's (NaN: not possible)."""
    from scipy import stats

    first, *others = samples
    tests = []
    for other in others:
        welch = mann_whitney = math.nan
        if first.size > 1 and other.size > 1 and (first.deviation or other.deviation):
            a, b = ((sample.mean, sample.deviation, sample.size) for sample in (first, other))
            welch = float(stats.ttest_ind_from_stats(*a, *b, equal_var=False).pvalue)
        if min(len(first.values), len(other.values)) >= 3:
            mann_whitney = float(stats.mannwhitneyu(first.values, other.values).pvalue)
        tests.append((welch, mann_whitney))
    return tests


def _quantile(size: int) -> float:
    from scipy import stats

    return float(stats.t.ppf(0.975, size - 1))


def _finite(p: float | None) -> float | None:
    return None if p is None or math.isnan(p) else p
