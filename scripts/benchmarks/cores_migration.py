"""What a migration costs an island: CPU and wall time, by population, beside a whole generation of the same island.

The island and its small neighbours live in step, in this process, with their files, and migrate every generation.
Scoring the immigrants is told apart: it is evaluation, of five genomes more. Beside it stands what no program can go
below: the bare system calls that the files' promises take, with the same bytes and nothing checked.
"""

from __future__ import annotations

import fcntl
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from islands import loading
from islands.config import MigrationConfig
from islands.loop import Evolution, Island
from islands.migration import Immigrants
from islands.rollout import Scores
from islands.tasks import make
from launcher import presets, run
from scripts.benchmarks.pieces import short, table

POPULATIONS = (100, 500, 2_000, 10_000)
USUAL = 500
NEIGHBOUR = 50
"""The neighbour's population: it sends as many emigrants as a large one."""
MANY = 5
"""Neighbours of an island among many: each of the five immigrants comes from another one."""
WARM_UP = 2
KEPT = MigrationConfig.keep
"""Publications in an outbox."""
MOST = 0.01
"""The bar: a migration's share of a generation."""
GROWTH = 2.0
"""So many times the usual population's migration may one of the largest cost to be called independent of it."""


class Timed(Evolution):
    """The loop, with notes of what migrations took; CPU and wall seconds, scoring within each."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.migration, self.scoring = [0.0, 0.0], [0.0, 0.0]

    def migrate(self, islands: Sequence[Island]) -> None:
        """See `Evolution`."""
        self.scoring = [0.0, 0.0]
        _, self.migration = _timed(lambda: super(Timed, self).migrate(islands))

    def score(self, islands: Sequence[Island], came: Sequence[Immigrants]) -> list[Scores | None]:
        """See `Evolution`."""
        scores, self.scoring = _timed(lambda: super(Timed, self).score(islands, came))
        return scores


def _timed(body: Callable[[], Any]) -> tuple[Any, list[float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = body()
    return found, [time.process_time() - cpu, time.perf_counter() - wall]


def measure(quick: bool) -> list[dict[str, Any]]:
    """A row a population with one neighbour, and one with many."""
    generations = 4 if quick else 8
    rows = [of_population(population, 1, generations) for population in POPULATIONS]
    return [*rows, of_population(USUAL, MANY, generations)]


def bare(quick: bool) -> dict[str, float]:
    """The system calls of a migration with one neighbour and nothing else: medians of CPU and wall seconds, and bytes.

    Publish: lock, write, wait, rename, wait, list, remove the oldest. Take: list the pool, lock, list, read. Log:
    append and wait. See `islands.pool` and `islands.files` for what each is there for.
    """
    with tempfile.TemporaryDirectory(prefix="evolab-cores-") as name:
        publication, line = _bytes_of_a_migration(Path(name))
        own, other = (Path(name, island) for island in ("own", "other"))
        for folder in (own, other):
            folder.mkdir()
            (folder / ".lock").touch()
        (other / "publication").write_bytes(publication)
        noted = []
        for number in range(10 if quick else 200):
            _, spent = _timed(lambda number=number: _bare_calls(own, other, number, publication, line))
            noted.append(spent)
    cpu, wall = (statistics.median(spent[i] for spent in noted) for i in (0, 1))
    return {"cpu": cpu, "wall": wall, "published": len(publication), "logged": len(line)}


def _bytes_of_a_migration(folder: Path) -> tuple[bytes, bytes]:
    """What an island here publishes, and what it then adds to its log."""
    large, small = archipelago(folder, USUAL, 1)
    for _ in range(1 + WARM_UP):  # the first generation has nobody to send
        advance(small)
        advance(large)
    advance(small)
    log = large.islands[0].place.migrations
    before = log.stat().st_size
    advance(large)
    newest = max((folder / "pool" / "migration_pool" / large.islands[0].name).glob("*.safetensors"))
    return newest.read_bytes(), log.read_bytes()[before:]


def _bare_calls(own: Path, other: Path, number: int, publication: bytes, line: bytes) -> None:
    with _locked(own) as folder:
        file = os.open(f".{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
        os.write(file, publication)
        os.fsync(file)
        os.close(file)
        os.rename(f".{number}", f"{number}", src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
        os.listdir(folder)
        if number >= KEPT:
            os.unlink(f"{number - KEPT}", dir_fd=folder)
    os.listdir(own.parent)
    with _locked(other) as folder:
        os.listdir(folder)
        file = os.open("publication", os.O_RDONLY, dir_fd=folder)
        os.read(file, os.fstat(file).st_size)
        os.close(file)
    file = os.open(own.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line)
    os.fsync(file)
    os.close(file)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    lock = os.open(".lock", os.O_RDWR, dir_fd=folder)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield folder
    os.close(lock)
    os.close(folder)


def of_population(population: int, neighbours: int, generations: int) -> dict[str, Any]:
    """The medians over some generations, each with a migration."""
    with tempfile.TemporaryDirectory(prefix="evolab-cores-") as folder:
        large, *others = archipelago(Path(folder), population, neighbours)
        noted = []
        for generation in range(WARM_UP + generations):
            for small in others:
                advance(small)
            _, whole = _timed(lambda: advance(large))
            if generation >= WARM_UP:
                noted.append((large.migration, large.scoring, whole))
    columns = [[statistics.median(line[i][j] for line in noted) for j in (0, 1)] for i in range(3)]
    (cpu, wall), (scoring_cpu, scoring_wall), (whole_cpu, whole_wall) = columns
    return {
        "population": population, "neighbours": neighbours,
        "cpu": cpu, "wall": wall, "scoring cpu": scoring_cpu, "scoring wall": scoring_wall,
        "generation cpu": whole_cpu - cpu, "generation wall": whole_wall - wall,
    }  # fmt: skip


def archipelago(folder: Path, population: int, neighbours: int) -> list[Timed]:
    """An island of so many genomes and its small neighbours, in a pool of their own."""
    from islands.__main__ import island_of

    config = presets.resolve("neat_baseline", [f"population={population}", "migration.every=1", "generations=1000000"])
    names = (("large", config.seed), *((f"small-{number}", config.seed) for number in range(neighbours)))
    own: list[dict[str, Any]] = [{}, *({"population": NEIGHBOUR} for _ in range(neighbours))]
    place = run.make(folder / "run", config, run.Plan("launch", "neat_baseline", names, True, 1, folder / "pool", own))
    plan = place.read_plan()
    made = []
    for entry in plan["islands"]:
        each = loading.of_island(config, entry)
        task = make(each)
        made.append(Timed(each, task, [island_of(place, plan, entry, each, task.layout, {})], lambda: False))
    return made


def advance(evolution: Timed) -> None:
    """A generation with its files."""
    (island,) = evolution.islands
    evolution.advance([island])
    evolution.record(island, False)


def section(rows: list[dict[str, Any]], calls: dict[str, float], every: int) -> str:
    """The table and its verdicts. `calls`: what `bare` found. `every`: generations between migrations by default."""
    lines = [
        (
            f"{row['population']:,}",
            str(row["neighbours"]),
            f"{_ms(row['cpu'])} · {_ms(row['wall'])}",
            f"{_ms(row['scoring cpu'])} · {_ms(row['scoring wall'])}",
            f"{_ms(row['generation cpu'])} · {_ms(row['generation wall'])}",
            f"{row['cpu'] / row['generation cpu']:.2%}",
            f"{(row['cpu'] - row['scoring cpu']) / row['generation cpu']:.2%}",
            f"{row['cpu'] / row['generation cpu'] / every:.2%}",
        )
        for row in rows
    ]
    header = ("population", "neighbours", "a migration, ms CPU · wall", "of it scoring the immigrants",
              "a generation, ms CPU · wall", "a migration's share of a generation's CPU", "without the scoring",
              f"spread over the {every} generations between two")  # fmt: skip
    return f"{table(header, lines)}\n\n{' '.join(verdicts(rows, every))}\n\n{lowest(rows, calls)}"


def verdicts(rows: list[dict[str, Any]], every: int) -> list[str]:
    """What the rows come to."""
    *single, several = rows
    usual, largest = next(row for row in single if row["population"] == USUAL), single[-1]
    share = usual["cpu"] / usual["generation cpu"]
    met = "met" if share < MOST else f"missed, {share / MOST:.1f} times as much"
    growth = (largest["cpu"] - largest["scoring cpu"]) / (usual["cpu"] - usual["scoring cpu"])
    times = largest["population"] // USUAL
    flat = "met" if growth < GROWTH else "missed"
    return [
        f"A migration of 5 genomes at population {USUAL}: {share:.2%} of a generation (bar {MOST:.0%}: {met};",
        f"{share / every:.2%} of the time, as one comes every {every} generations; from {several['neighbours']}",
        f"neighbours, {several['cpu'] / several['generation cpu'] / every:.2%}).",
        f"Independent of the population: {times} times the population takes {short(growth)} times as long, scoring",
        f"left out (less than {GROWTH:g}: {flat}).",
    ]


def lowest(rows: list[dict[str, Any]], calls: dict[str, float]) -> str:
    """What the files' promises take of a generation, were everything else free."""
    usual = next(row for row in rows if row["population"] == USUAL)
    cpu, wall = (calls[kind] / usual[f"generation {kind}"] for kind in ("cpu", "wall"))
    verdict = ": nothing that keeps these promises reaches the bar here" if min(cpu, wall) > MOST else ""
    return (
        "What that migration would take if it were nothing but its system calls (two locks,"
        f" {calls['published']:,.0f} bytes written and as many read, {calls['logged']:,.0f} added to the log, three"
        f" waits for the disk): {_ms(calls['cpu'])} ms of CPU and {_ms(calls['wall'])} ms of wall time, {cpu:.1%} and"
        f" {wall:.1%} of a generation{verdict}. The rest is Python: genomes encoded, checked, decoded, compared with"
        " those that are here, scored, and sorted into species."
    )


def _ms(seconds: float) -> str:
    return short(seconds * 1e3)
