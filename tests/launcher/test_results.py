import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from islands import files
from launcher import results
from tests.launcher.made_reports import searched
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


def test_every_island_is_a_row_with_its_state_and_what_sets_it_apart(tmp_path: Path) -> None:
    made = finished(tmp_path / "a", [1.0, 2.0])
    first, second = made.islands()
    second.result.unlink()
    files.write_json(second.held, {"reason": "it always crashes"})
    plan = made.read_plan()
    plan["islands"][0]["overrides"] = {"population": 7}
    files.write_json(made.plan, plan)
    frame = results.islands([made])
    assert list(frame["island"]) == [first.name, second.name]
    assert list(frame["state"]) == ["DONE", "HELD"]
    assert frame["message"][1] == "it always crashes"
    assert list(frame["overrides"]) == ['{"population": 7}', "{}"]


def test_every_trial_is_a_row_with_its_values_and_its_parameters(tmp_path: Path) -> None:
    study = searched(tmp_path / "study", trials=6, objectives=("fitness", "diversity"))
    frame = results.trials([study])
    assert list(frame["trial"]) == [1, 2, 3, 4, 5, 6]
    assert set(frame["state"]) == {"COMPLETE", "PRUNED", "FAIL"}
    assert frame["value.diversity"].notna().sum() == (frame["state"] == "COMPLETE").sum()
    assert any(column.startswith("param.") for column in frame.columns)
    assert list(frame.columns[: 1 + len(results.TRIALS)]) == ["study", *results.TRIALS]
    assert len(results.trials([])) == 0


def test_a_damaged_line_costs_itself_alone_and_is_told(tmp_path: Path) -> None:
    made = finished(tmp_path / "a", [1.0])
    metrics = made.islands()[0].metrics
    lines = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(lines[0] + b"{damaged\n" + lines[2])
    with pytest.warns(UserWarning, match="line 2 is damaged"):
        frame = results.generations([made])
    assert list(frame["generation"]) == [0, 2]


def test_migrants_of_a_log_that_was_put_aside_are_rows_too(tmp_path: Path) -> None:
    log = finished(tmp_path / "a", [1.0]).islands()[0].migrations
    log.rename(log.with_name("migrations.1.jsonl"))
    frame = results.migrants([results.RunDir(tmp_path / "a")])
    assert list(frame["admitted"]) == [True, False]


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
    assert len(done.stdout.splitlines()) == 5
    read = pd.read_csv if form == "csv" else pd.read_parquet
    assert len(read(tmp_path / "out" / f"generations.{form}")) == 6
    assert len(read(tmp_path / "out" / f"migrants.{form}")) == 4
    assert len(read(tmp_path / "out" / f"champions.{form}")) == 2
    assert len(read(tmp_path / "out" / f"islands.{form}")) == 2


def test_the_script_takes_a_study_with_its_trials_runs(tmp_path: Path) -> None:
    searched(tmp_path / "studies" / "s", trials=3)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "studies"), "--out", str(tmp_path / "out")]
    subprocess.run(command, capture_output=True, check=True)
    assert len(pd.read_csv(tmp_path / "out" / "trials.csv")) == 3
    assert pd.read_csv(tmp_path / "out" / "islands.csv")["run"].nunique() == 3


def test_the_script_takes_a_folder_of_runs_and_refuses_nothing_in_one_line(tmp_path: Path) -> None:
    finished(tmp_path / "runs" / "a", [1.0])
    out = tmp_path / "out"
    command = [sys.executable, str(SCRIPT), "--out", str(out)]
    assert subprocess.run([*command, str(tmp_path / "runs")], capture_output=True, check=False).returncode == 0
    refused = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
