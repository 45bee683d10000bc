"""`evolab stop` and `resume`, launchers that die and come back; real processes that play stand-ins."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from islands import files, loading, process
from islands.rundir import RunDir
from launcher import resuming, stopping
from launcher.start import Request
from launcher.status import living, run_status
from tests.launcher.launches import Launch, at_generation, beat, evolab, seen, told, wait_for


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """The run that `launch(…, "mine")` makes."""
    return RunDir(tmp_path / "mine")


def states(run: RunDir) -> list[str]:
    return [island["state"] for island in run_status(run)["islands"]]


def all_at(run: RunDir, generation: int, count: int) -> list[dict[str, Any]]:
    """The heartbeats of `count` islands, once all have come so far."""
    islands = wait_for(lambda: run.plan.exists() and len(found := run.islands()) == count and found)
    return [wait_for(at_generation(island, generation)) for island in islands]


def gone(beats: list[dict[str, Any]]) -> bool:
    return not any(process.is_alive(found) for found in beats)


@pytest.fixture
def kill_what_is_left(run: RunDir):  # type: ignore[no-untyped-def]
    """Detached islands outlive their launchers; not this test."""
    yield
    if run.plan.exists():
        for island in run.islands():
            if found := living(island):
                os.kill(found["pid"], signal.SIGKILL)


def test_stop_ends_islands_with_checkpoints_and_the_launcher_with_143(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir
) -> None:
    launched = launch(2, 100_000, "mine")
    beats = all_at(run, 3, 2)
    done = evolab(tmp_path, "stop", "mine", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["state"], result["killed"], result["launcher"]) == ("STOPPED", [], False)
    assert launched.end()[0] == 143
    assert gone(beats) and states(run) == ["STOPPED", "STOPPED"]
    assert run.stop.exists() and all(island.stop.exists() for island in run.islands())
    assert [event["why"] for event in told(run, "stopping")] == ["stop"]
    assert "evolab resume" in evolab(tmp_path, "stop", "mine").stdout


def test_stop_works_without_a_launcher(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir, kill_what_is_left: None
) -> None:
    launched = launch(2, 100_000, "mine", detach=True)
    beats = all_at(run, 3, 2)
    launched.process.kill()
    launched.process.wait()
    assert not gone(beats[:1])
    assert evolab(tmp_path, "stop", "mine").returncode == 0
    assert gone(beats) and states(run) == ["STOPPED", "STOPPED"]


def test_stop_now_kills_and_nothing_revives_what_was_killed(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir
) -> None:
    launched = launch(2, 100_000, "mine", faults="island-001:stubborn")
    beats = all_at(run, 3, 2)
    done = evolab(tmp_path, "stop", "mine", "--now", "--json")
    assert json.loads(done.stdout)["killed"]
    assert launched.end()[0] == 143
    assert gone(beats) and states(run) == ["STOPPED", "STOPPED"]
    assert [len(seen(island)) for island in run.islands()] == [1, 1]


def test_an_island_that_does_not_listen_is_killed_in_the_end(
    launch: Callable[..., Launch], run: RunDir, kill_what_is_left: None
) -> None:
    launched = launch(1, 100_000, "mine", faults="island-000:hang", detach=True)
    beats = all_at(run, 2, 1)
    launched.process.kill()
    launched.process.wait()
    wait_for(lambda: (beat(run.island("island-000"))["generation"] or 0) >= 2)
    time.sleep(0.5)
    result = stopping.stop(run, patience=1.0)
    assert result["killed"] == ["island-000"] and gone(beats)


def test_a_stopped_island_is_left_alone_by_its_launcher_and_the_others_go_on(
    launch: Callable[..., Launch], run: RunDir
) -> None:
    launched = launch(2, 150, "mine")
    all_at(run, 3, 2)
    run.island("island-000").stop.touch()
    code, summary, _ = launched.end()
    assert (code, [island["state"] for island in summary["islands"]]) == (1, ["STOPPED", "DONE"])


def test_resume_goes_on_after_a_stop_and_the_same_again_does_no_harm(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir
) -> None:
    launched = launch(2, 60, "mine")
    all_at(run, 3, 2)
    evolab(tmp_path, "stop", "mine")
    launched.end()
    for starts in (2, 2):
        code, summary, _ = launch(2, 60, "--resume", "mine").end()
        assert (code, [island["generations"] for island in summary["islands"]]) == (0, [60, 60])
        assert [len(seen(island)) for island in run.islands()] == [starts, starts]
    assert not run.stop.exists() and not any(island.stop.exists() for island in run.islands())


def test_a_second_resume_exits_with_3_and_changes_nothing(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir
) -> None:
    first = launch(1, 200, "mine")
    all_at(run, 3, 1)
    before = run.config.read_bytes(), run.plan.read_bytes()
    run.island("island-000").held.write_text("{}")  # what a resume would clear
    for more in ([], ["-g", "+5"], ["--islands", "+2"], ["--set", "population=77", "--allow-change"]):
        done = evolab(tmp_path, "resume", "mine", *more)
        assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert (run.config.read_bytes(), run.plan.read_bytes()) == before and run.island("island-000").held.exists()
    assert first.end()[0] == 0
    assert len(seen(run.island("island-000"))) == 1


def test_of_many_launchers_at_once_exactly_one_wins(launch: Callable[..., Launch], run: RunDir) -> None:
    assert launch(1, 2, "mine").end()[0] == 0
    many = [launch(1, 60, "--resume", "mine") for _ in range(5)]
    codes = sorted(each.end()[0] for each in many)
    assert codes[0] == 0 and set(codes[1:]) <= {0, 3} and 3 in codes
    assert len(seen(run.island("island-000"))) == 2
    generations = [line["generation"] for line in files.read_jsonl(run.island("island-000").metrics)]
    assert generations == list(range(60))


def test_detached_islands_survive_their_launcher_and_the_next_one_adopts_them(
    launch: Callable[..., Launch], run: RunDir, kill_what_is_left: None
) -> None:
    first = launch(2, 400, "mine", detach=True)
    beats = all_at(run, 3, 2)
    first.process.kill()
    first.process.wait()
    wait_for(at_generation(run.island("island-000"), beats[0]["generation"] + 5))
    assert states(run) == ["RUNNING", "RUNNING"]
    second = launch(2, 400, "--resume", "mine", detach=True)
    wait_for(lambda: len(told(run, "adopt")) == 2)
    assert run_status(run)["launcher"]["pid"] == second.process.pid
    code, summary, _ = second.end()
    assert (code, [island["restarts"] for island in summary["islands"]]) == (0, [0, 0])
    assert [len(seen(island)) for island in run.islands()] == [1, 1]


def test_an_adopted_island_that_dies_is_restarted_like_any_other(
    launch: Callable[..., Launch], run: RunDir, kill_what_is_left: None
) -> None:
    first = launch(1, 200, "mine", detach=True)
    all_at(run, 3, 1)
    first.process.kill()
    first.process.wait()
    second = launch(1, 200, "--resume", "mine", policy={"first": 0.05})
    (adopted,) = wait_for(lambda: told(run, "adopt"))
    os.kill(adopted["pid"], signal.SIGKILL)
    code, summary, _ = second.end()
    assert (code, summary["islands"][0]["restarts"]) == (0, 1)
    assert len(seen(run.island("island-000"))) == 2
    assert told(run, "restart")[0]["reason"] == "ended without a word"


def test_a_closed_terminal_ends_a_detached_launcher_alone(
    launch: Callable[..., Launch], run: RunDir, kill_what_is_left: None
) -> None:
    launched = launch(1, 4000, "mine", detach=True)
    beats = all_at(run, 3, 1)
    launched.process.send_signal(signal.SIGHUP)
    assert launched.end()[0] == 129
    assert not gone(beats) and states(run) == ["RUNNING"]


def test_an_island_whose_number_belongs_to_another_process_now_is_not_adopted_nor_signalled(
    launch: Callable[..., Launch], run: RunDir
) -> None:
    assert launch(1, 3, "mine").end()[0] == 0
    island = run.island("island-000")
    mine = {"pid": os.getpid(), "started": 1, "boot_id": process.boot_id()}
    files.write_json(island.heartbeat, {**beat(island), **mine, "state": "running"})
    files.write_json(island.lock, {"format": 1, **mine})
    code, _, progress = launch(1, 6, "--resume", "mine").end()
    assert code == 0 and "earlier launcher" not in progress


def test_resume_makes_runs_longer_and_archipelagos_larger(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir
) -> None:
    assert launch(2, 5, "mine").end()[0] == 0
    _, changes = resuming.prepare(str(run.path), Request(), resuming.More("+4", "+2"))
    assert changes == ["generations: 5 → 9", "islands: 2 → 4 (island-002 to island-003)"]
    code, summary, _ = launch(4, 9, "--resume", "mine").end()
    assert (code, [island["generations"] for island in summary["islands"]]) == (0, [9] * 4)
    assert [seen(island)[-1]["from"] for island in run.islands()] == [5, 5, 0, 0]
    assert loading.load(run.config).generations == 9
    assert told(run, "changed")[0]["changes"] == changes
    for wrong in ("3", "+x", "-1", ""):
        done = evolab(tmp_path, "resume", "mine", "-g", wrong)
        assert done.returncode == 2 and "--generations" in done.stderr


def test_another_configuration_is_refused_unless_told_and_then_recorded(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir
) -> None:
    assert launch(1, 5, "mine").end()[0] == 0
    done = evolab(tmp_path, "resume", "mine", "--set", "mutation.add_node=0.5")
    assert done.returncode == 2 and "mutation.add_node: " in done.stderr and "--allow-change" in done.stderr
    assert told(run, "changed") == []
    changed = Request(overrides=("mutation.add_node=0.5",))
    _, changes = resuming.prepare(str(run.path), changed, resuming.More(allow_change=True))
    assert loading.load(run.config).mutation.add_node == 0.5
    assert told(run, "changed")[0]["changes"] == changes and changes[0].endswith("→ 0.5")
    assert launch(1, 5, "--resume", "mine").end()[0] == 0


def test_living_islands_start_anew_when_what_they_play_has_changed(
    launch: Callable[..., Launch], run: RunDir, kill_what_is_left: None
) -> None:
    first = launch(1, 300, "mine", detach=True)
    all_at(run, 3, 1)
    first.process.kill()
    first.process.wait()
    code, summary, _ = launch(1, 320, "--resume", "mine").end()
    assert (code, summary["islands"][0]["generations"], summary["islands"][0]["restarts"]) == (0, 320, 0)
    assert len(seen(run.island("island-000"))) == 2


def test_stop_waits_for_an_island_on_another_machine_as_long_as_its_heartbeat_is_young(
    launch: Callable[..., Launch], run: RunDir
) -> None:
    assert launch(1, 2, "mine").end()[0] == 0
    island = run.island("island-000")
    files.remove(island.result)
    there = {**beat(island), "state": "running", "boot_id": "another", "time": time.time()}
    files.write_json(island.heartbeat, there)
    result = stopping.stop(run, patience=0.5)
    assert result["seconds"] >= 0.5 and not stopping.over(result)
    files.write_json(island.heartbeat, {**there, "state": "stopped"})
    assert stopping.over(stopping.stop(run, patience=0.5))
