"""Islands that are forked from a nursery: processes like any other, which share what they have not changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from islands import files
from islands.rundir import RunDir
from launcher import host
from launcher.starting import Nursery
from launcher.status import living
from launcher.workers import Ended, Job
from tests.launcher.launches import ROOT, evolab, told, wait_for

TINY = ["-c", "quick", "-p", "30", "--set", "task.duration=1", "--migrate-every", "0", "--json"]


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Any]:
    """Starts `evolab launch` of three islands with more options; nothing of it is left afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: object) -> tuple[subprocess.Popen[str], RunDir]:
        run = RunDir(tmp_path / "mine")
        command = [sys.executable, "-m", "launcher", "launch", *TINY, "--islands", "3", "--out", str(run.path)]
        environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path))
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                [*command, *map(str, options)], cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True
            )
        )
        wait_for(lambda: run.plan.exists() and all(map(living, run.islands())), within=90)
        return started[-1], run

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for identity in filter(None, map(living, RunDir(tmp_path / "mine").islands())):
        os.kill(int(identity["pid"]), signal.SIGKILL)


def nursery_of(launcher: subprocess.Popen[str]) -> psutil.Process:
    """The one child of a launcher."""
    (child,) = psutil.Process(launcher.pid).children()
    return child


def digests(run: RunDir) -> list[str]:
    return [files.read_json(island.result)["digest"] for island in run.islands()]


def test_islands_are_processes_of_their_own_in_sessions_of_their_own_that_say_which_they_are(launched: Any) -> None:
    launcher, run = launched("-g", 4000)
    islands = {int(identity["pid"]) for identity in map(living, run.islands()) if identity}
    born = {child.pid: child.cmdline()[0] for child in nursery_of(launcher).children()}
    assert islands == set(born) and len(islands) == 3
    assert all(os.getsid(pid) == pid for pid in islands)
    assert sorted(line.split("--island ")[1][0] for line in born.values()) == ["0", "1", "2"]
    started = {event["pid"] for event in told(run, "start")}
    assert started == islands
    logs = {os.readlink(f"/proc/{pid}/fd/2") for pid in islands}
    assert logs == {str(island.log) for island in run.islands()}
    assert all(len(os.listdir(f"/proc/{pid}/task")) == 1 for pid in islands)


def test_an_island_has_less_than_150_mb_to_itself_at_a_population_of_500(launched: Any) -> None:
    _, run = launched("-p", 500, "-g", 4000)
    for island in run.islands():
        wait_for(lambda island=island: island.metrics.exists() and len(files.tail_jsonl(island.metrics, 9)) > 8, 60)
    shares = [host.share_of(int(identity["pid"])) for identity in map(living, run.islands()) if identity]
    assert len(shares) == 3 and all(share and share.private < 150 for share in shares)


def test_forked_and_plainly_started_islands_come_to_the_same(launched: Any, tmp_path: Path) -> None:
    launcher, run = launched("-g", 40)
    assert launcher.wait(90) == 0
    alone = [evolab(tmp_path, "evolve", f"island-{k:03}", *TINY, "-g", 40, "--out", f"alone-{k}") for k in range(3)]
    assert [json.loads(each.stdout)["islands"][0]["digest"] for each in alone] == digests(run)


def test_a_killed_nursery_costs_a_restart_and_nothing_else(launched: Any, tmp_path: Path) -> None:
    launcher, run = launched("-g", 200)
    nursery_of(launcher).kill()
    wait_for(lambda: len(told(run, "restart")) == 3)
    assert launcher.wait(120) == 0
    assert [event["reason"] for event in told(run, "restart")] == ["exit code 75"] * 3
    whole = evolab(tmp_path, "launch", *TINY, "--islands", 3, "-g", 200, "--out", "whole", within=120)
    assert whole.returncode == 0 and digests(RunDir(tmp_path / "whole")) == digests(run)


def test_nothing_is_left_when_the_launcher_is_killed(launched: Any) -> None:
    launcher, run = launched("-g", 100_000)
    wait_for(lambda: all(island.metrics.exists() for island in run.islands()), within=60)
    processes = [nursery_of(launcher), *nursery_of(launcher).children()]
    launcher.kill()
    launcher.wait()
    assert psutil.wait_procs(processes, timeout=30)[1] == []
    assert all(json.loads(island.heartbeat.read_text())["state"] == "stopped" for island in run.islands())


def test_a_stop_while_kernels_are_being_compiled_waits_for_none_of_them(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "EVOLAB_KERNEL_CACHE": str(cache)}
    command = [sys.executable, "-m", "launcher", "launch", *TINY, "--islands", "3", "--out", str(tmp_path / "mine")]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as launcher:
        wait_for(lambda: list(cache.rglob(".compiling.lock")), within=60)
        left = psutil.Process(launcher.pid).children(recursive=True)
        assert left
        launcher.send_signal(signal.SIGTERM)
        launcher.communicate()
    assert launcher.returncode == 143
    assert psutil.wait_procs(left, timeout=30)[1] == []
    assert not list(cache.rglob("*.ready"))  # as there is once everything has been compiled
    assert not list((tmp_path / "mine").glob("*/heartbeat.json"))


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """One for a run that is not there: whatever is born there ends with 78."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        made = Nursery(tmp_path / "no-run", detach=False)
        yield made
        made.close()


def test_how_a_process_ended_and_what_it_used_is_told_and_its_words_are_in_its_log(
    nursery: Nursery, tmp_path: Path
) -> None:
    wait_for(nursery.ready, within=60)
    process = nursery.start(Job("x", ("--island", "0"), tmp_path / "x.log", ()))
    ended = wait_for(process.poll)
    assert isinstance(ended, Ended) and ended.code == 78 and 0 < ended.cpu_seconds < 5
    assert "no run at" in (tmp_path / "x.log").read_text()
    process.send(signal.SIGKILL)  # long gone: nothing happens


def test_what_the_disk_says_to_a_log_is_heard_by_who_starts(nursery: Nursery) -> None:
    wait_for(nursery.ready, within=60)
    with pytest.raises(OSError, match="Permission|Read-only|No such|Not a directory"):
        nursery.start(Job("x", ("--island", "0"), Path("/proc/x.log"), ()))


def test_a_process_that_cannot_begin_says_why_in_its_log(nursery: Nursery, tmp_path: Path) -> None:
    wait_for(nursery.ready, within=60)
    process = nursery.start(Job("x", ("--island", "0"), tmp_path / "x.log", (), frozenset({1 << 70})))
    assert wait_for(process.poll).code == 70
    assert "OverflowError" in (tmp_path / "x.log").read_text()


def test_a_run_goes_well_in_a_folder_whose_name_is_no_text_before_a_terminal_that_has_only_ascii(
    tmp_path: Path,
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 \xff")
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONIOENCODING", "ascii")
        done = evolab(folder, "launch", *TINY[:-1], "--islands", 2, "-g", 4, "--out", "mine")
        again = evolab(folder, "status", "mine")
    assert done.returncode == again.returncode == 0, done.stderr
    assert " ? " in done.stdout and "DONE" in again.stdout  # ± among others
    run = RunDir(folder / "mine")
    assert len(digests(run)) == 2 and os.fsencode(folder) in run.joblog.read_bytes()
