import subprocess
import sys

import pytest

from islands.errors import ConfigError
from islands.files import read_json, write_json
from islands.rundir import RunDir


def plan(*names):
    islands = [{"index": index, "name": name, "seed": 42 + index} for index, name in enumerate(names)]
    return {"format": 1, "run": "r", "run_id": "0" * 32, "command": "launch", "islands": islands}


def test_the_plan_names_the_islands_in_order(tmp_path):
    run = RunDir(tmp_path / "runs" / "r")
    run.write_plan(plan("seed-42", "seed-123"))
    assert [island.name for island in run.islands()] == ["seed-42", "seed-123"]
    assert run.read_plan() == plan("seed-42", "seed-123") and run.name == "r"


def test_a_plan_is_written_once(tmp_path):
    run = RunDir(tmp_path / "r")
    run.write_plan(plan("a"))
    with pytest.raises(ConfigError, match="one that exists"):
        run.write_plan(plan("b"))
    assert run.read_plan() == plan("a")


def test_every_file_has_a_place_of_its_own(tmp_path):
    run = RunDir(tmp_path / "r")
    island = run.island("island-000").create()
    kinds = ("metrics", "migrations", "heartbeat", "result", "error", "checkpoints", "champion", "log", "stop")
    paths = [getattr(island, kind) for kind in kinds]
    assert len(set(paths)) == len(paths)
    assert {path.parent for path in paths} == {tmp_path / "r" / "island-000"}
    assert [path.name for path in paths] == [
        "metrics.jsonl", "migrations.jsonl", "heartbeat.json", "result.json", "error.json", "checkpoints",
        "champion.safetensors", "island.log", "stop",
    ]  # fmt: skip
    assert island.checkpoints.is_dir() and not island.result.exists()
    assert (run.config.name, run.plan.name) == ("config.yaml", "run.json")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc", "-x", ".x", "a\nb", "a\0", "ä", "x" * 101])
def test_a_name_that_could_leave_the_run_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="name"):
        RunDir(tmp_path).island(name)
    with pytest.raises(ConfigError, match="name"):
        RunDir(tmp_path / "r").write_plan(plan(name))
    assert not (tmp_path / "r").exists()


def test_a_folder_that_is_no_run_is_told_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no run at") as caught:
        RunDir(tmp_path).islands()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"islands": None},
        {"islands": [{"index": 1, "name": "a"}]},
        {"islands": [{"index": 0, "name": "../a"}]},
        {"islands": ["a"]},
    ],
)
def test_a_plan_that_cannot_be_relied_on_is_refused(tmp_path, change):
    run = RunDir(tmp_path / "r")
    run.write_plan(plan("a"))
    write_json(run.plan, {**read_json(run.plan), **change})
    with pytest.raises(ConfigError, match=r"run\.json"):
        run.islands()


def test_files_and_names_come_without_torch_numpy_or_numba():
    code = (
        "import sys, islands.files, islands.rundir, islands.topology, islands.pool;"
        "print([name for name in ('torch', 'numpy', 'numba') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
