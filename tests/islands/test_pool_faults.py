import errno
import json
import os
import random
import signal
import struct
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from islands.faults import passed
from islands.outbox_folder import QUARANTINED
from islands.pool import Skipped
from islands.publication import HEADER_LARGEST, Name, Refused, decode, encode
from tests.islands.pool_parts import (
    FORK,
    first,
    genome,
    in_a_process,
    is_whole,
    killed_at,
    make_outbox,
    make_pool,
    make_reader,
    migrants,
    published,
    steps_of,
)

MAX_BYTES = 1 << 16


# --- kill -9 ---


def publish_thrice(folder):
    """What the kills below interrupt: every step of starting, publishing and pruning."""
    outbox = make_outbox(make_pool(folder), keep=2)
    for generation in range(3):
        outbox.publish(generation, migrants("a", generation))


PUT = ("begun", "created", "half-written", "written", "synced", "flushed", "renamed", "done")
PUBLISH_STEPS = [
    f"{name}:{hit}"
    for name, hits in {
        **{f"replace.{step}": 1 for step in PUT}, **{f"publish.{step}": 3 for step in PUT},
        "folder.missing": 4, "folder.made": 4, "load.begun": 1,
        "outbox.begun": 4, "outbox.opened": 4, "outbox.locked": 4, "outbox.tidied": 4, "outbox.leaving": 4,
        "outbox.published": 3, "outbox.pruning": 1, "outbox.pruned": 1,
    }.items()
    for hit in range(1, hits + 1)
]  # fmt: skip


def test_the_kills_of_publishing_cover_every_step(tmp_path):
    assert sorted(steps_of(publish_thrice, tmp_path / "dry")) == sorted(PUBLISH_STEPS)


def test_a_kill_at_any_step_of_publishing_hides_nothing_and_shows_nothing_partial(tmp_path):
    for number, step in enumerate(PUBLISH_STEPS):
        folder = tmp_path / str(number)
        killed_at(step, publish_thrice, folder)
        done = int(step[-1]) if step.startswith(("publish.done", "outbox.published")) else 0
        pool = make_pool(folder)
        reader = make_reader(pool)
        arrivals = reader.take(5, ["a"], first, 0)
        assert all(is_whole(arrival) for arrival in arrivals) and reader.skipped == []
        assert len(arrivals) in (0, 5) and (not done or arrivals[0].sequence == done), step  # acknowledged is there
        resumed = make_outbox(pool, epoch=2, keep=2)
        for generation in (1, 2):  # the restarted island repeats what its checkpoint had not seen …
            resumed.publish(generation, migrants("a", generation))
        names = [Name.parse(text) for text in published(pool)]
        assert [name.generation for name in names] == [1, 2], step
        assert names[1].sequence <= 3 and {name.epoch for name in names} <= {1, 2}, step
        assert [a for a in os.listdir(pool.outboxes / "a") if a.endswith(".tmp")] == []
        assert os.listdir(pool.quarantine) == []
        after = reader.take(5, ["a"], first, 0)  # … and the reader, who lived on, misses nothing, gets nothing twice
        assert all(is_whole(arrival) for arrival in after)
        assert {a.genome for a in [*arrivals, *after]} >= {m.genome for m in migrants("a", 2)}, step
        assert len({a.genome for a in [*arrivals, *after]}) == len([*arrivals, *after]), step


def read_and_refuse(folder):
    pool = make_pool(folder)
    reader = make_reader(pool)
    arrivals = reader.take(5, ["a"], first, 0)
    assert [arrival.reason for arrival in arrivals] == ["name", "truncated", *[""] * 5]


READ_STEPS = [
    "load.begun:1", "outbox.begun:1", "outbox.opened:1", "outbox.locked:1", "read.listing:1", "read.stat:1",
    "read.stat:2", "read.opened:1", "read.opened:2", "read.decoded:1", "read.checked:1", "quarantine.moving:1",
    "quarantine.moving:2", "quarantine.moved:1", "quarantine.moved:2", "outbox.leaving:1",
]  # fmt: skip


def prepare_reading(folder):
    pool = make_pool(folder)
    make_outbox(pool).publish(1, migrants("a", 1))
    (good,) = published(pool)
    data = (pool.outboxes / "a" / good).read_bytes()
    (pool.outboxes / "a" / f"00000009{good[8:]}").write_bytes(data[:-9])
    (pool.outboxes / "a" / "odd").write_bytes(data)
    return pool


def test_a_kill_at_any_step_of_reading_harms_nobody(tmp_path):
    prepare_reading(tmp_path / "dry")
    steps = steps_of(read_and_refuse, tmp_path / "dry")
    assert sorted(steps) == sorted(READ_STEPS)
    for number, step in enumerate(READ_STEPS):
        pool = prepare_reading(tmp_path / str(number))
        killed_at(step, read_and_refuse, tmp_path / str(number))
        started = time.monotonic()
        arrivals = make_reader(pool).take(5, ["a"], first, 0)  # the lock died with its holder
        assert sum(is_whole(arrival) for arrival in arrivals) == 5, step
        assert make_outbox(pool).publish(2, migrants("a", 2)).sequence == 2
        assert time.monotonic() - started < 10.0


def _publish_until_killed(folder, name):
    outbox = make_outbox(make_pool(folder), name, keep=3)
    for generation in range(10**6):
        outbox.publish(generation, migrants(name, generation))


def test_writers_killed_at_random_moments_never_show_a_partial_genome(tmp_path):
    pool, moments, received = make_pool(tmp_path), random.Random(7), 0
    reader = make_reader(pool)
    for _ in range(12):
        writer = FORK.Process(target=_publish_until_killed, args=(tmp_path, "a"))
        writer.start()
        before, deadline = received, time.monotonic() + moments.uniform(0.02, 0.12)
        while time.monotonic() < deadline or (received == before and time.monotonic() < deadline + 20):
            arrivals = reader.take(5, ["a"], moments.randrange, 0)
            assert all(is_whole(arrival) for arrival in arrivals)
            received += len(arrivals)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
    assert received >= 12 and os.listdir(pool.quarantine) == []
    assert len(published(pool)) <= 4


def _stop_while_locked(folder, locked):
    with make_pool(folder).opened("a", 1.0):
        locked.set()
        os.kill(os.getpid(), signal.SIGSTOP)


def test_an_island_stopped_while_it_holds_its_lock_holds_up_nobody(tmp_path):
    pool = make_pool(tmp_path)
    for name in ("a", "b"):
        make_outbox(pool, name).publish(1, migrants(name, 1))
    reader, locked = make_reader(pool, lock_timeout=0.2), FORK.Event()
    holder = FORK.Process(target=_stop_while_locked, args=(tmp_path, locked))
    holder.start()
    try:
        assert locked.wait(10)
        started = time.monotonic()
        assert {a.source for a in reader.take(4, ["a", "b"], first, 1)} == {"b"}
        assert time.monotonic() - started < 5.0 and [source for source, _ in reader.skipped] == ["a"]
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    assert {a.source for a in reader.take(4, ["a", "b"], first, 1)} == {"a"}


# --- what a reader refuses ---


class Box:
    """An outbox with one good publication (sequence 1) and whatever a test puts beside it."""

    def __init__(self, folder):
        self.pool = make_pool(folder)
        make_outbox(self.pool).publish(10, migrants("a", 10))
        self.path = self.pool.outboxes / "a"
        self.good = self.path / published(self.pool)[0]
        self.header, self.genomes = decode(BytesIO(self.good.read_bytes()), self.good.stat().st_size, MAX_BYTES)
        self.reader = make_reader(self.pool, max_bytes=MAX_BYTES)

    def forge(self, genomes=None, called=None, **changes):
        """A file made exactly as the format says but for `changes`; under its right name, or under `called`."""
        header = replace(self.header, **{"sequence": 2, **changes})
        return self.put(called or str(header.name()), encode(header, genomes or self.genomes))

    def put(self, name, data):
        path = os.path.join(os.fsencode(self.path), name if isinstance(name, bytes) else os.fsencode(name))
        Path(os.fsdecode(path)).write_bytes(data)
        return Path(os.fsdecode(path))

    @property
    def next_name(self):
        return str(replace(Name.parse(self.good.name), sequence=2))

    def refusals(self):
        """Take; the good publication must come whole all the same, and nothing be said or moved twice."""
        arrivals = self.reader.take(5, ["a"], first, 10)
        good, refused = [a for a in arrivals if a.genome], [a for a in arrivals if not a.genome]
        assert sorted(a.slot for a in good) == [0, 1, 2, 3, 4] and all(is_whole(a) for a in good)
        assert self.reader.take(5, ["a"], first, 10) == [] and self.reader.skipped == []
        assert {a.source for a in refused} <= {"a"}
        return [a.reason for a in refused]

    def quarantined(self):
        return sorted(os.listdir(self.pool.quarantine))


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


def test_a_publication_truncated_anywhere_is_refused(box):
    whole = encode(replace(box.header, sequence=2), box.genomes)
    reasons = set()
    for length in [*range(0, 40), *range(40, len(whole), 97), len(whole) - 1]:
        with pytest.raises(Refused) as caught:
            decode(BytesIO(whole[:length]), length, MAX_BYTES)
        reasons.add(caught.value.reason)
    assert reasons == {"truncated"}
    box.put(box.next_name, whole[: len(whole) // 2])
    assert box.refusals() == ["truncated"]
    assert len(box.quarantined()) == 1 and "-a-truncated-00000002-" in box.quarantined()[0]


def test_a_file_cut_while_it_is_read_is_truncated(box):
    whole = box.good.read_bytes()
    with pytest.raises(Refused, match="truncated"):
        decode(BytesIO(whole[:-1]), len(whole), MAX_BYTES)


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    box = Box(tmp_path)
    whole = bytearray(encode(replace(box.header, sequence=2), box.genomes))
    name = box.next_name
    reasons = set()
    picks = random.Random(0)
    bits = [*range(64), *picks.sample(range(64, len(whole) * 8), 600)]
    with box.pool.opened("a", 1.0) as outbox:
        for bit in bits:
            whole[bit // 8] ^= 1 << bit % 8
            (box.path / name).write_bytes(whole)
            with pytest.raises(Refused) as caught:
                outbox.load(name, MAX_BYTES)
            reasons.add(caught.value.reason)
            whole[bit // 8] ^= 1 << bit % 8
    assert reasons <= {"truncated", "schema", "digest", "version", "other-run", "name", "future", "fitness"}
    assert {"digest", "schema", "truncated"} <= reasons


@pytest.mark.parametrize("place", range(16))
def test_no_other_digit_of_the_content_goes_with_the_name(tmp_path, place):
    box = Box(tmp_path)
    name = Name.parse(box.next_name)
    other = "0" if name.digest[place] != "0" else "1"
    wrong = replace(name, digest=name.digest[:place] + other + name.digest[place + 1 :])
    box.put(str(wrong), encode(replace(box.header, sequence=2), box.genomes))
    assert box.refusals() == ["digest"]


def test_a_genome_changed_with_its_table_intact_is_a_digest(box):
    data = bytearray(encode(replace(box.header, sequence=2), box.genomes))
    data[-1] ^= 1
    box.put(box.next_name, bytes(data))
    assert box.refusals() == ["digest"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "version"),
        ({"pool_id": "0" * 32}, "other-run"),
        ({"island": "b"}, "name"),
        ({"island": "reader"}, "own"),
        ({"fitness": (float("nan"), 1.0, 1.0, 1.0, 1.0)}, "fitness"),
        ({"fitness": (1.0, float("inf"), 1.0, 1.0, 1.0)}, "fitness"),
        ({"fitness": (1.0, None, 1.0, 1.0, 1.0)}, "fitness"),
        ({"fitness": (1, 2, 3, 4, 5)}, "schema"),
        ({"fitness": (1.0, 2.0)}, "schema"),
        ({"fitness": ()}, "schema"),
        ({"digests": ("x" * 64,) * 5}, "schema"),
        ({"digests": ("0" * 64,) * 4}, "schema"),
        ({"digests": (0,) * 5}, "schema"),
        ({"epoch": True}, "schema"),
        ({"generation": 10**9 + 1}, "future"),
        ({"sha256": "0" * 64}, "digest"),
        ({"digests": ("0" * 64,) * 5}, "digest"),
        ({"sha256": 7}, "schema"),
        ({"island": None}, "schema"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_with_its_reason(box, changes, reason):
    box.forge(**changes)
    assert box.refusals() == [reason]
    assert len(box.quarantined()) == 1 and published(box.pool) == [box.good.name]


def test_a_name_that_says_something_else_than_its_header_is_refused(box):
    name = Name.parse(box.next_name)
    for wrong, reason in (
        (replace(name, sequence=3), "name"),
        (replace(name, epoch=2), "name"),
        (replace(name, generation=11), "future"),
        (replace(name, generation=10**11), "future"),
        (replace(name, digest="0" * 16), "digest"),
    ):
        box.forge(called=str(wrong))
        arrivals = make_reader(box.pool, cursors={"a": 1}).take(5, ["a"], first, 0)
        assert [a.reason for a in arrivals] == [reason] and arrivals[0].sequence == wrong.sequence
    assert box.refusals() == []


def test_an_older_epoch_after_a_newer_one_is_refused(box):
    box.forge(sequence=2, epoch=5)
    assert [a.sequence for a in box.reader.take(1, ["a"], first, 0)] == [2]
    box.forge(sequence=3, epoch=4)
    assert [a.reason for a in box.reader.take(1, ["a"], first, 0)] == ["epoch"]
    box.forge(sequence=4, epoch=6)
    assert [a.reason for a in box.reader.take(1, ["a"], first, 0)] == [""]
    saved = make_reader(box.pool, cursors=dict(box.reader.cursors), epochs=dict(box.reader.epochs))
    box.forge(sequence=5, epoch=4)
    assert [a.reason for a in saved.take(1, ["a"], first, 0)] == ["epoch"]


def test_the_newer_epoch_is_read_first_even_under_a_lower_number(box):
    box.forge(sequence=2, epoch=2)
    box.forge(sequence=3, epoch=1)
    assert [(a.sequence, a.reason) for a in box.reader.take(1, ["a"], first, 0)] == [(2, "")]
    assert [(a.sequence, a.reason) for a in box.reader.take(1, ["a"], first, 0)] == [(3, "epoch")]


def test_a_genome_that_does_not_fit_refuses_its_whole_publication_and_names_the_slot(box):
    bad = genome("a", 10, 3)
    box.reader.check = lambda genomes: (genomes.index(bad), "shape") if bad in genomes else None
    make_outbox(box.pool, epoch=2).publish(20, migrants("a", 20))
    arrivals = box.reader.take(5, ["a"], first, 0)
    assert [a.reason for a in arrivals] == [""] * 5
    os.unlink(box.path / published(box.pool)[-1])
    fresh = make_reader(box.pool, check=box.reader.check)
    assert [(a.slot, a.reason, a.genome) for a in fresh.take(5, ["a"], first, 0)] == [(3, "shape", None)]


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "nowhere", "good"])
def test_a_symlink_is_not_followed(box, target):
    (box.path / box.next_name).symlink_to(box.good if target == "good" else target)
    assert box.refusals() == ["symlink"]
    (moved,) = box.quarantined()
    assert (box.pool.quarantine / moved).is_symlink()


def test_a_fifo_cannot_hold_a_reader_up(box):
    os.mkfifo(box.path / box.next_name)
    started = time.monotonic()
    assert box.refusals() == ["not-a-file"]
    assert time.monotonic() - started < 5.0 and len(box.quarantined()) == 1


def _swap(folder, name, started):
    good = (folder / "good").read_bytes()
    while True:
        os.mkfifo(folder / ".fifo")
        os.rename(folder / ".fifo", folder / name)
        started.set()
        (folder / ".file").write_bytes(good)
        os.rename(folder / ".file", folder / name)


def test_a_file_that_turns_into_a_fifo_between_look_and_open_cannot_hold_a_reader_up(box):
    os.rename(box.good, box.path / "good")
    started = FORK.Event()
    swapper = FORK.Process(target=_swap, args=(box.path, box.good.name, started), daemon=True)
    swapper.start()
    try:
        assert started.wait(10)
        reasons, looks = set(), 0
        with box.pool.opened("a", 5.0) as outbox:
            deadline = time.monotonic() + 0.7
            while time.monotonic() < deadline:
                looks += 1
                try:
                    outbox.load(box.good.name, MAX_BYTES)
                except Refused as error:
                    reasons.add(error.reason)
        assert reasons <= {"not-a-file", "gone"} and looks > 100
    finally:
        os.kill(swapper.pid, signal.SIGKILL)
        swapper.join()


def test_a_socket_and_a_device_are_no_files(box):
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(box.path)
        try:
            server.bind(box.next_name)
        finally:
            os.chdir(here)
        assert box.refusals() == ["not-a-file"]
    if os.getuid() == 0:
        try:
            os.mknod(box.path / str(replace(Name.parse(box.next_name), sequence=3)), 0o600 | 0o020000, os.makedev(1, 5))
        except PermissionError:
            return
        assert [a.reason for a in box.reader.take(1, ["a"], first, 0)] == ["not-a-file"]


def test_a_folder_is_refused_once_and_left_where_it_is(box):
    (box.path / box.next_name / "deep").mkdir(parents=True)
    assert box.refusals() == ["not-a-file"]
    assert (box.path / box.next_name / "deep").is_dir() and box.quarantined() == []


def test_a_sparse_terabyte_is_refused_unread(box):
    with open(box.path / box.next_name, "wb") as file:
        file.truncate(1 << 40)
    started = time.monotonic()
    assert box.refusals() == ["too-large"]
    assert time.monotonic() - started < 5.0


def test_one_byte_more_than_the_largest_legal_publication_is_too_large(box):
    size = box.good.stat().st_size
    assert make_reader(box.pool, max_bytes=size - 1).take(1, ["a"], first, 0)[0].reason == "too-large"
    os.rename(box.pool.quarantine / box.quarantined()[0], box.good)
    assert make_reader(box.pool, max_bytes=size).take(1, ["a"], first, 0)[0].reason == ""


ODD_NAMES = [
    "x", "a\nb", "<script>", "ä", b"\xff\xfe", "%s%n", "x" * 255, "-rf", "00000002", "*.safetensors", " ",
    "00000002-e0001-g00000010-0123456789abcdef.safetensors\n", "00000002-e0001-g00000010-0123456789ABCDEF.safetensors",
    "٠٠٠٠٠٠٠٢-e0001-g00000010-0123456789abcdef.safetensors", "000000002-e0001-g00000010-0123456789abcdef.safetensors",
    "00000002-e0001-g00000010-0123456789abcdef.pickle",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_an_odd_name_is_refused_and_put_away_under_a_plain_one(box, name):
    box.put(name, b"content")
    assert box.refusals() == ["name"]
    (moved,) = box.quarantined()
    assert moved.isascii() and moved.replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_hidden_files_and_temporary_ones_are_left_alone(box):
    box.put(".hidden", b"x")
    box.put(f".{box.next_name}.0123.tmp", b"half")
    assert box.refusals() == [] and box.quarantined() == []


def hostile_tables(box):
    """Files that are no safetensors, or cunning ones."""
    whole = encode(replace(box.header, sequence=2), box.genomes)
    text = json.loads(whole[8 : 8 + struct.unpack("<Q", whole[:8])[0]])
    data = b"".join(box.genomes)

    def made(table, payload=data):
        header = table if isinstance(table, bytes) else json.dumps(table, separators=(",", ":")).encode()
        return struct.pack("<Q", len(header)) + header + payload

    yield "empty table", made({})
    yield "not JSON", made(b"\x80\x04\x95pickle")
    yield "a list", made([])
    yield "deeply nested", made(b"[" * 30_000)
    yield "an endless number", made(b"9" * 30_000)
    yield "no header", made({**text, "__metadata__": {}})
    yield "header not text", made({**text, "__metadata__": {"header": 7}})
    yield "header a list", made({**text, "__metadata__": {"header": "[]"}})
    yield "header deeply nested", made({**text, "__metadata__": {"header": "[" * 9000}})
    yield "a tensor more", made({**text, "../../etc/x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})
    yield "another type", made({**text, "genome.000": {**text["genome.000"], "dtype": "F32"}})
    yield "overlapping", made({**text, "genome.001": {**text["genome.001"], "data_offsets": [0, 600]}})
    yield "negative", made({**text, "genome.000": {**text["genome.000"], "shape": [-600]}})
    yield "fractional", made({**text, "genome.000": {**text["genome.000"], "shape": [600.0]}})
    yield "empty genome", made({**text, "genome.000": {**text["genome.000"], "shape": [0]}})
    yield "a shape of two", made({**text, "genome.000": {**text["genome.000"], "shape": [600, 1]}})
    yield "another order", made(dict(reversed(text.items())))
    yield "spaces", made(json.dumps(text).encode())
    yield "a duplicate key", made(b'{"genome.000":1,' + whole[9 : 8 + struct.unpack("<Q", whole[:8])[0]])
    yield "more behind", whole + b"x"
    yield "zeros", bytes(4000)


def test_a_file_that_the_writer_would_not_have_written_is_a_schema(tmp_path):
    box = Box(tmp_path)
    for sequence, (kind, data) in enumerate(hostile_tables(box), 2):
        box.put(str(replace(Name.parse(box.next_name), sequence=sequence)), data)
        refused = make_reader(box.pool, max_bytes=MAX_BYTES, cursors={"a": 1}).take(5, ["a"], first, 0)
        assert [a.reason for a in refused] == ["schema"], kind


def test_a_huge_claim_is_refused_without_reading_it(box):
    box.put(box.next_name, struct.pack("<Q", 1 << 62) + b"{}")
    assert box.refusals() == ["truncated"]
    with pytest.raises(Refused, match="schema"):
        decode(BytesIO(struct.pack("<Q", HEADER_LARGEST + 1)), 1 << 30, 1 << 40)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
@example(b"\x02\0\0\0\0\0\0\0{}")
def test_no_bytes_at_all_raise_anything_but_refused(data):
    with pytest.raises(Refused):
        decode(BytesIO(data), len(data), MAX_BYTES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("format", "pool_id", "island", "epoch", "generation", "sequence", "fitness", "digests", "sha256", "more")


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(FIELDS), JSON)
def test_no_value_of_any_field_raises_anything_but_refused(field, value):
    fields = {
        "format": 1, "pool_id": "0" * 32, "island": "a", "epoch": 1, "generation": 1, "sequence": 1,
        "fitness": [1.0], "digests": ["0" * 64], "sha256": "0" * 64, field: value,
    }  # fmt: skip
    text = json.dumps({
        "__metadata__": {"header": json.dumps(fields)},
        "genome.000": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    }).encode()  # fmt: skip
    data = struct.pack("<Q", len(text)) + text + b"x"
    with pytest.raises(Refused):
        decode(BytesIO(data), len(data), MAX_BYTES)


@given(st.text(max_size=80))
def test_a_name_is_one_only_if_it_is_written_back_the_same(text):
    name = Name.parse(text)
    assert name is None or str(name) == text


# --- what hostile neighbours cannot do ---


def test_quarantine_is_bounded_and_the_oldest_goes_first(tmp_path):
    box = Box(tmp_path)
    reader = make_reader(box.pool, budget=1000)
    for sequence in range(2, QUARANTINED + 40):
        box.put(str(replace(Name.parse(box.next_name), sequence=sequence)), b"bad")
    (box.pool.quarantine / "00-an-old-folder").mkdir()
    arrivals = reader.take(5, ["a"], first, 0)
    assert sum(a.reason == "truncated" for a in arrivals) == QUARANTINED + 38
    assert QUARANTINED - 1 <= len(box.quarantined()) <= QUARANTINED + 1
    assert any("-truncated-00000002-" in name for name in box.quarantined())  # the last to be refused


def test_a_flood_costs_no_more_than_the_budget_and_others_are_served(tmp_path):
    pool = make_pool(tmp_path)
    for name in ("a", "b"):
        make_outbox(pool, name).publish(1, migrants(name, 1))
    for sequence in range(100, 3100):
        (pool.outboxes / "a" / f"{sequence:08d}-e0001-g00000001-0123456789abcdef.safetensors").write_bytes(b"bad")
    reader = make_reader(pool, budget=20)
    started = time.monotonic()
    arrivals = [reader.take(4, ["b", "a"], first, 0), reader.take(4, ["b", "a"], first, 0)]
    assert time.monotonic() - started < 5.0
    assert [sum(a.genome is None for a in came) for came in arrivals] == [20, 20]
    last = make_reader(pool, budget=20).take(4, ["b"], first, 0)
    assert [a.source for a in last] == ["b"] * 4


def test_of_a_flood_of_valid_publications_a_reader_looks_at_some_and_the_writer_clears_all_away(tmp_path, monkeypatch):
    monkeypatch.setattr("islands.outbox_folder.LISTED", 50)
    box = Box(tmp_path)
    for sequence in range(2, 400):
        box.forge(sequence=sequence)
    looked = []
    monkeypatch.setattr(
        Name, "parse", classmethod(lambda cls, text, parse=Name.parse: looked.append(text) or parse(text))
    )
    arrivals = box.reader.take(5, ["a"], first, 0)
    assert [a.reason for a in arrivals] == [""] * 5 and len(looked) <= 51
    assert box.reader.take(5, ["a"], first, 0) == [] and len(looked) <= 101
    outbox = make_outbox(box.pool, epoch=2, keep=2)
    published_now = [outbox.publish(generation, migrants("a", generation)) for generation in range(20, 40)]
    left = [Name.parse(text) for text in published(box.pool)]
    assert [name.generation for name in left] == [38, 39] and left[-1].sequence == published_now[-1].sequence
    assert {a.genome for a in box.reader.take(5, ["a"], first, 0)} == {m.genome for m in migrants("a", 39)}


def test_the_writer_clears_its_own_outbox_of_what_it_has_not_written(box):
    outbox = make_outbox(box.pool, epoch=2)
    for sequence in (7, 99_999_999, 999_999_999):
        box.put(f"{sequence:08d}-e0009-g00000001-0123456789abcdef.safetensors", b"bad")
    box.put("odd", b"x")
    box.put(".stale.0123.tmp", b"x")
    os.mkfifo(box.path / "fifo")
    assert outbox.publish(20, migrants("a", 20)).sequence == 2
    assert [name[:8] for name in published(box.pool)] == ["00000001", "00000002"]
    assert not (box.path / ".stale.0123.tmp").exists() and len(box.quarantined()) == 5
    assert box.pool.next_epoch("a") == 3


def test_forged_names_push_no_good_publication_out(box):
    outbox = make_outbox(box.pool, keep=2, epoch=2)
    for i in range(10):
        box.put(f"00000099-e0001-g00000001-{i:016x}.safetensors", b"bad")
    outbox.publish(20, migrants("a", 20))
    assert [name[:8] for name in published(box.pool)] == ["00000001", "00000002"]
    restarted = make_outbox(box.pool, keep=2, epoch=3)
    assert restarted.publish(30, migrants("a", 30)).sequence == 3


def test_a_damaged_publication_is_published_anew(box):
    box.good.write_bytes(box.good.read_bytes()[:-1])
    assert make_outbox(box.pool, epoch=2).publish(10, migrants("a", 10)).sequence == 1
    assert box.refusals() == [] and len(box.quarantined()) == 1


def test_a_damaged_publication_gives_way_to_the_one_before(box):
    make_outbox(box.pool, epoch=2).publish(20, migrants("a", 20))
    (box.path / published(box.pool)[-1]).write_bytes(b"torn")
    assert box.refusals() == ["truncated"]


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder", "nothing"])
def test_an_outbox_or_a_lock_that_is_none_skips_that_source(tmp_path, kind):
    pool = make_pool(tmp_path / "pool")
    make_outbox(pool, "b").publish(1, migrants("b", 1))
    make_outbox(pool, "lock").publish(1, migrants("lock", 1))
    for path in (pool.outboxes / "a", pool.outboxes / "lock" / ".lock"):
        if kind == "symlink":
            path.unlink(missing_ok=True)
            path.symlink_to(pool.outboxes / "b")
        elif kind != "nothing":
            path.unlink(missing_ok=True)
            os.mkfifo(path) if kind == "fifo" else path.mkdir()
    reader = make_reader(pool, lock_timeout=0.2)
    started = time.monotonic()
    arrivals = reader.take(9, ["a", "b", "lock", "../b", "x\ny", ""], first, 0)
    assert time.monotonic() - started < 10.0
    served = {a.source for a in arrivals}
    assert "b" in served and served <= {"b", "lock"}
    assert {"../b", "x\ny", ""} <= {source for source, _ in reader.skipped}
    assert kind != "symlink" or {"a", "lock"} <= {source for source, _ in reader.skipped}
    assert all("\n" not in reason for _, reason in reader.skipped)


@pytest.mark.parametrize("kind", ["symlink", "folder"])
def test_a_writer_whose_lock_was_replaced_skips_and_lives_on(tmp_path, kind):
    pool = make_pool(tmp_path)
    outbox, lock = make_outbox(pool), pool.outboxes / "a" / ".lock"
    lock.unlink()
    lock.mkdir() if kind == "folder" else lock.symlink_to("/etc/passwd")
    with pytest.raises(Skipped):
        outbox.publish(1, migrants("a", 1))
    lock.rmdir() if kind == "folder" else lock.unlink()
    assert outbox.publish(1, migrants("a", 1)).sequence == 1


def _read_as_nobody(folder):
    os.setgid(65534)
    os.setuid(65534)
    pool = make_pool(folder)
    reader = make_reader(pool)
    assert [a.reason for a in reader.take(5, ["b"], first, 0)] == ["unreadable"]
    assert reader.take(5, ["b"], first, 0) == [] and reader.skipped == []
    assert reader.take(5, ["a"], first, 0) == [] and os.strerror(errno.EACCES) in reader.skipped[0][1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_reader_without_permission_skips_and_says_so(tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and "pytest" in str(folder):
            folder.chmod(0o755)
    pool = make_pool(tmp_path)
    for name in ("a", "b"):
        make_outbox(pool, name).publish(1, migrants(name, 1))
    (pool.outboxes / "b").chmod(0o777)
    (pool.outboxes / "b" / ".lock").chmod(0o666)
    (pool.outboxes / "b" / published(pool, "b")[0]).chmod(0o600)
    assert in_a_process(_read_as_nobody, tmp_path) == 0


def test_hostile_content_opens_no_file_for_good(box):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        (box.path / box.next_name).symlink_to("/dev/zero")
        os.mkfifo(box.path / "fifo")
        box.put(str(replace(Name.parse(box.next_name), sequence=3)), b"bad")
        make_reader(box.pool, cursors={"a": 1}).take(5, ["a", "absent"], first, 0)
    assert len(os.listdir("/proc/self/fd")) == before and passed["quarantine.moved"] >= 90
