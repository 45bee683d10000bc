"""The digest chain: each generation's link stands for every generation before it, and for who was let in.

    link(0) = SHA-256 of [seed, island's name], then of [that, 0, digest of generation 0, []]
    link(g) = SHA-256 of [link(g - 1), g, digest of generation g, digests of the migrants admitted since g - 1]

A generation's digest covers genomes and fitness; so two islands with the same link have had the same history. The links
are in the metrics, beside what they are made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any


def beginning(seed: int, name: str) -> str:
    """What the first generation is linked to."""
    return _hash([seed, name])


def link(previous: str, generation: int, digest: str, admitted: Sequence[str]) -> str:
    """The link of a generation whose genomes and fitness have `digest`, before which `admitted` were let in."""
    return _hash([previous, generation, digest, list(admitted)])


def _hash(value: list[Any]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
