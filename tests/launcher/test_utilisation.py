import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.utilisation import (
    Island,
    Meter,
    Sample,
    busy_seconds,
    causes,
    clock,
    family_seconds,
    process_seconds,
    report,
    shares,
    time_left,
)
from launcher.workers import seconds_of


def meter(used: float, busy: float, seconds: float = 20.0, granted: float = 2.0, cost: float | None = None) -> Meter:
    """A meter that saw `used` and `busy` CPU seconds in `seconds`."""
    found = Meter(granted, cost)
    for tick in range(int(seconds) + 1):
        part = tick / seconds
        found.take(Sample(100.0 + tick, used * part, busy * part, int(10 * tick)))
    return found


def running(name: str = "island-000", **more: float) -> Island:
    return Island(name, "RUNNING", 10, 100, seconds_per_generation=0.5, **more)


def test_utilisation_is_cpu_seconds_over_wall_seconds_times_granted_cores() -> None:
    found = meter(used=30.0, busy=31.0)
    assert found.overall == pytest.approx(0.75)
    assert found.pace == pytest.approx(10.0)


def test_the_window_forgets_what_was_before_it() -> None:
    found = Meter(1.0)
    for tick in range(200):
        found.take(Sample(float(tick), 0.0 if tick < 100 else tick - 100.0, 0.0, 0))
    assert found.recent == pytest.approx(1.0)
    assert found.overall == pytest.approx(99 / 199)
    assert len(found._samples) < 40


def test_the_cpu_time_of_a_real_process_is_seen() -> None:
    before, end = process_seconds(os.getpid()) or 0.0, time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert (process_seconds(os.getpid()) or 0.0) - before >= 0.15
    assert process_seconds(2**22 + 1) is None


def test_the_cpu_time_of_workers_is_their_process_s_while_they_live_and_when_they_have_ended() -> None:
    burn = "import os, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nos.read(0, 1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print(flush=True); input()"
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin and process.stdout
        for _ in range(2):  # the worker is at its end, and has ended
            assert process.stdout.readline()
            alone, all_of_it = process_seconds(process.pid), family_seconds(process.pid)
            assert alone is not None and all_of_it is not None and all_of_it - alone >= 0.25
            assert seconds_of(process.pid, ["islands", "run", "--all"]) == all_of_it
            assert seconds_of(process.pid, ["islands", "run", "--island", "3"]) == alone
            process.stdin.write(b"\n")
    assert family_seconds(process.pid) is None


def test_busy_seconds_count_only_the_granted_cores_and_include_stolen_time(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 50 999 5 10 0 40 7 0\ncpu1 800 0 0 0 0 0 0 0 0 0\nintr 5\n")
    assert busy_seconds([0], stat) == pytest.approx(200 / os.sysconf("SC_CLK_TCK"))


def test_full_use_needs_no_cause() -> None:
    assert causes(meter(39.0, 39.5), [running("a"), running("b")], 1) == []


def test_starting_islands_are_named_as_the_cause() -> None:
    starting = Island("a", "RUNNING", 0, 100, starting=True)
    assert "1 of 2 islands are still starting" in causes(meter(10.0, 10.0), [starting, running("b")], 1)[0]


def test_too_few_islands_are_named_as_the_cause() -> None:
    assert "too few islands: 1 × 1 thread can use only 1 of 2 cores" in causes(meter(20.0, 20.0), [running()], 1)[0]


def test_islands_that_are_one_batch_may_wait_while_it_is_played_and_need_no_more_than_their_workers() -> None:
    assert causes(meter(4.0, 4.1), [running("a"), running("b"), running("c")], 2, together=True) == []
    (told,) = causes(meter(4.0, 4.1), [running("a")], 16, together=True)
    assert "too few islands: 1 can use only 1 of 2 cores" in told


def test_finished_islands_are_named_as_the_cause() -> None:
    done = Island("b", "DONE", 100, 100)
    assert "1 of 2 islands have ended" in causes(meter(20.0, 20.0), [running(), done], 1)[0]


def test_foreign_load_is_named_as_the_cause() -> None:
    assert "other processes use 1.0 of the 2 cores" in causes(meter(20.0, 40.0), [running("a"), running("b")], 1)[0]


def test_more_islands_than_cores_are_named() -> None:
    many = [running(f"island-{i}") for i in range(3)]
    assert any("more islands than cores" in cause for cause in causes(meter(20.0, 20.0), many, 1))


def test_waiting_for_migration_or_disk_and_silence_are_named() -> None:
    found = causes(meter(20.0, 20.0), [running("a", migrate_share=0.3), running("b", disk_share=0.4)], 1)
    assert any("a spend over 10 % of a generation on migration" in cause for cause in found)
    assert any("b spend over 10 % of a generation on checkpoints" in cause for cause in found)
    silent = causes(meter(20.0, 20.0), [running("a", quiet_seconds=90.0), running("b")], 1)
    assert silent == ["no sign of life from a"]


def test_the_time_left_is_the_slowest_islands() -> None:
    assert time_left([running(), Island("b", "RUNNING", 50, 100, 2.0)]) == pytest.approx(100.0)
    assert time_left([running(), Island("b", "RUNNING", 0, 100, starting=True)]) is None
    assert time_left([Island("a", "DONE", 100, 100)]) == 0.0


def test_the_report_states_utilisation_pace_time_left_and_cost() -> None:
    line = report(meter(38.0, 38.0, cost=3.6), 180.0)
    assert line == (
        "utilisation 95% of 2 cores (95% since the start) · 10 generations/s · 3:00 left · cost 0.02 of 0.20"
    )


def test_clock_and_shares_read_well() -> None:
    assert (clock(75), clock(7384)) == ("1:15", "2:03:04")
    assert shares({"seconds": 2.0, "migrate_seconds": 0.5, "checkpoint_seconds": 0.1}) == (0.25, 0.05)
    assert shares({"seconds": 0, "migrate_seconds": None}) == (0.0, 0.0)
