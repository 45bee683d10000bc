"""What is known of a process on another machine, from the files that it shares with this one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from islands import files, process
from islands.rundir import IslandDir
from launcher.places import HERE, Place, recorded
from launcher.places.remote import Remote, another
from launcher.workers import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    island = IslandDir(tmp_path / "island-000", "island-000").create()
    return Job("island-000", ("--island", "0"), island.log, (island,))


def beat(job: Job, **values: Any) -> dict[str, Any]:
    """A heartbeat of another machine, written just now."""
    found = {"pid": 7, "started": 8, "boot_id": "another", "state": "running", "time": time.time(), "cpu_seconds": 1.5}
    files.write_json(job.islands[0].heartbeat, {**found, **values})
    return {**found, **values}


def test_an_island_is_not_started_while_a_heartbeat_from_elsewhere_is_younger_than_a_minute(job: Job) -> None:
    assert another(job) == ""
    beat(job)
    assert "younger than a minute" in another(job)
    beat(job, time=time.time() - 61)
    assert another(job) == ""


@pytest.mark.parametrize("state", ["stopped", "done"])
def test_one_that_has_said_its_last_word_keeps_nobody_waiting(job: Job, state: str) -> None:
    beat(job, state=state)
    assert another(job) == ""


def test_a_process_of_this_machine_keeps_its_island(job: Job) -> None:
    beat(job, **process.identity())
    assert another(job) == f"process {os.getpid()} of this machine has it"


def test_a_heartbeat_that_lay_there_before_is_not_the_new_process_s_own(job: Job) -> None:
    old = beat(job)
    remote = Remote(job)
    assert not remote.wrote(old) and not remote.wrote({})
    assert (remote.pid, remote.cpu_seconds) == (0, 0.0)
    new = beat(job, pid=9)
    assert remote.wrote(new) and Remote(job, fresh=False).wrote(old)


def test_the_place_of_the_last_launcher_is_remembered_and_damage_is_this_machine() -> None:
    place = Place("slurm", partition="long", time=90, extra=("qos=high",))
    assert recorded({"place": place.record()}) == place
    for damaged in ({}, {"place": None}, {"place": {"on": "moon"}}, {"place": {"on": "slurm", "else": 1}}):
        assert recorded(damaged) == HERE
