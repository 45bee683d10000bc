"""All runs and studies at a glance. A run that is over is looked at seldom: nothing happens there by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from islands.errors import EvolabError
from launcher.dashboard.places import Places, address, shown
from launcher.dashboard.run_looks import RunLook
from launcher.dashboard.study_looks import StudyLook
from launcher.report.figures import number, short
from launcher.sparks import Trends
from launcher.states import BACKOFF, RUNNING, STALLED

SELDOM = 5.0
LISTED_EVERY = 1.0
"""Seconds between two looks at which runs there are."""
MOST = 300
"""Runs that are shown: the newest."""
POINTS = 24
"""Of a run's trend."""
_WORKING = (RUNNING, STALLED, BACKOFF)


class Overview:
    """Looks at all there is as often as one likes."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._runs: dict[Path, _Seen] = {}
        self._studies: dict[Path, StudyLook] = {}
        self._left_out = 0
        self._due = 0.0

    def look(self) -> dict[str, Any]:
        """The JSON of the first page, those at work first, then the newest."""
        self._list()
        now = time.monotonic()
        runs = [told for seen in self._runs.values() if (told := seen.look(now)) is not None]
        runs.sort(key=lambda run: str(run["created"] or ""), reverse=True)
        runs.sort(key=lambda run: run["state"] not in _WORKING)
        studies = [told for study in self._studies.values() if (told := _study(study)) is not None]
        studies.sort(key=lambda study: not study["working"])
        return {"runs": runs, "studies": studies, "left_out": self._left_out, "told": _told(runs, studies)}

    @property
    def folders(self) -> list[Path]:
        """Where something new appears, and what is at work."""
        working = [path for path, seen in self._runs.items() if seen.working]
        return [self._places.runs_dir, self._places.studies_dir, *working[:8], *list(self._studies)[:8]]

    def _list(self) -> None:
        """Which there are."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LISTED_EVERY
        found = self._places.runs()
        if len(found) > MOST:
            found = sorted(found, key=lambda run: _changed(run.plan), reverse=True)
        self._left_out = max(0, len(found) - MOST)
        self._runs = {run.path: self._runs.get(run.path) or _Seen(RunLook(run)) for run in found[:MOST]}
        self._studies = {s.path: self._studies.get(s.path) or StudyLook(s) for s in self._places.studies()}


class _Seen:
    """A run as it was seen last."""

    def __init__(self, run: RunLook) -> None:
        self._run, self._trends = run, Trends(POINTS)
        self._told: dict[str, Any] | None = None
        self._due, self._stamp = 0.0, -1

    @property
    def working(self) -> bool:
        return self._told is not None and self._told["state"] in _WORKING

    def look(self, now: float) -> dict[str, Any] | None:
        """None: it cannot be read, or is gone."""
        stamp = _changed(self._run.run.path)
        if not self.working and now < self._due and stamp == self._stamp:
            return self._told
        self._due, self._stamp = now + SELDOM, stamp
        try:
            glance = self._run.glance()
        except (EvolabError, OSError) as error:
            self._told = None if not self._run.run.plan.is_file() else _unreadable(self._run, str(error))
            return self._told
        name = self._run.run.path.name
        self._told = {**glance, "name": shown(name), "href": address("run", name), "trend": self._trend()}
        return self._told

    def _trend(self) -> list[float | int | None]:
        """How the best fitness of the best island came about, in a few points."""
        known = [look for look in self._run.islands if number(look.told.get("best")) is not None]
        if not known:
            return []
        leader = max(known, key=lambda look: number(look.told["best"]) or 0.0)
        return [short(value) for value in self._trends.bests(leader.island, int(leader.told["done"]))]


def _unreadable(run: RunLook, why: str) -> dict[str, Any]:
    keys = ("created", "best", "cores", "cost", "config", "utilisation", "share")
    told = {
        "state": "UNREADABLE",
        "told": why,
        "islands": 0,
        "states": {},
        "done": 0,
        "generations": 0,
        "farthest": 0,
        "trend": [],
    }
    name = run.run.path.name
    return {**dict.fromkeys(keys), **told, "name": shown(name), "href": address("run", name)}


def _study(study: StudyLook) -> dict[str, Any] | None:
    try:
        glance = study.glance()
    except (EvolabError, OSError):
        return None
    name = study.study.path.name
    return {**glance, "name": shown(name), "href": address("study", name)}


def _told(runs: list[dict[str, Any]], studies: list[dict[str, Any]]) -> str:
    working = sum(run["state"] in _WORKING for run in runs)
    searching = sum(study["working"] for study in studies)
    if not runs and not studies:
        return "Nothing here yet."
    text = f"{len(runs)} run{'s' * (len(runs) != 1)}, {working or 'none'} at work"
    if studies:
        text += f"; {len(studies)} stud{'ies' if len(studies) != 1 else 'y'}, {searching or 'none'} at work"
    return f"{text}."


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1
