"""`evolab doctor` as a command: it says what is wrong, leaves nothing behind, and comes back whatever hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from islands import threads
from islands.errors import ConfigError
from launcher import cores, doctor
from launcher.findings import Finding, worst
from tests.launcher.test_cli import ROOT, evolab

QUICK = {"machine": 20.0, "island": 0.0, "yours": 0.0, "disk": 20.0, "run": 20.0}
"""Patience that never waits for PyTorch's import."""


def group(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-P", "-m", "launcher.doctor", name, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_whole_examination_says_all_leaves_nothing_behind_and_ends_with_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what an island gets is limited; what a plain program gets is the user's own business, and a note."""
    (tmp_path / "mine").write_text("")
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    done = evolab(tmp_path, "doctor", "--json")
    found = json.loads(done.stdout)
    names = [check["name"] for check in found["checks"]]
    assert names[:2] == ["cores", "load"] and names[-1] == "events"
    assert {"memory", "threads of an island", "threads of your own programs", "fsync", "locks", "packages"} <= {*names}
    assert all(set(check) == {"name", "verdict", "found", "do"} for check in found["checks"])
    assert all(check["do"] for check in found["checks"] if check["verdict"] in ("warning", "error"))
    verdicts = {check["name"]: check["verdict"] for check in found["checks"]}
    assert verdicts["threads of an island"] == "ok"
    yours = found["checks"][names.index("threads of your own programs")]
    assert "torch" in yours["found"] and "libscipy_openblas" in yours["found"]
    if cores.usable().count > 1:
        assert yours["verdict"] == "note" and "OMP_NUM_THREADS=1" in yours["do"]
    assert {verdicts[name] for name in ("atomic rename", "locks", "exclusive creation")} == {"ok"}
    assert done.returncode == (0 if found["verdict"] in ("ok", "note") else 1)
    assert os.listdir(tmp_path) == ["mine"]


def test_a_folder_that_cannot_be_written_is_an_error_and_exit_code_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from launcher import tables_machine

    found = doctor.examine(Path("/proc"), None, QUICK)
    assert found["verdict"] == "error" and doctor.exit_code(found) == 1
    folder = next(check for check in found["checks"] if check["name"] == "folder")
    assert folder["verdict"] == "error" and "cannot be written" in folder["found"]
    tables_machine.doctor(found)
    table = capsys.readouterr().out
    assert "cannot be written" in table and "folder: choose another" in table and "errors" in table


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["none/here"], "no folder none/here"), (["--run", "nobody"], "no run 'nobody'"), (["a", "b"], "unexpected")],
)
def test_what_is_not_there_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = evolab(tmp_path, "doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and told in done.stderr


def test_who_does_not_answer_is_a_finding_and_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    found = doctor.examine(tmp_path, None, dict.fromkeys(QUICK, 0.0))
    assert time.monotonic() - began < 5 * 2 * doctor.GRACE
    assert found["checks"] and {check["verdict"] for check in found["checks"]} <= {"ok", "note", "error"}
    late = [check for check in found["checks"] if "no answer in time" in check["found"]]
    assert late and all(check["do"] for check in late)
    assert os.listdir(tmp_path) == []


def test_a_child_that_stands_still_is_given_up_and_what_it_may_leave_is_told(tmp_path: Path) -> None:
    """As on a dead network disk: SIGTERM does nothing. (Here SIGKILL does; there not even that.)"""
    with doctor._children(["disk"], tmp_path, None, QUICK) as (child,):
        while not os.listdir(tmp_path) and child.process.poll() is None:
            time.sleep(0.01)
        os.kill(child.process.pid, signal.SIGSTOP)
        child.due = time.monotonic()
        late = doctor._findings(child)[-1]
    assert late.verdict == "error" and "network disk" in late.do
    assert "no answer in time; a folder .evolab-doctor-* may be left" in late.found


@pytest.mark.parametrize("wait", [0.1, 0.4, 0.8])
def test_a_child_that_is_ended_in_the_middle_removes_what_it_made(tmp_path: Path, wait: float) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-P", "-m", "launcher.doctor", "disk", str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 10
        while not os.listdir(tmp_path) and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(wait / 2)
        child.terminate()
        child.wait(10)
    assert os.listdir(tmp_path) == []


def test_a_reader_that_goes_away_leaves_nothing_behind_either(tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-P", "-m", "launcher.doctor", "disk", str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        child.wait(30)
    assert os.listdir(tmp_path) == []


def test_a_childs_first_words_are_the_checks_names_and_a_refusal_is_an_error_of_usage(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in group("disk", tmp_path).stdout.splitlines()]
    assert [line["begun"] for line in lines[::2]] == [line["name"] for line in lines[1::2]]
    assert "no folder" in json.loads(group("disk", tmp_path / "none").stdout)["refused"]
    with pytest.raises(ConfigError, match="no folder"):
        doctor.examine(tmp_path / "none", None, QUICK)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(5, "Input/output error"), "failed: Input/output error"),
        (ZeroDivisionError("x"), "could not be checked"),
    ],
)
def test_a_check_that_raises_is_an_error_that_says_why(error: Exception, told: str) -> None:
    def check() -> Finding:
        raise error

    found = doctor._tried("some check", check)
    assert (found.name, found.verdict) == ("some check", "error") and told in found.found


@pytest.mark.parametrize(
    ("verdicts", "expected", "code"),
    [([], "ok", 0), (["ok", "note"], "note", 0), (["note", "warning"], "warning", 1), (["error", "ok"], "error", 1)],
)
def test_the_worst_verdict_decides_the_exit_code(verdicts: list[str], expected: str, code: int) -> None:
    assert worst(verdicts) == expected
    assert doctor.exit_code({"verdict": worst(verdicts)}) == code
