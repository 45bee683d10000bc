"""The charts of a run's migrations."""

from __future__ import annotations

import math
from collections import Counter

from launcher.report.figures import Chart, Trace, View, line, plain, points
from launcher.report.migration_data import Passage, reaching
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
    best_at = {each.name: each.best_at for each in data.islands}
    shown = found[-MOST_PASSAGES:]
    leaps = [passage for passage in shown if _leaps(passage, best_at)]
    others = [passage for passage in shown if not _leaps(passage, best_at)]
    star = points("the champion", [island.last], [plain(island.name)], colour="@1", symbol="star", size=16)
    traces = [
        _lines("admitted migrants", others, "@muted", 1.0),
        _lines("… better than the best there", leaps, "@0", 3.0),
        {**star, "hovertemplate": f"champion of {plain(island.name)}"},
    ]
    names = list(dict.fromkeys([island.name, *(n for p in reversed(shown) for n in (p.source, p.receiver))]))
    axis = {"type": "category", "categoryorder": "array", "categoryarray": [plain(name) for name in reversed(names)]}
    dropped = f" Of {len(found)} the newest {len(shown)} are drawn." if len(shown) < len(found) else ""
    note = (
        "From where genomes came that can be the champion's ancestors: a line goes from the island and generation that "
        "sent migrants to the dot where they were admitted; every island counts its own generations. Who is whose "
        "child within an island is not recorded, so this is every migration that can have reached the champion, not a "
        f"proven descent.{dropped}"
    )
    view = View("family", traces, GENERATION, "island", {"yaxis": axis})
    return Chart("family", "The champion's family across islands", note, [view], 190 + 26 * min(40, len(names)))


def _leaps(passage: Passage, best_at: dict[str, dict[int, float]]) -> bool:
    """Whether the best of these migrants had scored more than anybody on the island that it came to."""
    there = best_at.get(passage.receiver, {}).get(passage.generation)
    return passage.best is not None and there is not None and passage.best > there


def _lines(name: str, passages: list[Passage], colour: str, width: float) -> Trace:
    x: list[float | None] = []
    y: list[str | None] = []
    text: list[str | None] = []
    for passage in passages:
        sent = passage.generation if passage.sent is None else passage.sent
        told = f"{passage.admitted} from {passage.source}, sent in generation {sent}"
        told += f", admitted by {passage.receiver} in {passage.generation}"
        told += "" if passage.best is None else f"; best score stated {passage.best:.4g}"
        x += [sent, passage.generation, None]
        y += [plain(passage.source), plain(passage.receiver), None]
        text += [plain(told)] * 2 + [None]
    sizes = [0, 7, 0] * len(passages)
    trace = line(name, x, [], colour=colour, width=width, mode="lines+markers", marker={"size": sizes, "color": colour})
    return {**trace, "y": y, "text": text, "hovertemplate": "%{text}", "connectgaps": False}
