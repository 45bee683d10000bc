import dataclasses
import hashlib
import os
import signal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from islands import checkpoint, record
from islands.errors import ConfigError
from islands.genome import tensors
from tests.islands.evolving import after, digests, evolve, make_run, start, tiny
from tests.islands.pool_parts import killed_at, steps_of
from tests.islands.stories import checkpoints, content, newest, owner, states, story

REPLACE = ("begun", "created", "half-written", "written", "synced", "flushed", "renamed", "done")
APPEND = ("begun", "opened", "synced", "done")
quickly = settings(deadline=None, max_examples=50)


@pytest.fixture(scope="module")
def evolved(shared_folder):
    """A run halted after three generations, with a checkpoint of each."""
    run = make_run(shared_folder / "evolved", tiny("record.keep=9"))
    evolve(run, halted=after(3))
    assert len(checkpoints(run)) == 3
    return run


@pytest.fixture
def damaged(evolved):
    """Puts other bytes in the place of the newest checkpoint; they are put back afterwards."""
    path = checkpoints(evolved)[-1]
    whole = path.read_bytes()
    yield path.write_bytes
    path.write_bytes(whole)


any_float = st.floats(width=32, allow_nan=False)


@quickly
@given(
    mode=st.sampled_from(["neat", "pure", "hybrid"]),
    seed=st.integers(0, 9),
    fitness=st.lists(st.floats(width=32), min_size=12, max_size=12),
    best=any_float,
    threshold=st.floats(0.001, 1e6),
    seconds=st.floats(0, 1e9),
    counts=st.dictionaries(st.sampled_from(["sent", "received", "admitted", "refused"]), st.integers(0, 2**62)),
)
def test_a_state_comes_back_bit_for_bit(tmp_path_factory, mode, seed, fitness, best, threshold, seconds, counts):
    run = make_run(tmp_path_factory.mktemp("state") / "run", tiny(f"mode={mode}", f"seed={seed}"))
    (island,) = evolve(run, halted=after(2))
    population = dataclasses.replace(island.state.population, fitness=np.array(fitness, np.float32))
    species = dataclasses.replace(island.state.species, threshold=threshold)
    state = dataclasses.replace(
        island.state, population=population, species=species, best=best, seconds=seconds, counts=counts
    )
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoint.write(folder, state, island.owner, 2)
    back = checkpoint.read_newest(folder, island.owner, pytest.fail)
    assert content(back) == content(state)
    assert (back.seconds, back.cpu_seconds, back.record) == (state.seconds, state.cpu_seconds, state.record)
    assert back.population.digest() == state.population.digest()


def test_the_newest_checkpoint_is_the_one_of_the_highest_generation(evolved):
    state, told = newest(evolved)
    assert state.generation == 2 and told == []
    assert [state.generation for state in states(evolved)] == [0, 1, 2]


def test_no_checkpoint_is_no_state(tmp_path):
    assert checkpoint.read_newest(tmp_path, {}, pytest.fail) is None


@pytest.mark.soak
@pytest.mark.parametrize("every", [1, 2])
def test_a_kill_at_any_step_of_a_run_changes_nothing_in_what_it_comes_to(memory_folder, monkeypatch, every):
    """Every (second) fault point from the first heartbeat to the last, in a process that dies there by SIGKILL."""
    monkeypatch.setattr(record, "HEARTBEAT_SECONDS", 0.0)  # so that every run writes the same files
    config = tiny("generations=4", "record.checkpoint_every=2")
    whole = make_run(memory_folder / "whole", config)
    evolve(whole)
    steps = steps_of(evolve, make_run(memory_folder / "counted", config))
    assert {step.split(":")[0] for step in steps} == {
        *(f"replace.{step}" for step in REPLACE),
        *(f"append.{step}" for step in APPEND),
        *("folder.missing", "folder.made", "load.begun", "remove.begun"),
    }
    for number, step in enumerate(steps[::every]):
        run = make_run(memory_folder / str(number), config)
        killed_at(step, evolve, run)
        evolve(run)
        assert story(run) == story(whole), step
    assert len(steps) > 60


def test_a_real_island_killed_at_every_step_of_writing_a_checkpoint_ends_like_an_undisturbed_one(memory_folder):
    """The same run is started again after each kill. Passages 1 to 3 are heartbeats and the rewound metrics."""
    config = tiny("generations=16")
    whole, run = make_run(memory_folder / "whole", config), make_run(memory_folder / "killed", config)
    evolve(whole)
    torn, reached = [], []
    for step in REPLACE:
        killed = start(run, EVOLAB_FAULT=f"replace.{step}:5:kill")
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL, step
        torn += [name for name in os.listdir(run.island("island-000").checkpoints) if name.endswith(".tmp")]
        state, told = newest(run)
        assert told == []
        reached.append(state.generation)
    assert sorted(set(reached)) == reached  # each start got further than the one before
    assert any(".safetensors." in name for name in torn)
    last = start(run)
    assert (last.communicate()[1], last.returncode) == ("", 0)
    assert digests(run) == digests(whole) and story(run) == story(whole)


def test_what_a_killed_write_left_behind_is_gone_after_the_next_start(memory_folder):
    run = make_run(memory_folder / "run", tiny())
    place = run.island("island-000")
    for step in ("replace.half-written:3", "replace.flushed:4"):
        killed_at(step, evolve, run)
    left = [path for folder in (place.path, place.checkpoints) for path in folder.glob(".*.tmp")]
    assert left
    evolve(run)
    assert not [path for folder in (place.path, place.checkpoints) for path in folder.glob(".*.tmp")]


def test_a_checkpoint_with_any_one_bit_flipped_is_damaged(evolved, damaged):
    """Even in the last digit of a number that is read as the same one."""
    whole = checkpoints(evolved)[-1].read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in (*range(header), *range(header, len(whole), 97)):
        digit = place < header and whole[place : place + 1].isdigit()
        for bit in (0, 1) if digit else (place * 5 % 8,):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            damaged(flipped)
            state, told = newest(evolved)
            assert (state.generation, len(told)) == (1, 1), (place, whole[max(0, place - 30) : place + 9])


harm = st.one_of(
    st.tuples(st.just("truncated"), st.integers(0, 1 << 30)),
    st.tuples(st.just("flipped"), st.integers(0, 1 << 30)),
    st.tuples(st.just("garbage"), st.binary(max_size=3000)),
    st.tuples(st.just("header"), st.binary(max_size=300)),
    st.tuples(st.just("zeros"), st.integers(0, 1 << 30)),
)


def done_to(whole, kind, how):
    if kind == "truncated":
        return whole[: how % len(whole)]
    if kind == "flipped":
        place, bit = divmod(how % (8 * len(whole)), 8)
        return whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
    if kind == "zeros":  # what a power cut leaves of a file whose length alone reached the disk
        return whole[: how % len(whole)].ljust(len(whole), b"\0")
    return len(how).to_bytes(8, "little") + how if kind == "header" else how


@settings(deadline=None, max_examples=200)
@given(harm)
@example(("garbage", b""))
@example(("header", b"[" * 300))
@example(("header", b'{"__metadata__":{"state":"[]"}}'))
@example(("header", b"{}"))
def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_it_taken(evolved, harm):
    path = checkpoints(evolved)[-1]
    whole = path.read_bytes()
    bad = done_to(whole, *harm)
    path.write_bytes(bad)
    try:
        state, told = newest(evolved)
    finally:
        path.write_bytes(whole)
    if not told:
        assert content(state) == content(states(evolved)[2])
        return
    assert content(state) == content(states(evolved)[1])
    (line,) = told
    assert str(path) in line and "damaged" in line and "falling back" in line and "\n" not in line


def test_a_run_whose_newest_checkpoint_is_damaged_comes_to_the_same_end(memory_folder):
    config = tiny("record.checkpoint_every=2", "record.keep=3")
    whole, run = make_run(memory_folder / "whole", config), make_run(memory_folder / "run", config)
    evolve(whole)
    evolve(run, halted=after(4))
    path = checkpoints(run)[-1]
    path.write_bytes(path.read_bytes()[:-1])
    evolve(run)
    assert story(run) == story(whole)


def test_a_damaged_checkpoint_does_not_push_a_good_one_out(memory_folder):
    run = make_run(memory_folder / "run", tiny("record.keep=2"))
    evolve(run, halted=after(3))
    path = checkpoints(run)[-1]
    path.write_bytes(b"")
    evolve(run, halted=after(1))
    assert len(checkpoints(run)) == 2
    for one in checkpoints(run):
        assert checkpoint.read(one, owner(run)).generation == int(one.stem)
    assert path.with_suffix(".damaged").read_bytes() == b""


def test_where_every_checkpoint_is_damaged_one_error_says_what_to_do(memory_folder):
    whole, run = make_run(memory_folder / "whole", tiny()), make_run(memory_folder / "run", tiny())
    evolve(whole)
    evolve(run, halted=after(3))
    for path in checkpoints(run):
        path.write_bytes(b"")
    folder = run.island("island-000").checkpoints
    with pytest.raises(ConfigError, match="2 damaged; remove the folder to start this island afresh") as caught:
        newest(run)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    evolve(run)
    assert story(run) == story(whole)


@pytest.mark.parametrize("other", [{"run": "1" * 32}, {"island": "island-001"}, {"seed": 43}])
def test_the_checkpoint_of_another_run_island_or_seed_is_refused(evolved, other):
    folder = evolved.island("island-000").checkpoints
    with pytest.raises(ConfigError, match="checkpoint") as caught:
        checkpoint.read_newest(folder, {**owner(evolved), **other}, pytest.fail)
    assert str(next(iter(other.values()))) in str(caught.value) and str(checkpoints(evolved)[-1]) in str(caught.value)


def test_a_checkpoint_of_another_format_is_told_by_its_number(evolved, damaged, monkeypatch):
    (path, state) = checkpoints(evolved)[-1], states(evolved)[-1]
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    checkpoint.write(path.parent, state, owner(evolved), 9)
    monkeypatch.undo()
    state, told = newest(evolved)
    assert state.generation == 1 and "format" in told[0] and str(checkpoint.FORMAT + 1) in told[0]


@pytest.mark.parametrize("every, keep", [(1, 2), (1, 3), (2, 2), (3, 4)])
def test_at_most_so_many_checkpoints_stay_as_are_to_be_kept_and_those_are_the_newest(memory_folder, every, keep):
    run = make_run(
        memory_folder / "run", tiny("generations=9", f"record.checkpoint_every={every}", f"record.keep={keep}")
    )
    seen = []
    evolve(run, halted=lambda: seen.append(len(checkpoints(run))))
    assert max(seen) <= keep
    written = sorted({*range(0, 9, every), 8})
    assert [state.generation for state in states(run)] == written[-keep:]


def test_what_else_lies_in_the_folder_is_left_alone(memory_folder):
    run = make_run(memory_folder / "run", tiny())
    place = run.island("island-000").create()
    for name in ("notes.txt", "7.safetensors", "99999999.safetensors.bak"):
        (place.checkpoints / name).write_text(name)
    evolve(run)
    for name in ("notes.txt", "7.safetensors", "99999999.safetensors.bak"):
        assert (place.checkpoints / name).read_text() == name


def test_equal_states_give_equal_files(evolved, tmp_path):
    state = states(evolved)[-1]
    hashes = set()
    for name in "ab":
        (tmp_path / name).mkdir()
        checkpoint.write(tmp_path / name, state, owner(evolved), 2)
        hashes.add(hashlib.sha256((tmp_path / name / "00000002.safetensors").read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_a_checkpoint_has_the_bytes_that_safetensors_would_write() -> None:
    arrays = {
        "b": np.arange(6, dtype=np.float32).reshape(3, 2), "label": np.arange(4), "id": np.arange(7, dtype=np.uint64),
        "none": np.zeros((0, 2), np.uint64), "on": np.ones(5, np.uint8), "\u00fc": np.zeros(1),
    }  # fmt: skip
    metadata = {"state": '{"a": "\u00fc\\n"}'}
    assert tensors.written(arrays, metadata) == save(arrays, metadata)
