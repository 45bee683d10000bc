"""An island is what its configuration, seed and log of migrations say: after a crash, and without the others."""

import itertools
import os
import shutil
import signal
from collections import Counter

import pytest

from islands import chain, faults, files, loading, migration, migration_log, replay
from islands.errors import EvolabError
from islands.migration import Migrator
from islands.rundir import RunDir
from tests.islands.evolving import after, digests, evolve, history, log, make_run, result, start, tiny, write_config
from tests.islands.pool_parts import in_a_process, killed_at

NAMES = ("island-000", "island-001")
EVERY = ("task.duration=2.0", "migration.every=1", "migration.migrants=3")
STEPS = {"append": ["begun", "opened", "written", "synced", "done"]} | {
    kind: ["begun", "created", "half-written", "written", "synced", "flushed", "renamed", "done"]
    for kind in ("publish", "replace")
}


@pytest.fixture
def folder(memory_folder):
    return memory_folder


def archipelago(folder, config, run="run", names=NAMES):
    """A run of islands with a pool of its own."""
    return make_run(folder / run, config, names, range(5, 5 + len(names)), folder / f"{run}-pool")


def replayed(run, name, place):
    """Every generation's digest of an island lived again from configuration, seed and log alone."""
    past = replay.Past.of(run, name)
    place.mkdir(exist_ok=True)
    life = replay.lives(past, replay.beginning(past), place)
    return [state.population.digest() for state in itertools.islice(life, len(past.lines))]


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
    monkeypatch.setattr(migration_log, "LOG_SEGMENT", 50_000)
    run = archipelago(folder, tiny(*EVERY, "generations=10"))
    evolve(run)
    put_aside = files.read_jsonl(run.island(NAMES[1]).path / "migrations.1.jsonl")
    assert put_aside[0]["generation"] == 1 and log(run, NAMES[1])  # put aside once
    assert replayed(run, NAMES[1], folder / "replay") == digests(run, NAMES[1])


def test_a_log_whose_beginning_was_dropped_is_replayed_from_a_checkpoint_that_it_reaches(folder, monkeypatch):
    monkeypatch.setattr(migration_log, "LOG_SEGMENT", 20_000)
    run = archipelago(folder, tiny(*EVERY, "generations=30", "record.keep=9", "record.checkpoint_every=3"))
    evolve(run)
    past = replay.Past.of(run, NAMES[1])
    state = replay.beginning(past)
    first = migration_log.first_repeatable(past.place.migrations)
    assert first > 1 and state.generation >= first > state.generation - 3
    (folder / "again").mkdir()
    life = replay.lives(past, state, folder / "again")
    lived = [next(life) for _ in range(29 - state.generation)]
    assert [each.record["chain"] for each in lived] == [
        line["chain"] for line in history(run, NAMES[1])[state.generation + 1 :]
    ]
    for path in past.place.checkpoints.iterdir():
        path.unlink()
    with pytest.raises(EvolabError, match="no checkpoint to begin with"):
        replay.beginning(past)


def test_generations_bred_under_an_earlier_configuration_are_replayed_under_it(folder):
    """As `evolab resume --allow-change` leaves it: the earlier configuration lies beside the new one."""
    old = tiny(*EVERY, "generations=4")
    run = archipelago(folder, old)
    evolve(run)
    new = loading.override(old, ["generations=9", "mutation.weight_rate=0.1"])
    write_config(run, new)
    run.earlier_config(loading.fingerprint(old)).write_text(loading.dump(old))
    for name in NAMES:
        run.island(name).result.unlink()
    evolve(run)
    assert {line["config"] for line in history(run, NAMES[0])} == {loading.fingerprint(old), loading.fingerprint(new)}
    assert_the_log_tells_all(run, folder)
    run.earlier_config(loading.fingerprint(old)).unlink()
    with pytest.raises(EvolabError, match="another configuration"):
        replayed(run, NAMES[0], folder / "without")


# --- the chain ---


def test_each_generation_is_linked_to_all_before_it_and_to_the_migrants_let_in(folder):
    run = archipelago(folder, tiny(*EVERY, "generations=6"))
    evolve(run)
    for name, seed in zip(NAMES, (5, 6), strict=True):
        link, lines = chain.beginning(seed, name), history(run, name)
        for number, line in enumerate(lines):
            told = [each for each in log(run, name) if each["generation"] == number - 1]
            came = [each["digest"] for each in told if each.get("admitted")]
            link = chain.link(link, number, line["digest"], came)
            assert (line["admitted"], line["chain"]) == (came, link)
    assert any(line["admitted"] for line in history(run, NAMES[1]))


# --- a damaged log ---


def test_a_damaged_line_of_an_earlier_generation_does_not_keep_an_island_from_going_on(folder):
    config = tiny(*EVERY, "generations=8")
    run = archipelago(folder, config)
    evolve(run, halted=after(6))
    whole = archipelago(folder, config, "whole")
    evolve(whole)
    _damage(run.island(NAMES[1]).migrations, 2)
    evolve(run)
    assert digests(run, NAMES[1]) == digests(whole, NAMES[1])


def test_a_log_damaged_after_the_checkpoint_is_an_error_that_says_what_to_do(folder):
    run = archipelago(folder, tiny(*EVERY, "generations=8", "record.checkpoint_every=4"))
    evolve(run, only=NAMES[:1])
    evolve(run, only=NAMES[1:], halted=after(6))
    island = run.island(NAMES[1])
    max(island.checkpoints.iterdir()).unlink()
    _damage(island.migrations, len(log(run, NAMES[1])) - 1)
    with pytest.raises(EvolabError, match="damage; move the log away"):
        evolve(run)


def _damage(path, number):
    """Overwrite the first bytes of a line (from 1)."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = b"\0\0\0" + lines[number - 1][3:]
    path.write_bytes(b"".join(lines))


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
        def at_eight():
            if len(files.read_jsonl(run.island(NAMES[0]).metrics)) == 8:
                os.kill(os.getpid(), signal.SIGKILL)

        evolve(run, halted=at_eight)

    assert in_a_process(dying) == -signal.SIGKILL
    before = log(run, NAMES[0])
    assert [line["generation"] for line in before if line.get("event") == "complete"] == [1, 2, 3, 4, 5, 6, 7]
    evolve(run, only=NAMES[1:])
    evolve(run)
    assert log(run, NAMES[0])[: len(before)] == before
    assert_the_log_tells_all(run, folder)


def steps_of_one_migration(folder, config, generation):
    """The fault points, with their passages, from the second island's publication to its migration's end."""
    passed = []

    class Watched(Migrator):
        def publish(self, *given, **named):
            self.before = Counter(faults.passed)
            return super().publish(*given, **named)

        def settle(self, came, *given):
            done = super().settle(came, *given)
            if came.generation == generation and self.name == NAMES[1]:
                assert done.slots
                for name, hits in (faults.passed - self.before).items():
                    if name != faults.ANY:
                        passed.extend(f"{name}:{self.before[name] + hit + 1}" for hit in range(hits))
            return done

    faults.forget()
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


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.soak)])
def test_real_islands_killed_again_and_again_come_to_what_their_logs_say(folder, every):
    """One archipelago, started again after each kill: at every (third) step of appending, publishing and replacing."""
    points = [f"{kind}.{step}" for kind, steps in STEPS.items() for step in steps][::every]
    run = archipelago(folder, tiny(*EVERY, "generations=40", "migration.keep=2"))
    for number, point in enumerate(points):
        passage = {"append": 2 + number % 3, "publish": 1 + number % 3, "replace": 5 + number % 3}[point.split(".")[0]]
        process = start(run, "--all", EVOLAB_FAULT=f"{point}:{passage}:kill")
        told = process.communicate(timeout=600)[1]
        assert process.returncode == -signal.SIGKILL, (point, told)
    assert max(line["generation"] for line in log(run)) < 39
    evolve(run)
    assert_the_log_tells_all(run, folder)
    assert all(result(run, name)["generations"] == 40 for name in NAMES)


# --- the pool removed under living islands ---


def test_islands_whose_pool_was_removed_make_it_again_and_go_on(folder):
    run = archipelago(folder, tiny(*EVERY, "generations=12"))
    removed = []

    def halted():
        if len(files.read_jsonl(run.island(NAMES[0]).metrics)) == 6 and not removed:
            shutil.rmtree(folder / "run-pool")
            removed.append(True)
        return False

    evolve(run, halted=halted)
    assert removed and {path.name for path in (folder / "run-pool" / "migration_pool").iterdir()} == set(NAMES)
    later = [line for line in log(run, NAMES[1]) if line["generation"] > 7 and line.get("admitted")]
    assert later
    assert_the_log_tells_all(run, folder)
