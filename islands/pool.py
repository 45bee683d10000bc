"""The pool: what lies in a migration directory, and who may do what with it.

    <directory>/pool.json                            identity: the pool's id and what must agree; written once
    <directory>/migration_pool/<island>/.lock        kernel lock of that outbox, never deleted
    <directory>/migration_pool/<island>/00000012-…   its last few publications, see `publication`
    <directory>/quarantine/                          what readers refused, the newest 64

An outbox has one writer, and both it and every reader hold its lock for the milliseconds they work in it, so that
nothing is pruned while it is read. Nothing found in the pool is trusted: content is refused with a reason, never an
exception, and a lock that cannot be had skips that source. A genome is opaque bytes here.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from islands import files
from islands.errors import ConfigError, EvolabError
from islands.faults import fault_point
from islands.outbox_folder import LARGEST, LockTimeout, OpenOutbox, Skipped, Superseded, is_good, newest_first
from islands.pool_directory import Pool
from islands.publication import FORMAT, Header, Name, Refused, encode, sha256_of
from islands.rundir import check_name

__all__ = [
    "Arrival", "LockTimeout", "Migrant", "Outbox", "Pool", "Publication", "Reader", "Skipped", "Superseded",
]  # fmt: skip

_VISITS = 4
"""A reader visits at most so many sources per migrant wanted: the cost does not grow with the islands."""
_GLANCE = 0.01
"""Seconds to wait for a lock that was held all the time when it was last wanted: its holder may have been stopped."""
_TIDIED, _CLEARED = 256, 1024
"""So many entries at most are moved to quarantine, and removed, in one publication."""
_REMEMBERED = 4096


@dataclass(frozen=True)
class Migrant:
    """A genome that leaves: its bytes, its fitness, its digest (the bytes' SHA-256, as hex)."""

    genome: bytes
    fitness: float
    digest: str


@dataclass(frozen=True)
class Publication:
    """What an outbox has published, durably: its number and the digests of its genomes in their order."""

    sequence: int
    digests: list[str]


@dataclass(frozen=True)
class Arrival:
    """A genome that came, or what was refused: then `genome` is None and `reason` says why ("" when it is good).

    A file is taken whole or not at all; `slot` is the place in the publication, None where the whole was refused.
    """

    source: str
    sequence: int | None
    slot: int | None
    digest: str | None
    fitness: float | None
    genome: bytes | None
    reason: str
    hyperparameters: dict[str, float] | None = None  # the sender's, where they travel


class _Doors:
    """Opens outboxes. A lock that could not be had is hardly waited for until it is free again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: set[str] = set()

    @contextmanager
    def opened(self, name: str, timeout: float) -> Iterator[OpenOutbox]:
        """As `Pool.opened`."""
        try:
            with self._pool.opened(name, min(timeout, _GLANCE) if name in self._held else timeout) as outbox:
                self._held.discard(name)
                yield outbox
        except LockTimeout:
            self._held.add(name)
            raise


class Outbox:
    """The one writer of an island's outbox. `epoch` is this process's incarnation number, higher after each restart."""

    def __init__(
        self, pool: Pool, name: str, epoch: int, keep: int, lock_timeout: float, max_bytes: int = LARGEST
    ) -> None:
        self.pool, self.name, self.epoch = pool, check_name(name), epoch
        self.keep, self.lock_timeout, self.max_bytes = keep, lock_timeout, max_bytes
        self._last: int | None = None
        self._doors = _Doors(pool)
        self.path = files.make_folder(pool.outboxes / name)
        with suppress(LockTimeout), self._opened() as outbox:
            self._recover(outbox)

    def publish(
        self, generation: int, migrants: Sequence[Migrant], hyperparameters: dict[str, float] | None = None
    ) -> Publication:
        """Put the migrants where others find them; returns when they are on the disk.

        The same migrants at the same generation are published once, however often an island repeats it after a crash.
        A directory that was removed meanwhile is made again. Raises Skipped (LockTimeout, Superseded) when this
        migration cannot take place.
        """
        header = self._header(generation, migrants, hyperparameters)
        try:
            return self._published(header, migrants)
        except ConfigError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        self.pool.restore()
        files.make_folder(self.path)
        return self._published(header, migrants)

    def _published(self, header: Header, migrants: Sequence[Migrant]) -> Publication:
        with self._opened() as outbox:
            names, last = self._recover(outbox)
            listed = newest_first(names)
            self._refuse_to_follow_a_newer_epoch(outbox, listed)
            wanted = header.name()
            name = self._already_there(outbox, listed, wanted)
            if name is None:
                header = replace(header, sequence=last + 1)
                name = replace(wanted, sequence=header.sequence)  # of the same content
                files.publish(self.path / str(name), self._encoded(header, migrants))
                self._last = last = name.sequence
            else:
                files.sync_folder(self.path)  # whoever put it there may have died before that
            fault_point("outbox.published")
            self._prune(outbox, names, name, last)
        return Publication(name.sequence, list(header.digests))

    @contextmanager
    def _opened(self) -> Iterator[OpenOutbox]:
        with files.told_in_one_line(self.path, "open"), self._doors.opened(self.name, self.lock_timeout) as outbox:
            yield outbox

    def _header(self, generation: int, migrants: Sequence[Migrant], hyperparameters: dict[str, float] | None) -> Header:
        fitness = tuple(float(migrant.fitness) for migrant in migrants)
        if not migrants or not all(math.isfinite(value) for value in fitness):
            raise EvolabError("publication", expected="migrants with finite fitness", got=f"{list(fitness)}")
        digests = tuple(sha256_of([migrant.genome]) for migrant in migrants)
        if digests != tuple(migrant.digest for migrant in migrants):
            raise EvolabError("publication", expected="each genome's own SHA-256 as its digest", got="another")
        return Header(
            format=FORMAT,
            pool_id=self.pool.pool_id,
            island=self.name,
            epoch=self.epoch,
            generation=generation,
            sequence=0,
            fitness=fitness,
            digests=digests,
            sha256=sha256_of([migrant.genome for migrant in migrants]),
            hyperparameters=hyperparameters,
        )

    def _encoded(self, header: Header, migrants: Sequence[Migrant]) -> bytes:
        data = encode(header, [migrant.genome for migrant in migrants])
        if len(data) > self.max_bytes:
            raise EvolabError("publication", expected=f"at most {self.max_bytes} bytes", got=f"{len(data)}")
        return data

    def _is_good(self, outbox: OpenOutbox, name: Name) -> bool:
        return is_good(outbox, name, self.max_bytes)

    def _recover(self, outbox: OpenOutbox) -> tuple[list[str], int]:
        """What lies in this outbox, tidied up after a crash, and the newest sequence number that it has published."""
        names = outbox.names(tidy=True)
        fault_point("outbox.tidied")
        if self._last is None:
            self._last = next((name.sequence for name in newest_first(names) if self._is_good(outbox, name)), 0)
        return names, self._last

    def _refuse_to_follow_a_newer_epoch(self, outbox: OpenOutbox, listed: list[Name]) -> None:
        newer = (name for name in listed if name.epoch > self.epoch and self._is_good(outbox, name))
        if name := next(newer, None):
            raise Superseded(
                f"island {self.name}", expected=f"epoch {self.epoch} to be the newest", got=f"{name.epoch}"
            )

    def _already_there(self, outbox: OpenOutbox, listed: list[Name], wanted: Name) -> Name | None:
        same = (name for name in listed if (name.generation, name.digest) == (wanted.generation, wanted.digest))
        return next((name for name in same if self._is_good(outbox, name)), None)

    def _prune(self, outbox: OpenOutbox, found: list[str], newest: Name, last: int) -> None:
        """Keep `newest` and of those `found` the last `keep` - 1; what this island has not written is moved away."""
        names = {text: Name.parse(text) for text in found}
        foreign = [text for text, name in names.items() if name is None or name.sequence > last]
        for text in foreign[:_TIDIED]:
            outbox.move_to_quarantine(text, "name")
        others = [name for name in names.values() if name and name.sequence <= last and name != newest]
        others.sort(key=lambda name: (name.sequence, name.epoch), reverse=True)
        for name in others[self.keep - 1 :][:_CLEARED]:
            with suppress(OSError):
                fault_point("outbox.pruning")
                os.unlink(str(name), dir_fd=outbox.fd)
            fault_point("outbox.pruned")


@dataclass
class Reader:
    """One island's way of taking migrants from the others. All arguments stay public and may be saved and restored.

    `own`: the island's name. `max_bytes`: the largest legal publication. `check`: told some genomes' bytes, the place
    of the first to be refused and the reason, or None. `cursors`: the last sequence number taken from each source;
    `epochs`: its newest epoch.
    `lock_timeout`: seconds that one call may wait for locks, all in all; one that could not be had is hardly waited for
    until it is free again. `budget`: refusals in one call before it ends. `skipped`: after a call, the sources that
    could not be read, why.
    """

    pool: Pool
    own: str
    max_bytes: int
    lock_timeout: float
    check: Callable[[Sequence[bytes]], tuple[int, str] | None]
    cursors: dict[str, int] = field(default_factory=dict)
    budget: int = 16
    epochs: dict[str, int] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list, init=False)
    _deadline: float = field(default=0.0, init=False)
    _refused: set[tuple[str, str]] = field(default_factory=set, init=False)
    _doors: _Doors = field(init=False)

    def __post_init__(self) -> None:
        self._doors = _Doors(self.pool)

    def take(self, count: int, sources: Sequence[str], pick: Callable[[int], int], generation: int) -> list[Arrival]:
        """At most `count` good arrivals, and one for each file refused on the way; never raises for what it finds.

        The sources are visited in random order and each gives an even share of its newest publication not taken
        before; what came between is passed over. `pick(n)` draws an index below n. Cost O(count), whatever the number
        of sources. `generation` is the receiver's; islands run at their own speed, so it limits nothing.
        """
        arrivals: list[Arrival] = []
        self.skipped = []
        self._deadline = time.monotonic() + self.lock_timeout
        order = sorted(set(sources) - {self.own})
        share = -(-count // len(order)) if order else 0
        wanted = count
        for visit in range(min(len(order), _VISITS * count)):
            refused = sum(arrival.genome is None for arrival in arrivals)
            if wanted <= 0 or refused >= self.budget:
                break
            chosen = visit + pick(len(order) - visit)
            order[visit], order[chosen] = order[chosen], order[visit]
            came = self._visit(order[visit], self.budget - refused, min(share, wanted), pick)
            wanted -= sum(arrival.genome is not None for arrival in came)
            arrivals += came
        return arrivals

    def _visit(self, source: str, budget: int, share: int, pick: Callable[[int], int]) -> list[Arrival]:
        arrivals: list[Arrival] = []
        try:
            with self._doors.opened(source, max(0.0, self._deadline - time.monotonic())) as outbox:
                found = self._newest_good(outbox, budget, arrivals, share, pick)
        except FileNotFoundError:
            return []  # an island that has not come yet
        except Skipped as error:
            self.skipped.append((source, str(error)))
            return arrivals
        except (OSError, ConfigError) as error:
            self.skipped.append((source, f"unreadable outbox: {error}"))
            return arrivals
        if found is None:
            return arrivals
        header, genomes, slots = found
        self.cursors[source], self.epochs[source] = header.sequence, header.epoch
        for slot in slots:
            digest, fitness = header.digests[slot], header.fitness[slot]
            came = Arrival(source, header.sequence, slot, digest, fitness, genomes[slot], "", header.hyperparameters)
            arrivals.append(came)
        return arrivals

    def _newest_good(
        self, outbox: OpenOutbox, budget: int, arrivals: list[Arrival], share: int, pick: Callable[[int], int]
    ) -> tuple[Header, list[bytes], list[int]] | None:
        """The newest good publication not seen before, and which of its genomes are taken.

        What is refused on the way goes to `arrivals`.
        """
        fault_point("read.listing")
        source = outbox.island
        for text in self._unseen(outbox, budget):
            if len(arrivals) >= budget:
                break
            try:
                return self._checked(outbox, text, share, pick)
            except Refused as error:
                if error.reason == "gone":
                    continue
                name = Name.parse(text)
                sequence = name.sequence if name else None
                arrivals.append(Arrival(source, sequence, error.slot, None, None, None, error.reason))
                if error.reason == "unreadable" or not outbox.move_to_quarantine(text, error.reason):
                    self._refused.add((source, text))
        return None

    def _unseen(self, outbox: OpenOutbox, budget: int) -> list[str]:
        """What to look at: a few names that are none (at most half the budget), then publications, newest first."""
        if len(self._refused) > _REMEMBERED:
            self._refused.clear()
        names = {text: Name.parse(text) for text in outbox.names() if (outbox.island, text) not in self._refused}
        odd = [text for text, name in names.items() if name is None]
        cursor, epoch = self.cursors.get(outbox.island, 0), self.epochs.get(outbox.island)
        unseen = [n for n in names.values() if n and (n.sequence > cursor or epoch is not None and n.epoch > epoch)]
        unseen.sort(key=lambda name: (name.epoch, name.sequence), reverse=True)
        return [*odd[: budget // 2], *map(str, unseen)]

    def _checked(
        self, outbox: OpenOutbox, text: str, share: int, pick: Callable[[int], int]
    ) -> tuple[Header, list[bytes], list[int]]:
        """A publication and which of its genomes are taken; nobody but these is looked into."""
        header, genomes = outbox.load(text, self.max_bytes, self.own)
        if header.epoch < self.epochs.get(outbox.island, 0):
            raise Refused("epoch")
        slots = list(range(len(genomes)))
        for place in range(min(share, len(slots))):
            chosen = place + pick(len(slots) - place)
            slots[place], slots[chosen] = slots[chosen], slots[place]
        taken = slots[:share]
        if refused := self.check([genomes[slot] for slot in taken]):
            place, reason = refused
            raise Refused(reason, taken[place])
        fault_point("read.checked")
        return header, genomes, taken
