"""What systemd hears of a launcher: from its loop, so that it hears nothing when that stands still."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from islands import files, notify
from islands.rundir import RunDir
from tests.islands.evolving import REPOSITORY
from tests.islands.notify_socket import Listener, is_silent_while, is_stopped

STAND_INS = str(Path(__file__).with_name("launch_stand_ins.py"))


@pytest.fixture
def launch(tmp_path):
    """Starts a launcher whose words go to a listener; whatever still runs at the end is killed."""
    started, listeners = [], []

    def begin(*command, watchdog=0.4, abstract=False):
        listener = Listener(None if abstract else tmp_path, watchdog)
        listeners.append(listener)
        environment = {**os.environ, **listener.environment, "PYTHONPATH": str(REPOSITORY), "STAND_IN_SECONDS": "0.02"}
        process = subprocess.Popen(
            [sys.executable, *map(str, command)], cwd=tmp_path, env=environment, stdout=-3, stderr=-1, text=True
        )
        started.append(process)
        return process, listener

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    for listener in listeners:
        listener.close()


def status(datagram):
    return datagram[-1].removeprefix("STATUS=")


def test_a_launcher_is_ready_when_its_islands_are_started_and_reports_from_its_loop(launch):
    process, listener = launch(STAND_INS, 2, 100_000, "mine", abstract=True)
    ready = listener.until("READY=1", process)
    assert "WATCHDOG=1" in ready and "200000 generations" in status(ready)
    assert len(psutil.Process(process.pid).children()) == 2
    datagram = listener.until("WATCHDOG=1", process)
    while "2 running" not in status(datagram).lower():
        datagram = listener.until("WATCHDOG=1", process)
    process.send_signal(signal.SIGSTOP)
    assert is_silent_while(listener, lambda: is_stopped(process.pid), 2.0)
    process.send_signal(signal.SIGCONT)
    listener.until("WATCHDOG=1", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143


def test_islands_of_a_launcher_neither_talk_to_systemd_nor_silence_it(launch, tmp_path):
    process, listener = launch(STAND_INS, 1, 100_000, "mine")
    island = RunDir(tmp_path / "mine").island("island-000")
    while not island.heartbeat.exists():
        listener.until("WATCHDOG=1", process)
    pid = files.read_json(island.heartbeat)["pid"]
    environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    assert not {entry.partition("=")[0] for entry in environment} & set(notify.VARIABLES)
    os.kill(pid, signal.SIGSTOP)
    for _ in range(2):
        listener.until("WATCHDOG=1", process)
    os.kill(pid, signal.SIGCONT)


def test_a_real_launch_and_its_resumption_with_nothing_left_to_do_are_ready_and_end_with_0(launch):
    options = ("-c", "quick", "--islands", 1, "-p", 12, "-g", 3, "--set", "task.duration=0.5", "--out", "mine")
    process, listener = launch("-m", "launcher", "launch", *options)
    assert "WATCHDOG=1" in listener.until("READY=1", process)
    assert process.wait(120) == 0
    process, listener = launch("-m", "launcher", "launch", "--resume=mine", abstract=True)
    assert listener.until("READY=1", process)
    assert process.wait(120) == 0
