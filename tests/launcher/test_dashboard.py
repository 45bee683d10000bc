"""The dashboard as a browser asks for it, without one: what it tells, what it refuses, what it survives."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from islands import files, process
from islands.rundir import IslandDir, RunDir
from launcher.dashboard import follower, overview, places
from launcher.dashboard.server import HOST, Dashboard
from launcher.report import migration_figures, run_data, run_figures
from tests.launcher.launches import ROOT, wait_for
from tests.launcher.made_reports import HOSTILE, archipelago, hostile, searched

Served = Callable[..., Dashboard]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A dashboard of `runs` in the test's folder, there or not, that looks more often than people need."""
    for module, name in ((follower, "AT_MOST_EVERY"), (follower, "QUIET_EVERY"), (overview, "LISTED_EVERY")):
        monkeypatch.setattr(module, name, 0.1)
    with Dashboard(places.beside(tmp_path / "runs")) as dashboard:
        dashboard.start()
        yield dashboard


def ask(served: Dashboard, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(HOST, served.port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def told(served: Dashboard, path: str) -> Any:
    return json.loads(ask(served, path)[2])


@contextmanager
def looks(served: Dashboard, path: str = "/looks") -> Iterator[Callable[[], Any]]:
    """Within, a function that returns the next thing that an open page hears."""
    connection = http.client.HTTPConnection(HOST, served.port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()

    def following() -> Any:
        while True:
            line = answer.readline()
            if line.startswith(b"data: {"):
                return json.loads(line[6:])

    try:
        yield following
    finally:
        answer.close()
        connection.close()


def until(following: Callable[[], Any], true: Callable[[Any], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not true(seen := following()):
        assert time.monotonic() < deadline, seen
    return seen


def beat(island: IslandDir, generation: int, **more: Any) -> None:
    """A heartbeat of this very process."""
    record = {"state": "running", "generation": generation, "generations": 50, "best": generation / 2, "epoch": 1}
    record |= {**process.identity(), "cpu_seconds": 0.4 * generation, "rss_mb": 9.5, "time": time.time(), **more}
    files.write_json(island.heartbeat, record)


def test_the_command_says_at_once_where_the_page_is_and_a_signal_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launcher", "dashboard", "nowhere", "--port", "0"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    pipe = subprocess.PIPE
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True) as process_:
            assert process_.stdout is not None and process_.stderr is not None
            assert re.match(rf"dashboard: http://{re.escape(HOST)}:\d+/ ", process_.stdout.readline())
            process_.send_signal(number)
            assert (process_.wait(30), process_.stderr.read()) == (code, "")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_refused_in_one_line(evolab: Callable[..., tuple[int, str, str]], served: Dashboard) -> None:
    code, out, err = evolab("dashboard", "--port", served.port)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert str(served.port) in err and "choose another" in err


def test_it_listens_on_this_machine_alone(served: Dashboard) -> None:
    others = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {HOST}:
        with socket.socket() as other, pytest.raises(OSError):
            other.settimeout(5)
            other.connect((address, served.port))
    assert served.url.startswith("http://127.0.0.1:")


def test_strangers_are_refused(served: Dashboard, tmp_path: Path) -> None:
    archipelago(tmp_path / "runs" / "mine", 1, 3)
    for host in ("evil.example", f"evil.example:{served.port}", f"127.0.0.1.evil.example:{served.port}", ""):
        assert ask(served, "/", Host=host)[0] == 403
    assert ask(served, "/", Host=f"localhost:{served.port}")[0] == 200
    for path in ("/looks", "/run/mine/looks", "/run/mine/charts", "/run/mine/log", "/run/mine/record"):
        assert ask(served, path, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(served, "/", "POST")[0] == 501
    assert ask(served, "/", "HEAD")[2] == b""


def test_every_answer_says_that_nothing_may_be_loaded_from_elsewhere(served: Dashboard) -> None:
    for path in ("/", "/nowhere", "/assets/page.js", "/run/none/charts"):
        headers = ask(served, path)[1]
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_scripts_are_sent_once(served: Dashboard) -> None:
    status, headers, body = ask(served, "/assets/plotly-basic.min.js")
    assert (status, headers["Content-Type"].split(";")[0], len(body) > 500_000) == (200, "text/javascript", True)
    assert ask(served, "/assets/plotly-basic.min.js", If_None_Match=headers["ETag"])[0] == 304
    assert ask(served, "/assets/..%2f__init__.py")[0] == 404


@pytest.mark.parametrize(
    "path", ["/run/nothing", "/run/..", "/run/%2e%2e%2fetc", "/run/%00", "/study/x", "/run/a/b", "/a/b/c/d/e/f", "/x"]
)
def test_what_is_no_run_is_said_to_be_none(served: Dashboard, path: str) -> None:
    status, _, body = ask(served, path)
    assert status == 404 and b"no run or study of that name" in body


def test_an_address_is_looked_up_and_never_followed(served: Dashboard, tmp_path: Path) -> None:
    archipelago(tmp_path / "outside", 1, 3)
    (tmp_path / "runs").mkdir()
    assert ask(served, "/run/..%2foutside")[0] == 404
    assert ask(served, f"/run/{places.quote(str(tmp_path / 'outside'), safe='')}")[0] == 404


def test_names_of_any_kind_are_found_and_shown_as_text(served: Dashboard, tmp_path: Path) -> None:
    hostile(archipelago(tmp_path / "runs" / "a", 2, 5))
    odd = os.fsdecode(b"\xff odd & name")
    shutil.copytree(tmp_path / "runs" / HOSTILE, tmp_path / "runs" / odd)
    with looks(served) as following:
        found = following()["runs"]
    assert len(found) == 2
    for run in found:
        status, _, body = ask(served, run["href"])
        assert status == 200 and b"<img" not in body
        assert told(served, f"{run['href']}/charts")["charts"]


def test_an_empty_folder_has_a_page_and_a_run_appears_on_it(served: Dashboard, tmp_path: Path) -> None:
    assert b"No run lies in" in ask(served, "/")[2]
    with looks(served) as following:
        assert following() == {"runs": [], "studies": [], "left_out": 0, "told": "Nothing here yet."}
        made = archipelago(tmp_path / "runs" / "new", 2, 5)
        (run,) = until(following, lambda seen: seen["runs"] and seen["runs"][0]["state"] == "DONE")["runs"]
        assert (run["name"], run["islands"], run["href"]) == ("new", 2, "/run/new")
        shutil.rmtree(made.path)
        until(following, lambda seen: not seen["runs"])


def test_a_page_hears_of_every_island_as_it_goes_and_when_its_process_ends(served: Dashboard, tmp_path: Path) -> None:
    made = archipelago(tmp_path / "runs" / "mine", 2, 5, unfinished=True)
    first, second = made.islands()
    with looks(served, "/run/mine/looks") as following:
        assert following()["told"] == "Not started yet."
        beat(first, 4)
        seen = until(following, lambda seen: seen["state"] == "RUNNING")
        assert [row["state"] for row in seen["rows"]] == ["RUNNING", "PENDING"]
        for generation in range(5, 9):
            time.sleep(0.25)
            beat(first, generation)
        seen = until(following, lambda seen: seen["rows"][0]["done"] == 9)
        assert seen["rows"][0]["use"] > 0 and seen["rows"][0]["pace"] > 0 and seen["cores"] > 0
        with subprocess.Popen(["sleep", "60"]) as other:
            beat(second, 3, **process.identity(other.pid))
            until(following, lambda seen: seen["rows"][1]["state"] == "RUNNING")
            other.kill()
        until(following, lambda seen: seen["rows"][1]["state"] == "STOPPED")
        for island in (first, second):
            beat(island, 49, state="done")
            files.write_json(island.result, {"generations": 50, "seconds": 75.0, "champion": None})
        seen = until(following, lambda seen: seen["state"] == "DONE")
        assert seen["told"] == "Finished after 1:15: 2 islands came to the end."


def test_a_run_that_is_deleted_is_said_to_be_gone_and_may_come_back(served: Dashboard, tmp_path: Path) -> None:
    made = archipelago(tmp_path / "runs" / "mine", 2, 5)
    with looks(served, "/run/mine/looks") as following:
        assert following()["state"] == "DONE"
        shutil.move(made.path, tmp_path / "aside")
        assert "gone" in until(following, lambda seen: "gone" in seen)["gone"]
        shutil.move(tmp_path / "aside", made.path)
        until(following, lambda seen: seen.get("state") == "DONE")


def test_damaged_files_are_no_reason_to_stop(served: Dashboard, tmp_path: Path) -> None:
    made = archipelago(tmp_path / "runs" / "mine", 2, 5, unfinished=True)
    with looks(served, "/run/mine/looks") as following, looks(served) as over:
        following(), over()
        made.islands()[0].heartbeat.write_text('{"pid": 1')
        made.islands()[1].heartbeat.write_text('{"best": NaN, "time": 1e999, "generation": 3, "cpu_seconds": "x"}')
        made.launcher.write_text("[]")
        made.events.write_text("{\n")
        until(following, lambda seen: seen.get("rows") and seen["rows"][1]["done"] == 4)
        made.plan.write_text("{}")
        assert "gone" in until(following, lambda seen: "gone" in seen)
        assert until(over, lambda seen: seen["runs"][0]["state"] == "UNREADABLE")["runs"][0]["told"]
    assert told(served, "/run/mine/charts")["trouble"]
    assert ask(served, "/run/mine")[0] == 200


def test_without_a_page_nothing_is_looked_at(served: Dashboard, tmp_path: Path) -> None:
    archipelago(tmp_path / "runs" / "mine", 1, 3)
    with looks(served, "/run/mine/looks") as following:
        following()
    topic = served.follower.topic(("run", "mine"))
    assert topic is not None
    beat(RunDir(tmp_path / "runs" / "mine").islands()[0], 7)
    wait_for(lambda: topic.listeners == 0)
    number = topic.number
    beat(RunDir(tmp_path / "runs" / "mine").islands()[0], 8)
    time.sleep(0.5)
    assert topic.number == number


def test_the_charts_are_the_reports_and_are_sent_when_there_is_something_new(served: Dashboard, tmp_path: Path) -> None:
    made = archipelago(tmp_path / "runs" / "mine", 2, 25)
    data = run_data.gather(made)
    wanted = [*run_figures.charts(data), *migration_figures.charts(data)]
    got = told(served, "/run/mine/charts")
    again = told(served, f"/run/mine/charts?have={got['version']}")  # before the time that it was told to wait is over
    assert [chart["name"] for chart in got["charts"]] == [chart.name for chart in wanted]
    assert [chart["views"] for chart in got["charts"]] == [chart.as_dict()["views"] for chart in wanted]
    assert "charts" not in again and again["again_in"] >= 0.5


def test_a_study_is_shown_with_its_charts_its_trials_and_their_runs(served: Dashboard, tmp_path: Path) -> None:
    study = searched(tmp_path / "studies" / "walkers")
    live = {"state": "running", "time": time.time(), "trials": {"wanted": 20, "complete": 9}, "cores_busy": 1.5}
    live |= {"running": [{"trial": 1, "generations": 3, "generations_wanted": 9}], "trials_running": 1, "best": None}
    files.write_json(study.live, live)
    with looks(served) as following:
        (seen,) = following()["studies"]
    assert (seen["name"], seen["href"], seen["working"]) == ("walkers", "/study/walkers", True)
    with looks(served, "/study/walkers/looks") as following:
        (flight,) = following()["running"]
        assert ask(served, flight["runs"][0]["href"])[0] == 200
        files.write_json(study.live, {**live, "time": time.time() - 3600})
        assert "Nothing has been heard" in until(following, lambda seen: seen["state"] == "lost")["told"]
    got = told(served, "/study/walkers/charts")
    assert {"history", "gantt"} <= {chart["name"] for chart in got["charts"]}
    assert len(got["trials"]) == 12


def test_the_last_lines_of_a_log_are_shown_and_move_no_cursor(served: Dashboard, tmp_path: Path) -> None:
    made = archipelago(tmp_path / "runs" / "mine", 1, 3)
    made.islands()[0].log.write_text("".join(f"line {n}\n" for n in range(9000)) + "\x1b[2Jlast")
    lines = told(served, "/run/mine/log?of=island-000")["lines"]
    assert lines[-2:] == ["line 8999", "\\x1b[2Jlast"] and len(lines) == 40
    assert "expected 0 to 0, or an island's name" in told(served, "/run/mine/log?of=..%2f..")["trouble"]


def test_a_champion_that_cannot_be_recorded_is_no_error_of_the_page(served: Dashboard, tmp_path: Path) -> None:
    archipelago(tmp_path / "runs" / "mine", 1, 3, unfinished=True)
    got = told(served, "/run/mine/record")
    assert got["page"] is None and "expected an island with a generation to show" in got["trouble"]
    assert ask(served, "/replays/nothing")[0] == 404
