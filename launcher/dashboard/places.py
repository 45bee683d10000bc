"""Which runs and studies there are, and what they are called in addresses.

An address never becomes a path: it is looked up among what was found.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from islands.rundir import RunDir
from launcher import run, trials
from launcher.trials import StudyDir


@dataclass(frozen=True)
class Places:
    """Where runs and studies lie, there or not."""

    runs_dir: Path
    studies_dir: Path

    def runs(self) -> list[RunDir]:
        """All runs."""
        try:
            return run.every(self.runs_dir)
        except OSError:
            return []

    def studies(self) -> list[StudyDir]:
        """All studies."""
        try:
            return trials.every(self.studies_dir)
        except OSError:
            return []

    def find(self, address: Sequence[str]) -> RunDir | StudyDir | None:
        """What the parts of an address mean: `run/NAME`, `study/NAME` or `study/NAME/TRIAL/RUN`."""
        match list(address):
            case ["run", name]:
                return next((each for each in self.runs() if each.path.name == name), None)
            case ["study", name]:
                return next((each for each in self.studies() if each.path.name == name), None)
            case ["study", name, number, called]:
                study = self.find(("study", name))
                return _of_trial(study, number, called) if isinstance(study, StudyDir) else None
        return None


def beside(runs_dir: Path) -> Places:
    """The runs in a folder, and the studies beside it."""
    return Places(runs_dir, runs_dir.parent / trials.STUDIES)


def address(*parts: str) -> str:
    """`/run/NAME` and the like, fit for a link whatever the name."""
    return "".join(f"/{quote(os.fsencode(part), safe='')}" for part in parts)


def parts_of(path: str) -> list[str]:
    """The parts of an address as they were given to `address`."""
    return [os.fsdecode(unquote_to_bytes(part)) for part in path.split("/") if part]


def shown(name: str) -> str:
    """A name as text that can be sent."""
    return os.fsencode(name).decode(errors="replace")


def _of_trial(study: StudyDir, number: str, called: str) -> RunDir | None:
    for known in study.numbers():
        if f"{known:04d}" == number:
            folders = run.every(study.folder(known))
            return next((each for each in folders if each.path.name == called), None)
    return None
