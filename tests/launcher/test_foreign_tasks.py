"""Runs of tasks that come from elsewhere: started, stopped, continued, replayed; refused before anything is written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from islands import files, loading
from islands.config import Config
from islands.errors import ConfigError
from launcher import presets
from launcher.trying import refuse_unplayable
from tests.islands.evolving import REPOSITORY, after, digests, evolve, make_run, result

PAGE = REPOSITORY / "docs" / "tasks.md"
SMALL = ("-p", "12", "-g", "3", "--set", "mode=pure")


def evolab(folder: Path, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launcher", *arguments], cwd=folder, capture_output=True, text=True, timeout=seconds,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=False,
    )  # fmt: skip


def example() -> str:
    """The example of the documentation."""
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_documented_commands_work_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "reach.py").write_text(example())
    (command,) = re.findall(r"^evolab (run .*python:reach:Reach.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    done = evolab(tmp_path, *command.split(), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "NaN" not in done.stdout and told
    (run,) = (tmp_path / "runs").iterdir()
    config = loading.load(run / "config.yaml")
    assert config.task.folder == str(tmp_path) and config.task.parameters == {"push": 2}  # type: ignore[attr-defined]
    best = files.read_json(run / "seed-42" / "result.json")["champion"]
    assert best["mean"] > 40 and best["ci95"][0] < best["mean"] < best["ci95"][1]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = evolab(elsewhere, "replay", str(run), "--island", "seed-42")
    assert again.returncode == 0, again.stderr + again.stdout


@pytest.mark.parametrize("name", ["gym:CartPole-v1", "digits", "python:reach:Reach"])
def test_interrupted_and_continued_equals_uninterrupted(name: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn" if name == "digits" else "gymnasium")
    (tmp_path / "reach.py").write_text(example())
    assignments = [f"task.name={name}", "population=12", "generations=5", "evaluation.stop_when_solved=false"]
    if name == "digits":
        assignments.append("task.rows=40")
    if name.startswith("python:"):
        assignments.append(f"task.folder={tmp_path}")
    config = loading.override(Config(), assignments)
    whole, parts = make_run(tmp_path / "whole", config), make_run(tmp_path / "parts", config)
    evolve(whole)
    for _ in range(4):
        evolve(parts, halted=after(1))
    evolve(parts)
    assert digests(whole) == digests(parts) and len(digests(whole)) == 5
    assert result(whole)["champion"] == result(parts)["champion"]


def test_a_run_of_gymnasium_says_when_it_is_solved(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium")
    done = evolab(tmp_path, "run", "--set", "task.name=gym:CartPole-v1", *SMALL, "--out", "run")
    assert done.returncode == 0, done.stderr
    found = files.read_json(tmp_path / "run" / "seed-42" / "result.json")
    assert found["solved"] in (True, False) and found["champion"]["episodes"] == 64
    longer = evolab(tmp_path, "run", "--set", "task.name=gym:CartPole-v1", "-p", "12", "-g", "5", "--set", "mode=pure",
                    "--out", "run")  # fmt: skip
    assert longer.returncode == 0, longer.stderr
    assert evolab(tmp_path, "replay", "run", "--island", "seed-42").returncode == 0


def test_a_run_on_a_table_goes_on_with_that_table_alone(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    lines = ["a,b,kind", *(f"{i % 7},{i * i % 11},{'even' if i % 2 else 'odd'}" for i in range(60))]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    name = "task.name=csv:table.csv#target=kind"
    done = evolab(tmp_path, "run", "--set", name, *SMALL, "--out", "run")
    assert done.returncode == 0, done.stderr
    champion = files.read_json(tmp_path / "run" / "seed-42" / "result.json")["champion"]
    assert champion["episodes"] == 12 and 0 <= champion["mean"] <= 1
    (tmp_path / "table.csv").write_text("\n".join([*lines, "1,2,even"]))
    again = evolab(tmp_path, "run", "--set", name, "-p", "12", "-g", "5", "--set", "mode=pure", "--out", "run")
    assert again.returncode == 2 and "holds another run (task.sha256" in again.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [("gym:CartPol-v1", "Did you mean"), ("csv:absent.csv#target=a", "no such file"), ("gym", "gym:<EnvId>"),
     ("python:absent:Task", "absent.py in"), ("python:printing:Task", "expected a method reset(self, seeds)"),
     ("python:dying:Task", "exit code"), ("csv:table.csv", "expected csv:<file>#target=<column>")],
)  # fmt: skip
def test_what_cannot_be_played_is_one_line_and_writes_nothing(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "printing.py").write_text("print('hello')\nclass Task:\n    inputs = outputs = 1\n")
    (tmp_path / "dying.py").write_text("import os\nos._exit(3)\n")
    done = evolab(tmp_path, "run", "--set", f"task.name={name}", *SMALL)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["dying.py", "printing.py"]


def test_a_task_that_never_ends_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("while True:\n    pass\n")
    config = loading.override(Config(), ["task.name=python:endless:Task", f"task.folder={tmp_path}"])
    with pytest.raises(ConfigError, match=r"expected loaded and tried in 3 s, got still at it"):
        refuse_unplayable(config, patience=3.0)


def test_our_own_tasks_are_not_tried() -> None:
    refuse_unplayable(presets.resolve("cartpole"), patience=0.0)
