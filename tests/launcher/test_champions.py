"""`evolab export` and `play`: whose champion, where it goes, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from islands import files
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import champions, exporting
from tests.islands.evolving import evolve, make_run, result, tiny
from tests.launcher.launches import evolab
from tests.launcher.test_best import study_of

TINY = ("task.duration=1", "population=16", "generations=3")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished run `runs/two`, of two islands, and `runs/half`, which none has finished."""
    folder = tmp_path_factory.mktemp("champions")
    two = make_run(folder / "runs" / "two", tiny(*TINY), ["island-000", "island-001"], [1, 2])
    evolve(two)
    make_run(folder / "runs" / "half", tiny(*TINY))
    return folder


def refused(folder: Path, *arguments: object) -> str:
    """The one line of a command that is refused and writes nothing."""
    before = sorted(folder.iterdir())
    ran = evolab(folder, *arguments)
    assert ran.returncode == 2 and ran.stdout == "" and sorted(folder.iterdir()) == before
    assert len(ran.stderr.splitlines()) == 1 and "Traceback" not in ran.stderr
    return ran.stderr


def run_two(home: Path) -> RunDir:
    return RunDir(home / "runs" / "two")


def test_the_champion_of_a_run_is_the_one_that_validation_prefers(home: Path) -> None:
    run = run_two(home)
    chosen = champions.find(str(run.path), None, None, ())
    worth = {name: result(run, name)["champion"]["validation"] for name in ("island-000", "island-001")}
    best = max(worth, key=lambda name: worth[name])
    assert worth["island-000"] != worth["island-001"] and chosen.about["island"] == best
    assert chosen.genome == run.island(best).champion.read_bytes()
    for index, name in enumerate(worth):
        for island in (str(index), name):
            assert champions.find(str(run.path), island, None, ()).about["island"] == name


def test_a_champion_is_played_alike_from_the_run_from_its_json_and_from_its_genomes_file(home: Path) -> None:
    run = run_two(home)
    assert evolab(home, "export", "two", "--island", "1", "--format", "json").returncode == 0
    options = ("--episodes", "16", "--seed", "9", "--json")
    told: list[dict[str, Any]] = []
    genome = run.island("island-001").champion
    for target in (("two", "--island", "1"), ("champion.json",), (genome, "-c", run.config)):
        ran = evolab(home, "play", *target, *options)
        assert ran.returncode == 0, ran.stderr
        told.append({key: value for key, value in json.loads(ran.stdout).items() if key != "champion"})
    assert told[0] == told[1] == told[2]
    assert told[0]["episodes"] == 16 and told[0]["seed"] == 9 and len(told[0]["fitness"]) == 16
    text = evolab(home, "play", "two", "--island", "1", "--episodes", "16", "--seed", "9").stdout
    low, high = told[0]["ci95"]
    assert f"mean: {told[0]['mean']:.4g} ± {(high - low) / 2:.4g} (95 %), 16 episodes of seed 9" in text


def test_exporting_says_what_was_written_and_what_it_takes(home: Path) -> None:
    ran = evolab(home, "export", "two", "--format", "python", "--out", "walker.py", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    space: dict[str, Any] = {}
    exec((home / "walker.py").read_text(), space)
    assert told["path"] == "walker.py" and told["inputs"] == list(space["INPUTS"])
    assert told["outputs"] == list(space["OUTPUTS"])
    assert told["body"]["muscles"] == len(told["outputs"]) == len(space["BODY"]["muscles"])
    assert "held-out mean" in (home / "walker.py").read_text().splitlines()[0]
    text = evolab(home, "export", "two", "--format", "dot", "--out", "-")
    assert text.stdout.startswith("digraph") and text.stdout.endswith("}\n")


def test_a_file_that_was_named_is_replaced_and_one_that_was_not_is_kept(home: Path) -> None:
    (home / "champion.dot").write_text("mine")
    assert "replaced" in refused(home, "export", "two", "--format", "dot")
    assert (home / "champion.dot").read_text() == "mine"
    assert evolab(home, "export", "two", "--format", "dot", "--out", "champion.dot").returncode == 0
    assert (home / "champion.dot").read_text().startswith("digraph")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "none-such", "--format", "json"), "nothing called 'none-such'"),
        (("play", "none-such"), "nothing called 'none-such'"),
        (("play", "absent.json"), "nothing called 'absent.json'"),
        (("export", "half", "--format", "json"), "expected a finished island, with its champion, got none yet"),
        (("play", "half"), "evolab replay RUN --island K --export"),
        (("play", "two", "--island", "2"), "expected 0 to 1, or an island's name, got '2'"),
        (("play", "two", "--episodes", "0"), "--episodes"),
        (("play", "two", "-c", "quick"), "--config: expected a genome's file"),
        (("export", "two", "--format", "pdf"), "'pdf' is not one of"),
        (("export", "two"), "--format"),
        (("export", "two", "--format", "onnx", "--out", "-"), "expected a file for ONNX"),
        (("export", "two", "--format", "json", "--out", "-", "--json"), "expected a file with --json"),
        (("export", "two", "--format", "json", "--out", "no/such/folder.json"), "a folder that exists"),
        (("play", "runs/two/island-000/champion.safetensors"), "-c RUN/config.yaml"),
        (
            (
                "export",
                "runs/two/island-000/champion.safetensors",
                "-c",
                "pure_baseline",
                "--format",
                "json",
                "--out",
                "x",
            ),
            "shape",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(home: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(home, *arguments)


def test_the_champion_of_a_study_is_that_of_its_best_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(tmp_path, [(3.0,), (9.0,), (5.0,)])
    (spec,) = study.read(2).runs
    names, seeds = zip(*spec.islands, strict=True)
    run = make_run(study.run(2, spec).path, tiny(*TINY), names, seeds)
    evolve(run)
    monkeypatch.chdir(tmp_path)
    chosen = champions.find("study", None, None, ())
    assert (chosen.about["study"], chosen.about["trial"], chosen.about["island"]) == ("study", 2, names[0])
    assert chosen.genome == run.island(names[0]).champion.read_bytes()
    with pytest.raises(ConfigError, match="--island"):
        champions.find("study", "0", None, ())


def test_a_champion_that_is_not_the_one_recorded_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny(*TINY))
    evolve(run)
    path = run.island("island-000").champion
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ConfigError, match=r"got another genome; evolab verify"):
        champions.find(str(run.path), None, None, ())


@pytest.mark.parametrize("record", [{}, {"format": 1}, {"format": 2, "genome": ""}, {"format": 1, "genome": "?"}])
def test_json_that_is_no_export_is_refused(tmp_path: Path, record: dict[str, Any]) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, record)
    with pytest.raises(ConfigError, match=r"format|base64"):
        champions.find(str(path), None, None, ())


def test_without_the_package_onnx_the_export_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = champions.find(str(run_two(home).path), None, None, ())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install"):
        exporting.export(champion, "onnx", home / "x.onnx")
    assert not (home / "x.onnx").exists()
