"""The directed graph of islands: from whom an island takes its immigrants.

| spec          | an island takes from                                                  |
|---------------|-----------------------------------------------------------------------|
| `full`        | every other island                                                    |
| `ring`        | its predecessor                                                       |
| `torus`       | its four neighbours on a grid whose rows and columns close on themselves |
| `star`        | the hub (the first island); the hub takes from everybody              |
| `random-K`    | K fixed islands, chosen by hash: who joins or leaves moves few edges  |
| `isolated`    | nobody                                                                |
| `a>b,b>c`     | what the list says, source>target, by name or by index                |

Islands are taken in the order of their sorted names.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

from islands.errors import ConfigError

SPECS = "full, ring, torus, star, random-K, isolated, or an edge list such as a>b,b>c"
_RANDOM = re.compile(r"random-([1-9][0-9]{0,5})")


def neighbours(spec: str, names: Sequence[str], own: str, key: int) -> list[str]:
    """The names of the islands that `own` takes from, sorted.

    `names` are the islands known so far (own or not); `key` is the archipelago's seed and matters to `random-K`
    alone. An edge list may name islands that have not come yet. Deterministic; cost O(len(names)).
    """
    everyone = sorted({*names, own})
    others = [name for name in everyone if name != own]
    place = everyone.index(own)
    if spec == "full":
        return others
    if spec == "isolated":
        return []
    if spec == "ring":
        return [everyone[place - 1]] if others else []
    if spec == "torus":
        return sorted({everyone[i] for i in _torus(len(everyone), place)})
    if spec == "star":
        return others if place == 0 else [everyone[0]]
    if match := _RANDOM.fullmatch(spec):
        return sorted(sorted(others, key=lambda name: _weight(key, own, name))[: int(match[1])])
    found = {_named(source, everyone) for source, target in _edges(spec) if _named(target, everyone) == own}
    return sorted(name for name in found if name is not None and name != own)


def check(spec: str, names: Sequence[str] | None = None) -> None:
    """Raise a ConfigError unless `spec` is a topology; with `names`, unless an edge list names only these."""
    if spec in ("full", "ring", "torus", "star", "isolated") or _RANDOM.fullmatch(spec):
        return
    edges = _edges(spec)
    for end in {end for edge in edges for end in edge} if names is not None else ():
        named = _named(end, sorted(names or ()))
        if named is None or named not in (names or ()):
            raise ConfigError(f"topology {spec!r}", expected="edges between islands of this run", got=f"{end!r}")


def _torus(n: int, place: int) -> list[int]:
    """Places beside, above and below `place`: n islands row by row on the squarest grid, the last row may be short."""
    columns = math.isqrt(n - 1) + 1
    row, column = divmod(place, columns)
    width = min(columns, n - row * columns)
    height = (n - column - 1) // columns + 1
    across = [row * columns + (column + step) % width for step in (-1, 1)]
    down = [(row + step) % height * columns + column for step in (-1, 1)]
    return [other for other in across + down if other != place]


def _weight(key: int, own: str, other: str) -> bytes:
    return hashlib.blake2b(f"{key}/{own}/{other}".encode(), digest_size=8).digest()


def _edges(spec: str) -> list[tuple[str, str]]:
    edges = []
    for part in spec.split(","):
        source, arrow, target = (piece.strip() for piece in part.partition(">"))
        if not (source and arrow and target) or ">" in target or source == target:
            raise ConfigError("topology", expected=SPECS, got=repr(spec), do="mend migration.topology")
        edges.append((source, target))
    return edges


def _named(end: str, everyone: Sequence[str]) -> str | None:
    """The island an edge's end means: a name first, else an index; None for an index beyond the last island."""
    if end in everyone or not (end.isascii() and end.isdigit()):
        return end
    return everyone[int(end)] if int(end) < len(everyone) else None
