"""Migration's policies: an interval that stretches, islands that start afresh, hyperparameters that travel."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands import loading, policies, replay
from islands.config import MigrationConfig
from islands.files import read_jsonl
from islands.pool import Migrant, Outbox
from islands.publication import Refused, _typed
from islands.rng import Purpose, stream
from tests.islands.evolving import after, digests, evolve, history, log, result, tiny
from tests.islands.migration_parts import EVERY, NAMES, archipelago, blobs, drawn, lines, migrator, population, serve

KEY = stream(1, 0, 0, Purpose.HYPERPARAMETERS)


def visits(config: MigrationConfig, improved_in: set[int], generations: int) -> list[int]:
    """The generations after which an island migrates whose best rises in some generations."""
    marks: dict[str, int] = {}
    seen, improved = [], 0
    for generation in range(generations):
        improved = generation if generation in improved_in else improved
        if policies.due(config, generation, marks):
            seen.append(generation)
            marks = policies.after(config, generation, improved, False, marks)
    return seen


def test_the_interval_doubles_while_migrants_bring_nothing_up_to_the_longest() -> None:
    assert visits(MigrationConfig(every=2, stretch=8), set(), 80) == [2, 6, 14, 30, 46, 62, 78]


def test_the_interval_drops_back_when_the_best_has_risen() -> None:
    assert visits(MigrationConfig(every=2, stretch=8), {20}, 50) == [2, 6, 14, 30, 32, 36, 44]


@given(st.integers(1, 9), st.sets(st.integers(1, 60)))
def test_without_stretch_the_interval_is_constant(every: int, improved_in: set[int]) -> None:
    assert visits(MigrationConfig(every=every), improved_in, 60) == list(range(every, 60, every))


def test_an_immigrant_that_beats_the_best_is_an_improvement() -> None:
    config = MigrationConfig(every=2, stretch=8)
    assert policies.after(config, 2, 0, True, {})["interval"] == 2
    assert policies.after(config, 2, 0, False, {})["interval"] == 4


def test_a_stretched_run_migrates_as_its_marks_say_and_is_resumed_and_replayed_alike(tmp_path: Path) -> None:
    config = tiny(*EVERY, "generations=14", "migration.stretch=4", "migration.migrants=2", "task.duration=0.1")
    whole = archipelago(tmp_path, config)
    evolve(whole)
    migrated = [line["generation"] for line in log(whole, NAMES[0]) if line.get("event") == "complete"]
    assert migrated[0] == 1 and len(migrated) < 12
    said = {line["generation"]: line.get("migration") for line in history(whole, NAMES[0])}
    assert all(said[generation + 1]["last"] == generation for generation in migrated if generation < 13)
    assert relived(whole, tmp_path) == digests(whole, NAMES[0])


def relived(run, folder: Path) -> list[str]:
    """Every digest of the first island, lived again from its log."""
    home = folder / "again"
    home.mkdir()
    past = replay.Past.of(run, NAMES[0])
    life = replay.lives(past, None, home)
    return [next(life).record["digest"] for _ in past.lines]


def test_a_stagnant_island_starts_afresh_from_its_immigrants(tmp_path: Path) -> None:
    policy = ("migration.restart=3", "migration.migrants=2", "task.duration=0.1", "mutation.weight_rate=0")
    run = archipelago(tmp_path, tiny(*EVERY, "generations=12", *policy))
    evolve(run)
    restarted = [line["migration"]["restarted"] for line in history(run, NAMES[0]) if "migration" in line]
    assert restarted and len(set(restarted)) >= 1
    admitted = {
        line["digest"] for line in log(run, NAMES[0]) if line.get("admitted") and line["generation"] == restarted[0]
    }
    assert len(admitted) <= 2
    species = {line["generation"]: line for line in history(run, NAMES[0])}
    assert species[restarted[0] + 1]["limited"] == {}  # drawn, not bred
    assert relived(run, tmp_path) == digests(run, NAMES[0])


def test_an_island_that_starts_afresh_is_resumed_as_if_nothing_had_been(tmp_path: Path) -> None:
    policy = ("migration.restart=2", "migration.migrants=2", "task.duration=0.1", "migration.stretch=2")
    config = tiny(*EVERY, "generations=9", *policy, "migration.topology=isolated")
    whole, parts = archipelago(tmp_path, config), archipelago(tmp_path, config, run="parts")
    evolve(whole)
    for _ in range(9):
        evolve(parts, halted=after(1))
    assert all(digests(parts, name) == digests(whole, name) for name in NAMES[:2])
    assert any("restarted" in line.get("migration", {}) for line in history(whole, NAMES[0]))


theirs = st.dictionaries(
    st.sampled_from([*policies.BOUNDS, "mutation.nonsense", "task.duration"]),
    st.floats() | st.integers() | st.text(max_size=3) | st.none(),
)


@given(theirs, st.integers(0, 2**32))
def test_what_is_taken_over_is_always_a_legal_configuration(theirs: dict[str, object], key: int) -> None:
    taken = policies.taken_over(theirs, np.uint64(key), tiny())
    assert set(taken) <= set(policies.BOUNDS)
    loading.replaced(tiny(), taken)


def test_hyperparameters_are_perturbed_by_a_factor_of_the_paper() -> None:
    config = tiny("migration.pbt=true", "mutation.add_node=0.4")
    told = policies.told(config, {})
    assert told is not None and told["mutation.add_node"] == 0.4
    taken = policies.taken_over(told, KEY, config)
    ratios = {taken[name] / value for name, value in told.items() if 0.0 < value <= 0.8}
    assert {round(ratio, 9) for ratio in ratios} == set(policies.PERTURBED)
    assert policies.told(tiny(), {}) is None


def test_an_island_beaten_by_an_immigrant_takes_over_the_senders_hyperparameters(tmp_path: Path) -> None:
    config = tiny(*EVERY, "migration.pbt=true")
    island = migrator(tmp_path, "here", config)
    genomes, hers = drawn(8), {"mutation.add_node": 0.5, "selection.cull": 0.5}
    blob = blobs(drawn(1, 5))[0]
    leaving = [Migrant(blob, 0.0, hashlib.sha256(blob).hexdigest())]
    assert island.pool is not None
    Outbox(island.pool, "there", 1, 4, 1.0).publish(3, leaving, hers)
    beaten = island.exchange(1, population(genomes), lambda g: np.full(g.count, 1e6, np.float32))
    assert beaten.hyperparameters is not None
    assert set(beaten.hyperparameters) == set(hers)
    assert lines(island)[-1]["from"] == "there"
    again = migrator(tmp_path, "here", config, generation=1)
    repeated = again.exchange(1, population(genomes), lambda g: np.full(g.count, 1e6, np.float32))
    assert repeated.hyperparameters == beaten.hyperparameters
    assert repeated.population.digest() == beaten.population.digest()


def test_an_island_that_is_not_beaten_keeps_its_own(tmp_path: Path) -> None:
    island = migrator(tmp_path, "here", tiny(*EVERY, "migration.pbt=true"))
    assert island.pool is not None
    serve(island.pool, "there", blobs(drawn(1, 5)))
    done = island.exchange(1, population(drawn(8)), lambda g: np.zeros(g.count, np.float32))
    assert done.hyperparameters is None and done.slots


def test_hyperparameters_travel_through_a_whole_run_and_its_replay(tmp_path: Path) -> None:
    config = tiny(*EVERY, "generations=8", "migration.pbt=true", "migration.migrants=2", "migration.select=best")
    run = archipelago(tmp_path, config)
    evolve(run)
    told = [line["hyperparameters"] for name in NAMES[:2] for line in history(run, name)]
    assert all(set(values) == set(policies.BOUNDS) for values in told)
    adopted = [line for name in NAMES[:2] for line in log(run, name) if line.get("hyperparameters")]
    assert adopted and {line["from"] for line in adopted} <= set(NAMES[:2])
    assert len({tuple(values.items()) for values in told}) > 1
    assert relived(run, tmp_path) == digests(run, NAMES[0])
    assert result(run, NAMES[0])["generations"] == 8


BAD = (["list"], {"mutation.add_node": "0.5"}, {"add_node": 0.5}, {"a.b": float("nan")}, {f"a.b{'x' * 50}": 0.5}, 7)


@pytest.mark.parametrize("found", BAD, ids=str)
def test_a_publication_with_other_than_a_small_table_of_numbers_is_refused(found: object) -> None:
    good = {
        "format": 1, "pool_id": "p", "island": "a", "epoch": 1, "generation": 1, "sequence": 1, "fitness": [1.0],
        "digests": ["0" * 64], "sha256": "0" * 64,
    }  # fmt: skip
    assert _typed(good).hyperparameters is None
    assert _typed({**good, "hyperparameters": {"mutation.add_node": 0.5}}).hyperparameters
    with pytest.raises(Refused):
        _typed({**good, "hyperparameters": found})


def test_what_travels_lies_readable_in_the_pool(tmp_path: Path) -> None:
    run = archipelago(tmp_path, tiny(*EVERY, "generations=3", "migration.pbt=true", "migration.migrants=2"))
    evolve(run)
    files = list((tmp_path / "pool" / "migration_pool" / NAMES[0]).glob("*.safetensors"))
    assert files and all(b"mutation.add_node" in path.read_bytes() for path in files)
    assert read_jsonl(run.island(NAMES[0]).metrics)
