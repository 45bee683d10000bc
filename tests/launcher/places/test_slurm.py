"""Islands as an array of Slurm jobs: submitit's own scripts, run by commands that play Slurm (see fake_slurm.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from islands import files, process
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import doctor_run, stopping
from launcher.places import Place, slurm
from launcher.status import run_status
from tests.launcher import fake_slurm
from tests.launcher.launches import ROOT, Launch, at_generation, beat, evolab, seen, told, wait_for

GOLDEN = Path(__file__).with_name("batch_script.txt")
ON_SLURM = {"on": "slurm"}


class Cluster:
    """The Slurm that the test's commands talk to."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, fake_slurm.install(folder)
        self.hold = folder / "jobs" / "hold"

    def do(self, *command: str) -> None:
        subprocess.run(command, check=True)

    def change(self, job: str, state: str) -> None:
        record = self.folder / "jobs" / job
        record.write_text(json.dumps({**json.loads(record.read_text()), "state": state}))

    def state(self, job: str) -> str:
        return str(json.loads((self.folder / "jobs" / job).read_text())["state"])

    @property
    def jobs(self) -> list[str]:
        return sorted(
            path.name for path in (self.folder / "jobs").iterdir() if path.name[0].isdigit() and not path.suffix
        )

    def scripts(self) -> list[str]:
        return [path.read_text() for path in sorted((self.folder / "jobs").glob("*.sh"))]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    found = Cluster(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{found.bin}:{os.environ['PATH']}")
    yield found
    found.hold.unlink(missing_ok=True)
    for job in [job for job in found.jobs if found.state(job) in ("PENDING", "RUNNING", "REQUEUED")]:
        found.do("scancel", job)
        found.do("scancel", "--signal=KILL", job)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """The run that `launch(…, "mine")` makes."""
    return RunDir(tmp_path / "mine")


def all_at(run: RunDir, generation: int, count: int) -> list[dict[str, Any]]:
    """The heartbeats of `count` islands, once all have come so far."""
    islands = wait_for(lambda: run.plan.exists() and len(found := run.islands()) == count and found)
    return [wait_for(at_generation(island, generation)) for island in islands]


def interrupted(launched: Launch) -> tuple[dict[str, Any], str]:
    """What a launcher has to say when Ctrl-C ends it."""
    launched.process.send_signal(signal.SIGINT)
    code, summary, progress = launched.end()
    assert code == 130, progress
    assert {island["state"] for island in summary["islands"]} == {"STOPPED"}, progress
    return summary, progress


def known(run: RunDir, island: str = "island-000") -> dict[str, Any]:
    return next((dict(one) for one in run_status(run)["islands"] if one["island"] == island), {})


def test_islands_are_the_tasks_of_an_array_and_leave_what_others_leave(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir, cluster: Cluster
) -> None:
    place = {**ON_SLURM, "partition": "long", "account": "evo", "time": 90, "memory": 2.5, "cpus": 2}
    code, summary, progress = launch(3, 20, "mine", place={**place, "extra": ["qos=high", "exclusive"]}).end()
    assert code == 0, progress
    assert [island["generations"] for island in summary["islands"]] == [20, 20, 20]
    assert "3 islands on Slurm" in progress and run_status(run)["state"] == "DONE"
    assert [event["where"] for event in told(run, "start")] == [f"Slurm job {job}" for job in ("1_0", "1_1", "1_2")]
    (script,) = cluster.scripts()
    for real, name in ((sys.executable, "PYTHON"), (str(tmp_path), "FOLDER"), (str(ROOT), "SOURCE")):
        script = script.replace(real, name)
    assert script == GOLDEN.read_text()


def test_real_islands_evolve_to_their_end_with_migrants(tmp_path: Path, cluster: Cluster) -> None:
    options = ("-p", 30, "-g", 3, "--set", "task.duration=1", "--migrate-every", 1, "--out", "mine", "--json")
    done = evolab(tmp_path, "launch", "-c", "quick", "--islands", 2, "--on", "slurm", *options, within=300)
    assert done.returncode == 0, done.stderr
    assert [island["generations"] for island in json.loads(done.stdout)["islands"]] == [3, 3]
    assert all(files.read_json(island.result)["sent"] > 0 for island in RunDir(tmp_path / "mine").islands())


def test_an_island_that_waits_for_a_node_is_pending_with_the_reason_and_never_stalled(
    launch: Callable[..., Launch], run: RunDir, cluster: Cluster
) -> None:
    cluster.hold.touch()
    launched = launch(1, 5, "mine", place=ON_SLURM, patience={"least": 0.5, "starting": 1.0})
    wait_for(lambda: run.launcher.exists() and known(run).get("message"))
    assert (known(run)["state"], known(run)["message"]) == ("PENDING", "Slurm job 1 is pending")
    with pytest.raises(subprocess.TimeoutExpired):
        launched.process.wait(2.5)
    assert told(run, "stall") == [] and known(run)["state"] == "PENDING"
    interrupted(launched)


def test_before_its_time_is_over_a_task_is_requeued_from_the_checkpoint(
    launch: Callable[..., Launch], run: RunDir, cluster: Cluster
) -> None:
    launched, island = launch(2, 100_000, "mine", place=ON_SLURM), run.island("island-000")
    before = all_at(run, 5, 2)[0]
    cluster.do("scancel", "--signal=USR2", "1_0")
    wait_for(lambda: len(seen(island)) == 2 and beat(island)["pid"] != before["pid"])
    summary, progress = interrupted(launched)
    assert [island["restarts"] for island in summary["islands"]] == [0, 0], progress
    assert cluster.jobs == ["1_0", "1_1"] and seen(island)[1]["from"] >= 5
    generations = [record["generation"] for record in files.read_jsonl(island.metrics)]
    assert set(generations) == set(range(len(set(generations)))), "none is missing"


def test_a_task_that_is_lost_is_submitted_again_by_the_launcher(
    launch: Callable[..., Launch], run: RunDir, cluster: Cluster
) -> None:
    launched, island = launch(2, 100_000, "mine", place=ON_SLURM), run.island("island-001")
    all_at(run, 5, 2)
    cluster.do("scancel", "--signal=KILL", "1_1")
    wait_for(lambda: len(seen(island)) == 2)
    summary, progress = interrupted(launched)
    assert [island["restarts"] for island in summary["islands"]] == [0, 1], progress
    assert cluster.jobs == ["1_0", "1_1", "2"] and seen(island)[1]["from"] >= 5


def test_exit_codes_keep_their_meaning(launch: Callable[..., Launch], run: RunDir, cluster: Cluster) -> None:
    code, summary, progress = launch(
        3, 5, "mine", place=ON_SLURM, faults="island-000:refuse,island-001:crash-once"
    ).end()
    assert code == 1
    assert [island["state"] for island in summary["islands"]] == ["FAILED", "DONE", "DONE"], progress
    refused, crashed, whole = (island["restarts"] for island in summary["islands"])
    assert (refused, whole) == (0, 0) and crashed >= 1, progress
    signals = [event.get("signal") for event in told(run, "exit", "island-001")]
    assert (signals[0], signals[-1]) == (signal.SIGKILL, None)


def test_a_signal_stops_islands_at_work_and_withdraws_those_that_wait(
    launch: Callable[..., Launch], run: RunDir, cluster: Cluster
) -> None:
    launched = launch(2, 100_000, "mine", place=ON_SLURM)
    all_at(run, 3, 2)
    interrupted(launched)
    assert [beat(island)["state"] for island in run.islands()] == ["stopped", "stopped"]
    cluster.hold.touch()
    launched = launch(2, 100_000, "--resume", "mine", place=ON_SLURM)
    wait_for(lambda: len(cluster.jobs) == 4)
    interrupted(launched)
    assert [cluster.state(job) for job in cluster.jobs[2:]] == ["CANCELLED", "CANCELLED"]


def test_stop_and_logs_work_without_a_launcher_and_resume_goes_on_where_it_was(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir, cluster: Cluster
) -> None:
    launched = launch(2, 100_000, "mine", place=ON_SLURM)
    all_at(run, 3, 2)
    launched.process.kill()
    launched.process.wait()
    assert evolab(tmp_path, "stop", "mine").returncode == 0
    assert run_status(run)["state"] == "STOPPED"
    assert evolab(tmp_path, "logs", "mine").returncode == 0
    launched = launch(2, 100_000, "--resume", "mine")
    wait_for(lambda: [len(seen(island)) for island in run.islands()] == [2, 2])
    _, progress = interrupted(launched)
    assert "on Slurm" in progress and cluster.jobs == ["1_0", "1_1", "2_0", "2_1"]
    assert all(seen(island)[1]["from"] >= 3 for island in run.islands())


@pytest.mark.parametrize("launcher", ["lives", "is dead"])
def test_stop_now_ends_jobs_through_slurm_those_that_wait_too(
    launch: Callable[..., Launch], tmp_path: Path, run: RunDir, cluster: Cluster, launcher: str
) -> None:
    launched = launch(2, 100_000, "mine", place=ON_SLURM, faults="island-000:hang")
    beats = all_at(run, 2, 2)
    if launcher == "is dead":
        launched.process.kill()
        launched.process.wait()
    cluster.hold.touch()
    cluster.do("scontrol", "requeue", "1_1")
    cluster.do("scancel", "--signal=KILL", "1_1")
    wait_for(lambda: cluster.state("1_1") == "PENDING")
    done = evolab(tmp_path, "stop", "mine", "--now", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["killed"] == ["island-000", "island-001"]
    assert [cluster.state(job) for job in cluster.jobs] == ["CANCELLED", "CANCELLED"]
    assert [island["state"] for island in run_status(run)["islands"]] == ["STOPPED", "STOPPED"]
    assert not any(process.is_alive(found) for found in beats)
    if launcher == "lives":
        assert launched.end()[0] == 143


def test_what_slurm_has_ended_is_over_although_its_heartbeat_on_another_machine_is_young(
    launch: Callable[..., Launch], run: RunDir, cluster: Cluster
) -> None:
    launched = launch(1, 100_000, "mine", place=ON_SLURM)
    all_at(run, 3, 1)
    launched.process.kill()
    launched.process.wait()
    cluster.do("scancel", "--signal=STOP", "1_0")  # it writes no more
    island = run.island("island-000")
    files.write_json(island.heartbeat, {**beat(island), "boot_id": "another", "time": time.time()})
    files.remove(island.lock)
    result = stopping.stop(run, now=True, patience=20.0)
    assert (result["state"], stopping.over(result)) == ("STOPPED", True) and result["seconds"] < 20


def test_doctor_asks_slurm_where_the_islands_are(
    launch: Callable[..., Launch], run: RunDir, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = launch(2, 100_000, "mine", place=ON_SLURM)
    all_at(run, 3, 2)

    def place() -> tuple[str, str]:
        found = dict(doctor_run.checks(str(run.path)))["place"]()
        assert found.do or found.verdict == "ok"
        return found.verdict, found.found

    assert place() == ("ok", "on Slurm: 2 running")
    launched.process.kill()
    launched.process.wait()
    cluster.change("1_1", state="FAILED")
    verdict, found = place()
    assert verdict == "warning" and found == "on Slurm: 1 running; island-001: at work by its files, and not there"
    cluster.change("1_1", state="RUNNING")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        verdict, found = place()
    assert verdict == "warning" and "expected what is in the queue" in found


def test_the_next_launcher_finds_jobs_in_the_queue_and_at_work(
    launch: Callable[..., Launch], run: RunDir, cluster: Cluster
) -> None:
    launched = launch(2, 100_000, "mine", place=ON_SLURM)
    all_at(run, 3, 2)
    launched.process.kill()
    launched.process.wait()
    launched = launch(2, 100_000, "--resume", "mine")
    wait_for(lambda: len(told(run, "adopt")) == 2)
    _, progress = interrupted(launched)
    assert cluster.jobs == ["1_0", "1_1"] and [len(seen(island)) for island in run.islands()] == [1, 1]
    assert "Slurm job 1_0 of an earlier launcher is still there: adopted" in progress


def test_what_slurm_refuses_is_told_in_one_line(
    evolab: Callable[..., tuple[int, str, str]], folder: Path, cluster: Cluster
) -> None:
    code, _, err = evolab("launch", "-c", "quick", "--islands", 2, "--on", "slurm", "--partition", "none")
    assert code == 2
    assert "sbatch: expected a job that Slurm takes, got invalid partition specified: none" in err.splitlines()[-1]


@pytest.mark.parametrize("missing", ["sbatch", "submitit"])
def test_without_slurm_or_submitit_nothing_is_written(
    evolab: Callable[..., tuple[int, str, str]], folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    before = sorted(folder.rglob("*"))
    if missing == "submitit":
        monkeypatch.setitem(sys.modules, "submitit", None)
    code, _, err = evolab("launch", "-c", "quick", "--islands", 2, "--on", "slurm")
    assert (code, len(err.splitlines())) == (2, 1) and missing in err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("pair", ["array=0-3", "qos=", "-x=1", "comment=a\nb", "Q OS=1"])
def test_options_of_sbatch_that_cannot_be_passed_on_are_refused(pair: str) -> None:
    with pytest.raises(ConfigError, match="--slurm"):
        slurm.extra(Place("slurm", extra=(pair,)))


@pytest.mark.parametrize(("text", "minutes"), [("90", 90), ("1:30:00", 90), ("2-00:00", 2880), ("1-01:30:00", 1530)])
def test_times_are_written_as_for_sbatch(
    evolab: Callable[..., tuple[int, str, str]], cluster: Cluster, text: str, minutes: int
) -> None:
    from launcher.cli_places import _Minutes

    assert _Minutes().convert(text, None, None) == minutes
