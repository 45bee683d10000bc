"""An island is what its configuration, seed and log of migrations say: after a crash, and without the others."""

import shutil
import signal
from collections import Counter

import pytest

from islands import files, loading, migration
from islands.loop import Evolution, Island
from islands.migration import Migrator
from islands.record import Recorder
from islands.rng import island_number
from islands.rundir import RunDir
from islands.tasks import make
from tests.islands.evolving import after, digests, evolve, log, make_run, never, result, start, tiny
from tests.islands.pool_parts import killed_at

NAMES = ("island-000", "island-001")
EVERY = ("task.duration=2.0", "migration.every=1", "migration.migrants=3")
STEPS = {"append": ["opened", "written", "done"]} | {
    kind: ["created", "half-written", "written", "flushed", "renamed", "done"] for kind in ("publish", "replace")
}


@pytest.fixture
def folder(memory_folder):
    return memory_folder


def archipelago(folder, config, run="run", names=NAMES):
    """A run of islands with a pool of its own."""
    return make_run(folder / run, config, names, range(5, 5 + len(names)), folder / f"{run}-pool")


def replayed(run, name, place):
    """Every generation's digest of an island evolved from configuration, seed and log alone, in the run `place`."""
    config, task = loading.load(run.config), None
    (entry,) = (entry for entry in run.read_plan()["islands"] if entry["name"] == name)
    home = RunDir(place).island(name).create()
    for path in run.island(name).path.glob("migrations*.jsonl"):
        shutil.copy(path, home.path)
    task = make(config)
    key = (entry["seed"], island_number(name))
    alone = Migrator(config, task.layout, name, key, home.migrations)
    alone.recall(0)
    recorder = Recorder(home, entry["index"], config.generations, {})
    island = Island(name, *key, home, recorder, alone, {"run": "replay"})
    assert Evolution(config, task, [island], never).run()
    return digests(RunDir(place), name)


def assert_the_log_tells_all(run, folder, names=NAMES):
    """Each island's history is that of its log, and nothing in the log happened twice."""
    for name in names:
        told = log(run, name)
        complete = Counter(line["generation"] for line in told if line.get("event") == "complete")
        assert set(complete.values()) == {1}
        came = Counter((line["source"], line["sequence"], line["digest"]) for line in told if "admitted" in line)
        assert came and set(came.values()) == {1}
        generations = {(line["source"], line["sequence"]): set() for line in told if "admitted" in line}
        for line in told:
            if "admitted" in line:
                generations[line["source"], line["sequence"]].add(line["generation"])
        assert all(len(seen) == 1 for seen in generations.values())
        assert replayed(run, name, folder / f"replay-{run.name}") == digests(run, name), name


# --- record and replay ---


@pytest.mark.parametrize("mode", ["neat", "pure", "hybrid"])
@pytest.mark.parametrize(
    "replace, select", [("worst", "best"), ("worst-if-better", "random"), ("nearest", "different")]
)
def test_an_islands_every_generation_follows_from_configuration_seed_and_log(folder, mode, replace, select):
    policy = (f"migration.replace={replace}", f"migration.select={select}", f"mode={mode}")
    run = archipelago(folder, tiny(*EVERY, *policy, "generations=8"))
    evolve(run)
    shutil.rmtree(folder / "run-pool")
    assert sum(result(run, name)["admitted"] for name in NAMES) > 5
    assert_the_log_tells_all(run, folder)


def test_without_the_log_the_history_is_another(folder):
    run = archipelago(folder, tiny(*EVERY, "generations=6"))
    evolve(run)
    run.island(NAMES[1]).migrations.unlink()
    assert replayed(run, NAMES[1], folder / "replay") != digests(run, NAMES[1])


def test_a_log_in_two_segments_replays_as_one(folder, monkeypatch):
    monkeypatch.setattr(migration, "LOG_SEGMENT", 50_000)
    run = archipelago(folder, tiny(*EVERY, "generations=10"))
    evolve(run)
    put_aside = files.read_jsonl(run.island(NAMES[1]).path / "migrations.1.jsonl")
    assert put_aside[0]["generation"] == 1 and log(run, NAMES[1])  # put aside once
    assert replayed(run, NAMES[1], folder / "replay") == digests(run, NAMES[1])


# --- interrupted and resumed ---


@pytest.mark.parametrize("every", [0, 2])
def test_an_island_stopped_after_any_generation_goes_on_as_if_it_had_not(folder, every):
    config = tiny("generations=7", "task.duration=2.0", f"migration.every={every}", "migration.migrants=3")
    whole = archipelago(folder, config, "whole")
    evolve(whole)
    for stop in range(1, 7):
        run = archipelago(folder, config, f"stopped-{stop}")
        evolve(run, halted=after(stop))
        evolve(run)
        assert [digests(run, name) for name in NAMES] == [digests(whole, name) for name in NAMES], stop
        if every:
            assert_the_log_tells_all(run, folder)


def test_migrations_since_an_old_checkpoint_are_repeated_from_the_log(folder):
    """The neighbour went on meanwhile: taken live, its migrants would be others."""
    config = tiny(*EVERY, "generations=9", "record.checkpoint_every=4")
    run = archipelago(folder, config)
    evolve(run, only=NAMES[1:], halted=after(3))

    def dying():
        evolve(
            run, halted=lambda: len(files.read_jsonl(run.island(NAMES[0]).metrics)) == 8 and files.fault_point("now")
        )

    killed_at("now:1", dying)
    before = log(run, NAMES[0])
    assert [line["generation"] for line in before if line.get("event") == "complete"] == [1, 2, 3, 4, 5, 6, 7]
    evolve(run, only=NAMES[1:])
    evolve(run)
    assert log(run, NAMES[0])[: len(before)] == before
    assert_the_log_tells_all(run, folder)


def steps_of_one_migration(folder, config, generation):
    """The fault points, with their passages, that an archipelago passes in the second island's migration."""
    passed = []

    class Watched(Migrator):
        def publish(self, *given):
            self.before = Counter(files.fault_hits)
            return super().publish(*given)

        def exchange(self, number, *given):
            done = super().exchange(number, *given)
            if number == generation and self.name == NAMES[1]:
                assert done.slots
                for name, hits in (files.fault_hits - self.before).items():
                    passed.extend(f"{name}:{self.before[name] + hit + 1}" for hit in range(hits))
            return done

    files.fault_hits.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migration, "Migrator", Watched)
        evolve(archipelago(folder, config, "dry"))
    return passed


def test_a_kill_at_any_step_of_a_migration_leaves_no_trace_in_any_history(folder, monkeypatch):
    """Resumed, both islands come to every generation that they would have come to without the kill."""
    monkeypatch.setattr("islands.record.HEARTBEAT_SECONDS", 1e9)  # so that passages do not depend on the clock
    config = tiny(*EVERY, "generations=5", "migration.keep=2")
    steps = steps_of_one_migration(folder, config, 3)
    assert {f"append.{step}" for step in STEPS["append"]} <= {step.split(":")[0] for step in steps}
    assert {f"publish.{step}" for step in STEPS["publish"]} <= {step.split(":")[0] for step in steps}
    assert "read.checked" in {step.split(":")[0] for step in steps} and len(steps) > 25
    whole = [digests(RunDir(folder / "dry"), name) for name in NAMES]
    for number, step in enumerate(steps):
        run = archipelago(folder, config, f"killed-{number}")
        killed_at(step, evolve, run)
        evolve(run)
        assert [digests(run, name) for name in NAMES] == whole, step
        assert_the_log_tells_all(run, folder, NAMES[1:])


def test_real_islands_killed_again_and_again_come_to_what_their_logs_say(folder):
    """One archipelago, started again after each kill: at every step of appending, publishing and replacing."""
    points = [f"{kind}.{step}" for kind, steps in STEPS.items() for step in steps]
    run = archipelago(folder, tiny(*EVERY, "generations=40", "migration.keep=2"))
    for number, point in enumerate(points):
        passage = {"append": 2 + number % 3, "publish": 1 + number % 3, "replace": 5 + number % 3}[point.split(".")[0]]
        process = start(run, "--all", EVOLAB_KILL_AT=f"{point}:{passage}")
        told = process.communicate(timeout=600)[1]
        assert process.returncode == -signal.SIGKILL, (point, told)
    assert max(line["generation"] for line in log(run)) < 39
    evolve(run)
    assert_the_log_tells_all(run, folder)
    assert all(result(run, name)["generations"] == 40 for name in NAMES)
