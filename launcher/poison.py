"""When an island dies again and again at one generation: go back a checkpoint, and suspect the last migrants."""

from __future__ import annotations

import re
import time
from typing import Any

from islands import files
from islands.rundir import IslandDir, checkpoints_in

REMEMBERED = 1000
"""Digests that an island avoids at most; the newest stay."""
_LOOKED_AT = 128
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def fall_back(island: IslandDir) -> dict[str, Any]:
    """Set the newest checkpoint aside, if one is before it, and quarantine the last migrants. Says what was done."""
    suspects = last_migrants(island)
    if suspects:
        known = files.read_json(island.avoid)["digests"] if island.avoid.exists() else []
        kept = [*(digest for digest in known if digest not in suspects), *suspects][-REMEMBERED:]
        files.write_json(island.avoid, {"format": 1, "digests": kept, "time": time.time()})
    return {"set_aside": _set_aside(island), "quarantined": suspects}


def last_migrants(island: IslandDir) -> list[str]:
    """The digests of those that were being scored when it died; else of those admitted last."""
    lines = files.tail_jsonl(island.migrations, _LOOKED_AT)
    complete = {line.get("generation") for line in lines if line.get("event") == "complete"}
    scoring = [line for line in lines if line.get("event") == "scoring"]
    if scoring and scoring[-1].get("generation") not in complete:
        return _digests(scoring[-1].get("digests"))
    admitted = [line for line in lines if line.get("admitted")]
    newest = max((line["generation"] for line in admitted), default=None)
    return _digests([line.get("digest") for line in admitted if line["generation"] == newest])


def last_reached(island: IslandDir) -> int | None:
    """The last generation that an island has recorded."""
    newest = files.tail_jsonl(island.metrics, 1)
    generation = newest[0].get("generation") if newest else None
    return generation if isinstance(generation, int) else None


def _digests(found: Any) -> list[str]:
    listed = found if isinstance(found, list) else []
    return [digest for digest in listed if isinstance(digest, str) and _DIGEST.fullmatch(digest)]


def _set_aside(island: IslandDir) -> str | None:
    if not island.checkpoints.is_dir():
        return None
    found = checkpoints_in(island.checkpoints)
    if len(found) < 2:
        return None
    for older in island.checkpoints.glob("*.suspect"):
        files.remove(older)
    files.move(found[0], found[0].with_suffix(".suspect"))
    return found[0].name
