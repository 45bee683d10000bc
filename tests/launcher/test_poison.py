"""An island that dies again and again at one generation: which checkpoint it goes back to, whom it takes in no more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from islands import files
from islands.rundir import IslandDir, RunDir
from launcher import poison
from tests.launcher.launches import ROOT, evolab, told

DIGESTS = [f"{number:064x}" for number in range(8)]
TINY = [
    "-c",
    "quick",
    "-p",
    30,
    "--set",
    "task.duration=1",
    "--migrate-every",
    5,
    "--migration-dir",
    "shared",
    "--json",
]


@pytest.fixture
def island(tmp_path: Path) -> IslandDir:
    return IslandDir(tmp_path / "island-000", "island-000").create()


def logged(island: IslandDir, *lines: dict[str, object]) -> None:
    files.JsonLines(island.migrations, durable=False).extend(lines)


def taken(generation: int, digest: str, admitted: bool = True) -> dict[str, object]:
    return {"generation": generation, "source": "x", "digest": digest, "admitted": admitted}


def test_those_being_scored_when_it_died_are_suspected(island: IslandDir) -> None:
    logged(
        island, taken(10, DIGESTS[0]), {"generation": 10, "event": "complete"},
        {"generation": 20, "event": "scoring", "digests": DIGESTS[1:3]},
    )  # fmt: skip
    assert poison.last_migrants(island) == DIGESTS[1:3]


def test_otherwise_those_admitted_last_are_suspected(island: IslandDir) -> None:
    logged(
        island, taken(10, DIGESTS[0]), {"generation": 10, "event": "complete"},
        {"generation": 20, "event": "scoring", "digests": DIGESTS[1:4]},
        taken(20, DIGESTS[1]), taken(20, DIGESTS[2], admitted=False), taken(20, DIGESTS[3]),
        {"generation": 20, "event": "complete"}, {"generation": 20, "event": "published"},
    )  # fmt: skip
    assert poison.last_migrants(island) == [DIGESTS[1], DIGESTS[3]]


def test_an_island_without_migrants_only_goes_back_a_checkpoint(island: IslandDir) -> None:
    for generation in (7, 8):
        (island.checkpoints / f"{generation:08d}.safetensors").write_text("x")
    assert poison.fall_back(island) == {"set_aside": "00000008.safetensors", "quarantined": []}
    assert sorted(path.name for path in island.checkpoints.iterdir()) == ["00000007.safetensors", "00000008.suspect"]
    assert poison.fall_back(island)["set_aside"] is None  # the last one stays
    assert not island.avoid.exists()


def test_what_is_avoided_is_remembered_but_not_without_end(island: IslandDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poison, "REMEMBERED", 3)
    for number, digest in enumerate(DIGESTS[:5]):
        logged(island, {"generation": number, "event": "scoring", "digests": [digest, "no digest", 7]})
        assert poison.fall_back(island)["quarantined"] == [digest]
    assert files.read_json(island.avoid)["digests"] == DIGESTS[2:5]


def test_an_island_that_a_migrant_kills_refuses_it_after_three_deaths_and_goes_on(tmp_path: Path) -> None:
    """Every process dies at its first scoring; the fourth has nobody left to score."""
    assert evolab(tmp_path, "evolve", "giver", *TINY, "-g", 6).returncode == 0
    command = [sys.executable, "-m", "launcher", "evolve", "taker", *map(str, TINY), "-g", "20"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path), EVOLAB_FAULT="migrate.scoring:1:kill")
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (summary,) = json.loads(done.stdout)["islands"]
    assert (summary["restarts"], summary["generations"], summary["admitted"]) == (3, 20, 0)
    run = RunDir(tmp_path / "runs" / "taker")
    island = run.island("taker")
    assert [event.get("signal") for event in told(run, "exit")] == [9, 9, 9, None]
    (back,) = told(run, "fall-back")
    avoided = files.read_json(island.avoid)["digests"]
    assert back["quarantined"] == avoided and len(avoided) == 3
    arrivals = [line for line in files.read_jsonl(island.migrations) if "admitted" in line]
    assert {line["digest"] for line in arrivals} == set(avoided)
    assert {line["reason"] for line in arrivals} == {"quarantined"}
    scored = [line for line in files.read_jsonl(island.migrations) if line.get("event") == "scoring"]
    assert len(scored) == 3 and all(line["digests"] and set(line["digests"]) == set(avoided) for line in scored)
    (refusals,) = told(run, "refusals")
    assert (refusals["refused"], refusals["reasons"]) == (3, {"quarantined": 3})
