"""Migration: who leaves, who is taken in, whom they replace, and the log that makes it repeatable.

At a migration an island publishes its emigrants, takes immigrants from the
islands its topology names, evaluates them on its own episodes, decides, writes
every arrival durably to its log and only then lets them in. The log holds the
genomes that were admitted, so the same generation can be done again from the
log alone: after a crash, and to replay an island without the others.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from islands import quarantine
from islands.config import Config
from islands.errors import EvolabError
from islands.faults import fault_point
from islands.files import JsonLines, dumps, each_line, move, record_in, renew, replace_atomically, tail_jsonl
from islands.genome.distance import Coefficients, distance, scratch
from islands.genome.population import (
    Array,
    Genomes,
    Layout,
    Population,
    concatenate,
    decode,
    encode,
    equal,
    rows_equal_to,
)
from islands.genome.population import replace as replace_genomes
from islands.pool import Arrival, LockTimeout, Migrant, Outbox, Pool, Reader, Skipped
from islands.rng import Purpose, below, stream
from islands.selection import ranking
from islands.topology import neighbours

LOG_SEGMENT = 256 << 20
"""Bytes at which the log is put aside; one put-aside segment is kept, so it is bounded by twice this."""

Score = Callable[[Genomes], Array]
"""Fitness (float32 [M]) of immigrants on the receiver's episodes of this generation."""


def agreement(config: Config, layout: Layout) -> dict[str, Any]:
    """What islands must share to exchange genomes: the task and what a genome's arrays mean.

    What a layout has a default for is named only where it differs, so that pools from before it are still joined.
    """
    usual = Layout._field_defaults
    told = {name: int(value) for name, value in layout._asdict().items() if value != usual.get(name)}
    return {**told, "task": config.task.name, "mode": config.mode}


def most_parts(config: Config, layout: Layout) -> tuple[int, int, int, int]:
    """The most body nodes, muscles (and plain outputs), neurons and connections that a genome here may have."""
    bodies, muscles = config.body.max_nodes, config.body.max_muscles
    inputs = layout.inputs + muscles * layout.strain + bodies * (3 * layout.velocity + layout.contact)
    neurons = 0 if layout.hidden else config.network.max_hidden + muscles + layout.outputs
    return bodies, muscles + layout.outputs, neurons, neurons * (neurons + inputs)


def largest_publication(config: Config, layout: Layout) -> int:
    """Bytes of the largest publication that can be legal under this configuration (from the limits it sets)."""
    bodies, muscles, neurons, connections = most_parts(config, layout)
    body, muscle, shared = layout.columns
    genome = bodies * (8 + 4 * body) + muscles * (24 + 4 * muscle) + 4 * shared
    genome += neurons * 13 + connections * 29 + 8192
    return config.migration.migrants * (genome + 1024) + 65536


def emigrants(genomes: Genomes, fitness: Array, config: Config, key: np.uint64) -> list[int]:
    """Rows that leave: `best` the best, `random` any, `different` the most different among the better half.

    No two are equal and none has failed. `different` starts from the best and adds the genome whose nearest chosen one
    is farthest away (Araujo et al. 2009 choose by difference above a fitness threshold).
    """
    policy = config.migration
    ranked = [int(row) for row in ranking(fitness) if np.isfinite(fitness[row])]
    if policy.select == "random":
        ranked = [ranked[i] for i in _shuffled(len(ranked), key)]
    if policy.select == "different" and ranked:
        ranked = _farthest_first(genomes, ranked[: max(1, len(ranked) // 2)], policy.migrants, config)
    chosen: list[int] = []
    for row in ranked:
        if len(chosen) == policy.migrants:
            break
        if not any(equal(genomes, row, genomes, other) for other in chosen):
            chosen.append(row)
    return chosen


def _shuffled(count: int, key: np.uint64) -> list[int]:
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = int(below(key, i, i + 1))
        order[i], order[j] = order[j], order[i]
    return order


def _distances(genomes: Genomes, row: int, rows: list[int], config: Config) -> Array:
    pairs = scratch(genomes)
    s = config.speciation
    weights = Coefficients(s.excess, s.disjoint, s.weight)
    return np.array([distance(genomes, row, genomes, other, weights, pairs) for other in rows], np.float32)


def _farthest_first(genomes: Genomes, rows: list[int], count: int, config: Config) -> list[int]:
    chosen = rows[:1]
    nearest = _distances(genomes, chosen[0], rows, config)
    while len(chosen) < min(count, len(rows)):
        chosen.append(rows[int(np.argmax(nearest))])
        nearest = np.minimum(nearest, _distances(genomes, chosen[-1], rows, config))
        nearest[[rows.index(row) for row in chosen]] = -1.0
    return chosen


@dataclass(frozen=True)
class Exchange:
    """What a migration did: the population with its immigrants, the slots they took, their digests, counts to add."""

    population: Population
    slots: list[int]
    digests: list[str]
    counts: dict[str, int]


@dataclass
class Migrator:
    """One island's migrations. `reader` and `outbox` are None when an island is replayed from its log alone."""

    config: Config
    layout: Layout
    name: str
    key: tuple[int, int]  # seed, island
    log: Path
    pool: Pool | None = None
    outbox: Outbox | None = None
    reader: Reader | None = None
    logged: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    avoid: frozenset[str] = frozenset()  # digests of genomes that are never taken in

    def due(self, generation: int) -> bool:
        """Whether immigrants are taken after this generation's evaluation."""
        every = self.config.migration.every
        return every > 0 and self.config.migration.migrants > 0 and generation > 0 and generation % every == 0

    def join(self, directory: Path, epoch: int, pool_id: str | None) -> None:
        """Join the pool in `directory`, as its `epoch`-th incarnation."""
        policy = self.config.migration
        self.pool = Pool.open(directory, agreement(self.config, self.layout), pool_id)
        with suppress(LockTimeout):  # held by a reader that was stopped; its own count of starts has to do
            epoch = max(epoch, self.pool.next_epoch(self.name, policy.lock_timeout))
        largest = largest_publication(self.config, self.layout)
        self.outbox = Outbox(self.pool, self.name, epoch, policy.keep, policy.lock_timeout, largest)
        self.reader = Reader(self.pool, self.name, largest, policy.lock_timeout, self._check)

    def recall(self, generation: int) -> None:
        """Read the log: what was decided from `generation` on is repeated, what was not completed is forgotten.

        A damaged line of an earlier generation does no harm; a later one is an error, since what followed is unknown.
        """
        renew(self.log)
        segments = (put_aside(self.log), self.log)
        complete = {line["generation"] for segment in segments for line in _completed(segment)}
        self.logged = {g: [] for g in sorted(complete) if g >= generation}
        damaged: str | None = None
        for segment in segments:
            changed = False
            for number, text in each_line(segment):
                was = record_in(text)
                line = self._kept(was, complete, generation)
                changed = changed or line != was
                if was is None:
                    damaged = f"{segment}, line {number}"
                elif was["generation"] < generation:
                    damaged = None
                if line is not None:
                    self._remember(line)
            if damaged:
                do = "move the log away to go on with migrants that come now; the island can then not be replayed"
                raise EvolabError(damaged, expected="a line of the log of migrations", got="damage", do=do)
            if changed:
                lines = (self._kept(record_in(text), complete, generation) for _, text in each_line(segment))
                replace_atomically(segment, b"".join(_line(line) for line in lines if line))

    def _kept(self, line: dict[str, Any] | None, complete: set[int], generation: int) -> dict[str, Any] | None:
        """A line of the log as it stays; None: it goes, because it is of a decision that was not completed."""
        if line is None or not ("event" in line or line["generation"] in complete):
            return None
        return quarantine.corrected(line, generation, self.avoid)

    def _remember(self, line: dict[str, Any]) -> None:
        if line["generation"] in self.logged and "event" not in line:
            self.logged[line["generation"]].append(line)
        if self.reader:
            _note_taken(self.reader, line)

    def publish(self, generation: int, population: Population) -> int:
        """Put this generation's emigrants into the outbox; returns how many. A lock not had is a line in the log."""
        if self.outbox is None:
            return 0
        key = stream(*self.key, generation, Purpose.EMIGRANTS)
        rows = emigrants(population.genomes, population.fitness, self.config, key)
        if not rows:
            return 0
        blobs = [encode(population.genomes, row) for row in rows]
        migrants = [
            Migrant(blob, float(population.fitness[row]), hashlib.sha256(blob).hexdigest())
            for blob, row in zip(blobs, rows, strict=True)
        ]
        try:
            published = self.outbox.publish(generation, migrants)
        except Skipped as error:
            self._write([{"generation": generation, "event": "skipped", "reason": str(error)}])
            return 0
        line = {"event": "published", "sequence": published.sequence, "digests": published.digests}
        self._write([{"generation": generation, **line}])
        return len(rows)

    def exchange(self, generation: int, population: Population, score: Score) -> Exchange:
        """Take immigrants in: those of the log where it has this generation, new arrivals otherwise."""
        if generation in self.logged:
            return self._repeat(population, self.logged.pop(generation), score)
        if self.reader is None:
            return Exchange(population, [], [], {})
        arrivals = self._arrivals(generation)
        lines, newcomers, fitness = self._decide(generation, population, arrivals, score)
        skipped = [
            {"generation": generation, "event": "skipped", "source": source, "reason": reason}
            for source, reason in self.reader.skipped
        ]
        self._write([*lines, *skipped, {"generation": generation, "event": "complete"}])
        return _admit(population, newcomers, fitness, lines)

    def _arrivals(self, generation: int) -> list[Arrival]:
        assert self.pool is not None and self.reader is not None
        policy = self.config.migration
        sources = neighbours(policy.topology, self.pool.islands(), self.name, self.key[0])
        draws = stream(*self.key, generation, Purpose.IMMIGRANTS)
        drawn = iter(range(1 << 30))
        came = self.reader.take(policy.migrants, sources, lambda n: int(below(draws, next(drawn), n)), generation)
        return [self._refused(arrival) if arrival.genome else arrival for arrival in came]

    def _refused(self, arrival: Arrival) -> Arrival:
        """The arrival, without its genome and with a reason where it is not fit to be scored."""
        if arrival.digest in self.avoid:
            return replace(arrival, genome=None, reason=quarantine.REASON)
        assert arrival.genome is not None
        return replace(arrival, genome=None, reason="limits") if self._outgrown(arrival.genome) else arrival

    def _outgrown(self, blob: bytes) -> bool:
        """Whether a genome is larger than one may grow here; its children would not fit into a publication."""
        starts = [start for start in decode([blob], self.layout) if start.dtype == np.int64]
        return any(start[-1] > most for start, most in zip(starts, most_parts(self.config, self.layout), strict=True))

    def _decide(
        self, generation: int, population: Population, arrivals: list[Arrival], score: Score
    ) -> tuple[list[dict[str, Any]], list[Genomes], list[float]]:
        newcomers: list[Genomes] = []
        fitness: list[float] = []
        slots: list[int] = []
        good = [a for a in arrivals if a.genome is not None]
        decoded = [decode([a.genome], self.layout) for a in good if a.genome is not None]
        if good:  # should one of them kill this process, then the log says which they were
            line = {"generation": generation, "event": "scoring", "digests": [a.digest for a in good]}
            JsonLines(self.log, durable=True).append(line)
            fault_point("migrate.scoring")
        scores = iter(score(concatenate(decoded)).tolist() if decoded else [])
        genomes_of = iter(decoded)
        lines = []
        for arrival in arrivals:
            reason, slot, blob = arrival.reason, None, None
            if arrival.genome is not None:
                genome, value = next(genomes_of), float(next(scores))
                reason, slot = self._slot_for(population, genome, value, newcomers, slots)
                if slot is not None:
                    blob = base64.b64encode(arrival.genome).decode()
                    newcomers.append(genome)
                    fitness.append(value)
                    slots.append(slot)
            epoch = self.reader.epochs.get(arrival.source) if self.reader and arrival.digest else None
            lines.append(_arrival_line(generation, slot, arrival, reason, blob) | {"epoch": epoch})
        return lines, newcomers, fitness

    def _slot_for(
        self, population: Population, genome: Genomes, value: float, admitted: list[Genomes], taken: list[int]
    ) -> tuple[str, int | None]:
        """The slot that an immigrant takes, or why none: (reason, slot)."""
        here = population.genomes
        if any(row not in taken for row in rows_equal_to(here, genome, 0)):
            return "duplicate", None
        if any(equal(other, 0, genome, 0) for other in admitted):
            return "duplicate", None
        if not np.isfinite(value):
            return "evaluation failed", None
        free = [int(row) for row in ranking(population.fitness)[::-1] if int(row) not in taken]
        if not free:
            return "no slot left", None
        if self.config.migration.replace == "nearest":
            joined = concatenate([genome, here])
            apart = _distances(joined, 0, [1 + row for row in free], self.config)
            return "", free[int(np.argmin(apart))]
        worst = free[0]
        if self.config.migration.replace == "worst-if-better" and value <= population.fitness[worst]:
            return "not better", None
        return "", worst

    def _repeat(self, population: Population, lines: list[dict[str, Any]], score: Score) -> Exchange:
        admitted = [line for line in lines if line["admitted"]]
        newcomers = [decode([base64.b64decode(line["genome"])], self.layout) for line in admitted]
        fitness = score(concatenate(newcomers)).tolist() if newcomers else []
        return _admit(population, newcomers, fitness, lines)

    def _check(self, blob: bytes) -> str | None:
        try:
            decode([blob], self.layout)
        except ValueError as error:
            return str(error).split(":")[0]
        return None

    def _write(self, lines: list[dict[str, Any]]) -> None:
        JsonLines(self.log, durable=True).extend(lines)
        if os.path.getsize(self.log) > LOG_SEGMENT:
            reader = self.reader
            taken = {source: [reader.epochs.get(source), n] for source, n in reader.cursors.items()} if reader else {}
            line = {"generation": lines[-1]["generation"], "event": "put aside", "taken": taken}
            line["number"] = _last_put_aside(self.log).get("number", 0) + 1  # what had been put aside before is lost
            JsonLines(self.log, durable=True).append(line)
            move(self.log, put_aside(self.log))


def first_repeatable(log: Path) -> int:
    """The generation whose migration is the oldest that the log still tells; 0: it tells all there ever were."""
    last = _last_put_aside(log)
    if last.get("number", 0) < 2:
        return 0
    told = (line["generation"] for segment in (put_aside(log), log) for line in _completed(segment))
    return int(next(told, last["generation"] + 1))


def _last_put_aside(log: Path) -> dict[str, Any]:
    """The line with which the older part of a log ends; {} where there is none."""
    return (tail_jsonl(put_aside(log), 1) or [{}])[0]


def _completed(segment: Path) -> Iterator[dict[str, Any]]:
    lines = (record_in(text) for _, text in each_line(segment) if b'"complete"' in text)
    return (line for line in lines if line and line.get("event") == "complete")


def _note_taken(reader: Reader, line: dict[str, Any]) -> None:
    """Have the reader know again what a line of the log says was taken: each source's newest publication."""
    taken = dict(line.get("taken", {}))
    if line.get("source") and line.get("sequence") and line.get("digest"):
        taken[line["source"]] = [line.get("epoch"), line["sequence"]]
    for source, (epoch, sequence) in taken.items():
        before = (reader.epochs.get(source, 0), reader.cursors.get(source, 0))
        newest = max(before, (epoch or 0, sequence))
        reader.cursors[source] = newest[1]
        if newest[0]:
            reader.epochs[source] = newest[0]


def put_aside(log: Path) -> Path:
    """Where the older part of a log lies once it has grown to `LOG_SEGMENT`."""
    return log.with_name(f"{log.stem}.1{log.suffix}")


def _line(record: dict[str, Any]) -> bytes:
    return dumps(record).encode() + b"\n"


def _arrival_line(generation: int, slot: int | None, arrival: Arrival, reason: str, blob: str | None) -> dict[str, Any]:
    return {
        "generation": generation,
        "slot": slot,
        "source": arrival.source,
        "sequence": arrival.sequence,
        "digest": arrival.digest,
        "fitness": arrival.fitness,
        "admitted": blob is not None,
        "reason": reason,
        **({"genome": blob} if blob is not None else {}),
    }


def _admit(
    population: Population, newcomers: list[Genomes], fitness: list[float], lines: list[dict[str, Any]]
) -> Exchange:
    """The population with those of the arrivals in `lines` that were admitted, in their order."""
    admitted = [line for line in lines if line["admitted"]]
    slots, digests = [line["slot"] for line in admitted], [line["digest"] for line in admitted]
    counts = {"received": len(lines), "admitted": len(slots), "refused": len(lines) - len(slots)}
    if not slots:
        return Exchange(population, [], [], counts)
    genomes = replace_genomes(population.genomes, slots, concatenate(newcomers))
    scores = population.fitness.copy()
    scores[slots] = fitness
    return Exchange(Population(genomes, scores), slots, digests, counts)
