"""What a page shows: the topic of an address, and the charts that belong to it."""

from __future__ import annotations

from typing import Any

from islands.rundir import RunDir
from launcher.dashboard import charting
from launcher.dashboard.follower import Topic
from launcher.dashboard.overview import Overview
from launcher.dashboard.places import Places
from launcher.dashboard.run_looks import RunLook
from launcher.dashboard.study_looks import StudyLook
from launcher.states import OVER, PENDING
from launcher.trials import StudyDir


class Shown:
    """A run or a study with its charts, which are gathered from the first time that they are asked for."""

    def __init__(self, thing: RunDir | StudyDir) -> None:
        self.thing = thing
        self.look = RunLook(thing) if isinstance(thing, RunDir) else StudyLook(thing)
        self._charting: charting.Charting | None = None

    def charts(self, have: int) -> bytes:
        """The charts for a page that has version `have` (see `Charting.answer`)."""
        if self._charting is None:
            thing = self.thing
            make = charting.of_run(thing) if isinstance(thing, RunDir) else charting.of_study(thing)
            self._charting = charting.Charting(make)
        progress = self.look.progress if isinstance(self.look, RunLook) else None
        return self._charting.answer(have, progress or None)


def topic_of(places: Places, address: tuple[str, ...]) -> Topic | None:
    """The topic of an address; None where there is nothing."""
    if not address:
        overview = Overview(places)
        return Topic(overview.look, lambda: overview.folders, _anything_at_work)
    thing = places.find(address)
    if thing is None:
        return None
    shown = Shown(thing)
    folders = [thing.path]
    if isinstance(shown.look, RunLook):
        return Topic(shown.look.look, lambda: folders, _goes_on, shown)
    return Topic(shown.look.look, lambda: folders, lambda value: bool(value["working"]), shown)


def _goes_on(value: dict[str, Any]) -> bool:
    return bool(value["launcher"]) or not set(value["states"]) <= {*OVER, PENDING}


def _anything_at_work(value: dict[str, Any]) -> bool:
    runs = any(not set(run["states"]) <= {*OVER, PENDING} for run in value["runs"])
    return runs or any(study["working"] for study in value["studies"])
