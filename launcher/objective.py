"""What a trial's runs say, read from their files: how far it is, what it is worth, why it failed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from islands import files
from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher.complaints import complaint
from launcher.status import beat_of, generations_done
from launcher.summary import best_champion
from launcher.trials import RunSpec, StudyDir, Trial


@dataclass(frozen=True)
class Progress:
    """How far a trial is: generations that all its populations have done, its live populations and their figures.

    `cpu`: the CPU seconds of each of its processes, living or not, by process number.
    """

    generations: int = 0
    cpu: dict[int, float] = field(default_factory=dict)
    running: int = 0
    threads: int = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """The numbers of its processes."""
        return tuple(self.cpu)


def progress_of(study: StudyDir, trial: Trial, per_run: int) -> Progress:
    """From heartbeats and results alone: cost of a few small files a population."""
    done, running, threads = 0, 0, 0
    cpu: dict[int, float] = {}
    for spec in trial.runs:
        reached = []
        for island in islands_of(study, trial, spec):
            beat = beat_of([island])
            reached.append(per_run if island.result.exists() else generations_done(beat))
            if pid := beat.get("pid"):  # the populations of one batch share a process
                cpu[pid] = max(cpu.get(pid, 0.0), float(beat.get("cpu_seconds") or 0.0))
                running += beat.get("state") == "running"
                threads = max([threads, *(beat.get("threads") or {}).get("pools", {}).values()])
        done += min(reached) if spec.batched else sum(reached) // len(reached)  # those follow one another
        if min(reached) < per_run and spec.command == "launch":
            break  # runs follow one another: the next has not begun
    return Progress(done, cpu, running, threads)


def islands_of(study: StudyDir, trial: Trial, spec: RunSpec) -> list[IslandDir]:
    """The populations of one of a trial's runs, there or not."""
    run = study.run(trial.number, spec)
    return [run.island(name) for name, _ in spec.islands]


def end_workers(study: StudyDir, trial: Trial) -> None:
    """Note when the workers of a study that died were last seen."""
    for worker in trial.workers:
        if "ended" not in worker:
            beats = [beat_of([island]) for spec in trial.runs for island in islands_of(study, trial, spec)]
            seen = [float(beat["time"]) for beat in beats if beat.get("time")]
            worker["ended"] = max([worker["started"], *seen])


def complaint_of(study: StudyDir, trial: Trial) -> str:
    """Why a trial failed: the first reason that an island left, and the last lines of its own log."""
    reasons = []
    for spec in trial.runs:
        failed = [island for island in islands_of(study, trial, spec) if island.error.exists()]
        reasons += [f"{island.name}: {complaint(island, island.log)}" for island in failed[:1]]
    with suppress(OSError):
        log = study.log(trial.number).read_text(errors="replace").splitlines()
        reasons.append("its log ends: " + "; ".join(line.strip() for line in log[-3:] if line.strip()))
    return " | ".join(reasons[:1] + reasons[-1:] if len(reasons) > 1 else reasons) or "no reason given"


def seed_results(study: StudyDir, trial: Trial) -> list[dict[str, Any]]:
    """What each seed of a trial came to, for those that have finished: its champion's held-out mean, its diversity."""
    found = []
    for spec in trial.runs:
        islands = islands_of(study, trial, spec)
        groups = [[island] for island in islands] if spec.command == "run" else [islands]
        for group in groups:
            if all(island.result.exists() for island in group):
                results = [files.read_json(island.result) for island in group]
                found.append(_seed_result(str(study.run(trial.number, spec).path), results))
    return found


def _seed_result(path: str, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    champion = best_champion(results)
    if champion is None:
        raise EvolabError(f"run {path}", expected="a champion with a held-out mean", got="none")
    return {
        "seed": results[0]["seed"],
        "fitness": champion["mean"],
        "ci95": champion["ci95"],
        "episodes": champion["episodes"],
        "island": champion["island"],
        "champion": champion["digest"],
        "diversity": diversity_of(results),
        "best_fitness": max(result["best_fitness"] for result in results),
        "digests": [result["digest"] for result in results],
        "generations": min(result["generations"] for result in results),
        "evaluations": sum(result["evaluations"] for result in results),
        "run": path,
    }


def diversity_of(results: Sequence[dict[str, Any]]) -> float:
    """The behavioural diversity of all populations taken together (see `islands.rollout.spread_of`)."""
    means = [result["behaviour_mean"] for result in results if result["behaviour_mean"]]
    variances = [result["behaviour_variance"] for result in results if result["behaviour_mean"]]
    within = [statistics.fmean(column) for column in zip(*variances, strict=True)]
    between = [statistics.pvariance(column) for column in zip(*means, strict=True)]
    return math.sqrt(2.0 * (sum(within) + sum(between)))


def values_of(seeds: Sequence[dict[str, Any]], objectives: Sequence[str]) -> tuple[list[float], float]:
    """A trial's values, means over its seeds, and the standard error of the first.

    Over seeds where there are several; of one seed, that of its champion's held-out episodes.
    """
    values = [statistics.fmean(float(seed[name]) for seed in seeds) for name in objectives]
    first = [float(seed[objectives[0]]) for seed in seeds]
    if len(first) > 1:
        return values, statistics.stdev(first) / math.sqrt(len(first))
    from scipy.special import stdtrit

    low, high = seeds[0]["ci95"]
    return values, (high - low) / 2 / float(stdtrit(seeds[0]["episodes"] - 1, 0.975))
