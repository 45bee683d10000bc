"""Islands on a Ray cluster of several raylets, which are real; so is the death of one."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from islands import files, process
from islands.rundir import RunDir
from launcher import doctor_run
from launcher.backends.ray import module
from launcher.places import asking
from tests.launcher import launches
from tests.launcher.launches import ROOT, Launch, at_generation, beat, seen, told, wait_for

if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is an extra", allow_module_level=True)


class Cluster:
    """A head without room, and two nodes with room for two islands each."""

    def __init__(self, folder: Path) -> None:
        module()
        from ray.cluster_utils import Cluster as Local

        (folder / "ray").mkdir()
        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
        head = {"num_cpus": 0, "temp_dir": str(folder / "ray"), "_system_config": quick, "include_dashboard": False}
        self.local = Local(initialize_head=True, head_node_args=head)
        self.nodes = [self.local.add_node(num_cpus=2, wait=False) for _ in range(2)]
        self.place = {"on": "ray", "address": self.local.address}

    def kill(self, node_id: str) -> None:
        """SIGKILL for the raylet of a node."""
        node = next(node for node in self.nodes if node.node_id.startswith(node_id))
        raylet = node.all_processes["raylet"][0].process
        raylet.kill()
        raylet.wait()  # its workers take a zombie for a living parent


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("STAND_IN_SECONDS", "0.1")
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:  # sockets: short
        monkeypatch.setenv("RAY_TMPDIR", folder)
        made = Cluster(Path(folder))
        yield made
        made.local.shutdown()


def nodes(run: RunDir) -> dict[str, str]:
    """Which node has which island, as the launcher says."""
    known: dict[str, Any] = files.read_json(run.launcher)["islands"] if run.launcher.exists() else {}
    return {name: one["where"].split()[1] for name, one in known.items() if (one["where"] or "").startswith("node ")}


@pytest.mark.soak
def test_islands_of_a_node_that_is_lost_go_on_on_another_from_their_checkpoints(
    launch: Callable[..., Launch], tmp_path: Path, cluster: Cluster
) -> None:
    run = RunDir(tmp_path / "mine")
    launched = launch(2, 100, "mine", place=cluster.place)
    for island in wait_for(lambda: run.plan.exists() and len(run.islands()) == 2 and run.islands(), 60):
        wait_for(at_generation(island, 3), 60)
    before = wait_for(lambda: len(found := nodes(run)) == 2 and found)
    assert len(set(before.values())) == 2, "islands are spread over the nodes"
    victim, other = (run.island(f"island-{k:03}") for k in (0, 1))
    cluster.kill(before[victim.name])
    wait_for(lambda: len(seen(victim)) == 2, 60)
    assert wait_for(lambda: nodes(run).get(victim.name) == before[other.name])
    code, summary, progress = launched.end(120)
    assert code == 0, progress
    assert [island["restarts"] for island in summary["islands"]] == [1, 0]
    assert seen(victim)[1]["from"] >= 3 and len(seen(other)) == 1
    assert "is lost" in told(run, "restart", victim.name)[0]["reason"]
    assert len({record["generation"] for record in files.read_jsonl(victim.metrics)}) == 100


@pytest.mark.soak
def test_stop_now_and_doctor_find_the_actors_of_a_cluster(
    launch: Callable[..., Launch], tmp_path: Path, cluster: Cluster
) -> None:
    run = RunDir(tmp_path / "mine")
    launched = launch(2, 100_000, "mine", place=cluster.place)
    for island in wait_for(lambda: run.plan.exists() and len(run.islands()) == 2 and run.islands(), 60):
        wait_for(at_generation(island, 2), 60)
    found = dict(doctor_run.checks(str(run.path)))["place"]()
    assert (found.verdict, found.found) == ("ok", "on Ray: 2 alive")
    frozen = beat(run.island("island-000"))
    os.kill(frozen["pid"], signal.SIGSTOP)
    files.leave_mark(run.stop)
    assert "island-000" in asking.kill(run, asking.asked(run))
    wait_for(lambda: not process.is_alive(frozen), 5)
    assert launches.evolab(tmp_path, "stop", "mine", "--now", within=120).returncode == 0
    assert launched.end()[0] == 143


@pytest.mark.soak
def test_islands_on_a_ray_of_this_machine_evolve_stop_and_go_on(tmp_path: Path) -> None:
    options = ("-c", "quick", "-p", 30, "--islands", 2, "--set", "task.duration=1", "--out", "mine", "--on", "ray")
    command = [sys.executable, "-m", "launcher", "launch", *map(str, options), "-g", "2000", "--json"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path))
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as launched:
        run = RunDir(tmp_path / "mine")
        for island in wait_for(lambda: run.plan.exists() and len(run.islands()) == 2 and run.islands(), 120):
            wait_for(at_generation(island, 3), 120)
        done = launches.evolab(tmp_path, "stop", "mine", within=120)
        assert done.returncode == 0, done.stdout + done.stderr
        out, _ = launched.communicate(timeout=120)
    assert launched.returncode == 143
    assert [island["state"] for island in json.loads(out)["islands"]] == ["STOPPED", "STOPPED"]
    assert launches.evolab(tmp_path, "resume", "mine", "--on", "here", within=300).returncode == 0
    assert launches.evolab(tmp_path, "verify", "mine", within=120).returncode == 0


def test_a_cluster_that_is_not_there_is_told_in_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    done = launches.evolab(tmp_path, "launch", "-c", "quick", "--on", "ray", "--address", "127.0.0.1:1", within=120)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "expected a cluster at 127.0.0.1:1" in done.stderr
    assert not (tmp_path / "runs").exists() and not (tmp_path / "shared").exists()


def test_islands_on_ray_cannot_outlive_their_launcher(tmp_path: Path) -> None:
    done = launches.evolab(tmp_path, "launch", "-c", "quick", "--on", "ray", "--detach")
    assert done.returncode == 2 and "expected a launcher that stays" in done.stderr


def test_without_ray_nothing_is_written(
    evolab: Callable[..., tuple[int, str, str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    before = sorted(folder.rglob("*"))
    code, _, err = evolab("launch", "-c", "quick", "--on", "ray")
    assert (code, len(err.splitlines())) == (2, 1) and "pip install 'evolution-lab[ray]'" in err
    assert sorted(folder.rglob("*")) == before
