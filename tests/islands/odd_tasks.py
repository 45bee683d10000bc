"""Real tasks, watched or with their scores changed: what evolution does with luck, failure and standstill."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from islands.config import Config
from islands.genome.population import Array, Genomes, encode
from islands.tasks import Played, Task, make


class Call(NamedTuple):
    """What `play` was asked, and what it answered."""

    genomes: Genomes
    items: Array
    keys: Array
    fitness: Array

    def met_by(self, row: int) -> tuple[int, ...]:
        """The streams of the episodes that genome `row` played."""
        return tuple(self.keys[self.items == row].tolist())


Rule = Callable[[Genomes, Array, Array, Array], Any]
"""(genomes, items, keys, fitness [E]) -> the fitness [E] to give instead."""


def as_it_is(genomes: Genomes, items: Array, keys: Array, fitness: Array) -> Array:
    return fitness


class Watched:
    """The configured task; keeps what it was asked and lets `rule` change the scores it gives."""

    def __init__(self, config: Config, rule: Rule = as_it_is) -> None:
        self.task, self.rule = make(config), rule
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        played = self.task.play(genomes, items, keys)
        fitness = np.broadcast_to(self.rule(genomes, items, keys, played.fitness), keys.shape).astype(np.float32)
        self.calls.append(Call(genomes, items.copy(), keys.copy(), fitness))
        return dataclasses.replace(played, fitness=fitness)


def watched(rule: Rule = as_it_is) -> tuple[list[Watched], Callable[[Config], Task]]:
    """A list that will hold the tasks made, and how to make them (`played_by` of `evolve`)."""
    made: list[Watched] = []

    def played_by(config: Config) -> Task:
        made.append(Watched(config, rule))
        return made[-1]

    return made, played_by


def ruled_by(rule: Rule) -> Callable[[Config], Task]:
    """How to make tasks that score by `rule`."""
    return lambda config: Watched(config, rule)


def numbers(genomes: Genomes) -> Array:
    """A number of each genome's content alone: uint64 [P]."""
    digests = [hashlib.sha256(encode(genomes, row)).digest() for row in range(genomes.count)]
    return np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)


def blobs(genomes: Genomes) -> list[bytes]:
    """Each genome's bytes."""
    return [encode(genomes, row) for row in range(genomes.count)]


def standing_still(genomes: Genomes, items: Array, keys: Array, fitness: Array) -> float:
    """Every genome scores 1."""
    return 1.0


def pure_luck(genomes: Genomes, items: Array, keys: Array, fitness: Array) -> Array:
    """Standard normal noise, another for every genome and episode: every genome is worth 0."""
    number = numbers(genomes)
    draws = [np.random.default_rng([number[i], key]).normal() for i, key in zip(items, keys, strict=True)]
    return np.array(draws)


def failing(genomes: Genomes, items: Array, keys: Array, fitness: Array) -> Array:
    """A third of a generation fails, those that would score best; who that is changes with the pellets."""
    value = ((numbers(genomes)[items] ^ keys) % np.uint64(1000)).astype(np.float32)
    in_a_generation = len(items) == genomes.count  # the champion's episodes are several a genome
    return np.where(in_a_generation & (value > 666), np.nan, value)


def every_one_fails(genomes: Genomes, items: Array, keys: Array, fitness: Array) -> float:
    """No evaluation succeeds."""
    return float("nan")
