"""What the tests of migration build with: drawn populations, islands that only migrate, a score that is cheap."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from islands.config import Config
from islands.files import read_jsonl
from islands.genome.distance import Coefficients, distance, scratch
from islands.genome.initial import draw_genomes
from islands.genome.population import Array, Genomes, Population, encode, take
from islands.loop import breeding_of
from islands.migration import Migrator
from islands.pool import Migrant, Outbox, Pool
from islands.rundir import RunDir
from islands.tasks import make
from tests.islands.evolving import digests, evolve, log, make_run, tiny

SELECTIONS = ("best", "random", "different")
NAMES = ("island-000", "island-001", "island-002", "island-003")
EVERY = ("task.duration=2.0", "migration.every=1")
"""A migration at every generation, and creatures that live long enough to differ in fitness."""
IMPATIENT = "migration.lock_timeout=0.01"
"""For tests that hold a lock all the time."""
REPLACEMENTS = ("worst", "worst-if-better", "nearest")
FITNESS = st.sampled_from([0.0, -0.0, 1.0, 2.5, -3.0, *map(float, ("nan", "inf", "-inf"))]) | st.floats(width=32)


@lru_cache(64)
def drawn(count: int, key: int = 1, config: Config | None = None) -> Genomes:
    """`count` genomes of the first draw of `config`, by default a tiny one."""
    config = config or tiny()
    task = make(config)
    return draw_genomes(count, np.uint64(key), task.layout, breeding_of(config, task).first)


def worth(genomes: Genomes) -> Array:
    """A fitness that belongs to a genome: a function of its bytes alone (float32 [P], 0 to 1000)."""
    digests = [hashlib.sha256(blob).digest() for blob in blobs(genomes)]
    return np.array([int.from_bytes(digest[:3], "little") % 100_000 / 100 for digest in digests], np.float32)


def population(genomes: Genomes, fitness: Sequence[float] | None = None) -> Population:
    """Genomes with the fitness given, or the one that belongs to them."""
    return Population(genomes, worth(genomes) if fitness is None else np.array(fitness, np.float32))


def blobs(genomes: Genomes) -> list[bytes]:
    """Each genome's bytes."""
    return [encode(genomes, row) for row in range(genomes.count)]


def distinct(genomes: Genomes) -> int:
    """How many different genomes there are."""
    return len(set(blobs(genomes)))


def migrator(folder: Path, name: str, config: Config, epoch: int = 1, generation: int = 0) -> Migrator:
    """An island's migrations as its process finds them when it starts: pool joined, log read from `generation` on."""
    made = Migrator(config, make(config).layout, name, (config.seed, sum(name.encode())), folder / f"{name}.jsonl")
    made.join(folder / "pool", epoch, None)
    made.recall(generation)
    return made


def serve(pool: Pool, name: str, genomes: Sequence[bytes], told: Sequence[float] | None = None, **of: Any) -> None:
    """Publish genomes as the island `name`, with the fitness `told` (0 where nothing is)."""
    told = told or [0.0] * len(genomes)
    leaving = [Migrant(blob, t, hashlib.sha256(blob).hexdigest()) for blob, t in zip(genomes, told, strict=True)]
    Outbox(pool, name, of.get("epoch", 1), 4, 1.0).publish(of.get("generation", 1), leaving)


def lines(island: Migrator) -> list[dict[str, Any]]:
    """An island's migrations log as it stands."""
    return read_jsonl(island.log)


def arrivals(island: Migrator) -> list[dict[str, Any]]:
    """The lines of a log that tell of arrivals."""
    return [line for line in lines(island) if "admitted" in line]


def reasons(island: Migrator) -> list[str]:
    """Why each arrival was refused, "" for those admitted."""
    return [line["reason"] for line in arrivals(island)]


def counting(score: Callable[[Genomes], Array]) -> tuple[list[int], Callable[[Genomes], Array]]:
    """How many genomes were scored at each call, and the score that keeps this count."""
    counts: list[int] = []

    def counted(genomes: Genomes) -> Array:
        counts.append(genomes.count)
        return score(genomes)

    return counts, counted


def picked(genomes: Genomes, *rows: int) -> list[bytes]:
    """The bytes of some genomes."""
    return blobs(take(genomes, rows))


@st.composite
def populations(
    draw: st.DrawFn, least: int = 1, most: int = 12, fitness: st.SearchStrategy[float] | None = FITNESS
) -> Population:
    """Populations with duplicates among their genomes and every kind of fitness (None: the one that belongs)."""
    rows = draw(st.lists(st.integers(0, 9), min_size=least, max_size=most))
    genomes = take(drawn(10, draw(st.integers(1, 3))), rows)
    told = None if fitness is None else draw(st.lists(fitness, min_size=len(rows), max_size=len(rows)))
    return population(genomes, told)


def apart(one: Genomes, row: int, other: Genomes, slot: int) -> float:
    """The distance of two genomes, as a tiny configuration's speciation measures it."""
    s = tiny().speciation
    return float(distance(one, row, other, slot, Coefficients(s.excess, s.disjoint, s.weight), scratch(one, other)))


def archipelago(folder: Path, config: Config, names: Sequence[str] = NAMES[:2], run: str = "run") -> RunDir:
    """A run of islands that meet in the folder's pool."""
    return make_run(folder / run, config, names, range(1, 1 + len(names)), folder / "pool")


def alone(folder: Path, config: Config) -> list[str]:
    """Every generation's digest of an archipelago's first island without any migration."""
    run = make_run(folder / "alone", config, NAMES[:1], [1])
    evolve(run)
    return digests(run)


def arrived(run: RunDir, name: str, generation: int | None = None) -> list[dict[str, Any]]:
    """The lines of an island's log that tell of arrivals (at one generation)."""
    came = [line for line in log(run, name) if "admitted" in line]
    return [line for line in came if generation in (None, line["generation"])]


def outbox(folder: Path, name: str) -> Path:
    """An island's outbox in the folder's pool."""
    return folder / "pool" / "migration_pool" / name
