"""`evolab report`: runs and studies as one HTML file that needs no network.

Gathering (`*_data`) is apart from what is drawn (`*_figures`, `*_drawing`) and from the page (`*_page`, `page`,
`templates/`, `assets/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import ConfigError, EvolabError
from islands.rundir import RunDir
from launcher import run, trials
from launcher.trials import StudyDir

COMPARISON = Path("report.html")
"""Where a comparison or a folder's page lies unless told otherwise: in the current folder."""


def write(names: Sequence[str], out: Path | None = None, with_runs: bool = False) -> dict[str, Any]:
    """Write the report of a run, a study, a folder of them, or of several compared; the JSON of `evolab report`.

    `out`: the file, replaced if there. `with_runs`: of a study's trials' runs, or a folder's, too, each in its own
    folder.
    """
    if len(names) == 1 and not run.exists(names[0]) and not trials.exists(names[0]) and Path(names[0]).is_dir():
        return _of_folder(Path(names[0]), out or COMPARISON, with_runs)
    found = [_find(name) for name in names]
    if len(set(names)) < len(names):
        raise ConfigError("report", expected="different names", got=", ".join(names))
    if len(found) > 1:
        return _compare(names, found, out or COMPARISON)
    (thing,) = found
    return _of_run(thing, out) if isinstance(thing, RunDir) else _of_study(thing, out, with_runs)


def of_run(directory: RunDir) -> Path:
    """Write the report of a run where it is looked for; its path."""
    return Path(_of_run(directory, None)["path"])


def said_of_run(directory: RunDir) -> str:
    """Write the report of a run that has just ended, and say where; a report that fails is no failure of the run."""
    try:
        return f"report: {of_run(directory)} (open it in a browser)"
    except (EvolabError, OSError) as error:
        return f"no report: {error}"


def _find(name: str) -> RunDir | StudyDir:
    if run.exists(name):
        return run.find(name)
    if trials.exists(name):
        return trials.find(name)
    do = "see `evolab results` and `evolab search --list`"
    raise ConfigError(f"nothing to report on called {name!r}", expected="a run, a study, or a folder of them", do=do)


def _of_run(directory: RunDir, out: Path | None) -> dict[str, Any]:
    from launcher.report import run_page

    content, charts = run_page.render(directory)
    return _put("run", out or directory.report, content, charts)


def _of_study(study: StudyDir, out: Path | None, with_runs: bool) -> dict[str, Any]:
    from launcher.report import study_page

    path = out or study.report
    _refuse_no_folder(path)
    runs = [of_run(each) for each in study.runs()] if with_runs else []
    content, charts = study_page.render(study, path)
    return {**_put("study", path, content, charts), "runs": [str(each) for each in runs]}


def _of_folder(folder: Path, out: Path, with_runs: bool) -> dict[str, Any]:
    from launcher.report import folder_page

    _refuse_no_folder(out)
    runs = [of_run(each) for each in run.every(folder)] if with_runs else []
    return {**_put("folder", out, folder_page.render(folder, out), 0), "runs": [str(each) for each in runs]}


def _compare(names: Sequence[str], found: Sequence[RunDir | StudyDir], out: Path) -> dict[str, Any]:
    from launcher.report import compare_page

    content, charts = compare_page.render(names, found, out)
    return _put("comparison", out, content, charts)


def _put(kind: str, path: Path, content: bytes, charts: int) -> dict[str, Any]:
    _refuse_no_folder(path)
    files.replace_atomically(path, content)
    return {"path": str(path.absolute()), "kind": kind, "bytes": len(content), "charts": charts}


def _refuse_no_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise ConfigError("--out", expected="a file in a folder that exists", got=str(path))
