"""How many genomes each species of an island had, over the run: read at a bounded number of generations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher.report.figures import number
from launcher.sampling import generations_at

READ, POINTS = 400, 100
"""Generations that are read of an island (of a longer run they lie evenly over it), and points that they come to."""
SPECIES = 80
"""Species with a stream of their own: those that had most genomes over the run."""
OTHERS = "other"


@dataclass(frozen=True)
class Streams:
    """Sizes at the generations `x`, each the mean of `width` generations that were read, of which it is the last.

    `sizes`: by the species' number, in the order in which they appeared, a size by place in `x`; those not worth a
    stream of their own last, as `OTHERS`.
    """

    x: list[int]
    sizes: dict[str, dict[int, float]]
    width: int = 1


def read_streams(island: IslandDir) -> Streams | None:
    """The sizes of an island's species; None where they are not recorded."""
    try:
        lines = generations_at(island.metrics, READ)
    except EvolabError:
        return None
    told = [(line["generation"], _sizes(line)) for line in lines if isinstance(line.get("species_sizes"), dict)]
    if not any(sizes for _, sizes in told):
        return None
    width = -(-len(told) // POINTS)
    buckets = [told[begin : begin + width] for begin in range(0, len(told), width)]
    return Streams([bucket[-1][0] for bucket in buckets], _streams([_mean(bucket) for bucket in buckets]), width)


def _mean(bucket: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """The mean sizes over some generations; a species that is not there has none."""
    total: Counter[str] = Counter()
    for _, sizes in bucket:
        total.update(sizes)
    return {name: size / len(bucket) for name, size in total.items()}


def _streams(points: Sequence[Mapping[str, float]]) -> dict[str, dict[int, float]]:
    """Each species' size by place; of the small ones together."""
    weight: Counter[str] = Counter()
    for sizes in points:
        weight.update(sizes)
    weight.pop(OTHERS, None)
    shown = {name for name, _ in weight.most_common(SPECIES)}
    streams: dict[str, dict[int, float]] = {name: {} for name in sorted(shown, key=int)}
    others: dict[int, float] = {}
    for place, sizes in enumerate(points):
        for name, size in sizes.items():
            if name in shown:
                streams[name][place] = size
            else:
                others[place] = others.get(place, 0.0) + size
    return {**streams, **({OTHERS: others} if others else {})}


def _sizes(line: Mapping[str, Any]) -> dict[str, float]:
    """What a metrics line says, as far as it can be used."""
    known = {str(name): number(size) for name, size in line["species_sizes"].items()}
    return {
        name: size
        for name, size in known.items()
        if size is not None and size > 0 and (name == OTHERS or (name.isdecimal() and len(name) < 16))
    }
