"""The charts of a run or a study as JSON, made again no more often than they are worth.

Making them may take long; so they are made when a page asks, and again only after a time in which they are no more than
a small part of one core's work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from islands.errors import EvolabError
from islands.rundir import RunDir
from launcher.dashboard.follower import dumps
from launcher.dashboard.places import address, shown
from launcher.report.figures import Chart
from launcher.trials import StudyDir

AT_MOST_EVERY, LONGEST = 2.0, 120.0
"""Seconds between two times that charts are made."""
FIRST = 10.0
"""The longest time after the first charts, which had to import what draws them."""
SHARE = 50.0
"""So many times what it took passes before charts are made again: a fiftieth of a core."""
POINTS = 8_000
"""Of one series over all islands: fewer than a report has, since they are drawn again and again."""

Made = tuple[Sequence[Chart], dict[str, Any]]


class Charting:
    """`make`: the charts and what else belongs to them."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._due = 0.0
        self._again = AT_MOST_EVERY
        self._progress: Any = None
        self._version = 0
        self._body = b""

    def answer(self, have: int, progress: Any) -> bytes:
        """The JSON for a page that has version `have`: `again_in` seconds, and the charts where there are newer ones.

        `progress`: what differs when there is something new; the charts are made anew only then.
        """
        with self._lock:
            now = time.monotonic()
            if now >= self._due and (progress is None or progress != self._progress):
                self._renew(progress)
                self._due = time.monotonic() + self._again
            wait = max(0.5, self._due - time.monotonic())
            if self._version == have:
                return dumps({"version": have, "again_in": wait})
            return b'{"again_in":%.3f,%s' % (wait, self._body[1:])

    def _renew(self, progress: Any) -> None:
        began = time.thread_time()
        try:
            charts, more = self._make()
            body = {"charts": [told(chart) for chart in charts], "trouble": None, **more}
            self._progress = progress
        except (EvolabError, OSError) as error:
            body = {"charts": None, "trouble": str(error)}
        self._version += 1
        self._body = dumps({"version": self._version, **body})
        longest = LONGEST if self._version > 1 else FIRST
        self._again = min(longest, max(AT_MOST_EVERY, SHARE * (time.thread_time() - began)))


def of_run(run: RunDir) -> Callable[[], Made]:
    """What makes the charts of a run."""
    from launcher.report import run_data, run_page

    gatherer = run_data.Gatherer(run, POINTS)

    def make() -> Made:
        return run_page.charts(gatherer.gather()), {}

    return make


def of_study(study: StudyDir) -> Callable[[], Made]:
    """What makes the charts of a study."""
    from launcher.report import study_data, study_figures, study_page

    gatherer = study_data.Gatherer(study)

    def make() -> Made:
        data = gatherer.gather()
        rows = [_trial(data, row) for row in (study_page.row(data, trial, study.report) for trial in data.trials)]
        charts = study_figures.charts(data, time.time())
        return charts, {"trials": rows[::-1], "objectives": list(data.identity.objectives)}

    return make


def told(chart: Chart) -> dict[str, Any]:
    """A chart with what a report's page writes around it."""
    around = {"title": chart.title, "note": chart.note, "height": chart.height, "wide": chart.wide, "told": chart.told}
    return {**chart.as_dict(), **around}


def _trial(data: Any, row: dict[str, Any]) -> dict[str, Any]:
    parts = ("study", data.study.path.name, f"{row['number']:04d}")
    runs = [{"name": shown(each["name"]), "href": address(*parts, each["name"])} for each in row["runs"]]
    return {**row, "runs": runs}
