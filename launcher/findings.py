"""What a check of `evolab doctor` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

Verdict = Literal["ok", "note", "warning", "error"]
ROOM = ".evolab-doctor-"
"""How the name of a folder begins in which something is tried."""
WORST_FIRST: tuple[Verdict, ...] = ("error", "warning", "note", "ok")


class Finding(NamedTuple):
    """One line: the check's name, its verdict, what was found and, where something is to be done, what."""

    name: str
    verdict: Verdict
    found: str
    do: str = ""


Check = tuple[str, Callable[[], Finding]]
"""A check's name and the check; it may raise, and it may hang."""


def worst(verdicts: Sequence[str]) -> Verdict:
    """The worst of them; ok without any."""
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), "ok")
