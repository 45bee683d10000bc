"""Scenarios that are tests already: they are run here, and their outcome is reported."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as Xml
from collections import Counter
from pathlib import Path

from scripts.chaos import runs
from scripts.chaos.report import Report


def writers(report: Report, folder: Path) -> None:
    """None lost, none torn, no temporary file left."""
    size = "60 publications, 3 readers" if report.quick else "1000 publications, 8 readers"
    name = "test_of_64_writers_nothing" if report.quick else "test_of_64_writers_with_1000"
    run_tests(
        report, folder, f"64 writers × {size}", "none lost, none torn, none read twice, no temporary file left",
        ["tests/islands/test_pool.py", "-k", name],
    )  # fmt: skip


def faults(report: Report, folder: Path) -> None:
    """Every fault point × each error, transient and for ever."""
    run_tests(
        report, folder, "every fault point × each error, transient and for ever",
        "a classified reason, no traceback, nothing acknowledged that is not there afterwards",
        found("islands/test_faults*.py", "launcher/test_faults*.py"),
    )  # fmt: skip


def disk(report: Report, folder: Path) -> None:
    """A small full tmpfs, a read-only remount, exhausted inodes."""
    run_tests(
        report, folder, "a full tmpfs, a read-only remount, exhausted inodes",
        "the run pauses with one message, keeps its checkpoint, goes on when the disk does, digests unchanged",
        found("launcher/test_disk*.py"),
    )  # fmt: skip


def misfits(report: Report, folder: Path) -> None:
    """Islands that always crash, hang, are poisoned by a migrant or refused."""
    run_tests(
        report, folder, "islands that crash, hang, are poisoned by a migrant, have a configuration that cannot work",
        "HELD, HELD, restarted without the migrant, FAILED; the others' digests are those of an undisturbed run",
        found("launcher/test_misfits.py", "launcher/test_poison.py", "launcher/test_supervision.py"),
    )  # fmt: skip


def found(*patterns: str) -> list[str]:
    """The test files that match."""
    return sorted(str(path) for pattern in patterns for path in (runs.ROOT / "tests").glob(pattern))


def run_tests(report: Report, folder: Path, did: str, required: str, tests: list[str]) -> None:
    """Run tests, those marked `soak` included (not with --quick, unless they are named)."""
    if not tests:
        report.check(did, required, "there are no tests of it", False)
        return
    marks = "not soak" if report.quick else "soak or not soak"
    outcome = folder / "outcome.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-m", marks, "-p", "no:cacheprovider", f"--junitxml={outcome}"]
    with open(folder / "tests.log", "wb") as log:
        environment = {**os.environ, "PYTHONPATH": str(runs.ROOT)}
        code = subprocess.run(
            [*command, *tests], cwd=runs.ROOT, env=environment, stdout=log, stderr=log, check=False
        ).returncode
    cases = list(Xml.parse(outcome).iter("testcase")) if outcome.exists() else []
    ends = Counter(kind for case in cases for kind in ("failure", "error", "skipped") if case.find(kind) is not None)
    passed = len(cases) - ends.total()
    reasons = {str(skip.get("message")) for case in cases if (skip := case.find("skipped")) is not None}
    seconds = sum(float(case.get("time", 0)) for case in cases)
    measured = f"{passed} tests passed, {ends['failure'] + ends['error']} failed in {seconds:.0f} s"
    if reasons:
        measured += f"; {ends['skipped']} skipped: {'; '.join(sorted(reasons))}"
    report.check(did, required, measured, code == 0 and passed > 0)
