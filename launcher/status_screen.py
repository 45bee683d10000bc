"""`evolab status RUN` on a terminal: a line for the run, then a line an island, as wide as the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from islands.rundir import RunDir
from launcher import island_lines
from launcher.rows import Pace, Row
from launcher.sparks import Trends
from launcher.utilisation import clock

Record = Mapping[str, Any]
_NAME = 12
"""Characters that a run's name has at least."""


class Screen:
    """Draws what `launcher.status.run_status` says of a run; remembers trends and paces between two looks."""

    def __init__(self, run: RunDir) -> None:
        self._run, self._trends = run, Trends()
        self._paces: dict[str, Pace] = {}

    def draw(self, told: Record, width: int, height: int | None = None) -> Group:
        """The picture: at most `height` lines, none wider than `width`."""
        head = heading(told, width)
        rows = [self._row(island) for island in told["islands"]]
        room = None if height is None else height - len(head)
        return Group(*head, *island_lines.lines(rows, width, room))

    def _row(self, told: Record) -> Row:
        island, done = self._run.island(told["island"]), int(told["done"])
        pace = self._paces.setdefault(island.name, Pace())
        pace.note(time.monotonic(), done)
        return Row(
            name=told["island"],
            state=told["state"],
            starting=told["phase"] == "starting",
            done=done,
            generations=int(told["generations"] or 0),
            best=told["best"],
            seconds_per_generation=pace.seconds or (self._trends.seconds(island, done) if done else None),
            quiet_seconds=max(0.0, told["seconds_since_heartbeat"] or 0.0),
            trend=self._trends.of(island, done, told["best"]) if done else "",
            restarts=told["restarts"],
            reason=told["message"] or "",
            cpu_seconds=told["cpu_seconds"],
            rss_mb=told["rss_mb"],
        )


def heading(told: Record, width: int) -> list[Text]:
    """The run, its state, how much of the cores it uses, what it costs; and a full disk."""
    launcher, state = told["launcher"] or {}, str(told["state"])
    figures = "".join(f" · {part}" for part in _figures(launcher))
    line = Text(no_wrap=True)
    line.append(f"{_short(str(told['run']), width - len(f': {state}{figures}'))}: ", "bold")
    line.append(state, island_lines.STYLES.get(state, "")).append(figures)
    heads = [line]
    if launcher.get("disk") and launcher["alive"]:
        heads.append(Text(str(launcher["disk"]), style="bold yellow", no_wrap=True))
    for head in heads:
        head.truncate(width, overflow="ellipsis")
    return heads


def _short(name: str, room: int) -> str:
    """A run's name, without its folder and its middle where there is no room for them."""
    for shown in (name, Path(name).name):
        if cell_len(shown) <= room:
            return shown
    room = max(_NAME, room)
    return f"{shown[: room // 2]}…{shown[len(shown) - (room - room // 2 - 1) :]}"


def _figures(launcher: Record) -> list[str]:
    if not launcher:
        return ["no launcher"]
    use = launcher["utilisation_now"] if launcher["alive"] else launcher["utilisation"]
    parts = [] if use is None else [f"core use {use:.0%}"]
    if launcher["cost"] is not None:
        parts.append(f"cost {launcher['cost']:.2f}")
    if launcher["seconds"] is not None:
        parts.append(clock(launcher["seconds"]))
    return [*parts, *([] if launcher["alive"] else ["no launcher now"])]


def show(told: Record) -> None:
    """Print the picture once, with every island."""
    console = Console(highlight=False)
    console.print(Screen(RunDir(told["run"])).draw(told, console.width))
