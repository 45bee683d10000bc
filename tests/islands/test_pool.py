import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from islands import outbox_folder
from islands.errors import ConfigError, EvolabError
from islands.faults import passed
from islands.outbox_folder import LockTimeout, locked
from islands.pool import Migrant, Outbox, Pool, Skipped, Superseded
from tests.islands.pool_parts import (
    AGREE,
    FORK,
    first,
    fitness_of,
    in_a_process,
    is_whole,
    make_outbox,
    make_pool,
    make_reader,
    migrants,
    published,
)


def test_a_genome_arrives_bit_for_bit_with_its_fitness(tmp_path):
    pool = make_pool(tmp_path)
    sent = migrants("a", 10)
    assert make_outbox(pool).publish(10, sent).sequence == 1
    arrivals = make_reader(pool).take(5, ["a"], random.Random(0).randrange, 10)
    assert {(a.genome, a.fitness, a.digest) for a in arrivals} == {(m.genome, m.fitness, m.digest) for m in sent}
    assert all(sent[a.slot].genome == a.genome and a.source == "a" and a.sequence == 1 for a in arrivals)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=300), st.floats(allow_nan=False, allow_infinity=False)), min_size=1
    )
)
def test_any_bytes_and_any_finite_fitness_survive(tmp_path_factory, pairs):
    pool = make_pool(tmp_path_factory.mktemp("pool"))
    make_outbox(pool).publish(0, [Migrant(data, fitness, sha256(data).hexdigest()) for data, fitness in pairs])
    arrivals = make_reader(pool).take(len(pairs), ["a"], first, 0)
    assert [a.slot for a in arrivals] == list(range(len(pairs)))
    assert [(a.genome, struct.pack("<d", a.fitness)) for a in arrivals] == [
        (data, struct.pack("<d", fitness)) for data, fitness in pairs
    ]


def test_a_publication_is_a_plain_safetensors_file(tmp_path):
    pool = make_pool(tmp_path)
    make_outbox(pool).publish(10, migrants("a", 10))
    (name,) = published(pool)
    tensors = load((pool.outboxes / "a" / name).read_bytes())
    assert [tensors[f"genome.{i:03d}"].tobytes() for i in range(5)] == [m.genome for m in migrants("a", 10)]
    assert name.startswith("00000001-e0001-g00000010-")


def test_a_publication_is_taken_once(tmp_path):
    pool = make_pool(tmp_path)
    outbox, reader = make_outbox(pool), make_reader(pool)
    outbox.publish(10, migrants("a", 10))
    assert len(reader.take(5, ["a"], first, 10)) == 5
    assert reader.take(5, ["a"], first, 20) == []
    outbox.publish(20, migrants("a", 20))
    assert [a.sequence for a in reader.take(2, ["a"], first, 20)] == [2, 2]
    again = make_reader(pool, cursors=dict(reader.cursors))
    assert again.take(5, ["a"], first, 30) == []


def test_only_the_newest_unseen_publication_is_read(tmp_path):
    pool = make_pool(tmp_path)
    outbox = make_outbox(pool)
    for generation in range(3):
        outbox.publish(generation, migrants("a", generation))
    reader = make_reader(pool)
    assert {a.sequence for a in reader.take(9, ["a"], first, 0)} == {3}
    assert reader.take(9, ["a"], first, 0) == []


def test_publishing_the_same_again_publishes_nothing(tmp_path):
    pool = make_pool(tmp_path)
    once = make_outbox(pool).publish(10, migrants("a", 10))
    after_a_restart = make_outbox(pool, epoch=2)
    assert after_a_restart.publish(10, migrants("a", 10)) == once
    assert len(published(pool)) == 1
    assert after_a_restart.publish(10, migrants("a", 11)).sequence == 2
    assert after_a_restart.publish(20, migrants("a", 10)).sequence == 3


def test_an_outbox_keeps_its_last_publications(tmp_path):
    pool = make_pool(tmp_path)
    outbox = make_outbox(pool, keep=3)
    sequences = [outbox.publish(generation, migrants("a", generation)).sequence for generation in range(7)]
    assert sequences == [1, 2, 3, 4, 5, 6, 7]
    assert [name[:8] for name in published(pool)] == ["00000005", "00000006", "00000007"]


def test_sequence_numbers_go_on_after_a_restart(tmp_path):
    pool = make_pool(tmp_path)
    make_outbox(pool).publish(1, migrants("a", 1))
    assert make_outbox(pool, epoch=2).publish(2, migrants("a", 2)).sequence == 2
    assert pool.next_epoch("a") == 3 and pool.next_epoch("nobody") == 1


def test_a_reader_notices_an_outbox_that_was_wiped_and_begun_anew(tmp_path):
    pool = make_pool(tmp_path)
    outbox, reader = make_outbox(pool), make_reader(pool)
    for generation in range(5):
        outbox.publish(generation, migrants("a", generation))
    reader.take(1, ["a"], first, 0)
    for name in published(pool):
        os.unlink(pool.outboxes / "a" / name)
    make_outbox(pool, epoch=2).publish(9, migrants("a", 9))
    assert [a.sequence for a in reader.take(1, ["a"], first, 0)] == [1]


def test_a_digest_that_is_not_the_genomes_own_is_not_published(tmp_path):
    pool = make_pool(tmp_path)
    one, other = migrants("a", 1, count=2)
    with pytest.raises(EvolabError, match="its digest"):
        make_outbox(pool).publish(1, [replace(one, digest=other.digest)])
    assert published(pool) == []


@pytest.mark.parametrize("fitness", [float("nan"), float("inf"), -float("inf")])
def test_a_fitness_that_is_not_finite_is_not_published(tmp_path, fitness):
    pool = make_pool(tmp_path)
    outbox = make_outbox(pool)
    with pytest.raises(EvolabError, match="finite fitness"):
        outbox.publish(1, [replace(migrants("a", 1)[0], fitness=fitness)])
    with pytest.raises(EvolabError, match="migrants"):
        outbox.publish(1, [])
    assert published(pool) == []


def test_what_no_reader_would_take_for_its_size_is_not_published(tmp_path):
    pool = make_pool(tmp_path)
    outbox = Outbox(pool, "a", 1, 4, 1.0, max_bytes=2000)
    with pytest.raises(EvolabError, match="at most 2000 bytes"):
        outbox.publish(1, migrants("a", 1))
    with pytest.raises(EvolabError, match=r"10,000 migrants"):
        make_outbox(pool).publish(1, migrants("a", 1, count=20_000, size=32))
    assert published(pool) == []


def test_the_pool_knows_its_islands_by_one_listing(tmp_path):
    pool = make_pool(tmp_path)
    for name in ("b", "island-10", "a"):
        make_outbox(pool, name)
    (pool.outboxes / ".hidden").mkdir()
    (pool.outboxes / "with space").mkdir()
    assert pool.islands() == ["a", "b", "island-10"]


def test_the_first_to_come_founds_the_pool_and_the_others_join(tmp_path):
    founder = make_pool(tmp_path / "shared" / "r")
    assert make_pool(tmp_path / "shared" / "r").pool_id == founder.pool_id and len(founder.pool_id) == 32
    identity = json.loads((tmp_path / "shared" / "r" / "pool.json").read_text())
    assert identity == {"format": 1, "pool_id": founder.pool_id, "task": "pellets", "agree": AGREE}


def _found(folder, barrier, answers):
    barrier.wait()
    answers.put(make_pool(folder).pool_id)


def test_of_many_founders_at_once_exactly_one_founds(tmp_path):
    barrier, answers = FORK.Barrier(12), FORK.Queue()
    processes = [FORK.Process(target=_found, args=(tmp_path / "p", barrier, answers)) for _ in range(12)]
    for process in processes:
        process.start()
    ids = {answers.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert len(ids) == 1 and sorted(os.listdir(tmp_path / "p")) == [
        ".pool.lock", "migration_pool", "pool.json", "quarantine",
    ]  # fmt: skip


def test_another_archipelagos_directory_is_refused_with_what_differs_and_nothing_written(tmp_path):
    make_pool(tmp_path, pool_id="1" * 32)
    before = sorted(os.walk(tmp_path))
    with pytest.raises(ConfigError, match=r"mode: 'neat' / 'pure'.*observations: 12 / 13") as caught:
        Pool.open(tmp_path, {**AGREE, "mode": "pure", "observations": 13}, None)
    assert caught.value.exit_code == 78 and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="pool_id: '1{32}' / '2{32}'"):
        make_pool(tmp_path, pool_id="2" * 32)
    assert sorted(os.walk(tmp_path)) == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1}', None])
def test_a_damaged_identity_is_one_clear_line(tmp_path, content):
    if content is None:
        os.mkfifo(tmp_path / "pool.json")
    else:
        (tmp_path / "pool.json").write_text(content)
    with pytest.raises(ConfigError, match=r"pool\.json") as caught:
        make_pool(tmp_path)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["pool.json"]


def _open_as_nobody(folder):
    os.setgid(65534)
    os.setuid(65534)
    with pytest.raises(ConfigError, match="permission"):
        make_pool(folder)
    with pytest.raises(ConfigError, match="permission"):
        make_pool(folder / "new")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_directory_without_permission_is_a_config_error(tmp_path):
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    assert in_a_process(_open_as_nobody, tmp_path) == 0


def test_every_neighbour_is_served_its_share(tmp_path):
    pool = make_pool(tmp_path)
    names = [f"island-{i:03d}" for i in range(8)]
    for name in names:
        make_outbox(pool, name).publish(1, migrants(name, 1))
    random_numbers, served, slots = random.Random(1), Counter(), Counter()
    for _ in range(400):
        arrivals = make_reader(pool).take(5, names, random_numbers.randrange, 1)
        assert len(arrivals) == 5 and len({a.source for a in arrivals}) == 5
        served.update(a.source for a in arrivals)
        slots.update(a.slot for a in arrivals)
    assert served.total() == 2000 and all(210 <= served[name] <= 290 for name in names)  # expected 250, sd 10
    assert all(330 <= slots[slot] <= 470 for slot in range(5))  # expected 400, sd 18


@pytest.mark.parametrize(
    ("count", "sources", "shares"), [(5, 3, [1, 2, 2]), (5, 1, [5]), (6, 3, [2, 2, 2]), (2, 5, [1, 1])]
)
def test_sources_share_evenly(tmp_path, count, sources, shares):
    pool = make_pool(tmp_path)
    names = [f"i{i}" for i in range(sources)]
    for name in names:
        make_outbox(pool, name).publish(1, migrants(name, 1))
    arrivals = make_reader(pool).take(count, names, random.Random(3).randrange, 1)
    assert sorted(Counter(a.source for a in arrivals).values()) == shares
    assert len({(a.source, a.slot) for a in arrivals}) == count


def test_islands_of_unequal_publications_serve_what_they_have(tmp_path):
    pool = make_pool(tmp_path)
    make_outbox(pool, "small").publish(1, migrants("small", 1, count=1))
    make_outbox(pool, "large").publish(99, migrants("large", 99, count=50))
    make_outbox(pool, "silent")
    arrivals = make_reader(pool).take(6, ["small", "large", "silent", "absent"], random.Random(0).randrange, 7)
    assert Counter(a.source for a in arrivals) == {"small": 1, "large": 2}
    assert all(is_whole(a) for a in arrivals)
    assert "absent" not in pool.islands()


def test_an_island_alone_takes_nothing(tmp_path):
    pool = make_pool(tmp_path)
    make_outbox(pool, "alone").publish(1, migrants("alone", 1))
    reader = make_reader(pool, own="alone")
    for sources in ([], ["alone"]):
        assert reader.take(5, sources, first, 1) == reader.skipped == []


def test_an_island_that_finished_early_still_serves_its_best(tmp_path):
    pool = make_pool(tmp_path)
    make_outbox(pool, "early").publish(5, migrants("early", 5))
    assert in_a_process(make_outbox(pool, "other").publish, 1, migrants("other", 1)) == 0
    assert len(make_reader(pool).take(4, ["early", "other"], first, 10_000)) == 4


def test_the_cost_of_a_migration_does_not_grow_with_the_number_of_islands(tmp_path):
    visited = {}
    for islands in (20, 100):
        pool = make_pool(tmp_path / str(islands))
        names = [f"i{i:03d}" for i in range(islands)]
        for name in names:
            make_outbox(pool, name)
        reader = make_reader(pool)
        passed.clear()
        reader.take(5, names, random.Random(0).randrange, 1)
        visited[islands] = passed["outbox.opened"]
    assert visited == {20: 20, 100: 20}


def test_a_held_lock_skips_that_source_with_a_reason_and_the_others_serve(tmp_path):
    pool = make_pool(tmp_path)
    for name in ("a", "b", "c"):
        make_outbox(pool, name).publish(1, migrants(name, 1))
    reader = make_reader(pool, lock_timeout=0.1)
    with FileLock(pool.outboxes / "a" / ".lock"), FileLock(pool.outboxes / "b" / ".lock"):
        arrivals = reader.take(6, ["a", "b", "c"], first, 1)
        assert {a.source for a in arrivals} == {"c"}
        assert sorted(source for source, _ in reader.skipped) == ["a", "b"]
        assert all("held by another process" in reason for _, reason in reader.skipped)
    assert {a.source for a in reader.take(6, ["a", "b", "c"], first, 1)} == {"a", "b"} and reader.skipped == []


def test_a_held_lock_skips_a_publication_and_the_next_goes_through(tmp_path):
    pool = make_pool(tmp_path)
    outbox = make_outbox(pool, lock_timeout=0.05)
    with FileLock(pool.outboxes / "a" / ".lock"):
        with pytest.raises(Skipped, match="held by another process"):
            outbox.publish(1, migrants("a", 1))
        begun_meanwhile = make_outbox(pool, epoch=2, lock_timeout=0.05)
    assert outbox.publish(1, migrants("a", 1)).sequence == 1
    assert begun_meanwhile.publish(2, migrants("a", 2)).sequence == 2


def test_a_held_lock_is_tried_less_and_less_often(tmp_path, monkeypatch):
    """Its holder may wait for a core that those who try take from it."""
    tries = []

    class Counted(FileLock):
        def acquire(self, *given, **named):
            tries.append(self)
            return super().acquire(*given, **named)

    monkeypatch.setattr(outbox_folder, "FileLock", Counted)
    with FileLock(tmp_path / ".lock"), pytest.raises(LockTimeout), locked(tmp_path / ".lock", timeout=0.3):
        pass
    assert 1 < len(tries) < 20


def test_a_lock_that_could_not_be_had_is_hardly_waited_for_until_it_is_free(tmp_path):
    """Its holder may have been stopped: everybody would wait the whole time at each migration."""
    pool = make_pool(tmp_path)
    outbox = make_outbox(pool, lock_timeout=0.3)
    outbox.publish(1, migrants("a", 1))
    reader = make_reader(pool, lock_timeout=0.3)

    def waited():
        with pytest.raises(Skipped) as caught:
            outbox.publish(2, migrants("a", 2))
        assert reader.take(1, ["a"], first, 1) == []
        told = (str(caught.value), *(reason for _, reason in reader.skipped))
        return [float(text.split("expected it within ")[1].split(" s")[0]) for text in told]

    for _ in range(2):
        with FileLock(pool.outboxes / "a" / ".lock"):
            assert waited() == pytest.approx([0.3, 0.3], abs=0.1)
            assert waited() == waited() == [0.01, 0.01]
        outbox.publish(3, migrants("a", 3))
        assert [a.source for a in reader.take(1, ["a"], first, 1)] in ([], ["a"]) and reader.skipped == []


def test_an_incarnation_that_was_replaced_may_not_publish(tmp_path):
    pool = make_pool(tmp_path)
    resumed = make_outbox(pool, epoch=1)
    make_outbox(pool, epoch=2).publish(1, migrants("a", 1))
    with pytest.raises(Superseded, match="epoch 1 to be the newest, got 2"):
        resumed.publish(2, migrants("a", 2))
    assert len(published(pool)) == 1


def test_locks_are_the_kernels_and_their_files_stay(tmp_path):
    pool = make_pool(tmp_path)
    outbox = make_outbox(pool)
    inode = (pool.outboxes / "a" / ".lock").stat().st_ino
    for generation in range(3):
        outbox.publish(generation, migrants("a", generation))
        make_reader(pool).take(1, ["a"], first, 0)
    assert (pool.outboxes / "a" / ".lock").stat().st_ino == inode
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", code, pool.outboxes / "a" / ".lock"]
    with pool.opened("a", 1.0):
        assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert subprocess.run(command, check=False).returncode == 0


@pytest.fixture
def memory_folder():
    """A folder whose fsync costs nothing, for what is about numbers and not about durability."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield folder


def test_disk_and_open_files_stay_bounded_over_many_migrations(memory_folder):
    pool = make_pool(memory_folder)
    outboxes = {name: make_outbox(pool, name, keep=3) for name in ("a", "b")}
    readers = {name: make_reader(pool, own=name) for name in ("a", "b")}

    def migrate(generation):
        for name, outbox in outboxes.items():
            outbox.publish(generation, migrants(name, generation))
        return sum(len(readers[name].take(5, ["a", "b"], first, generation)) for name in ("a", "b"))

    def measure():
        entries = [os.path.join(folder, name) for folder, _, names in os.walk(memory_folder) for name in names]
        sizes = [os.path.getsize(path) for path in entries]
        return len(entries), sum(sizes) // 100, len(os.listdir("/proc/self/fd")), threading.active_count()

    for generation in range(10):
        migrate(generation)
    early = measure()
    assert all(migrate(generation) == 10 for generation in range(10, 1000))  # 2 islands: 2000 publications
    assert measure() == early
    assert readers["a"].cursors == {"b": 1000}


def write_many(pool, names, count, keep, begun):
    """A process of writers, one thread each, which stop half-way until somebody has `begun` to read.

    Writers that publish without a break hold their locks nearly all the time; a reader may meet the last one only.
    """

    def write(name):
        outbox = make_outbox(pool, name, keep=keep, lock_timeout=60.0)
        for g in range(count):
            assert g != count // 2 or begun.wait(600)
            assert outbox.publish(g, migrants(name, g, 2, 200)).sequence == g + 1

    run_threads(write, names)


def run_threads(function, arguments):
    failures = []

    def guarded(argument):
        try:
            function(argument)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def read_all(pool, own, names, count, answers, begun):
    """Take until every writer's last publication has come; send back what came, in order. `begun`: set at the first."""
    reader = make_reader(pool, own=own, lock_timeout=60.0)
    random_numbers, seen = random.Random(own), []
    while len(reader.cursors) < len(names) or min(reader.cursors.values()) < count:
        for arrival in reader.take(len(names), names, random_numbers.randrange, 0):
            assert is_whole(arrival), arrival.reason
            seen.append((arrival.source, arrival.sequence))
            begun.set()
        assert reader.skipped == []
    answers.put((own, seen))


def race(folder, writers, count, keep, readers, processes=8):
    """`writers` writers in `processes` processes against `readers` reading processes; what each reader saw."""
    pool = make_pool(folder)
    names = [f"island-{i:03d}" for i in range(writers)]
    answers, begun = FORK.Queue(), FORK.Event()
    reading = [
        FORK.Process(target=read_all, args=(pool, f"r{i}", names, count, answers, begun)) for i in range(readers)
    ]
    shares = [names[i::processes] for i in range(processes)]
    writing = [FORK.Process(target=write_many, args=(pool, share, count, keep, begun)) for share in shares]
    for process in reading + writing:
        process.start()
    seen = dict(answers.get(timeout=3000) for _ in reading)
    for process in writing + reading:
        process.join()
    assert [process.exitcode for process in writing + reading] == [0] * (processes + readers)
    return pool, names, seen


def check_race(folder, writers, count, readers):
    pool, names, seen = race(folder, writers, count, keep=count, readers=readers)
    for name in names:
        assert [int(entry[:8]) for entry in published(pool, name)] == list(range(1, count + 1))  # none lost
        assert not [entry for entry in os.listdir(pool.outboxes / name) if entry.endswith(".tmp")]
    for taken in seen.values():
        assert len(set(taken)) == len(taken)  # each at most once
        assert {(name, count) for name in names} <= set(taken)  # the last of each came
        for name in names:
            sequences = [sequence for source, sequence in taken if source == name]
            assert sequences == sorted(sequences)
    assert any(len(taken) > writers for taken in seen.values())  # and others before: they read while others wrote
    assert os.listdir(pool.quarantine) == []


def test_of_64_writers_nothing_is_lost_torn_or_read_twice(tmp_path):
    check_race(tmp_path, writers=64, count=60, readers=3)


@pytest.mark.soak
def test_of_64_writers_with_1000_publications_each_nothing_is_lost_torn_or_read_twice(tmp_path):
    check_race(tmp_path, writers=64, count=1000, readers=8)


def test_nothing_is_pruned_while_it_is_read(tmp_path):
    pool, names, seen = race(tmp_path, writers=8, count=60, keep=2, readers=2)
    assert all({(name, 60) for name in names} <= set(taken) for taken in seen.values())
    assert all(len(published(pool, name)) == 2 for name in names) and os.listdir(pool.quarantine) == []


def test_with_reader_and_writer_in_step_every_publication_is_read_exactly_once(tmp_path):
    pool = make_pool(tmp_path)
    names = [f"i{i}" for i in range(4)]
    outboxes = {name: make_outbox(pool, name) for name in names}
    readers = {name: make_reader(pool, own=name) for name in names}
    edges = Counter()
    for generation in range(1, 31):
        for name in names:
            outboxes[name].publish(generation, migrants(name, generation, 1))
        for name in names:
            for arrival in readers[name].take(3, names, random.Random(generation).randrange, generation):
                assert is_whole(arrival) and fitness_of(arrival.genome) == arrival.fitness
                edges[arrival.source, name, arrival.sequence] += 1
    assert len(edges) == 4 * 3 * 30 and set(edges.values()) == {1}
