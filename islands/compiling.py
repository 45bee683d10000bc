"""Compile once: islands that start together wait for the first one's kernels instead of each making their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from filelock import FileLock, Timeout

from islands.config import Config
from islands.kernel import FOLDER
from islands.tasks import Task

PATIENCE = 180.0
"""Seconds to wait for another process that is compiling; then everyone compiles for themselves."""


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if FOLDER is None:
        yield
        return
    lock = FileLock(FOLDER / ".compiling.lock", timeout=PATIENCE)
    try:
        lock.acquire()
    except (Timeout, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def one_compiles_for_all(config: Config, task: Task) -> None:
    """Load the kernels that a run of `config` needs, compiling what is not in the cache; about 0.1 s when all is."""
    from islands.algorithms import Told, breeder_of
    from islands.genome.distance import Coefficients, distance, scratch
    from islands.genome.population import Population
    from islands.loop import breeding_of
    from islands.speciation import note_progress

    few = min(8, config.population)
    small = dataclasses.replace(config, population=few, selection=dataclasses.replace(config.selection, elites=0))
    with _one_at_a_time():
        breeder = breeder_of(breeding_of(small, task))
        first = breeder.first((1, 0, 0))
        genomes, fitness = first.genomes, np.arange(few, dtype=np.float32)
        species = breeder.sort(genomes, note_progress(first.species, fitness, 0), 0)
        told = Told(Population(genomes, fitness), note_progress(species, fitness, 0), first.memory, [])
        breeder.breed(told, 1.0, (1, 0, 0))
        distance(genomes, 0, genomes, 0, Coefficients(1.0, 1.0, 1.0), scratch(genomes))  # as migration asks for it
        task.warm_up(genomes)
