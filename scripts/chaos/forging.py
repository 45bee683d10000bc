"""Files that somebody hostile puts into outboxes, each with the reason for which a reader must refuse it."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from islands.config import Config
from islands.genome.initial import draw_genomes
from islands.genome.population import encode as encode_genome
from islands.loop import breeding_of
from islands.pool import Pool
from islands.publication import FORMAT, Header, Name, encode, sha256_of
from islands.tasks import make

GENERATION = 10
DIGEST = "0123456789abcdef"
IN_HEADER = frozenset({"truncated", "schema", "digest", "version", "other-run", "name", "future", "fitness"})
"""What a flipped bit in a publication's table or header may be: it depends on the field that it hits."""
ODD_NAMES = (
    "x{}", "a\nb{}", "\n{}", "<script>{}", "ä{}", "%s%n{}", "-rf{}", "{}", "*.safetensors{}", " {}", "$(reboot){}",
    "00000002-e0001-g00000010-0123456789abcdef.safetensors\n{}", "0000{}-e0001-g1-0123456789ABCDEF.safetensors",
    "00000002-e0001-g00000010-0123456789abcdef.pickle{}", "{}" + "x" * 200, "‮{}", "\x1b[2J{}",
)  # fmt: skip


@dataclass(frozen=True)
class Forgery:
    """One file: what kind it is, what it is refused for, its content or how it is made, its name if not the usual."""

    kind: str
    reasons: frozenset[str]
    content: bytes | Callable[[Path], None]
    name: str | bytes | None = None


def drawn(wanted: Config, count: int) -> tuple[list[bytes], bytes]:
    """`count` good genomes of a configuration's first generation, and one whose weights are not finite."""
    import numpy as np

    task = make(wanted)
    genomes = draw_genomes(count, np.uint64(7), task.layout, breeding_of(wanted, task).first)
    endless = genomes._replace(conn_weight=genomes.conn_weight * np.float32(np.nan))
    return [encode_genome(genomes, row) for row in range(count)], encode_genome(endless, 0)


def header_of(pool: Pool, source: str, sequence: int, genomes: Sequence[bytes]) -> Header:
    """An honest header of a publication of `source`."""
    return Header(
        format=FORMAT,
        pool_id=pool.pool_id,
        island=source,
        epoch=1,
        generation=GENERATION,
        sequence=sequence,
        fitness=tuple(float(slot) for slot in range(len(genomes))),
        digests=tuple(sha256(genome).hexdigest() for genome in genomes),
        sha256=sha256_of(genomes),
    )


@dataclass
class Forger:
    """Fills the outboxes of `sources`. `canary`: a file that appears when somebody runs what a file says."""

    pool: Pool
    sources: Sequence[str]
    genomes: Sequence[bytes]
    endless: bytes
    canary: Path
    expected: dict[tuple[str, int], Forgery] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    missing: set[str] = field(default_factory=set)  # kinds that this machine does not let us make
    made: int = 0
    picks: random.Random = field(default_factory=lambda: random.Random(0))

    def fill(self, count: int) -> None:
        """`count` files: a publication truncated at every byte, and of the other kinds as many as there is room for."""
        for source in self.sources:
            (self.pool.outboxes / source).mkdir()
        whole = self._whole(self.sources[0], 1)[1]
        step = max(1, 2 * len(whole) // count)  # a small `count` has room for some of them
        for length in range(0, len(whole), step):
            self._put(Forgery("truncated", frozenset({"truncated"}), whole[:length]))
        kinds = [self._flipped, self._flipped, self._headers, self._tables, self._special, self._names, self._pickles]
        endless = [kind() for kind in kinds]
        while self.made < count:
            self._put(next(endless[self.made % len(endless)]))

    def _put(self, forgery: Forgery) -> None:
        """Lay one file into the next outbox, under a sequence number of its own."""
        source, sequence = self._next()
        name = forgery.name or str(Name(sequence, 1, GENERATION, DIGEST))
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.pool.outboxes / source), os.fsencode(name))))
        try:
            if isinstance(forgery.content, bytes):
                path.write_bytes(forgery.content)
            else:
                forgery.content(path)
        except OSError as error:
            self.missing.add(f"{forgery.kind} ({error.strerror})")
            path.unlink(missing_ok=True)
            return
        self.made += 1
        self.kinds[forgery.kind] += 1
        if Name.parse(path.name) is None:
            self.odd[source] += 1
        else:
            self.expected[source, sequence] = forgery

    def _next(self) -> tuple[str, int]:
        """The outbox and the sequence number of the file that is made next."""
        return self.sources[self.made % len(self.sources)], self.made + 1

    def _whole(self, source: str, sequence: int, **changes: Any) -> tuple[str, bytes]:
        """A publication made as the format says, but for `changes` of its header: its name and its bytes."""
        header = replace(header_of(self.pool, source, sequence, self.genomes), **changes)
        return str(header.name()), encode(header, self.genomes)

    def _flipped(self) -> Iterator[Forgery]:
        """One bit of a whole publication is another one."""
        while True:
            name, whole = self._whole(*self._next())
            data, bit = bytearray(whole), self.picks.randrange(len(whole) * 8)
            data[bit // 8] ^= 1 << bit % 8
            header = 8 + struct.unpack("<Q", whole[:8])[0]
            reasons = frozenset({"digest"}) if bit // 8 >= header else IN_HEADER
            yield Forgery("bit flip", reasons, bytes(data), name)

    def _headers(self) -> Iterator[Forgery]:
        """A header that says what it must not."""
        nan, many = float("nan"), len(self.genomes)
        changes: list[tuple[str, str, dict[str, Any]]] = [
            ("wrong version", "version", {"format": 2}),
            ("another run's", "other-run", {"pool_id": "0" * 32}),
            ("another island's", "name", {"island": "somebody"}),
            ("NaN fitness", "fitness", {"fitness": (nan,) * many}),
            ("endless fitness", "fitness", {"fitness": (float("inf"),) * many}),
            ("no fitness", "fitness", {"fitness": (None,) * many}),
            ("no island", "schema", {"island": None}),
            ("too few digests", "schema", {"digests": ()}),
            ("another's digests", "digest", {"digests": ("0" * 64,) * many}),
            ("the far future", "future", {"generation": 10**9 + 1}),
        ]
        while True:
            for kind, reason, change in changes:
                name, data = self._whole(*self._next(), **change)
                yield Forgery(kind, frozenset({reason}), data, name)
            source, sequence = self._next()
            header = header_of(self.pool, source, sequence, [self.endless])
            yield Forgery("NaN weights", frozenset({"not-finite"}), encode(header, [self.endless]), str(header.name()))
            name, data = self._whole(*self._next())
            other = str(replace(_parsed(name), generation=GENERATION + 1))
            yield Forgery("a name that lies", frozenset({"future"}), data, other)

    def _tables(self) -> Iterator[Forgery]:
        """What is no safetensors file, or a cunning one."""
        while True:
            whole = self._whole(*self._next())[1]
            length = struct.unpack("<Q", whole[:8])[0]
            text, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
            first = text["genome.000"]
            yield Forgery("schema", frozenset({"schema"}), _table({}, data))
            yield Forgery("schema", frozenset({"schema"}), _table(b"[" * 30_000, data))
            yield Forgery(
                "schema", frozenset({"schema"}), _table({**text, "__metadata__": {"header": "[" * 9000}}, data)
            )
            path_like = {"../../etc/x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
            yield Forgery("schema", frozenset({"schema"}), _table({**text, **path_like}, data))
            yield Forgery("schema", frozenset({"schema"}), bytes(4000))
            huge = {**first, "shape": [1 << 40], "data_offsets": [0, 1 << 40]}
            huge_shape = frozenset({"schema", "truncated"})
            yield Forgery("huge shape", huge_shape, _table({**text, "genome.000": huge}, data))
            yield Forgery("huge table", frozenset({"truncated"}), struct.pack("<Q", 1 << 62) + b"{}")

    def _special(self) -> Iterator[Forgery]:
        """What is no regular file, or has no reasonable size."""
        no_file, link = frozenset({"not-a-file"}), frozenset({"symlink"})
        while True:
            yield Forgery("FIFO", no_file, os.mkfifo)
            for target in ("/dev/zero", "/etc/passwd", "nowhere", "."):
                yield Forgery("symlink", link, lambda path, target=target: path.symlink_to(target))  # type: ignore[misc]
            yield Forgery("device", no_file, lambda path: os.mknod(path, 0o020600, os.makedev(1, 5)))
            yield Forgery("socket", no_file, _socket)
            yield Forgery("sparse 1 TiB", frozenset({"too-large"}), _sparse)

    def _names(self) -> Iterator[Forgery]:
        """Names that are none, with newlines and worse; the content is whole."""
        while True:
            for pattern in ODD_NAMES:
                data = self._whole(*self._next())[1]
                yield Forgery("odd name", frozenset({"name"}), data, pattern.format(self.made))
            data = self._whole(*self._next())[1]
            yield Forgery("odd name", frozenset({"name"}), data, b"\xff\xfe%d" % self.made)

    def _pickles(self) -> Iterator[Forgery]:
        """Whoever unpickles these makes the canary appear."""
        command = f"touch {self.canary}".encode()
        bomb = b"cos\nsystem\n(S'" + command + b"'\ntR."
        while True:
            yield Forgery("pickle bomb", frozenset({"truncated"}), bomb)
            yield Forgery("pickle bomb", frozenset({"schema"}), _table(bomb, b""))
            yield Forgery("pickle bomb", frozenset({"name"}), bomb, f"{self.made}.pickle")


def _table(table: dict[str, Any] | bytes, data: bytes) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def _parsed(text: str) -> Name:
    name = Name.parse(text)
    assert name is not None
    return name


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:  # a socket's path may be 108 bytes long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 40)
