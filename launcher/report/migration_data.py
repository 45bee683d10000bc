"""Who sent what to whom, from the logs of migrations: what was admitted, and which of it can have reached the champion.

Within an island nobody records who is whose child. So what the logs tell of a champion's family is which migrations can
have reached it: those admitted on its island, those admitted before on the islands that these came from, and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from islands import files, migration_log
from islands.rundir import RunDir
from launcher.growing import Growing
from launcher.report.figures import number

BestAt = Mapping[str, Mapping[int, float]]
"""The best fitness of each island's generations."""


@dataclass
class Passage:
    """Migrants of one publication that arrived together. `sent`: the generation of their publication, if known."""

    receiver: str
    generation: int
    source: str
    sequence: int | None
    sent: int | None = None
    admitted: int = 0
    refused: int = 0
    best: float | None = None
    digests: list[str] = field(default_factory=list)


@dataclass
class Migrations:
    """All that the logs say. `reasons`: why migrants were refused, by (source, receiver)."""

    passages: list[Passage] = field(default_factory=list)
    reasons: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    published: dict[str, dict[int, tuple[int, frozenset[str]]]] = field(default_factory=dict)

    def counts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Admitted and refused, by (source, receiver)."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for passage in self.passages:
            admitted, refused = found.get((passage.source, passage.receiver), (0, 0))
            found[passage.source, passage.receiver] = (admitted + passage.admitted, refused + passage.refused)
        return found


def read_migrations(run: RunDir, islands: Sequence[str]) -> Migrations:
    """The logs of all islands; a damaged line costs itself alone."""
    return MigrationLogs(run).read(islands)


class MigrationLogs:
    """Reads the logs of a run's islands as they grow."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._logs: dict[str, _Log] = {}

    def read(self, islands: Sequence[str]) -> Migrations:
        """All that they say by now."""
        for name in islands:
            self._logs.setdefault(name, _Log(name, self._run.island(name).migrations)).read()
        logs = [self._logs[name] for name in islands]
        found = Migrations(
            [passage for log in logs for passage in log.passages.values()],
            {pair: counter for log in logs for pair, counter in log.reasons.items()},
            {log.name: log.published for log in logs if log.published},
        )
        found.passages.sort(key=lambda passage: passage.generation)
        for passage in found.passages:
            passage.sent = found.published.get(passage.source, {}).get(passage.sequence or -1, (None, None))[0]
        return found


class _Log:
    """What the log of one island says so far."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._lines = Growing(log, self._forget, migration_log.put_aside(log))
        self._forget()

    def _forget(self) -> None:
        self.passages: dict[tuple[str, int, str, int | None], Passage] = {}
        self.reasons: dict[tuple[str, str], Counter[str]] = {}
        self.published: dict[int, tuple[int, frozenset[str]]] = {}

    def read(self) -> None:
        for text in self._lines.fresh():
            line = files.record_in(migration_log.without_genome(text))
            if line is None or not isinstance(line.get("generation"), int):
                continue
            if line.get("event") == "published":
                self._note_publication(line)
            elif "admitted" in line and isinstance(line.get("source"), str):
                self._note_arrival(line)

    def _note_publication(self, line: Mapping[str, Any]) -> None:
        digests = line.get("digests")
        if isinstance(line.get("sequence"), int) and isinstance(digests, list):
            known = frozenset(digest for digest in digests if isinstance(digest, str))
            self.published[line["sequence"]] = (line["generation"], known)

    def _note_arrival(self, line: Mapping[str, Any]) -> None:
        sequence = line["sequence"] if isinstance(line.get("sequence"), int) else None
        key = (self.name, line["generation"], line["source"], sequence)
        passage = self.passages.setdefault(key, Passage(*key))
        if line["admitted"] is not True:
            passage.refused += 1
            self.reasons.setdefault((line["source"], self.name), Counter())[str(line.get("reason"))] += 1
            return
        passage.admitted += 1
        passage.digests.append(str(line.get("digest")))
        fitness = number(line.get("fitness"))
        if fitness is not None:
            passage.best = fitness if passage.best is None else max(fitness, passage.best)


def reaching(migrations: Migrations, island: str, last: int) -> list[Passage]:
    """The migrations whose genomes can have reached a champion of `island` in generation `last`, oldest first."""
    horizon = {island: last}
    by_receiver: dict[str, list[Passage]] = {}
    for passage in migrations.passages:
        if passage.admitted:
            by_receiver.setdefault(passage.receiver, []).append(passage)
    waiting = [island]
    while waiting:
        name = waiting.pop()
        for passage in by_receiver.get(name, ()):
            left = passage.generation - 1 if passage.sent is None else passage.sent
            if passage.generation <= horizon[name] and left > horizon.get(passage.source, -1):
                horizon[passage.source] = left
                waiting.append(passage.source)
    admitted = (passage for found in by_receiver.values() for passage in found)
    reached = [passage for passage in admitted if passage.generation <= horizon.get(passage.receiver, -1)]
    return sorted(reached, key=lambda passage: passage.generation)


def line_of_leaps(migrations: Migrations, island: str, last: int, best_at: BestAt) -> list[Passage]:
    """From a champion of `island` back: the latest migrants that had scored more than everybody where they arrived,
    then the same on the island that these came from, and so on; newest first."""
    found: list[Passage] = []
    horizon = last
    while True:
        arrived = [
            passage
            for passage in migrations.passages
            if passage.receiver == island and passage.generation <= horizon and leaps(passage, best_at)
        ]
        if not arrived:
            return found
        newest = max(arrived, key=lambda passage: (passage.generation, passage.best or 0.0))
        if newest in found:
            return found  # islands count their own generations: one that is ahead can have sent what comes back to it
        found.append(newest)
        island, horizon = newest.source, newest.generation - 1 if newest.sent is None else newest.sent


def leaps(passage: Passage, best_at: BestAt) -> bool:
    """Whether the best of these migrants had scored more than anybody on the island that it came to."""
    there = best_at.get(passage.receiver, {}).get(passage.generation)
    return bool(passage.admitted) and passage.best is not None and there is not None and passage.best > there


def sightings(migrations: Migrations, digest: str) -> list[str]:
    """Where the genome with this digest itself was seen on its way, in words."""
    seen = [
        (generation, f"sent by {name} in generation {generation}")
        for name, found in migrations.published.items()
        for generation, digests in found.values()
        if digest in digests
    ]
    seen += [
        (passage.generation, f"admitted by {passage.receiver} from {passage.source} in generation {passage.generation}")
        for passage in migrations.passages
        if digest in passage.digests
    ]
    return [text for _, text in sorted(seen)]
