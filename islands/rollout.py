"""Evaluate genomes on a task: which episodes, and what they add up to."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from islands.genome.population import Array, Genomes, take
from islands.rng import substream
from islands.tasks import Task


@dataclass(frozen=True)
class Scores:
    """What an evaluation says of P genomes."""

    fitness: Array  # float32 [P]: mean over episodes; NaN when an episode failed
    behaviour: Array  # float32 [P, D]: mean over episodes
    disqualified: dict[str, int]  # episodes by the reason that ended them early
    steps: int  # simulated in all

    @property
    def failed(self) -> int:
        """Genomes whose evaluation failed."""
        return int(np.isnan(self.fitness).sum())


def spread_of(behaviour: Array) -> dict[str, Any]:
    """How much a population's behaviours (float32 [P, D]) differ: what creatures do, not how their genomes look.

    `diversity` is the root mean square distance between two genomes' descriptors, sqrt(2 x sum of variances), in the
    descriptors' units. Means and variances (D each) let several populations be taken together exactly. Cost O(P D).
    """
    known = behaviour[np.isfinite(behaviour).all(axis=1)].astype(np.float64)
    if not len(known):
        return {"diversity": math.nan, "behaviour_mean": [], "behaviour_variance": []}
    variance = known.var(axis=0)
    return {
        "diversity": math.sqrt(2.0 * float(variance.sum())),
        "behaviour_mean": known.mean(axis=0).tolist(),
        "behaviour_variance": variance.tolist(),
    }


def evaluate(task: Task, genomes: Genomes, keys: Array, episodes: int) -> list[Scores]:
    """Evaluate genomes in groups that meet the same episodes each, as one batch.

    keys: uint64 [G] streams, one a group; the P genomes are G groups of equal size. Episode e of group g has the
    randomness of substream e of keys[g]. Returns the groups' scores; each equals that of the group alone, bit for bit.
    """
    count = genomes.count
    size = count // len(keys)
    streams = np.array([[substream(key, e) for e in range(episodes)] for key in keys], np.uint64)
    items = np.repeat(np.arange(count), episodes)
    played = task.play(genomes, items, np.repeat(streams, size, axis=0).reshape(-1))
    groups = []
    for g in range(len(keys)):
        part = slice(g * size * episodes, (g + 1) * size * episodes)
        ended = Counter(played.reason[part].tolist())
        groups.append(
            Scores(
                fitness=played.fitness[part].reshape(size, episodes).mean(axis=1, dtype=np.float32),
                behaviour=played.behaviour[part].reshape(size, episodes, -1).mean(axis=1),
                disqualified={task.reasons[reason]: n for reason, n in sorted(ended.items()) if reason},
                steps=int(played.steps[part].sum()),
            )
        )
    return groups


@dataclass(frozen=True)
class Worth:
    """What a genome is worth: the mean of fresh episodes and its 95 % confidence interval (Student's t)."""

    mean: float
    low: float
    high: float
    episodes: int


def worth_of(task: Task, genomes: Genomes, row: int, key: np.uint64, episodes: int) -> Worth:
    """Re-run genome `row` on `episodes` episodes of the stream `key`."""
    streams = np.array([substream(key, e) for e in range(episodes)], np.uint64)
    one = take(genomes, [row])
    scores = task.play(one, np.zeros(episodes, np.int64), streams).fitness.astype(np.float64)
    mean = float(scores.mean())
    half = float(stdtrit(episodes - 1, 0.975)) * float(scores.std(ddof=1)) / math.sqrt(episodes)
    return Worth(mean, mean - half, mean + half, episodes)
