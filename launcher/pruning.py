"""When to give a trial up: what a milestone says, and who decides.

A milestone is a number of generations that all populations of a trial have done. A trial's value there is mean plus
standard deviation of fitness, averaged over populations and the last generations: the level of the better part. A
generation's best is one lucky episode; over 60 trials its rank correlation with what a trial came to was 0.5 to 0.6,
that of this value 0.7 to 0.85 (`scripts/benchmarks/searching.py` measures what it is worth).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from islands import files
from islands.errors import ConfigError
from islands.rundir import IslandDir
from launcher.objective import islands_of, seed_results
from launcher.trials import StudyDir, Trial

if TYPE_CHECKING:
    import optuna

PRUNERS = ("median", "hyperband", "wilcoxon", "none")
MILESTONES = 15
"""So many times a trial is looked at, evenly over its generations."""
WARM_UP = 1 / 3
"""Before this share of its generations no trial is pruned by the median."""
FIRST = 5
"""So many trials run to their end before the median says anything."""
WINDOW = 10
"""Generations over which it is averaged."""
SEEDS_FOR_WILCOXON = 5
"""With fewer seeds its test cannot reach p < 0.1 before the last one."""


@dataclass
class Pruner:
    """Which rule, over how many generations in all. `seen`: what other trials had at each milestone, by trial."""

    kind: str
    generations: int
    seen: dict[int, dict[int, list[float]]] = field(default_factory=dict)

    @property
    def by_seed(self) -> bool:
        """Whether seeds run one after another and are compared one by one."""
        return self.kind == "wilcoxon"

    def steps(self) -> list[int]:
        """The milestones, in generations."""
        if self.kind == "none":
            return []
        return sorted({max(1, self.generations * k // MILESTONES) for k in range(1, MILESTONES)})

    def of_optuna(self) -> optuna.pruners.BasePruner:
        """The same rule by Optuna."""
        from optuna import pruners

        if self.kind == "median":
            return pruners.MedianPruner(n_startup_trials=FIRST, n_warmup_steps=int(WARM_UP * self.generations))
        if self.kind == "hyperband":
            return pruners.HyperbandPruner(
                min_resource=max(1, self.generations // MILESTONES), max_resource=self.generations
            )
        if self.kind == "wilcoxon":
            return pruners.WilcoxonPruner(p_threshold=0.1)
        return pruners.NopPruner()

    def note(self, trial: Trial) -> None:
        """Remember a trial's milestones, for `dominated`."""
        self.seen[trial.number] = trial.intermediate

    def dominated(self, number: int, step: int, values: Sequence[float]) -> bool:
        """Several objectives: whether every value is below the median of what the others had at this milestone."""
        others = [at[step] for trial, at in self.seen.items() if trial != number and step in at]
        if step <= WARM_UP * self.generations or len(others) < FIRST:
            return False
        return all(
            value < statistics.median(column) for value, column in zip(values, zip(*others, strict=True), strict=True)
        )


def check(kind: str, seeds: int, objectives: int) -> None:
    """Refuse a rule that cannot work."""
    if kind == "wilcoxon" and seeds < SEEDS_FOR_WILCOXON:
        raise ConfigError(
            "--pruner wilcoxon", expected=f"at least {SEEDS_FOR_WILCOXON} seeds to compare", got=str(seeds)
        )
    if objectives > 1 and kind not in ("median", "none"):
        raise ConfigError("--pruner with several objectives", expected="median or none", got=kind)


def values_at(study: StudyDir, trial: Trial, step: int, per_run: int, objectives: Sequence[str]) -> list[float] | None:
    """A trial's values when it had done `step` generations in all; None while metrics do not say yet."""
    columns: list[list[float]] = [[] for _ in objectives]
    left = step
    for spec in trial.runs:
        here = min(left, per_run)
        for island in islands_of(study, trial, spec):
            seen = _smoothed(island, here, objectives)
            if seen is None:
                return None
            for column, value in zip(columns, seen, strict=True):
                column.append(value)
        left -= here
        if left <= 0:
            break
    return [statistics.fmean(column) for column in columns]


def _smoothed(island: IslandDir, generations: int, objectives: Sequence[str]) -> list[float] | None:
    """Means over the last generations before `generations`; a population that ended earlier counts with its end."""
    lines = [line for line in files.read_jsonl(island.metrics) if line["generation"] < generations][-WINDOW:]
    if not lines or (lines[-1]["generation"] < generations - 1 and not island.result.exists()):
        return None
    columns = {
        "fitness": [(line["mean"] or 0.0) + (line["std"] or 0.0) for line in lines],
        "diversity": [line["diversity"] or 0.0 for line in lines],
    }
    return [statistics.fmean(columns[name]) for name in objectives]


def milestones(
    pruner: Pruner, study: StudyDir, trial: Trial, done: int, per_run: int, objectives: Sequence[str]
) -> Iterator[tuple[int, list[float]]]:
    """The milestones that a trial which has `done` so many generations has passed and not reported: (step, values).

    Steps are generations; under a rule that compares seeds they count the seeds that have finished, the last one aside.
    """
    if pruner.by_seed:
        found = seed_results(study, trial)
        for step, seed in enumerate(found[: seeds_of(trial) - 1], 1):
            if step not in trial.intermediate:
                yield step, [float(seed[name]) for name in objectives]
        return
    for step in pruner.steps():
        if step not in trial.intermediate and step <= done < trial.generations_wanted:
            values = values_at(study, trial, step, per_run, objectives)
            if values is None:
                return
            yield step, values


def seeds_of(trial: Trial) -> int:
    """How many seeds a trial has."""
    return sum(len(spec.islands) if spec.command == "run" else 1 for spec in trial.runs)
