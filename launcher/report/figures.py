"""Charts as plain data: what `assets/charts.js` draws with Plotly.

Colours are names, not values: `@0` … `@7` of the palette, `@ink`, `@muted`, with an opacity as `@0/0.2`; the page turns
them into colours that fit the dark or the light scheme. Every text from a file goes through `plain`, because Plotly
reads a few tags and entities in texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Numbers = Sequence[float | None]
Trace = dict[str, Any]
PALETTE = 8
"""Colours that colour-blind people tell apart; further lines are dashed, then dotted."""
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class View:
    """One thing that a chart can show. `x`, `y`: the axes' titles, with units."""

    label: str
    traces: list[Trace]
    x: str
    y: str
    layout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Chart:
    """A chart with a title and a sentence that says how to read it; several views are chosen between."""

    name: str
    title: str
    note: str
    views: Sequence[View]
    height: int = 360
    wide: int = 0
    """Pixels that it needs: a narrower page scrolls it sideways."""

    @property
    def told(self) -> str:
        """What a screen reader says instead of the drawing."""
        return f"Chart: {self.title}. {self.note}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON for the page."""
        views = [
            {"label": view.label, "traces": view.traces, "x": view.x, "y": view.y, "layout": dict(view.layout)}
            for view in self.views
        ]
        return {"name": self.name, "views": views}

    def _repr_html_(self) -> str:
        """How a notebook shows it: drawn as in the report."""
        from launcher.report import page

        return page.framed(self)


def line(name: str, x: Numbers, y: Numbers, **more: Any) -> Trace:
    """A line. `colour`, `width`, `dash`, `shape`; other keys are Plotly's."""
    style = {"color": more.pop("colour", "@0"), "width": more.pop("width", 1.5), "dash": more.pop("dash", "solid")}
    if shape := more.pop("shape", None):
        style["shape"] = shape
    trace = {"type": "scatter", "mode": "lines", "name": plain(name), "x": numbers(x), "y": numbers(y), "line": style}
    return {**trace, "hovertemplate": "%{x}: %{y:.4~g}", **more}


def points(name: str, x: Sequence[Any], y: Sequence[Any], **more: Any) -> Trace:
    """Markers. `colour`, `size`, `symbol`; other keys are Plotly's."""
    marker = {"color": more.pop("colour", "@0"), "size": more.pop("size", 8), "symbol": more.pop("symbol", "circle")}
    marker |= more.pop("marker", {})
    trace = {"type": "scatter", "mode": "markers", "name": plain(name), "x": list(x), "y": list(y), "marker": marker}
    return {**trace, **more}


def bars(name: str, x: Sequence[Any], y: Sequence[Any], colour: str = "@0", **more: Any) -> Trace:
    """Lying bars: `x` their lengths, `y` their names."""
    trace = {"type": "bar", "orientation": "h", "name": plain(name), "x": list(x), "y": list(y)}
    return {**trace, "marker": {"color": colour}, **more}


def band(name: str, x: Numbers, low: Numbers, high: Numbers, colour: str) -> list[Trace]:
    """The room between two lines, in the legend as one thing."""
    known = [row for row in zip(x, low, high, strict=True) if None not in row]
    xs = [row[0] for row in known]
    edge = {"width": 0.0, "hoverinfo": "skip", "legendgroup": name, "hovertemplate": None}
    below = line(name, xs, [row[1] for row in known], colour=colour, showlegend=False, **edge)
    above = line(name, xs, [row[2] for row in known], colour=colour, fill="tonexty", fillcolor=f"{colour}/0.18", **edge)
    return [below, above]


def colour_of(index: int) -> dict[str, str]:
    """How the line of the thing with this number looks: `colour` and `dash`."""
    return {"colour": f"@{index % PALETTE}", "dash": _DASHES[index // PALETTE % len(_DASHES)]}


def plain(text: object) -> str:
    """A text that Plotly shows as it stands, cut where it is very long."""
    shown = str(text)
    shown = shown if len(shown) <= 200 else shown[:199] + "…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")


def numbers(values: Numbers) -> list[float | int | None]:
    """Numbers with five significant digits, which is more than a screen shows; None for what is none."""
    return [short(value) for value in values]


def short(value: float | None) -> float | int | None:
    """A number in as few characters as a chart needs."""
    if value is None or not math.isfinite(value):
        return None
    if float(value).is_integer() and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.5g}")


def number(value: object) -> float | None:
    """What a file says, if it is a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
