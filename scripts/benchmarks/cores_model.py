"""128 and 1,000 islands on a core each, from what was measured here: the efficiency to expect, and what breaks first.

The model: every island has a core of its own and computes a generation in its measured CPU time, give or take a tenth.
It then writes its checkpoint, as often as `islands.crowd` lets it, and every so many generations a migration, each a
number of durable writes. These share
one disk: a queue, first come first served, with as many servers and such a service time as the disk here was measured
to have with one writer and with many. A publication holds the outbox's lock while it is written, and the one reader of
a ring waits for it. The launcher takes what it was measured to take, growing with the islands, from the first core.
Efficiency is computing over elapsed time, all islands together. Memory bandwidth, caches and clocks that fall when all
cores are busy are not in it: no machine with 128 cores was there to measure them.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import resource
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import crowd, files
from islands.config import RecordConfig
from launcher import host
from scripts.benchmarks.pieces import short, table

UNCROWDED = "the disk, if each wrote a checkpoint at every generation"
SHARED = f"{crowd.CHECKPOINTS:.0f} checkpoints and {crowd.HEARTBEATS:.0f} heartbeats a second in all"
COUNTS = (2, 8, 32, 128, 1_000)
EVERY = 10
"""Generations between two migrations."""
PER_MIGRATION = 2
"""Durable writes: the publication, and the log of what was decided."""
BEATS = 2.0
"""Heartbeats a second, each a durable write."""
SIZE = 200_000
"""Bytes of a checkpoint of a population of 500, about."""
WRITERS = 16
FAR = 100_000
"""Islands from which on nobody counts."""


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU a generation and a migration; the disk's service time and how many writes it serves at once;
    cores that the launcher takes for each island."""

    generation: float
    migration: float
    write: float
    servers: int
    launcher: float


def disk(quick: bool) -> dict[str, float]:
    """Durable writes a second of one writer, and of many at a time."""
    with tempfile.TemporaryDirectory(prefix="evolab-cores-") as name:
        folder, data, times = Path(name), bytes(SIZE), 20 if quick else 60

        def write(index: int) -> None:
            for _ in range(times):
                files.replace_atomically(folder / str(index), data)

        began = time.perf_counter()
        write(0)
        one = times / (time.perf_counter() - began)
        with ThreadPoolExecutor(WRITERS) as pool:
            began = time.perf_counter()
            list(pool.map(write, range(WRITERS)))
        return {"one": one, "many": WRITERS * times / (time.perf_counter() - began)}


def costs(found: dict[str, Any]) -> Costs:
    """What the model needs, from the piece's figures."""
    usual = found["migration"][-1]  # from as many neighbours as among many islands
    few, many = found["many"]
    one, most = found["disk"]["one"], found["disk"]["many"]
    grown = max(0.0, many["launcher cores"] - few["launcher cores"]) / (many["islands"] - few["islands"])
    return Costs(usual["generation cpu"], usual["cpu"], 1 / one, max(1, round(most / one)), grown)


def efficiency(cost: Costs, islands: int, crowded: bool = True, generations: int = 60) -> float:
    """Computing over elapsed time of islands, a core each; not `crowded`: a checkpoint at every generation."""
    sea = Sea(cost, islands, crowded, generations)
    lives = [sea.life(index) for index in range(islands)]
    due = [(next(life), index) for index, life in enumerate(lives)]
    heapq.heapify(due)
    elapsed = [0.0] * islands
    while due:
        now, index = heapq.heappop(due)
        elapsed[index] = now
        with contextlib.suppress(StopIteration):
            heapq.heappush(due, (lives[index].send(now), index))
    return sea.computed / sum(elapsed)


class Sea:
    """What islands share: the disk, and outboxes. Times in seconds."""

    def __init__(self, cost: Costs, islands: int, crowded: bool, generations: int) -> None:
        self.cost, self.islands, self.generations = cost, islands, generations
        among = islands if crowded else 1
        own = RecordConfig().checkpoint_seconds
        self._checkpoints = max(own, crowd.spacing(among, crowd.CHECKPOINTS, islands)) if crowded else 0.0
        self._beats = max(1 / BEATS, crowd.spacing(among, crowd.HEARTBEATS, islands))
        self.computed = 0.0
        self._draw = random.Random(1)
        self._disk = [0.0] * cost.servers  # when each of its servers is free
        self._held = [0.0] * islands  # until when each outbox is

    def life(self, index: int) -> Generator[float, float, None]:
        """An island: yields the moment at which it goes on, and is sent it when it has come."""
        cost, beat, saved = self.cost, 0.0, self._draw.random() * -self._checkpoints
        slower = 1.0 + (cost.launcher * self.islands if index == 0 else 0.0)
        now = yield self._draw.random() * cost.generation
        for generation in range(self.generations):
            if generation % EVERY == index % EVERY:
                now = yield max(now, self._held[index], self._held[index - 1])
                self._held[index] = self._written(now)
                now = yield self._held[index]
                for _ in range(PER_MIGRATION - 1):
                    now = yield self._written(now)
                now = yield now + cost.migration
            work = cost.generation * self._draw.uniform(0.9, 1.1)
            self.computed += work
            now = yield now + work * slower
            if now - saved >= self._checkpoints:
                now = saved = yield self._written(now)
            if now - beat > self._beats:
                beat = now
                now = yield self._written(now)

    def _written(self, now: float) -> float:
        """When a durable write that begins now is on the disk."""
        done = max(now, heapq.heappop(self._disk)) + self.cost.write
        heapq.heappush(self._disk, done)
        return done


def breaking(found: dict[str, Any], cost: Costs) -> list[tuple[str, str, str, float]]:
    """What there is of each thing here, what an island takes of it, and at how many islands it is used up."""
    many, few = found["many"][1], found["many"][0]
    ratio = {key: (many[key] - few[key]) / (many["islands"] - few["islands"]) for key in ("PSS MB", "status CPU s")}
    rate = found["disk"]["many"]
    migrations = PER_MIGRATION / EVERY / cost.generation
    each = 1 / cost.generation + migrations + BEATS
    enough = max(0.0, rate - crowd.CHECKPOINTS - crowd.HEARTBEATS) / migrations
    ram, pids = 1e3 * host.memory().total, int(Path("/proc/sys/kernel/pid_max").read_text())
    memory = many["whole tree MB"] / many["islands"]
    opened = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    status, free = max(ratio["status CPU s"], 1e-9), 0.5 - few["status CPU s"]
    look = max(cost.launcher, 1e-6)
    there = f"{short(rate)} durable writes/s"
    lines = [
        (f"the disk: migrations, and {SHARED}", there, f"{short(migrations)}/s", enough),
        (UNCROWDED, there, f"{short(each)}/s", rate / each),
        ("the launcher's looks", "1 core", f"{short(1e3 * look)} ms/s", 1 / look),
        ("memory, islands of a tiny task", f"{ram:,.0f} MB", f"{short(memory)} MB", ram / memory),
        ("the launcher's open files", f"{opened:,}", "3 at most", opened / 3),
        ("processes", f"{pids:,}", "1", pids),
        ("`evolab status` within half a second", "0.5 s", f"{short(1e3 * status)} ms", free / status),
    ]
    return sorted(lines, key=lambda line: line[3])


def section(found: dict[str, Any]) -> str:
    """The efficiency to expect, and what breaks first."""
    cost = costs(found)
    rows = [
        (f"{count:,}", *(f"{efficiency(cost, count, crowded):.1%}" for crowded in (True, False))) for count in COUNTS
    ]
    header = ("islands, a core each", "efficiency", "if each wrote a checkpoint at every generation")
    lines = [(what, there, each, _count(islands)) for what, there, each, islands in breaking(found, cost)]
    first = next(line for line in lines if not line[0].startswith(UNCROWDED))
    wide = ("what", "there is here", "an island takes", "enough for so many islands")
    return (
        f"Simulated from a generation of {short(1e3 * cost.generation)} ms, a migration of"
        f" {short(1e3 * cost.migration)} ms and durable writes of {short(1e3 * cost.write)} ms, {cost.servers} at a"
        f" time ({short(found['disk']['many'])} a second); the model is in `scripts/benchmarks/cores_model.py`, and"
        f" leaves memory bandwidth, caches and clocks out.\n\n{table(header, rows)}\n\nWhat breaks first, with this"
        f" machine's disk and limits: {first[0]}, at about {first[3]} islands. Islands and launcher use no inotify, and"
        f" run and pool have a folder with an entry an island.\n\n{table(wide, lines)}"
    )


def _count(islands: float) -> str:
    return f"{islands:,.0f}" if islands < FAR else f"more than {FAR:,}"
