"""Looking on: told of changes by watchdog, polling where another host may write; and all runs of the machine."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from islands import files
from islands.rundir import RunDir
from launcher import looking
from tests.launcher.launches import ROOT, Launch, at_generation, evolab, wait_for

MOUNTS = """22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:40 / /mnt/exp rw - nfs4 server:/exp rw
31 22 0:41 / /mnt/exp/local rw - tmpfs tmpfs rw
32 22 0:42 / /mnt/with\\040space rw - fuse.sshfs host:/ rw
"""


def test_a_change_ends_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "AT_LEAST_EVERY", 60.0)
    island = tmp_path / "run" / "island-000"
    island.mkdir(parents=True)
    with looking.changes([tmp_path]) as wait:
        threading.Timer(0.5, lambda: files.write_json(island / "heartbeat.json", {})).start()
        begun = time.monotonic()
        wait()
    assert time.monotonic() - begun < 30


def test_without_a_change_one_looks_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "AT_LEAST_EVERY", 0.3)
    with looking.changes([tmp_path, tmp_path / "nowhere"]) as wait:
        (tmp_path / "island.log").write_text("nothing to look at")
        wait()


def test_ears_hear_of_a_new_run_and_of_what_is_replaced_in_a_folder(tmp_path: Path) -> None:
    ears, run = looking.Ears(), tmp_path / "run"
    for change in (run.mkdir, lambda: files.write_json(run / "launcher.json", {})):
        ears.listen([tmp_path, run, tmp_path / "nowhere"])
        ears.wait(0.0, 0.0)
        threading.Timer(0.3, change).start()
        begun = time.monotonic()
        ears.wait(0.0, 60.0)
        assert time.monotonic() - begun < 30
    ears.close()


def test_ears_wait_no_shorter_than_told_and_may_be_woken(tmp_path: Path) -> None:
    ears = looking.Ears()
    ears.ring()
    begun = time.monotonic()
    ears.wait(0.2, 60.0)
    assert 0.2 <= time.monotonic() - begun < 30
    ears.close()


@pytest.mark.parametrize(
    ("path", "remote"),
    [("/mnt/exp/run", True), ("/mnt/exp/local/run", False), ("/mnt/with space/run", True), ("/home/run", False)],
)
def test_a_network_file_system_is_polled(path: str, remote: bool, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert looking.is_remote(Path(path), mounts) is remote


def test_top_shows_runs_that_lie_elsewhere_as_long_as_their_processes_live(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    launched = launch(2, 100_000, "mine")
    run = RunDir(tmp_path / "mine")
    wait_for(lambda: run.plan.exists())
    for island in run.islands():
        wait_for(at_generation(island, 2))
    nowhere = tmp_path / "elsewhere"
    nowhere.mkdir()
    found = json.loads(evolab(nowhere, "top", "--json").stdout)
    (mine,) = [entry for entry in found if entry["run"] == str(run.path)]
    assert (mine["state"], mine["processes"], mine["states"]) == ("RUNNING", 2, {"RUNNING": 2})
    assert str(run.path) in evolab(nowhere, "top").stdout
    launched.process.send_signal(signal.SIGTERM)
    launched.end()
    assert str(run.path) not in evolab(nowhere, "top").stdout


def test_on_a_terminal_what_is_watched_is_redrawn_on_a_screen_of_its_own_that_is_left_again(
    tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    launched = launch(1, 3, "mine")
    assert launched.end()[0] == 0
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "launcher", "status", "mine", "--watch"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TERM="xterm-256color", COLUMNS="100", LINES="30")
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=slave, stdout=slave, stderr=slave) as watching:
        os.close(slave)
        seen = b""
        deadline = time.monotonic() + 30
        while seen.count(b"island-000") < 2 and time.monotonic() < deadline:
            seen += os.read(master, 65536)
        watching.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while more := os.read(master, 65536):
                seen += more
    os.close(master)
    assert watching.returncode == 130 and seen.count(b"island-000") > 1
    assert b"\x1b[?1049h" in seen and b"\x1b[?1049l" in seen and b"\x1b[2J\x1b[H" not in seen.split(b"island-000")[1]
    assert b"Traceback" not in seen
