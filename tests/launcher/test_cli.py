"""The commands as a user or a script meets them; nothing here starts an island."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launcher.made_runs import finished

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "numba", "pandas", "scipy", "rich", "optuna")


def evolab(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "launcher", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    finished(tmp_path / "runs" / "first", [1.0, 2.0])
    finished(tmp_path / "runs" / "second", [7.0, 9.0, 8.0])
    return tmp_path


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = f"import sys, launcher.cli; print([name for name in {HEAVY} if name in sys.modules])"
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["status", "results", "configs", "show first"])
def test_looking_imports_neither_torch_nor_pandas(folder: Path, command: str) -> None:
    code = (
        "import sys\nfrom launcher import cli\n"
        f"try: cli.commands.main({command.split()!r})\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'numba', 'pandas') if name in sys.modules], file=sys.stderr)"
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command_line = [sys.executable, "-c", code]
    done = subprocess.run(command_line, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["results"], ["configs"], ["show", "second"]])
def test_looking_takes_less_than_half_a_second_of_cpu(folder: Path, arguments: list[str]) -> None:
    before = os.times()
    assert evolab(folder, *arguments).returncode == 0
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "-c", "neat_basline", "-g", 2], "neat_baseline"),
        (["run", "-c", "quick", "--set", "mutation.add_nodes=0.1"], "mutation.add_node"),
        (["run", "-c", "quick", "-p", -5], "-5"),
        (["run", "-c", "quick", "-s", 0], "at least 1"),
        (["launch", "-c", "quick", "--migrants", 100], "more migrants than population"),
        (["launch", "-c", "quick", "--islands", -1], "islands"),
        (["launch", "-c", "quick", "--islands", "many"], "many"),
        (["launch", "-c", "quick", "--topology", "rign"], "ring"),
        (["launch", "-c", "quick", "--threads", 0], "threads"),
        (["launch", "-c", "quick", "--out", "/proc/none/here"], "/proc/none"),
        (["run", "-c", "quick", "--out", "file/run"], "not a directory"),
        (["run", "-c", "quick", "--out", "runs/first"], "another run"),
        (["launch", "-c", "quick", "--out", "runs/first"], "holds the run 'first'"),
        (["launch", "--resume", "nowhere"], "nowhere"),
        (["launch", "--resume", "first", "-p", 90], "population: 60 → 90"),
        (["evolve", "../up"], "../up"),
        (["evolve", "me", "-c", "quick", "--migration-dir", "file/shared"], "file/shared"),
        (["show", "third"], "third"),
        (["status", "third"], "third"),
        (["compare", "first", "first"], "different names"),
        (["launch", "--isles", 3], "--isles"),
        (["dance"], "dance"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(folder: Path, arguments: list[object], told: str) -> None:
    (folder / "file").write_text("")
    before = sorted(path for path in folder.rglob("*"))
    done = evolab(folder, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("evolab: ") and told in done.stderr
    assert sorted(path for path in folder.rglob("*")) == before


def test_json_stands_alone_on_stdout(folder: Path) -> None:
    for command in ("configs", "status", "results", "status first", "show first", "compare first second"):
        done = evolab(folder, *command.split(), "--json")
        assert done.returncode == 0
        json.loads(done.stdout)


def test_configs_say_name_mode_task_population_and_description(tmp_path: Path) -> None:
    listed = json.loads(evolab(tmp_path, "configs", "--json").stdout)
    assert {"neat_baseline", "pure_baseline", "hybrid_baseline", "quick"} <= {preset["name"] for preset in listed}
    assert all(set(preset) == {"name", "mode", "task", "population", "description"} for preset in listed)


def test_results_and_status_list_every_run(folder: Path) -> None:
    listed = json.loads(evolab(folder, "results", "--json").stdout)
    assert [(run["run"], run["finished"], run["champion"]["mean"]) for run in listed] == [
        ("runs/first", 2, 2.0),
        ("runs/second", 3, 9.0),
    ]
    states = json.loads(evolab(folder, "status", "--json").stdout)
    assert [(run["run"], run["state"]) for run in states] == [("runs/first", "DONE"), ("runs/second", "DONE")]


def test_tables_are_whole_when_piped_and_an_empty_folder_says_so(folder: Path, tmp_path: Path) -> None:
    table = evolab(folder, "show", "second").stdout
    assert "seed-2" in table and "9 ± 1" in table and "…" not in table
    empty = tmp_path / "empty"
    empty.mkdir()
    assert evolab(empty, "results").stdout == "nothing yet\n"
    assert json.loads(evolab(empty, "status", "--json").stdout) == []


@pytest.mark.parametrize("arguments", [["--help"], ["configs"], ["configs", "--json"], ["show", "second"]])
def test_a_reader_that_goes_away_ends_a_command_as_it_ends_others_and_without_a_word(
    folder: Path, arguments: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "launcher", *arguments]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=folder, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_watching_redraws_until_it_is_stopped(folder: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-u", "-m", "launcher", "status", "first", "--watch"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        drawn = (line for line in watching.stdout if "runs/first: DONE" in line)
        assert next(drawn) and next(drawn)
        watching.send_signal(2)
        watching.stdout.read()
    assert watching.returncode == 130
