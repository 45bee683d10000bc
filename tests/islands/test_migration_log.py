"""The log of migrations: what is in it, that it comes before everything else, and what a restart makes of it."""

import os
from hashlib import sha256

import numpy as np
import pytest
from filelock import FileLock

from islands import migration, migration_log
from islands.errors import EvolabError
from islands.files import read_jsonl
from islands.migration import Migrator
from islands.process import resident_mb
from tests.islands.evolving import tiny
from tests.islands.migration_parts import (
    IMPATIENT,
    arrivals,
    blobs,
    drawn,
    lines,
    migrator,
    picked,
    population,
    serve,
    worth,
)
from tests.islands.pool_parts import killed_at, published, steps_of

TOLD = {"generation", "slot", "source", "sequence", "digest", "fitness", "admitted", "reason"}
POLICY = ("migration.every=10", "migration.migrants=3", "migration.keep=2")
CONFIG = tiny(*POLICY)


@pytest.fixture
def folder(memory_folder):
    return memory_folder


def here(folder, epoch=1, generation=0, config=CONFIG):
    return migrator(folder, "here", config, epoch, generation)


def restarted(folder, generation):
    """The island of a process that starts after another was killed."""
    return here(folder, 2, generation)


def both_segments(island):
    """The whole log, the segment that was put aside included."""
    return read_jsonl(island.log.with_name("here.1.jsonl")) + lines(island)


# --- what is in it, and when ---


def test_every_arrival_is_one_line_admitted_or_refused(folder):
    island, people = here(folder), population(drawn(8))
    serve(island.pool, "a", picked(drawn(3, 2), 0) + picked(people.genomes, 4), [7.0, 8.0])
    serve(island.pool, "b", [b"nobody"])
    (island.pool.outboxes / "b" / "odd").write_bytes(b"x")
    exchange = island.exchange(10, people, worth)
    told = arrivals(island)
    assert all(line.keys() >= TOLD and line["generation"] == 10 for line in told)
    by_reason = {line["reason"]: line for line in told}
    assert sorted(by_reason) == ["", "duplicate", "name", "unreadable"] and len(told) == 4
    assert exchange.counts == {"received": 4, "admitted": 1, "refused": 3}
    good, twin = by_reason[""], by_reason["duplicate"]
    assert (good["source"], good["sequence"], good["fitness"], good["slot"]) == ("a", 1, 7.0, exchange.slots[0])
    assert (twin["source"], twin["sequence"], twin["fitness"], twin["slot"]) == ("a", 1, 8.0, None)
    assert [line["reason"] for line in told if not line["admitted"]].count("") == 0
    assert "genome" not in twin and by_reason["unreadable"]["source"] == "b"


def test_what_an_island_publishes_is_in_its_log_by_number_and_digest(folder):
    island, people = here(folder), population(drawn(8), range(8))
    island.publish(10, people)
    leaving = [sha256(blob).hexdigest() for blob in picked(people.genomes, 7, 6, 5)]
    assert lines(island) == [{"generation": 10, "event": "published", "sequence": 1, "digests": leaving}]
    assert [name[:8] for name in published(island.pool, "here")] == ["00000001"]


@pytest.mark.parametrize("log", ["/dev/full", "a folder"])
def test_where_the_log_cannot_be_written_nobody_is_let_in(folder, log):
    island, people = here(folder), population(drawn(8))
    before = people.digest()
    serve(island.pool, "a", blobs(drawn(3, 2)))
    island.log.mkdir() if log == "a folder" else island.log.symlink_to(log)
    with pytest.raises(EvolabError, match="append"):
        island.exchange(10, people, worth)
    assert people.digest() == before


def test_arrivals_are_on_the_disk_before_the_population_changes(folder, monkeypatch):
    island, people = here(folder), population(drawn(8))
    serve(island.pool, "a", blobs(drawn(3, 2)))
    order = []
    fsync, let_in = os.fsync, migration._admit

    def flushed(fd):
        fsync(fd)
        order.append((os.readlink(f"/proc/self/fd/{fd}"), len(arrivals(island))))

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(migration, "_admit", lambda *given: order.append("let in") or let_in(*given))
    island.exchange(10, people, worth)
    assert order.index((str(island.log), 3)) < order.index("let in")


def test_a_held_lock_of_a_neighbour_is_a_line_and_the_others_serve(folder):
    island, people = here(folder, config=tiny(*POLICY, IMPATIENT)), population(drawn(8))
    for name in ("a", "b"):
        serve(island.pool, name, blobs(drawn(3, ord(name))))
    with FileLock(island.pool.outboxes / "a" / ".lock"):
        island.exchange(10, people, worth)
    (skipped,) = (line for line in lines(island) if line.get("event") == "skipped")
    assert (skipped["generation"], skipped["source"]) == (10, "a") and "held by another process" in skipped["reason"]
    assert {line["source"] for line in arrivals(island)} == {"b"}


def test_a_held_lock_of_the_own_outbox_skips_the_publication_with_a_line(folder):
    island, people = here(folder, config=tiny(*POLICY, IMPATIENT)), population(drawn(8))
    with FileLock(island.pool.outboxes / "here" / ".lock"):
        assert island.publish(10, people) == 0
    assert island.publish(20, people) == 3
    assert [(line["generation"], line["event"]) for line in lines(island)] == [(10, "skipped"), (20, "published")]
    assert "held by another process" in lines(island)[0]["reason"]


def test_an_island_starts_while_somebody_holds_the_lock_of_its_outbox(folder):
    here(folder)
    with FileLock(folder / "pool" / "migration_pool" / "here" / ".lock"):
        island = here(folder, epoch=2, config=tiny(*POLICY, IMPATIENT))
        assert island.publish(10, population(drawn(8))) == 0
    assert island.publish(20, population(drawn(8))) == 3


# --- what a restart makes of it ---


def neighbourly(folder, generations=(10, 20, 30)):
    """An island that took something in at each generation, what it was before and after each, and its neighbour."""
    island, people = here(folder), population(drawn(8))
    befores, afters = {}, {}
    for generation in generations:
        serve(island.pool, "a", blobs(drawn(3, generation)), generation=generation)
        island.publish(generation, people)
        befores[generation] = people
        people = island.exchange(generation, people, worth).population
        afters[generation] = people.digest()
    return island, befores, afters


def test_a_restart_repeats_what_the_log_has_and_takes_nothing_twice(folder):
    island, befores, afters = neighbourly(folder)
    serve(island.pool, "a", blobs(drawn(3, 40)), generation=40)
    written = lines(island)
    again = restarted(folder, 20)
    assert again.exchange(20, befores[20], worth).population.digest() == afters[20]
    assert again.exchange(30, befores[30], worth).population.digest() == afters[30]
    assert lines(again) == written and again.logged == {}
    later = again.exchange(40, befores[30], worth)
    assert {line["sequence"] for line in arrivals(again) if line["generation"] == 40} == {4} and later.slots
    assert again.exchange(50, befores[30], worth).counts["received"] == 0


def test_the_log_alone_repeats_a_migration_without_any_pool(folder):
    island, befores, afters = neighbourly(folder)
    alone = Migrator(CONFIG, island.layout, "here", island.key, island.log)
    alone.recall(0)
    for generation, people in befores.items():
        exchange = alone.exchange(generation, people, worth)
        assert exchange.population.digest() == afters[generation] and alone.publish(generation, people) == 0
        assert exchange.counts == {"received": 3, "admitted": 3, "refused": 0}
    assert alone.exchange(40, people, worth).population is people


def test_a_log_cut_anywhere_holds_whole_migrations_only_and_the_cut_one_is_done_again(folder):
    """A crash can leave any beginning of what was being written."""
    island, befores, afters = neighbourly(folder, (10, 20))
    whole = island.log.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    complete = [end for end, line in zip(ends, lines(island), strict=True) if line.get("event") == "complete"]
    near = {end + step for end in [0, *ends] for step in (-1, 0, 1, 40)} | set(range(0, len(whole), 997))
    for cut in sorted(near & set(range(len(whole) + 1))):
        island.log.write_bytes(whole[:cut])
        again = restarted(folder, 0)
        done = [generation for generation, end in zip((10, 20), complete, strict=True) if cut >= end]
        assert list(again.logged) == done, cut
        assert {line["generation"] for line in arrivals(again)} == set(done)
        assert again.reader.cursors.get("a", 0) == len(done)
    assert again.exchange(20, befores[20], worth).population.digest() == afters[20]


def test_an_incomplete_migration_is_forgotten_and_done_again_once(folder):
    island, befores, afters = neighbourly(folder, (10, 20))
    whole = island.log.read_bytes()
    island.log.write_bytes(whole[: whole.rindex(b'{"generation": 20, "event": "complete"')])
    again = restarted(folder, 20)
    assert again.publish(20, befores[20]) == 3 and len(os.listdir(again.pool.outboxes / "here")) == 3
    assert again.exchange(20, befores[20], worth).population.digest() == afters[20]
    told = [(line["generation"], line["sequence"], line["digest"]) for line in arrivals(again)]
    assert len(told) == len(set(told)) == 6


def test_a_kill_at_any_step_of_mending_the_log_leaves_it_to_be_mended(folder):
    island, _, _ = neighbourly(folder, (10, 20))
    whole = island.log.read_bytes()
    torn = whole[: whole.rindex(b'{"generation": 20, "event": "complete"')]
    island.log.write_bytes(torn)
    steps = [step for step in steps_of(restarted, folder, 20) if step.startswith(("replace.", "renew."))]
    mended = island.log.read_bytes()
    assert len(steps) == 15 and len(mended) < len(torn)
    for step in steps:
        island.log.write_bytes(torn)
        killed_at(step, restarted, folder, 20)
        assert island.log.read_bytes() in (torn, mended), step
        restarted(folder, 20)
        assert island.log.read_bytes() == mended


def test_a_pool_that_was_removed_and_founded_anew_serves_a_restarted_island_at_once(folder):
    """The neighbour's numbers begin at 1 again; its epoch says that they are new."""
    neighbourly(folder)
    os.rename(folder / "pool", folder / "lost")
    again = restarted(folder, 30)
    serve(again.pool, "a", blobs(drawn(3, 99)), epoch=2)
    assert again.exchange(40, population(drawn(8)), worth).counts["admitted"] == 3


# --- how long it gets ---


def test_what_a_checkpoint_does_not_cover_survives_the_logs_being_put_aside(folder, monkeypatch):
    """The worst moment: put aside right after a migration, then a crash before the next checkpoint."""
    monkeypatch.setattr(migration_log, "LOG_SEGMENT", 1)
    island, befores, afters = neighbourly(folder, (10,))
    assert not island.log.exists()
    serve(island.pool, "a", blobs(drawn(3, 20)), generation=20)
    again = restarted(folder, 10)
    again.publish(10, befores[10])
    exchange = again.exchange(10, befores[10], worth)
    assert exchange.population.digest() == afters[10] and exchange.counts["received"] == 3
    assert arrivals(again) == []  # nothing new: the migration was repeated


def test_a_publication_taken_long_ago_is_not_taken_again_however_often_the_log_was_put_aside(folder, monkeypatch):
    """A neighbour that finished early stays in the pool with the publication that was taken once."""
    monkeypatch.setattr(migration_log, "LOG_SEGMENT", 2000)
    island, people = here(folder), population(drawn(8))
    serve(island.pool, "finished", blobs(drawn(3, 5)))
    for generation in range(10, 200, 10):
        serve(island.pool, "a", blobs(drawn(3, generation)), generation=generation)
        people = island.exchange(generation, people, worth).population
    assert not any(line.get("source") == "finished" for line in both_segments(island))  # its line is long gone
    again = restarted(folder, 190)
    serve(again.pool, "a", blobs(drawn(3, 7)), generation=200)
    assert again.exchange(200, people, worth).counts["received"]
    assert {line["source"] for line in both_segments(again) if line["generation"] == 200 and "slot" in line} == {"a"}


def test_a_kill_at_any_step_of_putting_the_log_aside_loses_nothing(folder, monkeypatch):
    monkeypatch.setattr(migration_log, "LOG_SEGMENT", 1)

    def migrate(place, epoch=1):
        island, people = here(place, epoch), population(drawn(8))
        serve(island.pool, "a", blobs(drawn(3, 2)))
        return island.exchange(10, people, worth).population.digest()

    steps = steps_of(migrate, folder / "dry")
    wanted = migrate(folder / "whole")
    assert {"append.opened:1", "append.written:1", "append.done:1", "read.checked:1"} <= set(steps)
    for step in steps:
        killed_at(step, migrate, folder / step)
        came_to = migrate(folder / step, 2)
        told = [line for line in both_segments(here(folder / step, 3)) if line.pop("genome", "")]
        assert came_to == wanted, (step, told)


def wander(people, generation):
    """`people` with one genome that nobody has seen before: other weights in one of them."""
    weights, row = people.genomes.conn_weight.copy(), generation % people.genomes.count
    own = slice(people.genomes.conn_start[row], people.genomes.conn_start[row + 1])
    weights[own] = np.random.default_rng(generation).normal(size=len(weights[own]))
    return population(people.genomes._replace(conn_weight=weights))


def migrate_for_long(folder, generations, config=CONFIG):
    """Two islands that exchange genomes for so long; disk, resident memory and open files along the way."""
    sides = [migrator(folder, name, config) for name in "ab"]
    people = [population(drawn(4, 1)), population(drawn(4, 2))]
    for generation in range(1, generations + 1):
        for side in (0, 1):
            people[side] = wander(people[side], 2 * generation + side)
            sides[side].publish(generation, people[side])
            people[side] = sides[side].exchange(generation, people[side], worth).population
        if generation % max(1, generations // 10) == 0:
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            yield size, resident_mb(), len(os.listdir("/proc/self/fd"))


def test_log_disk_and_open_files_stay_bounded_over_many_migrations(folder, monkeypatch):
    monkeypatch.setattr(migration_log, "LOG_SEGMENT", 50_000)
    seen = list(migrate_for_long(folder, 100))
    assert max(size for size, _, _ in seen) < 2 * 2 * 70_000 + 4 * 2 * 20_000
    assert len({files for _, _, files in seen}) == 1
    left = {path.name for path in folder.iterdir()}
    assert {"a.1.jsonl", "b.1.jsonl", "pool"} <= left <= {"a.1.jsonl", "a.jsonl", "b.1.jsonl", "b.jsonl", "pool"}


@pytest.mark.soak
def test_disk_memory_and_open_files_stay_bounded_over_100_000_migrations(folder, monkeypatch):
    monkeypatch.setattr(migration_log, "LOG_SEGMENT", 5_000_000)
    seen = list(migrate_for_long(folder, 50_000, tiny(*POLICY, "migration.migrants=1")))
    assert max(size for size, _, _ in seen) < 2 * 2 * 5_100_000 + 4 * 2 * 20_000
    assert len({files for _, _, files in seen}) == 1
    memory = [mb for _, mb, _ in seen]
    assert memory[-1] < memory[0] + 10.0
