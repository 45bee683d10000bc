"""What the dashboard tells of a study at a moment, from the files that its sitting replaces."""

from __future__ import annotations

import time
from typing import Any

from islands.errors import EvolabError
from launcher import tables
from launcher.dashboard.places import address, shown
from launcher.run import every
from launcher.status import read_or_nothing
from launcher.trials import StudyDir
from launcher.utilisation import clock

SILENT = 20.0
"""Seconds after which a sitting that says nothing is no longer there."""
KEYS = ("cores_busy", "cores_granted", "utilisation", "cost", "seconds", "seconds_left", "trials_running", "warnings")


class StudyLook:
    """Looks at a study as often as one likes."""

    def __init__(self, study: StudyDir) -> None:
        self.study = study

    def glance(self) -> dict[str, Any]:
        """The study as a whole, in few figures."""
        if not self.study.identity.is_file():
            raise EvolabError(f"the directory {self.study.path} is gone")
        live, summary = read_or_nothing(self.study.live), read_or_nothing(self.study.summary)
        age = time.time() - live["time"] if isinstance(live.get("time"), int | float) else None
        state = str(live.get("state") or "not started")
        lost = state in ("running", "stopping") and (age is None or age > SILENT)
        working = state in ("running", "stopping") and not lost
        states = {str(key): int(value) for key, value in (summary.get("states") or {}).items() if value}
        best = live.get("best") or summary.get("best")
        wanted = (live.get("trials") or {}).get("wanted")
        return {
            "state": "lost" if lost else state,
            "working": working,
            "told": _sentence("lost" if lost else state, live, wanted, age),
            "trials": summary.get("trials", 0),
            "wanted": wanted,
            "states": states,
            "best": tables.mean({"mean": best["values"][0], "ci95": best.get("ci95")}) if best else None,
            "best_trial": best["trial"] if best else None,
            **{key: live.get(key) for key in KEYS},
            **({} if working else {"cores_busy": None, "utilisation": None, "trials_running": 0, "seconds_left": None}),
        }

    def look(self) -> dict[str, Any]:
        """All that the page of a study shows, its charts and its trials aside."""
        glance = self.glance()
        running = read_or_nothing(self.study.live).get("running") if glance["working"] else None
        return {**glance, "running": [self._flight(each) for each in running or () if isinstance(each, dict)]}

    def _flight(self, flight: dict[str, Any]) -> dict[str, Any]:
        number = flight.get("trial")
        folder = self.study.folder(number) if isinstance(number, int) else None
        names = [run.path.name for run in every(folder)] if folder else []
        parts = ("study", self.study.path.name, f"{number:04d}") if isinstance(number, int) else ()
        return {
            "trial": number,
            "done": flight.get("generations"),
            "wanted": flight.get("generations_wanted"),
            "seconds": flight.get("seconds"),
            "cpus": ", ".join(map(str, flight.get("cpus") or ())) or "–",
            "runs": [{"name": shown(name), "href": address(*parts, name)} for name in names],
        }


def _sentence(state: str, live: dict[str, Any], wanted: object, age: float | None) -> str:
    trials = live.get("trials") or {}
    over = sum(int(trials.get(key) or 0) for key in ("complete", "pruned", "fail"))
    seconds = live.get("seconds")
    after = f" after {clock(seconds)}" if isinstance(seconds, int | float) else ""
    if state == "running":
        left = live.get("seconds_left")
        more = f", about {clock(left)} left" if isinstance(left, int | float) and left > 0 else ""
        return f"Running: {live.get('trials_running', 0)} trials at this moment, {over} of {wanted} over{more}."
    if state == "stopping":
        return "Stopping: its trials write checkpoints."
    if state == "done":
        return f"Finished{after}: {over} trials are over."
    if state == "stopped":
        return f"Stopped{after} with {over} of {wanted} trials over; the same command continues it."
    if state == "lost":
        silent = f"for {clock(age)} " if age is not None else ""
        return f"Nothing has been heard {silent}of its process; the same command continues it."
    return "Not started yet."
