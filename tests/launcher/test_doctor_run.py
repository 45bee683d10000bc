"""What the doctor says of a live run: with processes that really run, and with figures made by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from islands import files, process
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import doctor_run, observed, presets, states
from launcher import run as runs
from launcher.observed import Look, Observed, Seen
from tests.launcher.made_runs import finished
from tests.launcher.test_cores import tree

Play = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run of two islands that nobody has started."""
    plan = runs.Plan("launch", "quick", (("island-000", 1), ("island-001", 1)))
    return runs.make(tmp_path / "run", presets.resolve("quick"), plan)


@pytest.fixture
def play(run: RunDir) -> Iterator[Play]:
    """Starts a process that stands for an island: some Python code, and a heartbeat in the island's folder."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(name: str, code: str, age: float = 0.0, state: str = "running") -> int:
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        started.append(child)
        assert child.stdout is not None
        child.stdout.readline()
        beat = {"pid": child.pid, "started": process.started(child.pid), "boot_id": process.boot_id(), "epoch": 1}
        beat |= {
            "format": 1,
            "state": state,
            "generation": 4,
            "generations": 100,
            "best": 1.0,
            "time": time.time() - age,
        }
        files.write_json(run.island(name).heartbeat, {**beat, "cpu_seconds": 1.0, "rss_mb": 1.0, "threads": {}})
        lines = [{"generation": step, "seconds": 0.1, "time": 0.0} for step in range(5)]
        files.JsonLines(run.island(name).metrics, durable=False).extend(lines)
        return child.pid

    yield begin
    for child in started:
        child.kill()
        child.communicate()


BUSY = "print(flush=True)\nwhile True: pass"
ASLEEP = "import time; print(flush=True); time.sleep(60)"


def looked(seen: Observed) -> dict[str, tuple[str, str, str]]:
    found = [check(seen) for _, check in doctor_run.CHECKS]
    assert [finding.name for finding in found] == [name for name, _ in doctor_run.CHECKS]
    assert all(finding.do for finding in found if finding.verdict in ("warning", "error"))
    return {finding.name: (finding.verdict, finding.found, finding.do) for finding in found}


def seen(*islands: Seen, granted: float = 2.0, busy: float = 2.0, seconds: float = 1.0) -> Observed:
    return Observed(Path("runs/some"), list(islands), 1, granted, busy, seconds)


def island(
    name: str = "island-000", cpu: float = 1.0, switches: int = 200, threads: int = 1, state: str = "R", **more: object
) -> Seen:
    """An island that used so much between two looks a second apart."""
    looks = [Look(0.0, 5.0, 100, threads, state), Look(1.0, 5.0 + cpu, 100 + switches, threads, state)]
    usual = {"state": states.RUNNING, "message": None, "pid": hash(name), "starting": False, "age": 0.2}
    return Seen(name, **{**usual, "done": 5, "generations": 100, "pace": 0.1, "looks": looks, **more})  # type: ignore[arg-type]


def test_an_island_that_works_and_one_that_sleeps_are_told_apart(run: RunDir, play: Play) -> None:
    play("island-000", BUSY)
    play("island-001", ASLEEP)
    found = looked(observed.observe(run, 0.5))
    assert found["islands"][:2] == ("ok", "2 RUNNING")
    verdict, told, do = found["idle islands"]
    assert verdict == "warning" and told.startswith("island-001: 0%") and "waits" in told and "island.log" in do
    assert found["stalled islands"][0] == "ok"


def test_an_island_that_was_stopped_is_told_with_the_command_that_lets_it_go_on(run: RunDir, play: Play) -> None:
    pid = play("island-000", BUSY, age=200.0)
    os.kill(pid, signal.SIGSTOP)
    found = looked(observed.observe(run, 0.1))
    verdict, told, do = found["stalled islands"]
    assert verdict == "error" and "island-000" in told and "SIGSTOP" in told and do == f"kill -CONT {pid}"
    assert found["idle islands"][0] == "warning"
    assert found["utilisation"][0] == "warning"


def test_an_island_with_a_pool_of_threads_is_an_error(run: RunDir, play: Play) -> None:
    thread = "threading.Thread(target=time.sleep, args=[60], daemon=True)"
    play("island-000", f"import threading, time\nfor _ in range(20): {thread}.start()\n{ASLEEP}")
    verdict, told, do = looked(observed.observe(run, 0.1))["threads"]
    assert verdict == "error" and "up to 21 threads" in told and "OMP_NUM_THREADS" in do


def test_a_run_that_is_over_has_nothing_to_measure(tmp_path: Path) -> None:
    found = looked(observed.observe(finished(tmp_path / "over", [1.0, 2.0]), 0.0))
    verdict, told, do = found["islands"]
    assert verdict == "note" and told.startswith("2 DONE") and do == ""
    assert {verdict for name, (verdict, _, _) in found.items() if name != "islands"} == {"ok"}


def test_a_run_that_nobody_has_started_says_how_to_go_on(run: RunDir) -> None:
    verdict, told, do = looked(observed.observe(run, 0.0))["islands"]
    assert verdict == "note" and told.startswith("2 PENDING") and "evolab resume" in do


def test_an_island_that_has_failed_is_a_warning_with_its_reason(run: RunDir) -> None:
    error = {"format": 1, "kind": "ConfigError", "message": "the task cannot be played", "exit_code": 78}
    files.write_json(run.island("island-001").error, error)
    verdict, told, do = looked(observed.observe(run, 0.0))["islands"]
    assert verdict == "warning" and "the task cannot be played" in told and "island-001/island.log" in do


def test_an_island_of_another_host_is_not_looked_for_here(run: RunDir, play: Play) -> None:
    play("island-000", ASLEEP)
    beat = files.read_json(run.island("island-000").heartbeat)
    files.write_json(run.island("island-000").heartbeat, {**beat, "boot_id": "another", "time": time.time()})
    found = observed.observe(run, 0.0)
    assert found.living == []
    assert looked(found)["islands"][0] == "note"


def test_nothing_is_changed_by_looking(run: RunDir, play: Play) -> None:
    play("island-000", BUSY)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    looked(observed.observe(run, 0.0))
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_run_that_is_not_there_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no run 'nobody'"):
        doctor_run.checks("nobody")


def test_the_run_is_looked_at_once_for_all_checks(run: RunDir, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[RunDir] = []
    monkeypatch.setattr(doctor_run, "observe", lambda one: calls.append(one) or observed.observe(one, 0.0))
    play("island-000", BUSY)
    assert len([check() for _, check in doctor_run.checks(str(run.path))]) == len(doctor_run.CHECKS)
    assert len(calls) == 1


@pytest.mark.parametrize(("rate", "verdict"), [(250, "ok"), (9_000, "warning"), (160_000, "error")])
def test_a_storm_of_context_switches_is_told_by_its_rate(rate: int, verdict: str) -> None:
    found = looked(seen(island("a", switches=rate), island("b")))["context switches"]
    assert found[0] == verdict
    assert f"{rate:,}" in found[1] or verdict == "ok"


def test_an_island_that_others_keep_from_its_core_is_told_so() -> None:
    found = looked(seen(island("a", cpu=0.02), island("b")))["idle islands"]
    assert found[0] == "warning" and "others have the cores" in found[1]


def test_an_island_that_waits_for_a_disk_is_told_with_the_place_in_the_kernel() -> None:
    waiting = island("a", cpu=0.0, state="D")
    waiting.looks = [Look(each.time, each.cpu, each.switches, 1, "D", "nfs_wait_bit") for each in waiting.looks]
    assert "disk (in nfs_wait_bit)" in looked(seen(waiting))["idle islands"][1]


def test_islands_that_are_idle_for_different_reasons_are_not_told_to_have_one() -> None:
    asleep = [island(name, cpu=0.0, state="S") for name in ("a", "b")]
    verdict, told, do = looked(seen(island("c", cpu=0.05), *asleep, island("d")))["idle islands"]
    assert verdict == "warning"
    first, then = told.split("; c: ")
    assert first.startswith("a, b: 0% of a core; it waits") and then.startswith("5% of a core; it is ready to run")
    assert "island.log" in do and "fewer islands" in do


def test_islands_that_are_stalled_for_different_reasons_are_not_told_to_have_one() -> None:
    stopped, waiting = (island(name, cpu=0.0, state=state) for name, state in (("a", "T"), ("b", "D")))
    stopped.state = waiting.state = states.STALLED
    verdict, told, do = looked(seen(stopped, waiting))["stalled islands"]
    assert verdict == "error" and f"kill -CONT {stopped.pid}" in do and "dmesg" in do
    first, then = told.split("; b: ")
    assert first.startswith("a: ") and "SIGSTOP" in first and "waits for a disk" in then


def test_a_stall_that_computes_is_told_from_one_that_waits() -> None:
    computing, waiting = (island(cpu=cpu, state=state) for cpu, state in ((1.0, "R"), (0.0, "S")))
    computing.state = waiting.state = states.STALLED
    assert "evaluation takes very long" in looked(seen(computing))["stalled islands"][1]
    assert "waits, most likely for a lock" in looked(seen(waiting))["stalled islands"][1]


@pytest.mark.parametrize(
    ("some", "busy", "told", "cure"),
    [
        ([island("a", cpu=0.5), island("b", cpu=0.5)], 2.0, "other processes use 1.0 of the 2 cores", "end what else"),
        ([island("a")], 1.0, "too few islands", "--islands +N"),
        ([island("a", cpu=0.6), island("b", cpu=0.6, shares=(0.3, 0.0))], 1.2, "on migration", "faster disk"),
        ([island("a", cpu=0.6), island("b", cpu=0.6, shares=(0.0, 0.3))], 1.2, "on checkpoints", "checkpoint_seconds"),
        ([island("a", cpu=0.5), island("b", cpu=0.5)], 1.0, "wait for something else", "idle islands"),
    ],
)
def test_low_utilisation_is_told_with_its_cause_and_its_cure(
    some: list[Seen], busy: float, told: str, cure: str
) -> None:
    verdict, found, do = looked(seen(*some, busy=busy))["utilisation"]
    assert verdict == "warning" and told in found and cure in do


def test_a_look_counts_the_switches_of_all_threads(tmp_path: Path) -> None:
    status = "Name:\tpython\nThreads:\t2\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n"
    root = tree(
        tmp_path,
        {
            "77/stat": "77 (a name) with) S " + " ".join(["0"] * 10) + " 150 50 0 0",
            "77/status": status.format(1, 1),
            "77/wchan": "futex_wait_queue",
            "77/task/77/status": status.format(100, 20),
            "77/task/78/status": status.format(3000, 400),
        },
    )
    look = observed.look_at(77, root)
    assert look is not None
    assert (look.switches, look.threads, look.state, look.where) == (3520, 2, "S", "futex_wait_queue")
    assert look.cpu == pytest.approx(200 / os.sysconf("SC_CLK_TCK"))
    assert observed.look_at(78, root) is None


def test_a_real_process_that_gives_up_its_core_all_the_time_is_counted(run: RunDir, play: Play) -> None:
    play("island-000", "import time; print(flush=True)\nwhile True: time.sleep(0.0001)")
    found = observed.observe(run, 0.5).islands[0]
    assert found.switches > 20
