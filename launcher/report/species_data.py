"""How many genomes each species of an island had, over the run: read at a bounded number of generations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from islands.errors import EvolabError
from islands.rundir import IslandDir
from launcher.report.figures import number
from launcher.sampling import generations_at

POINTS = 300
"""Generations that are read of an island; of a longer run they lie evenly over it."""
SPECIES = 40
"""Species with a stream of their own: those that had most genomes over the run."""
OTHERS = "other"


@dataclass(frozen=True)
class Streams:
    """The sizes at the generations `x`. `sizes`: by the species' number, in the order in which they appeared, a size by
    place in `x`; those not worth a stream of their own last, as `OTHERS`."""

    x: list[int]
    sizes: dict[str, dict[int, float]]


def read_streams(island: IslandDir) -> Streams | None:
    """The sizes of an island's species; None where they are not recorded."""
    try:
        lines = generations_at(island.metrics, POINTS)
    except EvolabError:
        return None
    told = [(line["generation"], _sizes(line)) for line in lines if isinstance(line.get("species_sizes"), dict)]
    if not any(sizes for _, sizes in told):
        return None
    weight: Counter[str] = Counter()
    for _, sizes in told:
        weight.update(sizes)
    weight.pop(OTHERS, None)
    shown = {name for name, _ in weight.most_common(SPECIES)}
    streams: dict[str, dict[int, float]] = {name: {} for name in sorted(shown, key=int)}
    others: dict[int, float] = {}
    for place, (_, sizes) in enumerate(told):
        for name, size in sizes.items():
            if name in shown:
                streams[name][place] = size
            else:
                others[place] = others.get(place, 0.0) + size
    return Streams([generation for generation, _ in told], {**streams, **({OTHERS: others} if others else {})})


def _sizes(line: Mapping[str, Any]) -> dict[str, float]:
    """What a metrics line says, as far as it can be used."""
    known = {str(name): number(size) for name, size in line["species_sizes"].items()}
    return {
        name: size
        for name, size in known.items()
        if size is not None and size > 0 and (name == OTHERS or (name.isdecimal() and len(name) < 16))
    }
