"""What the dashboard tells of a run at a moment: a sentence, a few figures, every island, the newest events."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from islands.errors import EvolabError
from islands.rundir import RunDir
from launcher import live, status
from launcher.dashboard.island_looks import IslandLook
from launcher.report.event_rows import newest, rows
from launcher.states import DONE, FAILED, HELD, OVER, PENDING, RUNNING, STALLED, STOPPED, of_run
from launcher.utilisation import clock

NEWEST_EVENTS = 30
WORDS = {"DONE": "finished", "FAILED": "failed", "BACKOFF": "being started again", "PENDING": "not started yet"}


class RunLook:
    """Looks at a run as often as one likes."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.islands: list[IslandLook] = []
        self.plan: dict[str, Any] = {}
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._launcher: dict[str, Any] = {}
        self._events: list[dict[str, Any]] = []
        self._seconds: float | None = None
        self._state = ""

    def glance(self) -> dict[str, Any]:
        """The run as a whole, in few figures."""
        self._read_plan()
        if self._changed("launcher", self.run.launcher):
            self._launcher = live.read(self.run)
        lives = live.is_current(self._launcher)
        launcher, now = self._launcher if lives else None, time.monotonic()
        told = [island.look(launcher, now) for island in self.islands]
        states = [str(each["state"]) for each in told]
        counts = Counter(states)
        self._state = of_run(states)
        best = [each["best"] for each in told if isinstance(each["best"], int | float)]
        return {
            "state": self._state,
            "told": self._sentence(counts, told),
            "islands": len(told),
            "states": dict(counts.most_common()),
            "done": min((each["done"] for each in told), default=0),
            "share": _share(told),
            "farthest": max((each["done"] for each in told), default=0),
            "generations": max((each["generations"] or 0 for each in told), default=0),
            "best": max(best, default=None),
            "cores": self._cores(),
            "launcher": lives,
            "utilisation": self._launcher.get("utilisation_now" if lives else "utilisation"),
            "seconds": self._launcher.get("seconds"),
            "cost": self._launcher.get("cost"),
            "cost_per_hour": self._launcher.get("cost_per_hour"),
            "disk": self._launcher.get("disk") if lives else None,
            "created": self.plan.get("created"),
            "config": self.plan.get("config"),
            "command": self.plan.get("command"),
        }

    def look(self) -> dict[str, Any]:
        """All that the page of a run shows, its charts aside."""
        glance = self.glance()
        if self._changed("events", self.run.events):
            self._events = rows(newest(self.run, NEWEST_EVENTS))[::-1]
        return {**glance, "rows": [_row(island) for island in self.islands], "events": self._events}

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself, as far as was seen."""
        return bool(self.islands) and all(island.told.get("state") in OVER for island in self.islands)

    @property
    def progress(self) -> Any:
        """What changes when there is something new to draw."""
        return [(island.told.get("state"), island.told.get("done")) for island in self.islands]

    def _read_plan(self) -> None:
        changed = self._changed("plan", self.run.plan)
        if self._stamps["plan"] is None:
            raise EvolabError(f"the directory {self.run.path} is gone")
        if self.islands and not changed:
            return
        self.plan = self.run.read_plan()
        known = {look.island.name: look for look in self.islands}
        self.islands = [known.get(island.name) or IslandLook(island) for island in self.run.islands()]

    def _changed(self, what: str, path: Any) -> bool:
        """Whether a file is another one, or longer, than when this was asked last."""
        try:
            stat = os.stat(path)
            stamp: tuple[int, int] | None = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            stamp = None
        before = self._stamps.get(what, (-1, -1))
        self._stamps[what] = stamp
        return stamp != before

    def _cores(self) -> float | None:
        """Cores that the run keeps busy now; a process that plays many islands counts once."""
        use = {island.pid: island.use for island in self.islands if island.pid is not None}
        known = [each for each in use.values() if each is not None]
        return round(sum(known), 2) if known else None

    def _sentence(self, counts: Counter[str], told: Sequence[dict[str, Any]]) -> str:
        whole, parts = len(told), [f"{count} {word(state)}" for state, count in counts.most_common()]
        islands = f"{whole} island{'s' * (whole != 1)}"
        listed = f"Of {whole} islands {', '.join(parts)}." if len(parts) > 1 else ""
        state = self._state
        after = f" after {clock(seconds)}" if (seconds := self._took()) else ""
        if state == DONE:
            return f"Finished{after}: {islands} came to the end."
        if state == STOPPED:
            return f"Stopped{after}, with checkpoints: evolab resume goes on. {listed}".strip()
        if state in (HELD, FAILED):
            return f"Ended{after} and needs a look. {listed} {_reasons(told)}".strip()
        if state == PENDING:
            return "Starting." if live.is_current(self._launcher) else "Not started yet."
        going = "Running" if state in (RUNNING, STALLED) else "Being started again"
        return f"{going}{'.' if listed else f': {islands}.'} {listed} {_reasons(told)}".strip()

    def _took(self) -> float | None:
        """Wall seconds: the launcher's, or the longest island's where there was none."""
        known = self._launcher.get("seconds")
        if isinstance(known, int | float):
            return float(known)
        if self._state == DONE and self._seconds is None:
            self._seconds = max((_seconds_of(look) for look in self.islands), default=0.0)
        return self._seconds


def word(state: str) -> str:
    """A state as it stands in a sentence."""
    return WORDS.get(state, state.lower())


def _share(told: Sequence[dict[str, Any]]) -> float | None:
    """How much of all generations is done."""
    wanted = sum(each["generations"] or 0 for each in told)
    return round(sum(each["done"] for each in told if each["generations"]) / wanted, 4) if wanted else None


def _reasons(told: Sequence[dict[str, Any]]) -> str:
    found = dict.fromkeys(f"{each['island']}: {each['message']}" for each in told if each["message"])
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return "; ".join(list(found)[:3]) + more


def _seconds_of(look: IslandLook) -> float:
    value = status.read_or_nothing(look.island.result).get("seconds")
    return float(value) if isinstance(value, int | float) else 0.0


def _row(look: IslandLook) -> dict[str, Any]:
    keys = ("island", "state", "phase", "done", "generations", "step", "best", "rss_mb", "restarts", "message")
    row = {key: look.told[key] for key in keys}
    use, pace = look.use, look.pace
    row["use"] = None if use is None else round(use, 3)
    row["pace"] = None if pace is None else float(f"{pace:.3g}")
    row["age"] = None if look.told["state"] in OVER else look.told["seconds_since_heartbeat"]
    return row
