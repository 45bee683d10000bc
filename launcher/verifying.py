"""`evolab verify`: whether what a run (or a study with its runs) has written is whole, and what can be got back.

Reads only. A run that goes on is found whole too: what its islands are just writing is whole or not there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from islands import files, loading
from islands.errors import ConfigError, EvolabError
from islands.rundir import RunDir
from launcher.events import HEADER
from launcher.run import RUNS
from launcher.terminal import counted
from launcher.trials import STUDIES, StudyDir
from launcher.verifying_island import DAMAGED, RECOVERABLE, WHOLE, IslandFiles

LISTED = 40
"""So many whole things are listed for people, one by one."""
_EARLIER = re.compile(r"config\.([0-9a-f]{16})\.yaml", re.ASCII)


@dataclass
class Report:
    """What was found: a finding is where, in which state, and in words."""

    findings: list[dict[str, str]] = field(default_factory=list)

    def say(self, where: str, state: str, text: str) -> None:
        """One finding."""
        self.findings.append({"where": where, "state": state, "text": text})

    @contextlib.contextmanager
    def damage(self, where: str, remedy: str) -> Iterator[None]:
        """Within, what cannot be read is damage; `remedy` says what that means."""
        try:
            yield
        except (EvolabError, OSError, ValueError, KeyError, TypeError) as error:
            self.say(where, DAMAGED, f"{error}; {remedy}")

    @property
    def worst(self) -> str:
        """The worst state found."""
        found = {finding["state"] for finding in self.findings}
        return next((state for state in (DAMAGED, RECOVERABLE) if state in found), WHOLE)


def verify(name: str) -> dict[str, Any]:
    """Look at all that the run or study `name` has written; the keys of `evolab verify --json`."""
    path, report = _find(name), Report()
    study, runs = StudyDir(path), [RunDir(path)]
    if study.identity.exists():
        runs = [RunDir(plan.parent) for plan in sorted((path / "trials").glob(f"*/*/{runs[0].plan.name}"))]
        _verify_study(study, report)
    with counted("run", len(runs)) as tell:
        for done, run in enumerate(runs, 1):
            _verify_run(run, "" if run.path == path else f"{run.path.relative_to(path)}: ", report)
            tell(done)
    return {"path": str(path), "state": report.worst, "findings": report.findings}


def _find(name: str) -> Path:
    """The folder of the run or the study called `name`; it need not be whole."""
    for path in (Path(name), RUNS / name, STUDIES / name):
        if RunDir(path).plan.exists() or RunDir(path).config.exists() or StudyDir(path).identity.exists():
            return path
    expected = "the folder of a run or a study, or a name in runs/ or studies/"
    raise ConfigError(
        f"no run and no study {name!r}", expected=expected, do="see `evolab status`, `evolab search --list`"
    )


def _verify_study(study: StudyDir, report: Report) -> None:
    with report.damage("study.json", "the study cannot go on without it"):
        files.read_json(study.identity)
        report.say("study.json", WHOLE, "readable")
    records = sorted(study.path.glob("trial_*.json"))
    bad = [path.name for path in records if not _readable(path)]
    for name in bad:
        report.say(name, DAMAGED, "unreadable; remove it, and the trial counts as never begun")
    report.say("trials", WHOLE, f"{len(records) - len(bad)} of {len(records)} records readable")
    if study.journal.exists():
        _verify_lines(report, "journal.log", study.journal, lambda line: files.record_in(line) is not None)


def _readable(path: Path) -> bool:
    try:
        return bool(files.read_json(path))
    except EvolabError:
        return False


def _verify_run(run: RunDir, prefix: str, report: Report) -> None:
    islands: list[IslandFiles] = []
    with report.damage(f"{prefix}run.json", "without it nothing says which islands there are"):
        islands = _islands_of(run)
        report.say(f"{prefix}run.json", WHOLE, f"{len(islands)} islands")
    _verify_configuration(run, prefix, report)
    _verify_lines(report, f"{prefix}events.jsonl", run.events, lambda line: "event" in (files.record_in(line) or {}))
    _verify_lines(report, f"{prefix}joblog.tsv", run.joblog, lambda line: line.count(b"\t") == len(HEADER) - 1)
    for island in islands:
        for what, state, text in island.findings():
            report.say(f"{prefix}{island.place.name} {what}", state, text)


def _islands_of(run: RunDir) -> list[IslandFiles]:
    plan = run.read_plan()
    run_id, migrates = str(plan["run_id"]), plan["migration_dir"] is not None
    return [
        IslandFiles(place, {"run": run_id, "island": place.name, "seed": int(entry["seed"])}, migrates)
        for entry, place in zip(plan["islands"], run.islands(), strict=True)
    ]


def _verify_configuration(run: RunDir, prefix: str, report: Report) -> None:
    with report.damage(f"{prefix}config.yaml", "write it anew from the preset and the overrides to go on"):
        loading.load(run.config)
        report.say(f"{prefix}config.yaml", WHOLE, "valid")
    for path in run.earlier_configs():
        named = _EARLIER.fullmatch(path.name)
        if named:
            with report.damage(f"{prefix}{path.name}", "generations bred under it cannot be replayed"):
                if loading.fingerprint(loading.load(path)) != named[1]:
                    raise ValueError("its content is not what its name says")


def _verify_lines(report: Report, where: str, path: Path, good: Callable[[bytes], bool]) -> None:
    """A file of lines, each of which must be `good`; an unterminated last one is cut off by the next writer."""
    if not path.exists():
        return
    with report.damage(where, "nothing else follows from it"):
        lines = list(files.each_line(path))
        bad = [number for number, line in lines if not good(line)]
        if bad:
            report.say(where, DAMAGED, f"{len(bad)} of {len(lines)} lines unreadable, the first is line {bad[0]}")
        elif files.is_torn(path):
            report.say(where, RECOVERABLE, f"{len(lines)} lines whole, the last is torn: the next writer cuts it off")
        else:
            report.say(where, WHOLE, f"{len(lines)} lines")


def damaged(result: dict[str, Any]) -> bool:
    """Whether anything is lost that the next start does not mend by itself."""
    return bool(result["state"] == DAMAGED)


def told(result: dict[str, Any]) -> None:
    """Print what is not whole, a line each, and how much is."""
    findings = result["findings"]
    for state in (DAMAGED, RECOVERABLE):
        for finding in findings:
            if finding["state"] == state:
                print(f"{state:<12} {finding['where']}: {finding['text']}")
    whole = [finding for finding in findings if finding["state"] == WHOLE]
    for finding in whole[:LISTED]:
        print(f"{WHOLE:<12} {finding['where']}: {finding['text']}")
    if len(whole) > LISTED:
        print(f"{WHOLE:<12} and {len(whole) - LISTED} more")
    print(f"{result['path']}: {result['state']}")
