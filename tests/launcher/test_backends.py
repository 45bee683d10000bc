"""Every backend runs the same study, each trial in processes of its own, and loses only the last moments of one.

Real islands where values matter; stand-ins where processes are killed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from islands import files, process
from launcher import backends, identity
from launcher.backends import ray
from launcher.backends.pool import Pool
from launcher.trials import StudyDir
from tests.launcher.study_parts import (
    QUICK,
    TWO,
    Search,
    beats,
    going,
    known,
    populations,
    processes_of,
    wait_for,
)

RAY = pytest.param("ray", marks=pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is an extra"))
CONCURRENT = ["processes", "pool", RAY]
REAL = ("-c", "quick", "-p", 30, "-g", 4, "--set", "task.duration=1", "-n", 2, "-s", 1, "--islands", 1, "--json")
TREE = dict[int, psutil.Process]


def tree(search: Search) -> TREE:
    """The search's living processes, of whatever depth, itself aside."""
    return {each.pid: each for each in psutil.Process(search.process.pid).children(recursive=True)}


def gone(processes: TREE) -> bool:
    return not [each for each in processes.values() if each.is_running() and each.status() != "zombie"]


class Played:
    """A real study on one backend, played once for all tests that look at it."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.place = StudyDir(folder / "studies" / backend)
        workers = () if backend == "sequential" else TWO
        run = Search(folder, backend, *REAL, "--backend", backend, "--sampler", "random", *workers, real=True)
        self.seen: TREE = {}
        self.names: set[str] = set()
        try:
            wait_for(lambda: self._look(run), 300)
            self.code, self.out, self.err = run.end(300)
        finally:
            run.close()
        self.trials = self.place.trials() if self.place.path.is_dir() else []

    def _look(self, run: Search) -> bool:
        """Note what runs, until an island does."""
        if run.over:
            return True
        self.seen |= tree(run)
        self.names |= {each.name() for each in self.seen.values() if each.is_running()}
        return any(beats(self.place, number) for number in (1, 2))


@pytest.fixture(scope="module")
def played() -> Iterator[Callable[[str], Played]]:
    made: dict[str, Played] = {}
    with tempfile.TemporaryDirectory(prefix="", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:

        def play(backend: str) -> Played:
            if backend not in made:
                made[backend] = Played(Path(name), backend)
            return made[backend]

        yield play


@pytest.mark.parametrize("backend", CONCURRENT)
def test_the_same_parameters_have_the_same_values_on_every_backend(
    played: Callable[[str], Played], backend: str
) -> None:
    one, other = played("sequential"), played(backend)
    assert (one.code, other.code) == (0, 0), one.err + other.err
    assert [trial.params for trial in one.trials] == [trial.params for trial in other.trials]
    assert [trial.values for trial in one.trials] == [trial.values for trial in other.trials]
    assert [trial.seeds[0]["digests"] for trial in one.trials] == [trial.seeds[0]["digests"] for trial in other.trials]
    assert len({json.dumps(trial.values) for trial in one.trials}) == 2


@pytest.mark.parametrize("backend", CONCURRENT)
def test_two_trials_at_a_time_overlap_in_processes_of_their_own_with_one_thread_each(
    played: Callable[[str], Played], backend: str
) -> None:
    run = played(backend)
    one, two = (trial.workers[0] for trial in run.trials)
    assert one["started"] < two["ended"] and two["started"] < one["ended"]
    assert len({one["pid"], two["pid"], *one["islands"], *two["islands"]}) == 4
    for trial in run.trials:
        (island,) = populations(run.place, trial)
        pools = files.read_json(island.heartbeat)["threads"]["pools"]
        assert {"numba"} <= set(pools) and set(pools.values()) == {1}
        assert (trial.backend, trial.threads, trial.cores) == (backend, 1, 1)
    if len(os.sched_getaffinity(0)) >= 2:
        assert {tuple(worker["cpus"]) for worker in (one, two)} == {tuple(trial.cpus or ()) for trial in run.trials}
        assert set(one["cpus"]).isdisjoint(two["cpus"])


@pytest.mark.parametrize("backend", ["sequential", *CONCURRENT])
def test_a_study_that_has_ended_leaves_no_process_behind(played: Callable[[str], Played], backend: str) -> None:
    run = played(backend)
    assert len(run.seen) >= (2 if backend == "sequential" else 4)
    if backend == "ray":
        assert {"raylet", "gcs_server"} <= run.names
    assert wait_for(lambda: gone(run.seen), 30)
    assert not list(run.place.path.parents[1].glob("evolab-ray-*"))


@pytest.mark.parametrize("backend", ["processes", "pool", pytest.param("ray", marks=[*RAY.marks, pytest.mark.soak])])
def test_whatever_dies_costs_its_trial_only_the_progress_since_its_checkpoint(
    search: Callable[..., Search], folder: Path, backend: str
) -> None:
    place = StudyDir(folder / "studies" / "it")
    run = search("it", *QUICK, "-g", 400, "-n", 2, "--json", "--backend", backend, *TWO, seconds=0.02)
    wait_for(going(place, 1, 2), 120)
    for number in (1, 2):
        worker = files.read_json(place.worker(number))["pid"]
        assert os.getpgid(worker) == worker == psutil.Process(worker).pid
    reached = []

    def kill(pid: int, *affected: int) -> None:
        """… and wait until the trials that it belonged to are at it again."""
        before = {number: beats(place, number)[0] for number in affected}
        reached.append(before[affected[0]]["generation"])
        os.kill(pid, signal.SIGKILL)
        for number, beat in before.items():
            wait_for(lambda n=number, old=beat["pid"]: beats(place, n)[0]["pid"] != old)
            wait_for(going(place, number, generation=beat["generation"] + 3))

    kill(beats(place, 1)[0]["pid"], 1)
    kill(files.read_json(place.worker(1))["pid"], 1)
    if backend != "processes":  # its worker: the death of one breaks a pool for all
        above = psutil.Process(files.read_json(place.worker(1))["pid"]).ppid()
        kill(above, *((1, 2) if backend == "pool" else (1,)))
    summary = run.summary()
    assert summary["states"]["COMPLETE"] == 2
    for number in (1, 2):
        (island,) = populations(place, place.read(number))
        assert [line["generation"] for line in files.read_jsonl(island.metrics)] == list(range(400))
    starts = [record["from"] for record in files.read_jsonl(populations(place, place.read(1))[0].path / "seen.jsonl")]
    assert starts[0] == 0 and len(starts) == 1 + len(reached)
    assert all(start >= generation for start, generation in zip(starts[1:], reached, strict=True))
    codes = [worker["exit_code"] for worker in place.read(1).workers]
    assert codes[-1] == 0 and codes.count(-9) == len(reached) - 1
    if backend != "pool":
        assert [worker["exit_code"] for worker in place.read(2).workers] == [0]
    assert wait_for(lambda: not processes_of(folder))


@pytest.mark.parametrize("backend", ["processes", "pool"])
def test_a_parent_that_is_killed_leaves_nothing_running_and_its_study_goes_on(
    search: Callable[..., Search], folder: Path, backend: str
) -> None:
    place = StudyDir(folder / "studies" / "it")
    same = ("it", *QUICK, "-g", 1500, "-n", 2, "--json", "--backend", backend, *TWO)
    run = search(*same, seconds=0.02)
    wait_for(going(place, 1, 2))
    running = tree(run)
    run.process.kill()
    assert wait_for(lambda: gone(running), 20)
    assert all(place.read(number).state == "RUNNING" for number in (1, 2))
    assert search(*same, seconds=0.0).summary()["states"]["COMPLETE"] == 2


def test_ctrl_c_on_a_terminal_reaches_a_whole_pool_and_stops_it_with_checkpoints_and_without_noise(
    search: Callable[..., Search], folder: Path
) -> None:
    place = StudyDir(folder / "studies" / "it")
    run = search("it", *QUICK, "-g", 5000, "-n", 1, "--json", "--backend", "pool", *TWO, seconds=0.02)
    wait_for(going(place, 1))
    os.killpg(run.process.pid, signal.SIGINT)
    code, _, told = run.end()
    assert (code, place.read(1).state, place.read(1).workers[-1]["exit_code"]) == (130, "RUNNING", 85)
    assert "Traceback" not in told and "SIGINT: trials stop with checkpoints" in told
    assert not processes_of(folder)


def test_a_pool_whose_idle_worker_was_killed_takes_the_next_trial_all_the_same(folder: Path) -> None:
    place = StudyDir(folder / "study")
    identity.make_or_compare(place, known())
    pool = Pool(1)

    def end_of(number: int) -> int:
        place.folder(number).mkdir(parents=True)
        pool.start(place.path, number, 1)  # there is no such trial, which its process says and ends
        return int(wait_for(pool.ended)[number])

    assert end_of(1) > 0
    executor: Any = pool._pool
    (worker,) = executor._processes
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: executor._broken)
    assert end_of(2) > 0
    pool.close()
    assert "trial_0002.json" in place.log(2).read_text()


def test_only_the_very_process_that_said_it_works_on_a_trial_is_killed_for_it(folder: Path) -> None:
    place = StudyDir(folder / "study")
    place.folder(1).mkdir(parents=True)
    backends.end_worker(place, 1)  # nobody has said anything: nobody is killed
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        born = {"pid": sleeper.pid, "started": process.started(sleeper.pid), "boot_id": process.boot_id()}
        for other in ({"started": 1}, {"boot_id": "another"}):
            files.write_json(place.worker(1), born | other)
            backends.end_worker(place, 1)
            assert sleeper.poll() is None
        files.write_json(place.worker(1), born)
        backends.end_worker(place, 1)
        assert sleeper.wait(10) == -signal.SIGKILL


def test_ray_gets_a_folder_whose_sockets_have_paths_that_the_kernel_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Path(ray.short_folder()).parent == folder
    deep = folder / ("deep" * 20)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    found = Path(ray.short_folder())
    assert found.is_dir() and len(str(found)) < 44 and not list(deep.iterdir())
    found.rmdir()


def test_without_ray_one_line_says_what_to_install(
    evolab: Callable[..., tuple[int, str, str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, err = evolab("search", "it", *QUICK, "--backend", "ray", *TWO)
    assert (code, out) == (2, "")
    assert err == "evolab: --backend ray: expected Ray, got no module named ray; pip install 'evolution-lab[ray]'\n"
    assert not (folder / "studies").exists()


def test_what_ray_prints_does_not_reach_stdout_which_is_for_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def chatty(**_: object) -> None:
        print("Ray has something to say")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=chatty, shutdown=chatty))
    for _ in range(2):
        folder = ray.connect(1, None)
        print("as Ray does later")
        ray.leave(folder)
    print("a result")
    assert capsys.readouterr().out == "a result\n"
