"""The page of a study: its story in five lines, its charts, every trial with a link to its runs' reports."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

from islands.rundir import RunDir
from launcher import tables
from launcher.report import page, study_data, study_figures
from launcher.report.study_data import StudyData
from launcher.study_summary import interval
from launcher.trials import COMPLETE, FAIL, PRUNED, RUNNING, StudyDir, Trial
from launcher.utilisation import clock


def render(study: StudyDir, path: Path) -> tuple[bytes, int]:
    """The page that will lie at `path`, and how many charts it has."""
    data = study_data.gather(study)
    charts = study_figures.charts(data, time.time())
    trials = [row(data, trial, path) for trial in data.trials]
    content = page.render(
        "study.html",
        charts,
        title=data.identity.name,
        kind="report of a study",
        subtitle=data.identity.base.description,
        written=time.strftime("%Y-%m-%d %H:%M"),
        place=str(study.path),
        lines=story(data),
        figures=figures(data),
        objectives=list(data.identity.objectives),
        trials=trials,
        unwritten=any(run["href"] is None for trial in trials for run in trial["runs"]),
        command=f"evolab report {shlex.quote(str(study.path))} --with-runs",
        best=data.summary["best"],
        pareto=data.summary["pareto_front"],
        not_ranked=(data.importance or {}).get("not_ranked", []),
    )
    return content, len(charts)


def story(data: StudyData) -> list[str]:
    """What the study was and how it went, in five lines."""
    who, summary = data.identity, data.summary
    states = summary["states"]
    islands = "a searched number of" if who.islands == 0 else str(who.islands)
    runs = f"{len(who.seeds)} seed{'s' * (len(who.seeds) != 1)}, {islands} island{'s' * (who.islands != 1)} a seed"
    words = [
        f"{states[state]} {study_figures.WORDS[state]}" for state in (COMPLETE, PRUNED, FAIL, RUNNING) if states[state]
    ]
    what = f"A search over {len(who.space.parameters)} parameters of {who.mode} networks on {who.base.task.name}: "
    best = summary["best"]
    worth = "No trial is complete yet."
    if best is not None:
        entry = {"mean": best["values"][0], "ci95": best["ci95"]}
        worth = f"The best is trial {best['trial']}, worth {tables.mean(entry)} (mean over seeds ± 95 %)."
    took = f"The trials took {clock(summary['seconds'])} of wall time and {clock(summary['cpu_seconds'])} of CPU time, "
    took += f"{summary['generations']:,} generations in all"
    took += f"; they cost {summary['cost']:.2f}." if summary["cost"] is not None else "."
    return [
        f"{what}a trial is {runs}, {who.base.generations} generations of {who.base.population} genomes.",
        f"{summary['trials']} trials: {', '.join(words) or 'none yet'}.",
        worth,
        took,
        _mattered(data),
    ]


def _mattered(data: StudyData) -> str:
    ranked = sorted((data.importance or {}).get("importance", {}).items(), key=lambda pair: -pair[1])
    if not ranked:
        return "Too few trials are complete to say which parameters mattered."
    told = ", ".join(f"{name} ({share:.0%})" for name, share in ranked[:3])
    return f"What mattered most: {told}" + (
        "; few trials, mostly noise." if (data.importance or {})["warning"] else "."
    )


def figures(data: StudyData) -> list[tuple[str, str, str]]:
    """The large figures: label, value, what it means."""
    summary = data.summary
    best, states = summary["best"], summary["states"]
    value = tables.mean({"mean": best["values"][0], "ci95": best["ci95"]}) if best else "–"
    rows = [
        ("best", value, f"trial {best['trial']}" if best else ""),
        ("trials", str(summary["trials"]), f"{states[COMPLETE]} complete"),
        ("pruned", str(states[PRUNED]), ""),
        ("failed", str(states[FAIL]), ""),
        ("wall time of trials", clock(summary["seconds"]), ""),
    ]
    if summary["cost"] is not None:
        rows.append(("cost", f"{summary['cost']:.2f}", "of all trials"))
    return rows


def row(data: StudyData, trial: Trial, path: Path) -> dict[str, Any]:
    """A trial's row of the table, with links that hold for a page at `path`."""
    span = interval(trial)
    values = trial.values or []
    return {
        "number": trial.number,
        "state": study_figures.WORDS[trial.state],
        "bad": trial.state == FAIL,
        "value": tables.mean({"mean": values[0], "ci95": span}) if values else "–",
        "others": [page.figure(value) for value in values[1:]] or ["–"] * (len(data.identity.objectives) - 1),
        "seconds": trial.seconds,
        "cost": trial.cost,
        "reason": trial.reason,
        "params": ", ".join(f"{name}={page.figure(value)}" for name, value in trial.params.items()),
        "runs": [_link(run, path) for run in data.runs(trial)],
    }


def _link(run: RunDir, path: Path) -> dict[str, Any]:
    return {"name": run.name, "href": page.link(run, path), "command": f"evolab report {shlex.quote(str(run.path))}"}
