"""One process an island, whoever starts it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from islands import files, process
from islands.errors import TryAgain
from islands.occupied import holder, occupy
from islands.rundir import IslandDir
from tests.islands.evolving import REPOSITORY, make_run, start, tiny

KEEPER = """
import sys, time
from pathlib import Path
from islands.occupied import occupy
from islands.rundir import IslandDir
lock = occupy(IslandDir(Path(sys.argv[1]), "island-000"))
print("mine", flush=True)
time.sleep(600)
"""


@pytest.fixture
def place(tmp_path):
    return IslandDir(tmp_path / "island-000", "island-000").create()


@pytest.fixture
def keeper(place):
    """Another process that has the island."""
    command = [sys.executable, "-c", KEEPER, str(place.path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process_:
        assert process_.stdout.readline() == "mine\n"
        yield process_
        process_.kill()


def test_a_second_process_is_told_who_has_the_island(place, keeper):
    with pytest.raises(TryAgain, match=f"process {keeper.pid}"):
        occupy(place)
    assert process.is_alive(holder(place)) and holder(place)["pid"] == keeper.pid


def test_an_island_is_free_when_its_process_is_gone_however_it_went(place, keeper):
    keeper.kill()
    keeper.wait()
    assert not process.is_alive(holder(place))
    descriptor = occupy(place)
    assert holder(place)["pid"] == os.getpid()
    os.close(descriptor)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_note_names_nobody(place, damage):
    place.lock.write_bytes(damage)
    assert holder(place) == {} and not process.is_alive(holder(place))


def test_two_processes_of_one_island_are_one_and_the_other_says_why_and_touches_nothing(memory_folder):
    run = make_run(memory_folder / "run", tiny("generations=100000000"))
    first = start(run)
    try:
        deadline = time.monotonic() + 120
        while not run.island("island-000").metrics.exists():
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        second = start(run)
        _, told = second.communicate(timeout=60)
        assert second.returncode == 75 and f"process {first.pid}" in told and len(told.splitlines()) == 1
        assert not run.island("island-000").error.exists()
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert first.returncode == 85
    assert files.read_json(run.island("island-000").heartbeat)["epoch"] == 1
