"""Why something failed, from what it left behind."""

from __future__ import annotations

import contextlib
from pathlib import Path

from islands import files
from islands.errors import EvolabError
from islands.rundir import IslandDir


def complaint(island: IslandDir, log: Path) -> str:
    """Why an island failed: the message it left, or the last line of its log."""
    with contextlib.suppress(OSError, EvolabError):
        return str(files.read_json(island.error)["message"])
    with contextlib.suppress(OSError):
        size = log.stat().st_size
        with open(log, "rb") as stream:
            stream.seek(max(0, size - 4096))
            lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
        if lines:
            return f"{lines[-1].strip()} (see {log})"
    return f"no message; see {log}"
