"""Pictures for the page: Plotly, as reports have it, in headless Chromium; none where that or playwright is missing."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Sequence
from typing import Any

from islands import files
from launcher.report.video import BROWSERS, OPTIONS
from scripts.benchmarks.pieces import ROOT, short

PLOTLY = ROOT / "launcher" / "report" / "assets" / "plotly-basic.min.js"
IMAGES = ROOT / "docs" / "images"
WIDTH = 800
OURS, THEIRS, QUOTED = "#1f6f8b", "#b8860b", "#b0b0b0"


def bars(title: str, lines: Sequence[tuple[str, float, str]]) -> dict[str, Any]:
    """A chart of horizontal bars on a logarithmic scale: (label, value, colour), the first at the top."""
    labels, values, colours = (list(column) for column in zip(*reversed(lines), strict=True))
    axis = {"type": "log", "title": {"text": title}, "gridcolor": "#dddddd", "dtick": 1}
    axis["range"] = [math.floor(math.log10(min(values))), math.log10(max(values)) + 0.5]
    trace = {
        "type": "bar", "orientation": "h", "y": labels, "x": values, "marker": {"color": colours},
        "text": [short(value) for value in values], "textposition": "outside", "cliponaxis": False,
    }  # fmt: skip
    layout = {
        "width": WIDTH, "height": 90 + 32 * len(lines), "margin": {"l": 10, "r": 90, "t": 10, "b": 50}, "xaxis": axis,
        "yaxis": {"automargin": True, "ticksuffix": "  "}, "plot_bgcolor": "white", "paper_bgcolor": "white",
        "font": {"family": "sans-serif", "size": 13, "color": "#222222"},
    }  # fmt: skip
    return {"data": [trace], "layout": layout}


def drawn(name: str, about: str, chart: dict[str, Any]) -> str:
    """Markdown that shows the chart, now in docs/images/NAME.svg; empty where it can be neither drawn nor found."""
    path = IMAGES / f"{name}.svg"
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser and importlib.util.find_spec("playwright"):
        files.replace_atomically(path, _svg(browser, chart).encode())
    return f"![{about}](images/{path.name})" if path.exists() else ""


def _svg(browser: str, chart: dict[str, Any]) -> str:
    from playwright.sync_api import sync_playwright

    code = (
        f"Plotly.toImage({json.dumps(chart)}, {{format: 'svg', width: {WIDTH}, height: {chart['layout']['height']}}})"
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(OPTIONS))
        page = chromium.new_page()
        page.add_script_tag(path=PLOTLY)
        made: str = page.evaluate(f"{code}.then(url => decodeURIComponent(url.slice(url.indexOf(',') + 1)))")
        chromium.close()
    return made + "\n"
