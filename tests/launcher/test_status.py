import os
import time
from pathlib import Path
from typing import Any

import pytest

from islands import files
from islands.process import started
from islands.rundir import IslandDir, RunDir
from launcher import presets, run
from launcher.states import of_run
from launcher.status import alive, island_status, overview, run_status

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.fixture
def made(tmp_path: Path) -> RunDir:
    plan = run.Plan("launch", "quick", (("island-000", 42), ("island-001", 42)))
    return run.make(tmp_path / "mine", presets.resolve("quick"), plan)


def beat(island: IslandDir, **more: Any) -> dict[str, Any]:
    """A heartbeat of this very process, written."""
    record = {"pid": os.getpid(), "started": started(os.getpid()), "boot_id": BOOT, "state": "running"}
    record |= {"generation": 4, "generations": 12, "best": 3.5, "time": time.time(), **more}
    files.write_json(island.heartbeat, record)
    return record


def test_an_island_that_never_ran_is_pending(made: RunDir) -> None:
    assert run_status(made)["state"] == "PENDING"
    assert island_status(made.islands()[0])["done"] == 0


def test_an_island_whose_process_lives_is_running(made: RunDir) -> None:
    island = made.islands()[0]
    beat(island)
    found = island_status(island)
    assert (found["state"], found["pid"], found["done"], found["best"]) == ("RUNNING", os.getpid(), 5, 3.5)


def test_an_island_whose_pid_belongs_to_another_process_now_is_stopped(made: RunDir) -> None:
    island = made.islands()[0]
    beat(island, started=1)
    assert island_status(island)["state"] == "STOPPED"
    beat(island, pid=2**22 + 1)
    assert island_status(island)["state"] == "STOPPED"


def test_an_island_of_another_host_is_judged_by_the_age_of_its_heartbeat(made: RunDir) -> None:
    record = beat(made.islands()[0], boot_id="elsewhere")
    assert alive(record)
    assert not alive({**record, "time": time.time() - 3600})


def test_a_failed_island_says_why(made: RunDir) -> None:
    island = made.islands()[0]
    files.write_json(island.error, {"message": "the disk is full", "exit_code": 74})
    found = island_status(island)
    assert (found["state"], found["message"]) == ("FAILED", "the disk is full")


def test_a_damaged_heartbeat_is_no_reason_to_fail(made: RunDir) -> None:
    made.islands()[0].heartbeat.write_text('{"pid": 1')
    assert run_status(made)["islands"][0]["state"] == "PENDING"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["DONE", "DONE"], "DONE"),
        (["DONE", "RUNNING"], "RUNNING"),
        (["RUNNING", "FAILED"], "RUNNING"),
        (["DONE", "BACKOFF", "HELD"], "BACKOFF"),
        (["STALLED", "FAILED"], "STALLED"),
        (["DONE", "HELD", "FAILED", "STOPPED"], "HELD"),
        (["DONE", "FAILED", "STOPPED"], "FAILED"),
        (["DONE", "STOPPED"], "STOPPED"),
        (["PENDING", "PENDING"], "PENDING"),
    ],
)
def test_a_runs_state_follows_from_its_islands(states: list[str], state: str) -> None:
    assert of_run(states) == state


def test_the_overview_has_one_line_a_run(made: RunDir) -> None:
    beat(made.islands()[0])
    (line,) = overview([made])
    assert (line["state"], line["islands"], line["finished"], line["best"]) == ("RUNNING", 2, 0, 3.5)


def test_the_cost_of_a_look_does_not_grow_with_the_length_of_a_run(made: RunDir) -> None:
    island = made.islands()[0]
    beat(island)
    with open(island.metrics, "wb") as stream:
        stream.truncate(2**32)
    begun = time.perf_counter()
    run_status(made)
    assert time.perf_counter() - begun < 0.1
