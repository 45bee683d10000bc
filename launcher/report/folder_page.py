"""The page of a folder: its runs and studies, how each went, with links to their own reports."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from islands.errors import EvolabError
from islands.rundir import RunDir
from launcher import identity, run, status, study_summary, summary, tables, trials
from launcher.report import page
from launcher.trials import StudyDir


def render(folder: Path, path: Path) -> bytes:
    """The page that will lie at `path`; a run that cannot be read says why and hides no other."""
    runs = sorted(
        (_run(each, path) for each in run.every(folder)), key=lambda row: str(row.get("created")), reverse=True
    )
    studies = [_study(each, path) for each in trials.every(folder)]
    return page.render(
        "folder.html",
        [],
        title=folder.absolute().name or str(folder),
        kind="runs of a folder",
        subtitle="",
        written=time.strftime("%Y-%m-%d %H:%M"),
        place=str(folder),
        told=_told(len(runs), len(studies)),
        runs=runs,
        studies=studies,
        unwritten=any(row["link"] is None for row in (*runs, *studies)),
    )


def _told(runs: int, studies: int) -> str:
    if not runs and not studies:
        return "Nothing here yet: no run and no study. `evolab launch` makes a run, `evolab search` a study."
    counts = ((runs, "run", "runs"), (studies, "study", "studies"))
    found = [f"{count} {one if count == 1 else several}" for count, one, several in counts if count]
    return f"{' and '.join(found)}, the newest first."


def _run(each: RunDir, path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"name": each.name, "link": page.link(each, path), "trouble": ""}
    try:
        (seen,), (ended,) = status.overview([each]), summary.of_results([each])
        keys = ("state", "created", "islands", "generations_done", "generations", "best", "config")
        row |= {key: seen[key] for key in keys}
        row["champion"] = tables.mean(ended["champion"])
    except (EvolabError, OSError, KeyError, TypeError, ValueError) as error:
        row["trouble"] = f"it cannot be read: {error}"
    return row


def _study(each: StudyDir, path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"name": each.path.name, "link": page.link(each, path), "trouble": ""}
    try:
        known = identity.read(each)
        told = study_summary.summary_of(each, known, each.trials())
        best = told["best"]
        row |= {"mode": told["mode"], "trials": told["trials"]}
        row["states"] = ", ".join(f"{count} {state}" for state, count in told["states"].items() if count)
        row["best"] = tables.mean({"mean": best["values"][0], "ci95": best["ci95"]}) if best else "–"
    except (EvolabError, OSError, KeyError, TypeError, ValueError) as error:
        row["trouble"] = f"it cannot be read: {error}"
    return row
