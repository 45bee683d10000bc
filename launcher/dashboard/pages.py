"""The pages as HTML: frames that scripts fill. Every name is escaped here; what follows later is set as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from islands.rundir import RunDir
from launcher.dashboard.places import Places, address, shown
from launcher.report.templating import environment
from launcher.trials import StudyDir

HERE = Path(__file__).parent
REPORT = HERE.parent / "report" / "assets"
ASSETS = {
    "report.css": REPORT / "report.css",
    "plotly-basic.min.js": REPORT / "plotly-basic.min.js",
    "drawing.js": REPORT / "drawing.js",
    **{name: HERE / "assets" / name for name in ("dashboard.css", "page.js", "charts.js", "overview.js", "run.js",
                                                 "study.js")},
}  # fmt: skip
"""What pages ask for, by name."""
_TEMPLATES = environment(HERE)


def overview(places: Places) -> bytes:
    """The first page."""
    return _render("overview.html", title="Runs and studies", place=shown(str(places.runs_dir)), topic="")


def of(thing: RunDir | StudyDir, parts: tuple[str, ...], islands: list[str]) -> bytes:
    """The page of a run or a study. `islands`: whose logs can be shown."""
    name, place, topic = shown(thing.path.name), shown(str(thing.path)), address(*parts)
    if isinstance(thing, RunDir):
        above = ("study " + shown(parts[1]), address(*parts[:2])) if parts[0] == "study" else None
        return _render("run.html", title=name, place=place, topic=topic, islands=islands, above=above)
    return _render("study.html", title=name, place=place, topic=topic)


def message(title: str, text: str) -> bytes:
    """A page that says why there is nothing else."""
    return _render("message.html", title=title, text=text, place="", topic="")


def _render(template: str, **context: Any) -> bytes:
    return _TEMPLATES.get_template(template).render(**context).encode(errors="replace")
