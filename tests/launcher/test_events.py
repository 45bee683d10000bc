"""events.jsonl and joblog.tsv: readable by programs, bounded, and never a reason to fail."""

import json
from pathlib import Path

import pytest

from islands.rundir import RunDir
from launcher import events
from launcher.events import HEADER, Events


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def rows(run: RunDir) -> list[list[str]]:
    return [line.split("\t") for line in run.joblog.read_text().splitlines()]


def test_every_event_is_a_line_with_format_time_and_kind(run: RunDir) -> None:
    writer = Events(run)
    writer.event("start", "island-000", text="started, process 7", pid=7)
    writer.event("disk-low", text="little\nleft")
    first, second = events.read(run)
    assert (first["format"], first["event"], first["island"], first["pid"]) == (1, "start", "island-000", 7)
    assert first["time"] > 1.7e9 and "island" not in second
    assert events.read(run, 1) == [second]


def test_the_job_log_has_gnu_parallels_columns(run: RunDir) -> None:
    writer = Events(run)
    writer.job(1000.5, 12.25, 0, ("python", "-m", "islands", "a run"))
    writer.job(1013.0, 1.0, -9, ("python",))
    Events(run).job(1014.0, 2.0, None, ("python\ttab",))
    header, *jobs = rows(run)
    assert tuple(header) == HEADER
    assert header == ["Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command"]
    assert [(job[0], job[6], job[7]) for job in jobs] == [("1", "0", "0"), ("2", "0", "9"), ("3", "-1", "0")]
    assert jobs[0][2:4] == ["1000.500", "12.250"] and jobs[0][8] == "python -m islands 'a run'"
    assert all(len(job) == len(HEADER) for job in jobs)


def test_lines_that_the_disk_refuses_wait_and_are_written_later(run: RunDir) -> None:
    run.events.mkdir()  # nothing can be appended to a folder
    run.joblog.mkdir()
    writer = Events(run)
    for number in range(3):
        writer.event("start", number=number)
        writer.job(1.0, 1.0, 0, ("x",))
    run.events.rmdir()
    run.joblog.rmdir()
    writer.flush()
    writer.event("end")
    assert [event.get("number") for event in events.read(run)] == [0, 1, 2, None]
    assert len(rows(run)) == 4


def test_a_torn_last_line_is_mended_by_the_next_writer(run: RunDir) -> None:
    Events(run).event("start")
    with open(run.events, "a") as stream:
        stream.write('{"format": 1, "ev')
    Events(run).event("end")
    assert [event["event"] for event in events.read(run)] == ["start", "end"]


def test_the_files_are_put_aside_when_they_have_grown(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LARGEST", 2000)
    writer = Events(run)
    for number in range(200):
        writer.event("start", number=number)
        writer.job(1.0, 1.0, 0, ("x",))
    names = sorted(path.name for path in run.path.iterdir())
    assert names == ["events.1.jsonl", "events.jsonl", "joblog.1.tsv", "joblog.tsv"]
    assert all(path.stat().st_size < 2200 for path in run.path.iterdir())
    assert json.loads(run.events.read_text().splitlines()[-1])["number"] == 199
    assert tuple(rows(run)[0]) == HEADER
