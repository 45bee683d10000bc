"""Migrants that an island must not take in, because it died of them (or may have).

The launcher names them in the island's `avoid.json`. They are refused when they arrive, and where the island's log says
that it took them in after the checkpoint from which it goes on, the log is corrected: what is repeated from it leaves
them out, now and at every later replay.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from islands import files

REASON = "quarantined"


def read(path: Path) -> frozenset[str]:
    """The digests in an `avoid.json`; none where there is no such file."""
    if not path.exists():
        return frozenset()
    return frozenset(map(str, files.read_json(path).get("digests", [])))


def corrected(line: dict[str, Any], generation: int, avoid: frozenset[str]) -> dict[str, Any]:
    """A line of the log; one of an admission from `generation` on becomes a refusal when it must be avoided."""
    if not avoid or line["generation"] < generation or not line.get("admitted") or line["digest"] not in avoid:
        return line
    kept = {key: value for key, value in line.items() if key != "genome"}
    return {**kept, "slot": None, "admitted": False, "reason": REASON}
