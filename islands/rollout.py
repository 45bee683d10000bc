"""Evaluate genomes on a task: which episodes, and what they add up to."""

from __future__ import annotations

import functools
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from islands.genome.population import Array, Genomes, take
from islands.rng import substream
from islands.tasks import Played, Task, Worth

BREATH = 2.0
"""Seconds of evaluation after which somebody hears of it."""
FIRST_CHUNK, LEAST_CHUNK = 512, 32
"""Episodes of a chunk before the pace is known, and at least."""


@dataclass(frozen=True)
class Scores:
    """What an evaluation says of P genomes."""

    fitness: Array  # float32 [P]: mean over episodes; NaN when an episode failed
    behaviour: Array  # float32 [P, D]: mean over episodes
    disqualified: dict[str, int]  # episodes by the reason that ended them early
    steps: int  # simulated in all
    solved: Array | None = None  # bool [P]: the task, in every episode; None where an episode does not show that

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


@dataclass
class Pace:
    """Plays a long evaluation in chunks of about `BREATH` seconds; `tell` hears (episodes done, of how many).

    What comes out is the same, because on the CPU an episode's numbers do not depend on those beside it.
    """

    tell: Callable[[int, int], None]
    per_second: float | None = None

    def play(self, task: Task, genomes: Genomes, items: Array, keys: Array) -> Played:
        """As `task.play`."""
        parts, done, count = [], 0, len(items)
        while done < count:
            size = self._chunk(count - done)
            began = time.perf_counter()
            parts.append(task.play(genomes, items[done : done + size], keys[done : done + size]))
            self.per_second = size / max(time.perf_counter() - began, 1e-9)
            done += size
            self.tell(done, count)
        if len(parts) == 1:
            return parts[0]
        names = ("fitness", "reason", "steps", "behaviour")
        columns = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        shown = [part.solved for part in parts if part.solved is not None]
        fitness, reason, steps, behaviour = columns
        return Played(fitness, reason, steps, behaviour, np.concatenate(shown) if shown else None)

    def _chunk(self, left: int) -> int:
        size = FIRST_CHUNK if self.per_second is None else max(LEAST_CHUNK, int(self.per_second * BREATH))
        return left if left < 2 * size else size


def evaluate(
    task: Task, genomes: Genomes, keys: Array, episodes: int, pace: Pace | None = None,
    sizes: Sequence[int] | None = None,
) -> list[Scores]:  # fmt: skip
    """Evaluate genomes in groups that meet the same episodes each, as one batch.

    keys: uint64 [G] streams, one a group; the P genomes are G groups, of `sizes` or all of one size. Episode e of group
    g has the randomness of substream e of keys[g]. Returns the groups' scores; each equals that of the group alone, bit
    for bit.
    """
    count = genomes.count
    sizes = [count // len(keys)] * len(keys) if sizes is None else sizes
    streams = np.array([[substream(key, e) for e in range(episodes)] for key in keys], np.uint64)
    items = np.repeat(np.arange(count), episodes)
    play = functools.partial(pace.play, task) if pace else task.play
    played = play(genomes, items, np.repeat(streams, sizes, axis=0).reshape(-1))
    groups = []
    for size, end in zip(sizes, np.cumsum(sizes), strict=True):
        part = slice((end - size) * episodes, end * episodes)
        ended = Counter(played.reason[part].tolist())
        shown: Array | None = None
        if played.solved is not None:
            shown = np.all(played.solved[part].reshape(size, episodes), axis=1)
        groups.append(
            Scores(
                fitness=played.fitness[part].reshape(size, episodes).mean(axis=1, dtype=np.float32),
                behaviour=played.behaviour[part].reshape(size, episodes, -1).mean(axis=1),
                disqualified={task.reasons[reason]: n for reason, n in sorted(ended.items()) if reason},
                steps=int(played.steps[part].sum()),
                solved=shown,
            )
        )
    return groups


def play_alone(
    task: Task, genomes: Genomes, row: int, key: np.uint64, episodes: int, pace: Pace | None = None
) -> Played:
    """Play genome `row` on `episodes` episodes of the stream `key`; once, where every episode is the same."""
    episodes = episodes if task.random else 1
    streams = np.array([substream(key, e) for e in range(episodes)], np.uint64)
    play = functools.partial(pace.play, task) if pace else task.play
    return play(take(genomes, [row]), np.zeros(episodes, np.int64), streams)


def worth_of(task: Task, genomes: Genomes, row: int, key: np.uint64, episodes: int) -> Worth:
    """What genome `row` is worth by `task`'s own measure, or else on `episodes` episodes of the stream `key`."""
    if task.worth is not None:
        return task.worth(genomes, row, key)
    return worth(play_alone(task, genomes, row, key, episodes).fitness)


def worth(fitness: Array) -> Worth:
    """The mean of episodes' fitness (float [E]) with its interval, which is a point where there is one episode."""
    scores, episodes = fitness.astype(np.float64), len(fitness)
    mean = float(scores.mean())
    half = (
        0.0 if episodes == 1 else float(stdtrit(episodes - 1, 0.975)) * float(scores.std(ddof=1)) / math.sqrt(episodes)
    )
    return Worth(mean, mean - half, mean + half, episodes)
