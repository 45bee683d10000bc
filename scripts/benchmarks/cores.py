"""All cores: migrating islands beside processes that do not, the price of a migration, many islands, a forecast."""

from __future__ import annotations

import sys
from typing import Any

from launcher import presets
from scripts.benchmarks import cores_arms, cores_many, cores_migration, cores_model
from scripts.benchmarks.cores_arms import PRESET

TITLE = "All cores"
PARTS = {
    "arms": cores_arms.measure,
    "migration": cores_migration.measure,
    "bare": cores_migration.bare,
    "many": cores_many.measure,
    "disk": cores_model.disk,
}


def measure(quick: bool) -> dict[str, Any]:
    """The figures of every part."""
    found: dict[str, Any] = {}
    for name, part in PARTS.items():
        found[name] = part(quick)
        print(f"{name}: measured", file=sys.stderr, flush=True)
    return found


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    every = presets.resolve(PRESET).migration.every
    return "\n\n".join([
        cores_arms.section(found["arms"]),
        "### What a migration costs\n\n" + cores_migration.section(found["migration"], found["bare"], every),
        "### Many islands\n\n" + cores_many.section(found["many"]),
        "### A forecast\n\n" + cores_model.section(found),
    ])  # fmt: skip
