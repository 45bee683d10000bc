"""The replay of a run's creatures as a piece of a page."""

from __future__ import annotations

from islands.rundir import RunDir


def fragment(run: RunDir) -> str:
    """HTML with its scripts inlined, safe as it is; "": there is nothing to replay."""
    return ""
