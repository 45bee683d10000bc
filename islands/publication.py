"""One publication: the file that carries genomes from an island to the others, as bytes.

A publication is a safetensors file: one uint8 tensor `genome.000`, `genome.001`, … per genome, each opaque here, and
in its metadata a JSON header. Its name says what the header says, plus the first 16 digits of the content's SHA-256,
so that no bit of the file can change unnoticed:

    00000012-e0001-g00000110-9f86d081884c7d65.safetensors
    sequence epoch generation content

`decode` accepts exactly what `encode` writes, byte for byte, and names the reason when it refuses.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

from islands.errors import EvolabError

FORMAT = 1
FURTHEST_GENERATION = 10**9
HEADER_LARGEST = 1 << 21
"""Bytes of the table and header before the genomes; enough for 10,000 of them."""
_NAME = re.compile(r"([0-9]{8,9})-e([0-9]{4,9})-g([0-9]{8,12})-([0-9a-f]{16})\.safetensors")
HYPERPARAMETERS = 64
"""So many may travel with a publication."""
_HEX = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,40}")


class Refused(Exception):
    """Content that is not taken; `reason` is one word, for the log; `slot` the genome it is about, if one."""

    def __init__(self, reason: str, slot: int | None = None) -> None:
        self.reason, self.slot = reason, slot
        super().__init__(reason)


@dataclass(frozen=True)
class Name:
    """What a publication's file name says."""

    sequence: int
    epoch: int
    generation: int
    digest: str

    def __str__(self) -> str:
        return f"{self.sequence:08d}-e{self.epoch:04d}-g{self.generation:08d}-{self.digest}.safetensors"

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """The name in `text`; None when it is not exactly one."""
        return _parsed(text)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Name | None:
    """See `Name.parse`; the same names are looked at in several migrations."""
    match = _NAME.fullmatch(text)
    if not match:
        return None
    name = Name(int(match[1]), int(match[2]), int(match[3]), match[4])
    return name if str(name) == text else None


@dataclass(frozen=True)
class Header:
    """What a publication says of itself; `fitness` and `digests` (SHA-256) go with the genomes in order.

    `hyperparameters`: the sender's by name, where they travel with its migrants; left out where they do not.
    """

    format: int
    pool_id: str
    island: str
    epoch: int
    generation: int
    sequence: int
    fitness: tuple[float, ...]
    digests: tuple[str, ...]
    sha256: str
    hyperparameters: dict[str, float] | None = None

    def said(self) -> dict[str, Any]:
        """The fields that are written."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def name(self) -> Name:
        """The only file name this header may lie under. Content: all but epoch and sequence."""
        content = {key: value for key, value in self.said().items() if key not in ("epoch", "sequence")}
        digest = hashlib.sha256(_compact(content)).hexdigest()[:16]
        return Name(self.sequence, self.epoch, self.generation, digest)


def sha256_of(genomes: Sequence[bytes]) -> str:
    """SHA-256 over all genomes' bytes in order, as hex."""
    total = hashlib.sha256()
    for genome in genomes:
        total.update(genome)
    return total.hexdigest()


def encode(header: Header, genomes: Sequence[bytes]) -> bytes:
    """The file's bytes; a function of its arguments alone."""
    return b"".join((_head(header, [len(genome) for genome in genomes]), *genomes))


def _head(header: Header, sizes: Sequence[int]) -> bytes:
    """What comes before the genomes, which have these sizes in bytes."""
    text = _compact({"__metadata__": {"header": _compact(header.said()).decode()}, **_table(sizes)})
    text += b" " * (-len(text) % 8)  # as safetensors does, so that the data are aligned
    if len(text) > HEADER_LARGEST:
        raise EvolabError("publication", expected="at most 10,000 migrants", got=f"{len(sizes)}", do="send fewer")
    return struct.pack("<Q", len(text)) + text


def decode(file: BinaryIO, size: int, largest: int) -> tuple[Header, list[bytes]]:
    """Header and genomes of a file of `size` bytes; Refused otherwise. Reads at most `largest` bytes."""
    if size > largest:
        raise Refused("too-large")
    start = file.read(8)
    if len(start) < 8:
        raise Refused("truncated")
    length: int = struct.unpack("<Q", start)[0]
    if length > size - 8:
        raise Refused("truncated")
    if length > min(HEADER_LARGEST, (1 << 16) + largest // 4):
        raise Refused("schema")
    text = file.read(length)
    header, sizes = _parse(text)
    if size != 8 + length + sum(sizes):
        raise Refused("truncated" if size < 8 + length + sum(sizes) else "schema")
    genomes = [file.read(n) for n in sizes]
    if [len(genome) for genome in genomes] != sizes:
        raise Refused("truncated")
    if sha256_of(genomes) != header.sha256 or tuple(sha256_of([genome]) for genome in genomes) != header.digests:
        raise Refused("digest")
    if _head(header, sizes) != start + text:
        raise Refused("schema")
    return header, genomes


def _parse(text: bytes) -> tuple[Header, list[int]]:
    """Header and the genomes' sizes in bytes."""
    try:
        tensors = json.loads(text)
        fields = json.loads(tensors["__metadata__"]["header"])
        if fields["format"] != FORMAT:
            raise Refused("version")
        header = _typed(fields)
        sizes = [tensors[f"genome.{i:03d}"]["shape"][0] for i in range(len(header.fitness))]
        if {"__metadata__", *_table(sizes)} != set(tensors):
            raise Refused("schema")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise Refused("schema") from error
    if not all(type(n) is int and n > 0 for n in sizes):
        raise Refused("schema")
    if not all(math.isfinite(value) for value in header.fitness):
        raise Refused("fitness")
    return header, sizes


def _typed(fields: dict[str, Any]) -> Header:
    """The header, each field of the right type; Refused or any of the errors `_parse` expects otherwise."""
    fitness, digests = fields["fitness"], fields["digests"]
    numbers = [fields[key] for key in ("format", "epoch", "generation", "sequence")]
    texts = [fields["pool_id"], fields["island"], fields["sha256"], *digests]
    good = (
        all(type(number) is int and number >= 0 for number in numbers)
        and all(type(text) is str for text in texts)
        and all(_HEX.fullmatch(digest) for digest in digests)
        and 0 < len(fitness) == len(digests)
    )
    if not good:
        raise Refused("schema")
    if not all(type(value) is float for value in fitness):
        raise Refused("fitness" if None in fitness else "schema")
    if "hyperparameters" in fields and not _are_hyperparameters(fields["hyperparameters"]):
        raise Refused("schema")
    return Header(**{**fields, "fitness": tuple(fitness), "digests": tuple(digests)})


def _are_hyperparameters(found: Any) -> bool:
    """Whether it is a small table of finite numbers; what they mean is for whoever takes them over."""
    return (
        isinstance(found, dict)
        and len(found) <= HYPERPARAMETERS
        and all(_KEY.fullmatch(key) and type(value) is float and math.isfinite(value) for key, value in found.items())
    )


def _table(sizes: Sequence[int]) -> dict[str, Any]:
    table = {}
    offset = 0
    for i, size in enumerate(sizes):
        table[f"genome.{i:03d}"] = {"dtype": "U8", "shape": [size], "data_offsets": [offset, offset + size]}
        offset += size
    return table


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
