import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from launcher import results
from tests.launcher.made_runs import finished

SCRIPT = Path(__file__).parents[2] / "scripts" / "aggregate.py"


def test_every_generation_is_a_row_with_its_origin(tmp_path: Path) -> None:
    frame = results.generations([finished(tmp_path / "a", [1.0, 2.0]), finished(tmp_path / "b", [3.0])])
    assert len(frame) == 9
    assert list(frame.columns[:4]) == ["run", "config", "island", "seed"]
    assert set(frame["config"]) == {"quick"}
    assert {column: str(frame[column].dtype) for column in ("generation", "best", "digest")} == {
        "generation": "int64",
        "best": "float64",
        "digest": "str",
    }
    assert list(frame["disqualified.unstable"][:3]) == [0, 1, 2]
    assert frame["median"].isna().all()


def test_every_arrival_is_a_row_and_publications_are_not(tmp_path: Path) -> None:
    frame = results.migrants([finished(tmp_path / "a", [1.0])])
    assert list(frame["admitted"]) == [True, False]
    assert list(frame["reason"]) == ["", "truncated"]
    assert "genome" not in frame.columns


def test_every_finished_island_is_a_row_with_its_champion(tmp_path: Path) -> None:
    made = finished(tmp_path / "a", [1.0, 2.0])
    made.islands()[1].result.unlink()
    frame = results.champions([made])
    assert list(frame["mean"]) == [1.0]
    assert list(frame["ci95_low"]) == [0.0]


def test_no_runs_give_empty_frames_with_the_same_columns(tmp_path: Path) -> None:
    full = [finished(tmp_path / "a", [1.0])]
    for make in results.FRAMES.values():
        empty = make([])
        assert len(empty) == 0
        assert list(empty.columns) == [column for column in make(full).columns if "." not in column]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_script_writes_all_frames_and_they_read_back(tmp_path: Path, form: str) -> None:
    made = finished(tmp_path / "runs" / "a", [1.0, 2.0])
    command = [sys.executable, str(SCRIPT), str(made.path), "--out", str(tmp_path / "out"), "--format", form]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 3
    read = pd.read_csv if form == "csv" else pd.read_parquet
    assert len(read(tmp_path / "out" / f"generations.{form}")) == 6
    assert len(read(tmp_path / "out" / f"migrants.{form}")) == 4
    assert len(read(tmp_path / "out" / f"champions.{form}")) == 2


def test_the_script_takes_a_folder_of_runs_and_refuses_nothing_in_one_line(tmp_path: Path) -> None:
    finished(tmp_path / "runs" / "a", [1.0])
    out = tmp_path / "out"
    command = [sys.executable, str(SCRIPT), "--out", str(out)]
    assert subprocess.run([*command, str(tmp_path / "runs")], capture_output=True, check=False).returncode == 0
    refused = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
