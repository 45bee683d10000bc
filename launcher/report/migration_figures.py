"""The charts of a run's migrations."""

from __future__ import annotations

import math
from collections import Counter

from launcher.report.figures import Chart, Trace, View, line, plain, points
from launcher.report.metrics_data import IslandData
from launcher.report.migration_data import Passage, leaps, line_of_leaps, reaching
from launcher.report.run_data import RunData
from launcher.report.run_figures import GENERATION

MOST_PASSAGES = 2000
"""Drawn of a family; the newest."""


def charts(data: RunData) -> list[Chart]:
    """Who sent to whom, and what can have reached the champion."""
    return [chart for chart in (matrix(data), family(data)) if chart is not None]


def matrix(data: RunData) -> Chart | None:
    """A mark for each pair of islands: how much came, how much of it was admitted."""
    counts = data.migrations.counts()
    if not counts:
        return None
    most = max(admitted + refused for admitted, refused in counts.values())
    pairs = sorted(counts)
    x, y = [plain(receiver) for _, receiver in pairs], [plain(source) for source, _ in pairs]
    told = [_told(data, pair, *counts[pair]) for pair in pairs]

    def dots(name: str, sizes: list[int], symbol: str, colour: str) -> Trace:
        side = [_side(count, most, len(set(x) | set(y))) for count in sizes]
        return points(name, x, y, size=side, symbol=symbol, colour=colour, text=told, hovertemplate="%{text}")

    arrived = dots("arrived", [sum(counts[pair]) for pair in pairs], "circle-open", "@1")
    admitted = dots("admitted", [counts[pair][0] for pair in pairs], "circle", "@0")
    islands = [plain(island.name) for island in data.islands]
    order = [*islands, *sorted({*x, *y} - {*islands})]
    axis = {"type": "category", "categoryorder": "array", "categoryarray": order}
    layout = {"xaxis": axis, "yaxis": {**axis, "autorange": "reversed"}}
    note = (
        f"A ring's area is how many migrants arrived (at most {most} between two islands), the disc in it how many "
        "were admitted. Point at one for the reasons of refusal."
    )
    view = View("migrants", [arrived, admitted], "to island", "from island", layout)
    return Chart("migrants", "Who sent to whom", note, [view], 190 + 34 * min(24, max(3, len(order))))


def _side(count: int, most: int, islands: int) -> float:
    largest = 30 if islands <= 12 else 18
    return round(max(4.0 if count else 0.0, largest * math.sqrt(count / most)), 1)


def _told(data: RunData, pair: tuple[str, str], admitted: int, refused: int) -> str:
    reasons = data.migrations.reasons.get(pair, Counter[str]())
    why = ", ".join(f"{count} {reason or 'no reason'}" for reason, count in sorted(reasons.items()))
    return plain(f"{pair[0]} to {pair[1]}: {admitted} admitted, {refused} refused" + (f" ({why})" if why else ""))


def family(data: RunData) -> Chart | None:
    """The migrations that can have reached the champion."""
    champion = data.champion
    if champion is None:
        return None
    island = next(each for each in data.islands if each.name == champion["island"])
    found = reaching(data.migrations, island.name, island.last)
    if not found:
        return None
    star = points("the champion", [island.last], [plain(island.name)], colour="@1", symbol="star", size=16)
    star["hovertemplate"] = f"champion of {plain(island.name)}"
    line_ = line_of_leaps(data.migrations, island.name, island.last, _best_at(data))
    names = list(dict.fromkeys([island.name, *(n for p in [*line_, *reversed(found)] for n in (p.source, p.receiver))]))
    axis = {"type": "category", "categoryorder": "array", "categoryarray": [plain(name) for name in reversed(names)]}
    layout = {"yaxis": axis}
    views = [View("all migrations that can have reached it", [*_all(data, found), star], GENERATION, "island", layout)]
    if line_:
        views.insert(0, View("its line of leaps", [*_descent(island, line_), star], GENERATION, "island", layout))
    note = (
        "From where the champion's ancestors can have come. Who is whose child within an island is not recorded, so "
        "this is no proven descent. A leap is the arrival of a migrant with a better score than everybody there; the "
        "line of leaps follows the latest one back from island to island. Every island counts its own generations."
    )
    return Chart("family", "The champion's family across islands", note, views, 190 + 26 * min(40, len(names)))


def _best_at(data: RunData) -> dict[str, dict[int, float]]:
    return {each.name: each.best_at for each in data.islands}


def _all(data: RunData, found: list[Passage]) -> list[Trace]:
    best_at, shown = _best_at(data), found[-MOST_PASSAGES:]
    others = [passage for passage in shown if not leaps(passage, best_at)]
    cut = f", the newest {len(shown)} of {len(found)}" if len(shown) < len(found) else ""
    return [
        _lines(f"admitted migrants{cut}", others, "@muted/0.4", 1.0),
        _lines("leaps", [passage for passage in shown if leaps(passage, best_at)], "@0/0.7", 2.0),
    ]


def _descent(island: IslandData, found: list[Passage]) -> list[Trace]:
    """The line of leaps as one line: along an island's row as long as it stays there."""
    x, y, text = [island.last], [plain(island.name)], [plain(f"the champion of {island.name}")]
    for passage in found:
        sent = passage.generation if passage.sent is None else passage.sent
        x += [passage.generation, sent]
        y += [plain(passage.receiver), plain(passage.source)]
        text += [plain(_of_passage(passage))] * 2
    trace = line("line of leaps", x, [], colour="@0", width=3, mode="lines+markers", marker={"size": 6, "color": "@0"})
    return [{**trace, "y": y, "text": text, "hovertemplate": "%{text}"}]


def _of_passage(passage: Passage) -> str:
    sent = passage.generation if passage.sent is None else passage.sent
    told = f"{passage.admitted} from {passage.source}, sent in generation {sent}"
    told += f", admitted by {passage.receiver} in {passage.generation}"
    return told + ("" if passage.best is None else f"; best score stated {passage.best:.4g}")


def _lines(name: str, passages: list[Passage], colour: str, width: float) -> Trace:
    x: list[float | None] = []
    y: list[str | None] = []
    text: list[str | None] = []
    for passage in passages:
        sent = passage.generation if passage.sent is None else passage.sent
        x += [sent, passage.generation, None]
        y += [plain(passage.source), plain(passage.receiver), None]
        text += [plain(_of_passage(passage))] * 2 + [None]
    sizes = [0, 7, 0] * len(passages)
    trace = line(name, x, [], colour=colour, width=width, mode="lines+markers", marker={"size": sizes, "color": colour})
    return {**trace, "y": y, "text": text, "hovertemplate": "%{text}", "connectgaps": False}
