"""The parts of `make chaos`: forged files are refused for the reason that the forger names, reports tell the truth."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from islands.migration import Migrator, largest_publication
from islands.pool import Reader
from islands.tasks import make
from scripts.chaos import runs, tracing
from scripts.chaos.forging import Forger, drawn
from scripts.chaos.hostile import SOURCES, pool_of
from scripts.chaos.report import Report
from scripts.chaos.runs import ROOT


def test_forged_files_are_refused_once_for_their_reasons_and_leave_the_outbox(tmp_path: Path) -> None:
    wanted = runs.config()
    genomes, endless = drawn(wanted, 1)
    pool = pool_of(tmp_path / "pool", wanted)
    forger = Forger(pool, SOURCES, genomes, endless, tmp_path / "canary")
    forger.fill(600)
    layout = make(wanted).layout
    check = Migrator(wanted, layout, "reader", (1, 1), tmp_path / "log")._check
    reader, moments = Reader(pool, "reader", largest_publication(wanted, layout), 5.0, check), random.Random(1)
    arrivals = []
    while came := reader.take(5, SOURCES, moments.randrange, 1):
        arrivals += came
    assert forger.made == len(arrivals) == 600 and not any(arrival.genome for arrival in arrivals)
    named = [arrival for arrival in arrivals if arrival.sequence is not None]
    for arrival in named:
        forgery = forger.expected.pop((arrival.source, arrival.sequence or 0))
        assert arrival.reason in forgery.reasons, forgery.kind
    assert forger.expected == {}
    odd = Counter((arrival.source, arrival.reason) for arrival in arrivals if arrival.sequence is None)
    assert odd == {(source, "name"): count for source, count in forger.odd.items()}
    assert [path.name for source in SOURCES for path in (pool.outboxes / source).iterdir()] == [".lock"] * len(SOURCES)
    assert len(forger.kinds) > 15 and not (tmp_path / "canary").exists()


def test_a_report_has_a_line_a_check_and_fails_with_any_of_them(tmp_path: Path) -> None:
    report = Report(tmp_path, quick=True)
    assert report.failed  # nothing was shown
    report.scenario = "kills"
    report.check("a kill", "nothing", "nothing | at all\n", True)
    report.check("system calls", "few", "no strace", None)
    report.table("Cost", [{"islands": 8, "MB": 95.25}, {"islands": 128, "MB": 1234.5}])
    assert not report.failed
    report.check("another kill", "nothing", "something", False)
    assert report.failed
    text = (tmp_path / "report.md").read_text()
    assert "| kills | a kill | nothing | nothing \\| at all  | pass |" in text
    assert "1 passed, 1 failed, 1 could not be made" in text and "| 128 | 1,234.5 |" in text
    record = json.loads((tmp_path / "report.json").read_text())
    assert [line["passed"] for line in record["lines"]] == [True, None, False] and record["quick"]


def test_the_system_calls_of_a_migration_are_those_between_the_pool_and_the_end_of_its_log() -> None:
    generation = [
        'write(5</r/metrics.jsonl>, ""..., 800) = 800', "close(5) = 0",
        "openat(AT_FDCWD, \"/p/migration_pool\") = 5</p/migration_pool>", "<... futex resumed>) = 0",
        'write(5</r/migrations.jsonl>, ""..., 90) = 90', "close(5</r/migrations.jsonl>) = 0", "brk(0) = 0",
    ]  # fmt: skip
    assert tracing.counted([*generation * 3, generation[0]]) == (6, 3, 0, 3)
    with pytest.raises(ValueError, match="no migration"):
        tracing.counted(generation)


def test_what_waiting_for_a_lock_takes_is_told_apart_from_what_a_migration_takes() -> None:
    lock = "flock(9</p/migration_pool/.lock>, LOCK_EX|LOCK_NB) = "
    tried = ['openat(3, ".lock") = 9', f"{lock}-1 EAGAIN (busy)", "close(9) = 0", "clock_nanosleep(1) = 0"]
    taken = ['openat(3, ".lock") = 9', f"{lock}0"]
    end = ['write(5</r/migrations.jsonl>, ""..., 90) = 90', 'write(5</r/metrics.jsonl>, ""..., 800) = 800']
    free, crowded = [*taken, *end], [*tried * 20, *taken, *end]
    assert tracing.without_waits(taken) == taken
    assert tracing.counted([*free * 4])[:3] == (4, 2, 0)
    assert tracing.counted([*crowded * 4])[:2] == (4, 2)
    assert tracing.counted([*crowded * 4]).polls > 20


def test_an_unknown_scenario_or_a_folder_in_use_is_one_line_and_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for arguments, told in ((["--only", "kils"], "got kils"), (["--out", tmp_path / "used"], "is not empty")):
        command = [sys.executable, "-m", "scripts.chaos", *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2 and told in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["file"]
