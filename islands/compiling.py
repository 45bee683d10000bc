"""Compile once: islands that start together wait for the first one's kernels instead of each making their own."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numba.core.registry import cpu_target

from islands import rng, threads
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


YOUNG = (50_000, 20, 1_000_000)
"""So many objects before garbage is looked for among the young ones, and so on; never among all."""


@contextmanager
def _patient_collection() -> Iterator[None]:
    """A compiler makes millions of objects that stay: not to look through them again and again saves a tenth of its
    time, and never to look at what is there by its end the same in every later collection."""
    usual = gc.get_threshold()
    gc.set_threshold(*YOUNG)
    try:
        yield
    finally:
        gc.collect(1)
        gc.freeze()
        gc.set_threshold(*usual)


def one_compiles_for_all(config: Config, task: Task) -> None:
    """Load the kernels that a run of `config` needs, compiling what is not in the cache; about 0.1 s when all is.

    Where the cache is empty and there is a second core, another process compiles one half meanwhile: drawing and
    breeding, which have parts in common.
    """
    from islands.algorithms import Told, breeder_of
    from islands.genome.distance import Coefficients, distance, scratch
    from islands.genome.draft import nobody
    from islands.genome.population import Population
    from islands.loop import breeding_of
    from islands.speciation import note_progress

    few = min(8, config.population)
    small = dataclasses.replace(config, population=few, selection=dataclasses.replace(config.selection, elites=0))
    with _one_at_a_time(), _patient_collection():
        breeder = breeder_of(breeding_of(small, task))
        with _meanwhile(_compile_breeding, config, task) as shared:
            if shared:
                on_cpu = config.device == "cpu"
                task.warm_up(nobody(task.layout) if on_cpu else breeder.first((1, 0, 0)).genomes)
                _compile_choosing(config, task)
            rng.warm_up()
        first = breeder.first((1, 0, 0))
        genomes, fitness = first.genomes, np.arange(few, dtype=np.float32)
        task.warm_up(genomes)
        species = breeder.sort(genomes, note_progress(first.species, fitness, 0), 0)
        told = Told(Population(genomes, fitness), note_progress(species, fitness, 0), first.memory, [])
        breeder.breed(told, 1.0, (1, 0, 0))
        if config.migration.select == "different" or config.migration.replace == "nearest":
            distance(genomes, 0, genomes, 0, Coefficients(1.0, 1.0, 1.0), scratch(genomes))


def _compile_breeding(config: Config, task: Task) -> None:
    """Compile drawing and breeding, by drawing and breeding nobody."""
    from islands.genome.draft import nobody
    from islands.genome.initial import draw_genomes
    from islands.loop import breeding_of
    from islands.reproduction import Plan, breed

    none, breeding = np.empty(0, np.int64), breeding_of(config, task)
    draw_genomes(0, np.uint64(1), task.layout, breeding.first)
    breed(nobody(task.layout), Plan(none, none, np.empty(0, np.uint8)), breeding, 1.0, (0, 0, 0))


def _compile_choosing(config: Config, task: Task) -> None:
    """Compile species and the choice of parents, with one species of one genome."""
    from islands.genome.draft import Room, make_genomes
    from islands.reproduction import plan, sizes
    from islands.speciation import found_species

    blank = make_genomes(1, Room(1, 1, 1, 1), task.layout)
    species = found_species(blank, config.speciation, 0)
    plan(np.zeros(1, np.float32), sizes(blank), species, config, np.uint64(0))


@contextmanager
def _meanwhile(work: Callable[[Config, Task], None], config: Config, task: Task) -> Iterator[bool]:
    """Do `work` in another process while the block runs, if there is anything to gain, and wait for its end.

    Yields whether another process does it.
    """
    cores, ready = threads.cores(), _ready(config, task)
    if ready is None or config.algorithm != "ga" or len(cores) < 2 or ready.exists():
        yield False
        return
    child = os.fork()
    if not child:
        with suppress(OSError):
            os.sched_setaffinity(0, cores)
        _and_no_more(work, config, task)
    try:
        yield True
        os.waitpid(child, 0)
    except BaseException:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise
    with suppress(OSError):
        ready.touch()


def _ready(config: Config, task: Task) -> Path | None:
    """The file that says that the cache has what such a run needs on such a processor; None: there is no cache."""
    if FOLDER is None:
        return None
    processor = cpu_target.target_context.codegen().magic_tuple()
    kind = repr((processor, config.task.name, config.mode, config.device, tuple(task.layout)))
    return FOLDER / f"{hashlib.sha256(kind.encode()).hexdigest()[:16]}.ready"


def _and_no_more(work: Callable[[Config, Task], None], config: Config, task: Task) -> None:
    """Do `work` and end this process without a word: whoever waits for it compiles what is missing."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        work(config, task)
    finally:
        os._exit(0)
