"""`--tensorboard`: every generation once, read back by TensorBoard itself; a disk that refuses is no reason to stop."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from islands import files
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import presets, run, scalars
from launcher.settings import Settings
from tests.launcher.launches import ROOT, Launch, evolab, told

accumulators = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard: pip install tensorboard"
)


def series(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard finds in a folder: step and value by tag."""
    found = accumulators.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def steps(folder: Path) -> list[int]:
    return [step for step, _ in series(folder)["fitness/best"]]


@pytest.fixture
def made(tmp_path: Path) -> RunDir:
    plan = run.Plan("launch", "quick", tuple((f"island-{i:03}", 42) for i in range(3)))
    return run.make(tmp_path / "mine", presets.resolve("quick"), plan)


def line(generation: int) -> dict[str, Any]:
    known = {"generation": generation, "best": generation / 4, "mean": None, "species": 3, "nodes": 7.5, "time": 1e9}
    return known | {"connections": 20.25, "diversity": 0.5, "seconds": 0.125, "admitted": ["a", "b"], "threshold": 1.0}


def record(run: RunDir, first: int, last: int) -> None:
    for island in run.islands():
        files.JsonLines(island.metrics, durable=False).extend(line(g) for g in range(first, last))


def quiet(text: str) -> None:
    raise AssertionError(text)


def test_every_generation_of_every_island_is_there_with_all_its_figures(made: RunDir, tmp_path: Path) -> None:
    record(made, 0, 700)
    scalars.Scalars(tmp_path / "board", made, quiet).close()
    for island in made.islands():
        found = series(tmp_path / "board" / "mine" / island.name)
        assert found.pop("fitness/best") == [(g, g / 4) for g in range(700)]
        assert {tag: values[-1] for tag, values in found.items()} == {
            "population/species": (699, 3.0), "population/diversity": (699, 0.5), "structure/nodes": (699, 7.5),
            "structure/connections": (699, 20.25), "time/seconds_a_generation": (699, 0.125),
            "migration/admitted": (699, 2.0),
        }  # fmt: skip


def test_what_comes_later_is_added_and_a_line_half_written_waits_for_its_end(made: RunDir, tmp_path: Path) -> None:
    board = scalars.Scalars(tmp_path / "board", made, quiet)
    place = tmp_path / "board" / "mine" / "island-001"
    board.write(5.0)
    assert not place.exists()
    record(made, 0, 5)
    text = files.dumps(line(5))
    with open(made.islands()[1].metrics, "a") as file:
        file.write(text[:40])
    board.write(5.0)
    assert steps(place) == list(range(5))
    with open(made.islands()[1].metrics, "a") as file:
        file.write(text[40:] + "\n")
    board.write(5.0)
    assert steps(place) == list(range(6)) and len(list(place.iterdir())) == 1


def test_a_run_that_goes_on_writes_no_step_twice_though_its_metrics_were_cut_back(made: RunDir, tmp_path: Path) -> None:
    place = tmp_path / "board" / "mine" / "island-000"
    record(made, 0, 20)
    board = scalars.Scalars(tmp_path / "board", made, quiet)
    board.write(5.0)
    for island in made.islands():  # killed, and back at an earlier checkpoint
        kept = island.metrics.read_bytes().splitlines(keepends=True)[:12]
        files.replace_atomically(island.metrics, b"".join(kept))
    record(made, 12, 25)
    board.close()
    assert steps(place) == list(range(25))
    scalars.Scalars(tmp_path / "board", made, quiet).close()
    record(made, 25, 30)
    scalars.Scalars(tmp_path / "board", made, quiet).close()
    assert steps(place) == list(range(30)) and len(list(place.iterdir())) == 2


def test_a_record_torn_by_a_kill_is_written_again_by_the_next_sitting(made: RunDir, tmp_path: Path) -> None:
    place = tmp_path / "board" / "mine" / "island-000"
    record(made, 0, 20)
    scalars.Scalars(tmp_path / "board", made, quiet).close()
    (written,) = place.iterdir()
    os.truncate(written, written.stat().st_size - 7)
    scalars.Scalars(tmp_path / "board", made, quiet).close()
    assert steps(place) == list(range(20))


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_is_told_once_and_loses_nothing(
    made: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalars, "AGAIN", 0.0)
    said: list[str] = []
    record(made, 0, 50)
    board = scalars.Scalars(tmp_path / "board", made, said.append)
    with no_file_larger_than(2000):
        board.write(5.0)
        board.write(5.0)
    assert len(said) == 1 and "the run goes on" in said[0]
    board.close()
    for island in made.islands():
        assert steps(tmp_path / "board" / "mine" / island.name) == list(range(50))


def test_no_thread_and_no_open_file_is_kept(made: RunDir, tmp_path: Path) -> None:
    record(made, 0, 3)
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    board = scalars.Scalars(tmp_path / "board", made, quiet)
    board.write(5.0)
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_a_launch_writes_while_it_goes_on_and_resuming_goes_on_where_it_ended(
    launch: Callable[..., Launch], tmp_path: Path
) -> None:
    board = tmp_path / "board"
    assert launch(2, 8, "mine", tensorboard="board").end()[0] == 0
    assert launch(2, 12, "--resume", "mine", tensorboard="board").end()[0] == 0
    for name in ("island-000", "island-001"):
        assert steps(board / "mine" / name) == list(range(12))


def test_a_launch_goes_on_where_nothing_can_be_written(launch: Callable[..., Launch], tmp_path: Path) -> None:
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "mine").write_text("a file where the folder should be")
    code, _, said = launch(1, 5, "mine", tensorboard="board").end()
    assert code == 0 and "warning: nothing for TensorBoard at the moment, the run goes on: " in said
    assert len(told(RunDir(tmp_path / "mine"), "tensorboard")) == 1


@pytest.mark.parametrize("command", [["launch", "-c", "quick", "--out", "mine"], ["resume", "mine", "-g", "+5"]])
def test_without_tensorboard_one_line_says_what_to_install_and_nothing_is_written(
    made: RunDir, tmp_path: Path, command: list[str]
) -> None:
    hidden = (
        "import sys; sys.modules['tensorboard'] = None; sys.argv[0] = 'evolab'; from launcher.cli import main; main()"
    )
    before = {path: path.read_bytes() for path in made.path.rglob("*") if path.is_file()}
    if command[0] == "launch":
        command = [*command[:-1], "other"]
    done = subprocess.run(
        [sys.executable, "-c", hidden, *command, "--tensorboard", "board"],
        cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "pip install 'evolution-lab[tensorboard]'" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    assert {path: path.read_bytes() for path in made.path.rglob("*") if path.is_file()} == before


def test_a_file_where_the_folder_should_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("")
    with pytest.raises(ConfigError, match="--tensorboard"):
        Settings(tensorboard=tmp_path / "board" / "deeper").check()
    done = evolab(tmp_path, "launch", "-c", "quick", "--out", "mine", "--tensorboard", "board")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not (tmp_path / "mine").exists()
