"""Real processes, real signals; what evolves is a stand-in (see stand_in_island.py)."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from islands import files
from islands.rundir import RunDir
from islands.threads import VARIABLES
from launcher.status import alive, run_status
from tests.launcher.launches import Launch, at_generation, beat, seen, wait_for


def test_all_islands_finish_and_the_exit_code_is_0(launch: Callable[..., Launch], tmp_path: Path) -> None:
    code, summary, progress = launch(3, 20, "mine").end()
    assert code == 0
    assert [island["island"] for island in summary["islands"]] == ["island-000", "island-001", "island-002"]
    assert all(island["generations"] == 20 and island["restarts"] == 0 for island in summary["islands"])
    assert progress.splitlines()[0].endswith("usable cores")
    assert (tmp_path / "shared" / "mine").is_dir()


def test_threads_are_limited_and_cores_assigned_before_an_island_starts(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    launch(2, 2, "mine").end()
    notes = [seen(island)[0] for island in RunDir(tmp_path / "mine").islands()]
    assert all(note["environment"] == dict.fromkeys(VARIABLES, "1") for note in notes)
    mask = sorted(os.sched_getaffinity(0))
    if len(mask) > 1:
        assert [len(note["cpus"]) for note in notes] == [1, 1]
        assert notes[0]["cpus"] != notes[1]["cpus"]
    assert len({note["session"] for note in notes}) == 2


def test_a_killed_island_is_back_from_its_checkpoint_and_the_others_do_not_pause(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    launched = launch(2, 150, "mine")
    victim, other = (RunDir(tmp_path / "mine").island(f"island-{k:03}") for k in (0, 1))
    wait_for(at_generation(other, 1))
    before = wait_for(at_generation(victim, 5))
    os.kill(before["pid"], signal.SIGKILL)
    killed, pace = time.monotonic(), beat(other)["generation"]
    wait_for(lambda: beat(victim)["pid"] != before["pid"])
    assert time.monotonic() - killed < 10
    assert beat(other)["generation"] > pace + 5
    code, summary, _ = launched.end()
    assert code == 0
    assert [island["restarts"] for island in summary["islands"]] == [1, 0]
    assert seen(victim)[1]["from"] >= 5
    records = files.read_jsonl(victim.metrics)
    assert len(seen(other)) == 1 and {record["generation"] for record in records} == set(range(150))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_islands_with_checkpoints_and_resume_goes_on(
    launch: Callable[..., Launch], tmp_path: Path, number: signal.Signals
) -> None:
    launched = launch(2, 80, "mine", seconds=0.05)
    islands = [RunDir(tmp_path / "mine").island(f"island-{k:03}") for k in (0, 1)]
    for island in islands:
        wait_for(at_generation(island, 3))
    launched.process.send_signal(number)
    code, summary, _ = launched.end()
    assert code == 128 + number
    assert [island["state"] for island in summary["islands"]] == ["STOPPED", "STOPPED"]
    assert run_status(RunDir(tmp_path / "mine"))["state"] == "STOPPED"
    code, summary, _ = launch(2, 80, "--resume", "mine", seconds=0.0).end()
    assert code == 0
    assert all(seen(island)[1]["from"] >= 3 for island in islands)
    assert all(island["generations"] == 80 for island in summary["islands"])


def test_a_finished_run_is_extended_and_a_finished_island_is_not_started_again(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    assert launch(2, 5, "mine").end()[0] == 0
    islands = RunDir(tmp_path / "mine").islands()
    assert launch(2, 5, "--resume", "mine").end()[0] == 0
    assert [len(seen(island)) for island in islands] == [1, 1]
    code, summary, _ = launch(2, 9, "--resume", "mine").end()
    assert (code, [island["generations"] for island in summary["islands"]]) == (0, [9, 9])
    assert [seen(island)[1]["from"] for island in islands] == [5, 5]


def test_a_second_signal_kills_islands_that_do_not_stop(launch: Callable[..., Launch], tmp_path: Path) -> None:
    launched = launch(1, 10_000, "mine", faults="island-000:stubborn")
    island = RunDir(tmp_path / "mine").island("island-000")
    pid = wait_for(at_generation(island, 1))["pid"]
    launched.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert alive(beat(island)) or pid != beat(island)["pid"]
    launched.process.send_signal(signal.SIGINT)
    assert launched.end(within=10)[0] == 130


def test_a_configuration_that_cannot_work_is_told_once_and_never_restarted(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    code, summary, progress = launch(2, 5, "mine", faults="island-001:refuse").end()
    assert code == 1
    assert [island["state"] for island in summary["islands"]] == ["DONE", "FAILED"]
    assert summary["islands"][1]["restarts"] == 0
    assert "the task cannot be played as configured" in progress
    assert launch(1, 5, "alone", faults="island-000:refuse").end()[0] == 2


def test_an_island_that_ends_without_a_result_is_started_again(launch: Callable[..., Launch], tmp_path: Path) -> None:
    launched = launch(1, 5, "mine", faults="island-000:silent")
    island = RunDir(tmp_path / "mine").island("island-000")
    wait_for(lambda: island.path.exists() and len(seen(island)) >= 2)
    launched.process.send_signal(signal.SIGTERM)
    code, _, progress = launched.end()
    assert code == 143
    assert "exit code 0 without a result" in progress


def test_an_island_stopped_by_someone_else_stays_stopped_and_the_launch_says_1(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    code, summary, _ = launch(2, 5, "mine", faults="island-000:leave").end()
    assert (code, [island["state"] for island in summary["islands"]]) == (1, ["STOPPED", "DONE"])


def test_islands_stop_when_their_launcher_is_killed_and_resume_waits_for_them(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    launched = launch(1, 60, "mine", seconds=0.1)
    island = RunDir(tmp_path / "mine").island("island-000")
    wait_for(at_generation(island, 2))
    launched.process.kill()
    launched.process.wait()
    code, summary, _ = launch(1, 60, "--resume", "mine", seconds=0.0).end()
    assert (code, summary["islands"][0]["generations"]) == (0, 60)
    generations = [record["generation"] for record in files.read_jsonl(island.metrics)]
    assert generations == sorted(set(generations))


def test_a_second_launcher_of_one_run_exits_with_3_and_touches_nothing(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    first = launch(1, 100, "mine")
    island = RunDir(tmp_path / "mine").island("island-000")
    wait_for(at_generation(island, 2))
    code, _, told = launch(1, 100, "--resume", "mine").end()
    assert (code, len(told.splitlines())) == (3, 1)
    assert first.end()[0] == 0
    assert len(seen(island)) == 1


def test_progress_is_plain_lines_within_two_seconds_when_piped(launch: Callable[..., Launch]) -> None:
    launched = launch(1, 200, "mine")
    begun = time.monotonic()
    assert launched.process.stderr is not None
    assert "1 island" in launched.process.stderr.readline()
    assert time.monotonic() - begun < 2
    _, _, progress = launched.end()
    assert "\x1b" not in progress
    assert "island-000: generation " in progress
