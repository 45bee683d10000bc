"""`evolab island RUN:INDEX`: this process becomes the island, whatever it ends with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from islands import files
from islands.errors import ConfigError
from islands.threads import VARIABLES
from launcher.island import become
from tests.islands.evolving import REPOSITORY, make_run, tiny

BECOME = "import json, sys; from launcher.island import become; become(sys.argv[1], json.loads(sys.argv[2]))"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the run `mine`, of one thread and two islands."""
    make_run(tmp_path / "runs" / "mine", tiny(), ["island-000", "island-001"], threads=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evolab(*arguments, **environment):
    """`evolab …` as a process of its own."""
    command = [sys.executable, "-m", "launcher", *arguments]
    home = {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, env={**os.environ, **home, **environment}, capture_output=True, text=True, timeout=120
    )


def become_program(place, *program, **environment):
    """The island's place taken by another program."""
    command = [sys.executable, "-c", BECOME, place, json.dumps(program)]
    home = {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, env={**os.environ, **home, **environment}, capture_output=True, text=True, timeout=60
    )


def test_an_island_finishes_in_the_same_process_and_exits_with_0(folder):
    ended = evolab("island", "mine:1")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    place = folder / "runs" / "mine" / "island-001"
    assert files.read_json(place / "result.json")["generations"] == 5
    assert set(files.read_json(place / "heartbeat.json")["threads"]["pools"].values()) == {1}
    assert not (place.parent / "island-000").exists()


def test_what_the_island_refuses_is_its_exit_code_78_in_one_line(folder):
    ended = evolab("island", "mine:2")
    assert ended.returncode == 78 and "0 to 1" in ended.stderr and len(ended.stderr.splitlines()) == 1


def test_an_unknown_run_is_one_line_and_exit_code_2(folder):
    ended = evolab("island", "yours:0")
    assert ended.returncode == 2 and "no run 'yours'" in ended.stderr and len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("place", ["mine", "mine:", "mine:one", "mine:-1", ":1", "mine:²"])
def test_what_is_not_a_run_and_an_index_is_refused(folder, place):
    with pytest.raises(ConfigError):
        become(place, ["/bin/false"])


def test_every_exit_code_of_an_island_is_passed_on(folder):
    for code in (0, 70, 74, 75, 78, 85):
        assert become_program("mine:0", "/bin/sh", "-c", f"exit {code}").returncode == code


def test_the_island_has_threads_limited_and_systemd_to_talk_to_and_no_parent_to_watch(folder):
    spoken = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "5000000", "OMP_NUM_THREADS": "64"}
    script = "import json, os, sys; print(json.dumps([os.getpid(), sys.argv, dict(os.environ)]))"
    command = [sys.executable, "-c", BECOME, "mine:1", json.dumps([sys.executable, "-c", script])]
    environment = {**os.environ, **spoken, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        pid, arguments, found = json.loads(process.communicate(timeout=60)[0])
    assert pid == process.pid
    assert arguments == ["-c", str(Path("runs/mine").absolute()), "--island", "1"]
    assert {name: found[name] for name in VARIABLES} == dict.fromkeys(VARIABLES, "1")
    assert found["NOTIFY_SOCKET"] == "/nowhere" and found["WATCHDOG_USEC"] == "5000000"
