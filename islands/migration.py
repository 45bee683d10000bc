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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from islands import migration_log, policies, quarantine
from islands.config import Config
from islands.emigrants import distances, emigrants
from islands.faults import fault_point
from islands.genome.population import (
    Array,
    Genomes,
    Layout,
    Newcomers,
    Population,
    Unfit,
    concatenate,
    decode,
    encode,
    equal,
    gathered,
    rows_equal_to,
    take,
)
from islands.pool import Arrival, LockTimeout, Migrant, Outbox, Pool, Reader, Skipped
from islands.rng import Purpose, below, stream
from islands.selection import worst
from islands.topology import neighbours

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


@dataclass(frozen=True)
class Exchange:
    """What a migration did: the population with its immigrants, the slots they took, their digests, counts to add.

    `hyperparameters`: taken over from another island with its migrants; None where nothing was.
    """

    population: Population
    slots: list[int]
    digests: list[str]
    counts: dict[str, int]
    hyperparameters: policies.Hyperparameters | None = None
    chosen: list[int] = field(default_factory=list)  # which of those that were scored took the slots


@dataclass(frozen=True)
class Immigrants:
    """Who has come at a generation and is not let in yet; their `genomes` are to be scored on the receiver's episodes.

    `genomes`: None where nobody came. `arrivals`: all that came, what was refused among them. `repeated`: the log's
    lines, where it has decided before.
    """

    generation: int
    genomes: Genomes | None
    arrivals: list[Arrival] = field(default_factory=list)
    repeated: list[dict[str, Any]] | None = None


NOBODY = np.zeros(0, np.float32)
"""The scores of no immigrants."""


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
    logged: migration_log.Decided = field(default_factory=dict)
    avoid: frozenset[str] = frozenset()  # digests of genomes that are never taken in
    _decoded: dict[bytes, tuple[Genomes, int]] = field(default_factory=dict, init=False)  # batch and row of who came
    _unwritten: list[dict[str, Any]] = field(default_factory=list, init=False)  # lines that go into the log with others

    def due(self, generation: int, marks: Mapping[str, int] | None = None) -> bool:
        """Whether immigrants are taken after this generation's evaluation; see `policies.due`."""
        return policies.due(self.config.migration, generation, marks or {})

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
        """Read the log: what was decided from `generation` on is repeated, what was not completed is forgotten."""
        self.logged = migration_log.recall(self.log, generation, self.avoid, self.reader)

    def publish(
        self, generation: int, population: Population, hyperparameters: policies.Hyperparameters | None = None,
        last: bool = True,
    ) -> int:  # fmt: skip
        """Put this generation's emigrants into the outbox; returns how many. A lock not had is a line in the log.

        `hyperparameters`: the island's own, where they travel with its emigrants. `last`: no exchange follows, whose
        lines could take the log's line of this along.
        """
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
            published = self.outbox.publish(generation, migrants, hyperparameters)
        except Skipped as error:
            line: dict[str, Any] = {"event": "skipped", "reason": str(error)}
        else:
            line = {"event": "published", "sequence": published.sequence, "digests": published.digests}
        self._unwritten.append({"generation": generation, **line})
        if last:
            self._write([])
        return len(line.get("digests", ()))

    def exchange(self, generation: int, population: Population, score: Score) -> Exchange:
        """Take immigrants in: `immigrants`, their scores, `settle`."""
        came = self.immigrants(generation)
        return self.settle(came, population, score(came.genomes) if came.genomes else NOBODY)

    def immigrants(self, generation: int) -> Immigrants:
        """Who asks to be let in: those of the log where it has this generation, new arrivals otherwise."""
        if generation in self.logged:
            self._write([], durable=False)
            lines = self.logged.pop(generation)
            blobs = [base64.b64decode(line["genome"]) for line in lines if line.get("admitted")]
            return Immigrants(generation, decode(blobs, self.layout) if blobs else None, repeated=lines)
        self._decoded.clear()
        arrivals = self._arrivals(generation) if self.reader else []
        good = [arrival for arrival in arrivals if arrival.genome is not None]
        genomes = None
        if good:  # should one of them kill this process, then the log says which they were; a power cut accuses nobody
            line = {"generation": generation, "event": "scoring", "digests": [arrival.digest for arrival in good]}
            migration_log.append(self.log, self._waiting(line), durable=False)
            fault_point("migrate.scoring")
            genomes = gathered([self._decoded[arrival.genome] for arrival in good if arrival.genome is not None])
        return Immigrants(generation, genomes, arrivals)

    def settle(self, came: Immigrants, population: Population, scores: Array) -> Exchange:
        """Decide, log and let in; `scores`: the fitness (float32 [M]) of the immigrants' genomes."""
        generation, values = came.generation, scores.tolist()
        if came.repeated is not None:
            return _admit(population, came.genomes, values, came.repeated, list(range(len(values))))
        if self.reader is None:
            return Exchange(population, [], [], {})
        lines, chosen = self._decide(came, population, values)
        self._decoded.clear()
        fitness = [values[i] for i in chosen]
        complete = {"generation": generation, "event": "complete"}
        complete |= self._taken_over(generation, population, came.arrivals, lines, fitness)
        skipped = [
            {"generation": generation, "event": "skipped", "source": source, "reason": reason}
            for source, reason in self.reader.skipped
        ]
        self._write([*lines, *skipped, complete])
        return _admit(population, came.genomes, fitness, [*lines, complete], chosen)

    def _taken_over(
        self, generation: int, population: Population, arrivals: list[Arrival], lines: list[dict[str, Any]],
        fitness: list[float],
    ) -> dict[str, Any]:  # fmt: skip
        """What the island takes over from whoever sent a genome that is better here than its own best; {}: nothing."""
        if not (self.config.migration.pbt and fitness and max(fitness) > np.nanmax(population.fitness)):
            return {}
        admitted = [arrival for arrival, line in zip(arrivals, lines, strict=True) if line["admitted"]]
        best = admitted[int(np.argmax(fitness))]
        if not best.hyperparameters:
            return {}
        key = stream(*self.key, generation, Purpose.HYPERPARAMETERS)
        return {"from": best.source, "hyperparameters": policies.taken_over(best.hyperparameters, key, self.config)}

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
        genomes, row = self._decoded[blob]
        sizes = [int(start[row + 1] - start[row]) for start in genomes if start.dtype == np.int64]
        return any(size > most for size, most in zip(sizes, most_parts(self.config, self.layout), strict=True))

    def _decide(
        self, came: Immigrants, population: Population, values: list[float]
    ) -> tuple[list[dict[str, Any]], list[int]]:
        """A line of the log for each arrival, and which of the genomes that were scored are let in."""
        slots: list[int] = []
        chosen: list[int] = []
        scored = iter(enumerate(values))
        candidates = len(population.fitness) if self.config.migration.replace == "nearest" else len(values)
        worst_first = worst(population.fitness, candidates) if values else np.zeros(0, np.int64)
        lines = []
        for arrival in came.arrivals:
            reason, slot, blob = arrival.reason, None, None
            if arrival.genome is not None:
                number, value = next(scored)
                assert came.genomes is not None
                reason, slot = self._slot_for(population, worst_first, came.genomes, number, value, chosen, slots)
                if slot is not None:
                    blob = base64.b64encode(arrival.genome).decode()
                    chosen.append(number)
                    slots.append(slot)
            epoch = self.reader.epochs.get(arrival.source) if self.reader and arrival.digest else None
            lines.append(_arrival_line(came.generation, slot, arrival, reason, blob) | {"epoch": epoch})
        return lines, chosen

    def _slot_for(
        self, population: Population, worst_first: Array, came: Genomes, number: int, value: float,
        admitted: list[int], taken: list[int],
    ) -> tuple[str, int | None]:  # fmt: skip
        """The slot that immigrant `number` takes, or why none: (reason, slot). `worst_first`: rows enough."""
        here = population.genomes
        if any(row not in taken for row in rows_equal_to(here, came, number)):
            return "duplicate", None
        if any(equal(came, other, came, number) for other in admitted):
            return "duplicate", None
        if not np.isfinite(value):
            return "evaluation failed", None
        last = next((row for row in map(int, worst_first) if row not in taken), None)
        if last is None:
            return "no slot left", None
        if self.config.migration.replace == "nearest":
            free = [int(row) for row in worst_first if int(row) not in taken]
            joined = concatenate([take(came, [number]), here])
            apart = distances(joined, 0, [1 + row for row in free], self.config)
            return "", free[int(np.argmin(apart))]
        if self.config.migration.replace == "worst-if-better" and value <= population.fitness[last]:
            return "not better", None
        return "", last

    def _check(self, blobs: Sequence[bytes]) -> tuple[int, str] | None:
        """See `Reader.check`. What is good is decoded once, however often it is looked at."""
        try:
            genomes = decode(blobs, self.layout)
        except Unfit as error:
            return error.place, error.reason
        self._decoded.update({blob: (genomes, row) for row, blob in enumerate(blobs)})
        return None

    def _write(self, lines: list[dict[str, Any]], durable: bool = True) -> None:
        if lines := self._waiting(*lines):
            migration_log.write(self.log, lines, self.reader, durable)

    def _waiting(self, *lines: dict[str, Any]) -> list[dict[str, Any]]:
        """These lines behind those that were to be written with the next."""
        lines, self._unwritten = (*self._unwritten, *lines), []
        return list(lines)


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
    population: Population, came: Genomes | None, fitness: list[float], lines: list[dict[str, Any]], chosen: list[int]
) -> Exchange:
    """The population with those of the arrivals in `lines` that were admitted, in their order; the last completes.

    `chosen`: which rows of `came` these are; `fitness`: theirs.
    """
    *arrived, complete = lines
    admitted = [line for line in arrived if line["admitted"]]
    slots, digests = [line["slot"] for line in admitted], [line["digest"] for line in admitted]
    counts = {"received": len(arrived), "admitted": len(slots), "refused": len(arrived) - len(slots)}
    taken_over = complete.get("hyperparameters")
    if not slots or came is None:
        return Exchange(population, [], [], counts, taken_over)
    scores = population.fitness.copy()
    scores[slots] = fitness
    newcomers = Newcomers(take(came, chosen), np.array(slots))
    return Exchange(Population(population.genomes, scores, newcomers), slots, digests, counts, taken_over, chosen)
