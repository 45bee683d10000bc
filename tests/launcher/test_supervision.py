"""What becomes of islands that crash, hang or are refused; real processes that play stand-ins."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from islands import files, process
from islands.rundir import RunDir
from launcher import events
from launcher.status import run_status
from tests.launcher.launches import Launch, at_generation, beat, evolab, seen, told, wait_for

QUICK = {"first": 0.05, "longest": 0.2}
"""A policy of restarts for those who have no minutes."""
IMPATIENT = {"least": 2.5, "factor": 5.0, "dump": 0.2, "grace": 0.3}


def states(run: RunDir) -> list[str]:
    return [island["state"] for island in run_status(run)["islands"]]


def test_an_island_that_always_crashes_is_held_with_a_reason_while_the_others_finish(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    code, summary, progress = launch(3, 60, "mine", faults="island-001:crash", policy=QUICK).end()
    run = RunDir(tmp_path / "mine")
    assert code == 4
    assert [island["state"] for island in summary["islands"]] == ["DONE", "HELD", "DONE"]
    held = run.island("island-001")
    assert len(seen(held)) == 6 and len(seen(run.island("island-000"))) == 1
    reason = files.read_json(held.held)["reason"]
    assert reason.startswith("died (signal SIGKILL") and "5 restarts in 10 minutes are enough" in reason
    assert "island-001: held: died" in progress
    # the files alone say so, now that no launcher lives
    found = run_status(run)
    assert (found["state"], states(run)) == ("HELD", ["DONE", "HELD", "DONE"])
    assert found["islands"][1]["message"] == reason and found["launcher"]["alive"] is False
    assert "HELD: died" in evolab(tmp_path, "status", "mine").stdout


def test_resuming_clears_a_hold(launch: Callable[..., Launch], tmp_path: Path) -> None:
    assert launch(1, 5, "mine", faults="island-000:crash", policy={**QUICK, "most": 1}).end()[0] == 4
    assert launch(1, 5, "--resume", "mine").end()[0] == 0
    assert not RunDir(tmp_path / "mine").island("island-000").held.exists()


def test_an_island_that_hangs_is_stalled_dumps_its_stack_and_is_restarted(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    launched = launch(2, 60, "mine", faults="island-000:hang-once", patience=IMPATIENT, policy=QUICK)
    run = RunDir(tmp_path / "mine")
    wait_for(lambda: run.plan.exists() and told(run, "stall", "island-000"))
    code, summary, progress = launched.end()
    assert code == 0
    assert [island["restarts"] for island in summary["islands"]] == [1, 0]
    assert "stand_still" in run.island("island-000").log.read_text()
    (stall,) = told(run, "stall")
    assert "no heartbeat for" in stall["reason"] and "after generation 2" in stall["reason"]
    (restart,) = told(run, "restart")
    assert restart["reason"].startswith("stalled and killed")
    assert "island-000: stalled: no heartbeat" in progress
    assert seen(run.island("island-000"))[1]["from"] == 3


def test_an_island_that_was_stopped_by_a_signal_and_goes_on_in_time_is_left_alone(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    patience = {**IMPATIENT, "dump": 60.0}
    launched = launch(1, 100, "mine", patience=patience)
    run = RunDir(tmp_path / "mine")
    island = run.island("island-000")
    pid = wait_for(at_generation(island, 2))["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: told(run, "stall"))
    wait_for(lambda: states(run) == ["STALLED"])
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: told(run, "recovered"))
    assert launched.end()[0] == 0
    assert len(seen(island)) == 1


def test_a_refused_configuration_fails_at_once_and_the_rest_goes_on(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    assert launch(2, 20, "mine", faults="island-001:refuse").end()[0] == 1
    run = RunDir(tmp_path / "mine")
    assert states(run) == ["DONE", "FAILED"]
    (exit_,) = told(run, "exit", "island-001")
    assert exit_["code"] == 78 and len(told(run, "failed")) == 1 and not told(run, "restart")


def test_every_start_and_every_end_is_an_event_and_a_line_of_the_job_log(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    launched = launch(1, 60, "mine", policy=QUICK)
    run = RunDir(tmp_path / "mine")
    os.kill(wait_for(at_generation(run.island("island-000"), 3))["pid"], signal.SIGKILL)
    assert launched.end()[0] == 0
    kinds = [event["event"] for event in events.read(run)]
    assert kinds == ["launch", "start", "exit", "restart", "start", "exit", "done", "end"]
    ends = told(run, "exit")
    assert [(end.get("code"), end.get("signal")) for end in ends] == [(None, 9), (0, None)]
    rows = [line.split("\t") for line in run.joblog.read_text().splitlines()]
    assert [row[6:8] for row in rows] == [["Exitval", "Signal"], ["0", "9"], ["0", "0"]]
    assert all("stand_in_island.py" in row[8] and "--island 0" in row[8] for row in rows[1:])


def test_the_launcher_says_what_it_knows_in_a_file_that_status_reads(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    text = tmp_path / "mine.prom"
    launched = launch(2, 400, "mine", cost_per_hour=3600.0, prometheus=str(text))
    run = RunDir(tmp_path / "mine")
    wait_for(at_generation(run.island("island-001"), 40), within=30)
    found = run_status(run)
    launcher = found["launcher"]
    assert launcher["alive"] and launcher["pid"] == launched.process.pid
    assert launcher["cost"] > 0 and launcher["cost_per_hour"] == 3600.0
    shown = evolab(tmp_path, "status", "mine").stdout
    assert f"launcher: process {launched.process.pid}" in shown and "cost " in shown
    wait_for(text.exists)
    assert 'evolab_island_state{run="mine",island="island-001",state="RUNNING"} 1' in text.read_text()
    launched.process.send_signal(signal.SIGTERM)
    assert launched.end()[0] == 143
    assert 'state="STOPPED"} 1' in text.read_text()
    assert run_status(run)["launcher"]["cost"] >= launcher["cost"]


@pytest.mark.parametrize("limits", [{"max_cost": 1.0, "cost_per_hour": 3600.0}, {"max_hours": 1.0 / 3600}])
def test_a_limit_of_cost_or_time_stops_cleanly_with_124(
    launch: Callable[..., Launch], tmp_path: Path, limits: dict[str, float]
) -> None:
    code, summary, _ = launch(1, 100_000, "mine", **limits).end()
    assert (code, summary["islands"][0]["state"]) == (124, "STOPPED")
    (stopping,) = told(RunDir(tmp_path / "mine"), "stopping")
    assert stopping["why"] == "limit"


def test_what_a_run_has_cost_counts_when_it_goes_on(launch: Callable[..., Launch], tmp_path: Path) -> None:
    money = {"max_cost": 1.0, "cost_per_hour": 3600.0}
    assert launch(1, 100_000, "mine", **money).end()[0] == 124
    assert launch(1, 100_000, "--resume", "mine", **money).end()[0] == 124
    assert launch(1, 100_000, "--resume", "mine", max_cost=3.0).end()[0] == 124
    assert 3.0 <= run_status(RunDir(tmp_path / "mine"))["launcher"]["cost"] < 30


def test_a_cost_limit_without_a_price_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    done = evolab(tmp_path, "launch", "-c", "quick", "--max-cost", 5, "--out", "mine")
    assert done.returncode == 2 and "--cost-per-hour" in done.stderr
    assert not (tmp_path / "mine").exists()


def test_the_command_on_finish_hears_of_the_run_and_its_exit_code(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    hook = 'echo "$EVOLAB_RUN $EVOLAB_EXIT_CODE" > hook; exit 3'
    code, summary, progress = launch(2, 5, "mine", faults="island-001:refuse", on_finish=hook).end()
    assert code == 1 and summary["islands"]
    assert (tmp_path / "hook").read_text() == f"{tmp_path / 'mine'} 1\n"
    assert "--on-finish ended with 3" in progress


def test_a_run_directory_that_everybody_may_write_into_is_refused(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    assert launch(1, 3, "mine").end()[0] == 0
    (tmp_path / "mine").chmod(0o777)
    for command in ("status", "resume", "stop", "show"):
        done = evolab(tmp_path, command, "mine")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1 and "world-writable" in done.stderr


def test_a_careless_umask_makes_no_run_that_everybody_may_write_into(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        assert launch(1, 3, "mine").end()[0] == 0
    finally:
        os.umask(before)
    for folder in (tmp_path / "mine", tmp_path / "mine" / "island-000"):
        assert not folder.stat().st_mode & 0o002


def test_no_process_outlives_a_launch_and_none_is_left_a_zombie(launch: Callable[..., Launch], tmp_path: Path) -> None:
    launched = launch(3, 10_000, "mine")
    run = RunDir(tmp_path / "mine")
    identities = [
        wait_for(at_generation(island, 2)) for island in wait_for(lambda: run.plan.exists() and run.islands())
    ]
    launched.process.send_signal(signal.SIGTERM)
    assert launched.end()[0] == 143
    assert not any(process.is_alive(identity) for identity in identities)
    assert not any(Path(f"/proc/{identity['pid']}").exists() for identity in identities)
    assert [beat(island)["state"] for island in run.islands()] == ["stopped"] * 3
