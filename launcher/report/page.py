"""Turns what was gathered into one HTML file that needs nothing else: everything from files is escaped here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from islands.rundir import RunDir
from launcher.report.figures import Chart
from launcher.report.templating import asset, environment, script_data
from launcher.trials import StudyDir
from launcher.utilisation import clock

FRAME = 240
"""Pixels that a framed chart's title, note and chooser take."""
CHART_SCRIPTS = ("plotly-basic.min.js", "drawing.js", "charts.js")


def render(template: str, charts: Sequence[Chart], **context: Any) -> bytes:
    """The page: a template of `templates/` with its charts, styles and scripts inlined."""
    found = {chart.name: chart for chart in charts}
    text = (
        _templates()
        .get_template(template)
        .render(
            charts=found,
            data=script_data([chart.as_dict() for chart in charts]),
            styles=asset("report.css"),
            scripts=[asset(name) for name in CHART_SCRIPTS] if charts else [],
            **context,
        )
    )
    return text.encode()


def framed(chart: Chart) -> str:
    """A chart as an element that holds all it needs, to stand in any page, such as a notebook's."""
    content = render("chart.html", [chart], name=chart.name).decode()
    style = "width:100%;border:0"
    return str(Markup('<iframe srcdoc="{}" title="{}" height="{}" style="{}"></iframe>').format(
        content, chart.title, chart.height + FRAME, style
    ))  # fmt: skip


def _templates() -> Environment:
    templates = environment()
    templates.filters |= {"figure": figure, "clock": clock, "mean": mean, "share": share}
    return templates


def link(thing: RunDir | StudyDir, path: Path) -> str | None:
    """Where the report of a run or study lies, as seen from `path`; None: none was written."""
    relative = os.path.relpath(thing.report.absolute(), path.absolute().parent)
    return quote(relative) if thing.report.is_file() else None


def figure(value: object) -> str:
    """A number for people; – where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def mean(entry: dict[str, Any] | None) -> str:
    """`12.3 ± 0.4`: a mean with half its 95 % interval."""
    from launcher import tables

    return tables.mean(entry)


def share(value: float | None) -> str:
    """A share in per cent."""
    return "–" if value is None else f"{value:.0%}"
