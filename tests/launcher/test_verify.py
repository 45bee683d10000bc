"""`evolab verify` and `evolab replay`: what is whole is said to be whole, and no damage goes unseen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from islands import checkpoint, files
from islands.genome.population import encode
from islands.rundir import IslandDir, RunDir
from launcher import resuming, verifying
from launcher import run as runs
from launcher.start import Request
from launcher.trials import StudyDir
from tests.islands.evolving import evolve, tiny
from tests.launcher.launches import evolab as command

NAMES = ("a", "b")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def evolved(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished archipelago of two."""
    folder = tmp_path_factory.mktemp("evolved")
    config = tiny("task.duration=2.0", "migration.every=2", "migration.migrants=3", "generations=9", "record.keep=3")
    plan = runs.Plan("launch", "quick", tuple((name, 5) for name in NAMES), threads=1024, migration_dir=folder / "pool")
    run = runs.make(folder / "run", config, plan)
    evolve(run)
    return run


@pytest.fixture
def run(evolved: RunDir, tmp_path: Path) -> RunDir:
    """A copy to damage."""
    shutil.copytree(evolved.path, tmp_path / "run")
    return RunDir(tmp_path / "run")


def found(run: RunDir, state: str) -> list[str]:
    """What is in that state, as `where: text`."""
    told = verifying.verify(str(run.path))
    assert told["state"] in {finding["state"] for finding in told["findings"]}
    return [f"{each['where']}: {each['text']}" for each in told["findings"] if each["state"] == state]


def test_a_finished_run_is_whole(run: RunDir) -> None:
    told = verifying.verify(str(run.path))
    assert told["state"] == "whole" and {finding["state"] for finding in told["findings"]} == {"whole"}
    for name in NAMES:
        places = {finding["where"] for finding in told["findings"]}
        assert {f"{name} {what}" for what in ("metrics", "checkpoints", "migrations", "result")} <= places


def altered(path: Path, line: int, **changes: Any) -> None:
    """Change keys of the JSON in a line, counted as in a list."""
    lines = files.read_jsonl(path)
    lines[line] |= changes
    path.write_text("".join(files.dumps(each) + "\n" for each in lines))


def admission(island: IslandDir) -> int:
    """The line of the first admission in an island's log."""
    return next(number for number, line in enumerate(files.read_jsonl(island.migrations)) if line.get("admitted"))


def cut(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def newest(island: IslandDir) -> Path:
    return max(island.checkpoints.iterdir())


DAMAGE: dict[str, tuple[Callable[[RunDir, IslandDir], object], str, str]] = {
    "a digest altered": (lambda run, b: altered(b.metrics, 3, digest="0" * 64), "damaged", "broken at generation 3"),
    "a link altered": (lambda run, b: altered(b.metrics, 3, chain="0" * 64), "damaged", "broken at generation 3"),
    "admissions altered": (
        lambda run, b: altered(b.metrics, 3, admitted=["0" * 64]),
        "damaged",
        "broken at generation 3",
    ),
    "a generation removed": (
        lambda run, b: b.metrics.write_bytes(b"".join(b.metrics.read_bytes().splitlines(True)[:4:2])),
        "damaged",
        "generation 1 is missing",
    ),
    "metrics unreadable": (
        lambda run, b: b.metrics.write_bytes(b"\0\n" + b.metrics.read_bytes()),
        "damaged",
        "1 of 10 lines unreadable, the first is line 1",
    ),
    "metrics torn": (lambda run, b: cut(b.metrics, 9), "recoverable", "8 generations whole, the last line is torn"),
    "a checkpoint damaged": (lambda run, b: cut(newest(b), 9), "recoverable", "the island goes on from generation 7"),
    "all checkpoints damaged": (
        lambda run, b: [cut(path, 9) for path in b.checkpoints.iterdir()],
        "damaged",
        "nothing to go on from",
    ),
    "no checkpoints": (lambda run, b: shutil.rmtree(b.checkpoints), "damaged", "starts afresh"),
    "another's checkpoint": (
        lambda run, b: shutil.copy(newest(run.island("a")), newest(b)),
        "recoverable",
        "checkpoints/00000008.safetensors",
    ),
    "a checkpoint renamed": (
        lambda run, b: newest(b).rename(b.checkpoints / "00000010.safetensors"),
        "recoverable",
        "it holds generation 8",
    ),
    "an admitted genome altered": (
        lambda run, b: altered(b.migrations, admission(b), genome="AAAA"),
        "damaged",
        "has not the digest that was recorded",
    ),
    "an admission removed": (
        lambda run, b: altered(b.migrations, admission(b), admitted=False),
        "damaged",
        "the log and the metrics tell of other migrants",
    ),
    "an admission twice": (
        lambda run, b: b.migrations.write_bytes(
            b.migrations.read_bytes() + b.migrations.read_bytes().splitlines(True)[admission(b)]
        ),
        "damaged",
        "a migrant admitted twice",
    ),
    "the log removed": (
        lambda run, b: b.migrations.unlink(),
        "damaged",
        "the log and the metrics tell of other migrants",
    ),
    "the log torn": (lambda run, b: b.migrations.open("a").write('{"gen'), "recoverable", "the last is torn"),
    "another champion": (
        lambda run, b: shutil.copy(run.island("a").champion, b.champion),
        "recoverable",
        "not the one that was judged",
    ),
    "a result of other length": (
        lambda run, b: files.write_json(b.result, {**files.read_json(b.result), "generations": 7}),
        "recoverable",
        "it tells of 7 generations",
    ),
    "events torn": (lambda run, b: run.events.write_text('{"event": "x"}\n{"ev'), "recoverable", "the last is torn"),
    "events unreadable": (lambda run, b: run.events.write_text("x\n"), "damaged", "the first is line 1"),
    "a job log of other columns": (lambda run, b: run.joblog.write_text("Seq\tHost\n"), "damaged", "line 1"),
    "no configuration": (lambda run, b: run.config.unlink(), "damaged", "config.yaml"),
    "no plan": (lambda run, b: run.plan.write_text("{}"), "damaged", "run.json"),
    "an earlier configuration altered": (
        lambda run, b: shutil.copy(run.config, run.earlier_config("0" * 16)),
        "damaged",
        "not what its name says",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_where_it_is_and_said_to_be_what_it_is(run: RunDir, what: str) -> None:
    damage, state, text = DAMAGE[what]
    damage(run, run.island("b"))
    assert text in "\n".join(found(run, state))
    assert not any(where.startswith("a ") for where in found(run, "damaged") + found(run, "recoverable"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_byte_altered_anywhere_is_no_traceback_and_in_a_checkpoint_never_goes_unseen(
    evolved: RunDir, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(evolved.path, folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(paths), label="file")
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1), label="byte")] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(content)
    told = verifying.verify(str(folder))
    if path.suffix == ".safetensors":
        assert told["state"] != "whole"


def test_the_command_says_what_is_not_whole_and_ends_with_1_only_for_damage(run: RunDir, tmp_path: Path) -> None:
    whole = command(tmp_path, "verify", "run")
    assert whole.returncode == 0 and whole.stdout.splitlines()[-1] == "run: whole"
    cut(run.island("b").metrics, 9)
    torn = command(tmp_path, "verify", "run")
    assert torn.returncode == 0 and torn.stdout.startswith("recoverable  b metrics: 8 generations whole")
    altered(run.island("a").metrics, 3, digest="0" * 64)
    damaged = command(tmp_path, "verify", "run", "--json")
    assert damaged.returncode == 1 and json.loads(damaged.stdout)["state"] == "damaged"
    nothing = command(tmp_path, "verify", "nothing")
    assert nothing.returncode == 2 and "no run and no study 'nothing'" in nothing.stderr


def test_a_study_is_verified_with_its_journal_its_records_and_its_runs(evolved: RunDir, tmp_path: Path) -> None:
    study = StudyDir(tmp_path / "study")
    study.path.mkdir()
    files.write_json(study.identity, {"format": 1})
    shutil.copytree(evolved.path, study.folder(1) / "archipelago")
    files.write_json(study.record(1), {"number": 1})
    study.journal.write_text('{"op_code": 0}\n')
    told = verifying.verify(str(study.path))
    places = {finding["where"] for finding in told["findings"]}
    assert told["state"] == "whole" and {"journal.log", "trials", "trials/0001/archipelago: a metrics"} <= places
    study.journal.write_text('{"op_code": 0}\n{"op_')
    assert verifying.verify(str(study.path))["state"] == "recoverable"
    study.record(1).write_text("{")
    assert verifying.verify(str(study.path))["state"] == "damaged"


def test_replay_lives_every_generation_again_and_gives_any_genome_that_ever_lived(run: RunDir, tmp_path: Path) -> None:
    lived = command(tmp_path, "replay", "run", "--island", "1", "--json")
    told = json.loads(lived.stdout)
    assert lived.returncode == 0 and told["same"] and told["generations"] == 9
    assert told["digest"] == files.read_json(run.island("b").result)["digest"]
    some = command(tmp_path, "replay", "run", "--island", "b", "--until", "4", "--export", "g.safetensors", "--json")
    best = files.read_jsonl(run.island("b").metrics)[4]["best"]
    assert json.loads(some.stdout)["exported"]["fitness"] == pytest.approx(best)
    assert (tmp_path / "g.safetensors").stat().st_size > 500


def test_the_champion_of_the_last_generation_can_be_had_by_replay_bit_for_bit(run: RunDir, tmp_path: Path) -> None:
    island = run.island("b")
    owner = {"run": run.read_plan()["run_id"], "island": "b", "seed": 5}
    genomes = checkpoint.read(newest(island), owner).population.genomes
    slot = next(row for row in range(genomes.count) if encode(genomes, row) == island.champion.read_bytes())
    command(tmp_path, "replay", "run", "--island", "b", "--export", "g", "--genome", slot)
    assert (tmp_path / "g").read_bytes() == island.champion.read_bytes()


def test_a_replay_that_differs_says_where_and_ends_with_1(run: RunDir, tmp_path: Path) -> None:
    altered(run.island("b").metrics, 3, digest="0" * 64)
    told = command(tmp_path, "replay", "run", "--island", "b", "--export", "g")
    assert told.returncode == 1 and "generation 3 differs: recorded 000" in told.stdout
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize(
    "arguments, line",
    [
        (("--island", "7"), "expected 0 to 1, or an island's name, got '7'"),
        (("--island", "b", "--until", "99"), "--until: expected 0 to 8"),
        (("--island", "b", "--export", "g", "--genome", "12"), "--genome: expected best, or 0 to 11"),
        (("--island", "b", "--export", "no/g"), "--export: expected a file in a folder that exists"),
    ],
)
def test_a_replay_of_what_is_not_there_is_refused_in_one_line(
    run: RunDir, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    told = command(tmp_path, "replay", "run", *arguments)
    assert told.returncode == 2 and line in told.stderr and "Traceback" not in told.stderr
    assert not (tmp_path / "g").exists()


def test_a_run_whose_configuration_was_changed_is_whole_and_replays_under_what_each_generation_had(
    run: RunDir, tmp_path: Path
) -> None:
    more = resuming.More(generations="+4", allow_change=True)
    resuming.prepare(str(run.path), Request(None, ("mutation.weight_rate=0.1",)), more)
    evolve(run)
    assert verifying.verify(str(run.path))["state"] == "whole"
    assert len({line["config"] for line in files.read_jsonl(run.island("b").metrics)}) == 2
    lived = json.loads(command(tmp_path, "replay", "run", "--island", "b", "--json").stdout)
    assert lived["same"] and lived["generations"] == 13
