"""What the pool's tests build with: pools, genomes whose bytes tell their fitness, a process that dies on cue."""

import hashlib
import multiprocessing
import os
import signal
import struct

from islands import faults
from islands.pool import Migrant, Outbox, Pool, Reader

AGREE = {"task": "pellets", "mode": "neat", "observations": 12}
FORK = multiprocessing.get_context("fork")


def make_pool(folder, **kwargs):
    return Pool.open(folder, AGREE, **kwargs)


def make_outbox(pool, name="a", epoch=1, keep=4, lock_timeout=5.0):
    return Outbox(pool, name, epoch, keep, lock_timeout)


def make_reader(pool, own="reader", max_bytes=1 << 20, lock_timeout=5.0, check=lambda genomes: None, **kwargs):
    return Reader(pool, own, max_bytes, lock_timeout, check, **kwargs)


def genome(island, generation, slot, size=600):
    """Bytes that say whose they are; `fitness_of` reads the fitness that belongs to them."""
    seed = hashlib.sha256(f"{island}/{generation}/{slot}".encode()).digest()
    return (seed * (size // 32 + 1))[:size]


def fitness_of(data):
    return struct.unpack("<I", data[:4])[0] / 7.0


def migrants(island, generation, count=5, size=600):
    genomes = [genome(island, generation, slot, size) for slot in range(count)]
    return [Migrant(data, fitness_of(data), hashlib.sha256(data).hexdigest()) for data in genomes]


def is_whole(arrival):
    """Whether an arrival's bytes, digest and fitness belong together."""
    return (
        arrival.reason == ""
        and hashlib.sha256(arrival.genome).hexdigest() == arrival.digest
        and fitness_of(arrival.genome) == arrival.fitness
    )


def first(n):
    """A `pick` without randomness."""
    return 0


def published(pool, name="a"):
    """The names of the publications in an outbox, oldest first."""
    return sorted(entry for entry in os.listdir(pool.outboxes / name) if not entry.startswith("."))


def in_a_process(function, *arguments):
    process = FORK.Process(target=function, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


def killed_at(point, function, *arguments):
    """Run in a process that kills itself at `point`; it must really have died of that."""

    def run():
        os.environ[faults.VARIABLE] = f"{point}:{faults.KILL}"
        faults.forget()
        function(*arguments)

    assert in_a_process(run) == -signal.SIGKILL, point


def steps_of(function, *arguments):
    """Every (step, passage) that `function` goes through, from a dry run in this process."""
    faults.forget()
    function(*arguments)
    return [f"{name}:{hit + 1}" for name, hits in faults.passed.items() for hit in range(hits) if name != faults.ANY]
