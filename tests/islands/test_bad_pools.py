"""What held locks, damaged files and a stranger's pool do to an island: nothing, but for lines in its log."""

import json
import os
from collections import Counter

import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import save

from islands import files
from islands.errors import ConfigError
from islands.genome.population import encode, take
from islands.pool import Pool
from tests.islands.evolving import after, digests, evolve, log, make_run, result, start, tiny
from tests.islands.migration_parts import (
    EVERY,
    IMPATIENT,
    NAMES,
    alone,
    archipelago,
    arrived,
    blobs,
    drawn,
    outbox,
    serve,
)


@pytest.fixture
def folder(memory_folder):
    return memory_folder


def test_a_lock_that_stays_held_costs_migrations_and_nothing_else(folder):
    config = tiny(*EVERY, IMPATIENT)
    run = archipelago(folder, config)
    evolve(run, only=NAMES[1:2])
    with FileLock(outbox(folder, NAMES[1]) / ".lock"):
        evolve(run, only=NAMES[:1])
    assert digests(run) == alone(folder, config)
    skipped = [line for line in log(run) if line.get("event") == "skipped"]
    assert [(line["generation"], line["source"]) for line in skipped] == [(g, NAMES[1]) for g in (1, 2, 3)]
    assert all("held by another process" in line["reason"] for line in skipped)


def test_an_island_whose_own_lock_is_held_for_some_generations_publishes_again_afterwards(folder):
    config = tiny(*EVERY, IMPATIENT, "generations=7")
    run = archipelago(folder, config, NAMES[:1])
    lock, passed = FileLock(outbox(folder, NAMES[0]) / ".lock"), []

    def halted():
        passed.append(None)
        lock.acquire() if len(passed) == 3 else lock.release()
        return False

    evolve(run, halted=halted)
    events = [(line["generation"], line["event"]) for line in log(run) if line["event"] != "complete"]
    assert events == [(g, "skipped" if g == 2 else "published") for g in (1, 2, 3, 4, 5, 6)]
    assert result(run)["sent"] == 25 and digests(run) == alone(folder, config)


def other_kind(blob, column, kind, size):
    """A genome's bytes with one column said to be of another kind of number, of `size` bytes each."""
    end = 8 + int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:end])
    first, last = header[column]["data_offsets"]
    header[column] |= {"dtype": kind, "shape": [(last - first) // size]}
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + blob[end:]


def hostile_genomes():
    """Bytes that are no genome, or are one that no island could have sent."""
    genomes = drawn(3, 5)
    one = take(genomes, [0])
    good, nothing = encode(genomes, 0), np.zeros(2, np.int64)
    bodiless = one._replace(body_start=nothing, body_id=one.body_id[:0], body_gene=one.body_gene[:0])
    return {
        "no tensors": b"nobody",
        "cut": good[:-1],
        "a kind of number that NumPy lacks": other_kind(good, "conn_weight", "BF16", 2),
        "another kind of number": other_kind(good, "conn_weight", "F16", 2),
        "three genomes in one": save(genomes._asdict()),
        "nobody in one": save(take(genomes, [])._asdict()),
        "muscles without a body": save(bodiless._asdict()),
        "an endless weight": encode(genomes._replace(conn_weight=genomes.conn_weight * np.float32(np.inf)), 0),
    }


@pytest.mark.parametrize("kind", hostile_genomes())
def test_a_genome_that_is_none_ends_in_the_log_and_changes_nothing(folder, kind):
    config = tiny(*EVERY)
    run = archipelago(folder, config, NAMES[:1])
    evolve(run, halted=after(1))
    pool = Pool.open(folder / "pool", files.read_json(folder / "pool" / "pool.json")["agree"])
    serve(pool, "hostile", [*blobs(drawn(2, 6)), hostile_genomes()[kind]])
    evolve(run)
    (line,) = arrived(run, NAMES[0])
    assert (line["source"], line["slot"], line["admitted"]) == ("hostile", None, False)
    assert line["reason"] in ("shape", "unreadable", "not-finite") and "genome" not in line
    assert digests(run) == alone(folder, config) and result(run)["refused"] == 1


def test_damaged_and_hostile_files_end_in_the_log_and_change_nothing(folder):
    config = tiny(*EVERY)
    run = archipelago(folder, config)
    evolve(run, only=NAMES[1:2])
    box = outbox(folder, NAMES[1])
    names = sorted(name for name in os.listdir(box) if not name.startswith("."))
    assert len(names) == 4
    whole = (box / names[0]).read_bytes()
    (box / names[0]).write_bytes(whole[:-1])
    (box / names[1]).write_bytes(b"")
    (box / names[2]).write_bytes(whole[:100] + b"\0" + whole[101:])
    os.unlink(box / names[3])
    (box / names[3]).symlink_to("/dev/zero")
    (box / "odd\nname").write_bytes(b"x")
    os.mkfifo(box / "fifo")
    (outbox(folder, "island-009")).write_bytes(b"not a folder")
    (outbox(folder, "island-010")).symlink_to("/etc")
    evolve(run, only=NAMES[:1])
    assert digests(run) == alone(folder, config)
    refused = arrived(run, NAMES[0])
    assert Counter(line["reason"] for line in refused) == {"name": 2, "truncated": 2, "symlink": 1, "schema": 1}
    assert not any(line["admitted"] for line in refused)
    assert {line["source"] for line in log(run) if line.get("event") == "skipped"} == {"island-009", "island-010"}


def test_an_island_that_does_not_fit_ends_with_what_differs_and_writes_nothing_into_the_pool(folder):
    evolve(archipelago(folder, tiny(*EVERY), NAMES[:1], "neat"))
    before = sorted(folder.joinpath("pool").rglob("*"))
    pure = archipelago(folder, tiny(*EVERY, "mode=pure"), NAMES[:2], "pure")
    with pytest.raises(ConfigError, match="belongs to another archipelago.*mode: 'neat' / 'pure'"):
        evolve(pure, only=NAMES[1:2])
    process = start(pure, "--island", "1")
    told = process.communicate(timeout=600)[1]
    assert process.returncode == 78 and "mode: 'neat' / 'pure'" in told and "Traceback" not in told
    assert files.read_json(pure.island(NAMES[1]).error)["exit_code"] == 78
    assert sorted(folder.joinpath("pool").rglob("*")) == before


def test_a_launch_does_not_join_the_pool_of_another_run(folder):
    evolve(archipelago(folder, tiny(*EVERY), NAMES[:1], "one"))
    other = make_run(folder / "other", tiny(*EVERY), NAMES[:2], [1, 2], folder / "pool", run_id="1" * 32)
    with pytest.raises(ConfigError, match="pool_id"):
        evolve(other)
