import json
import math
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from islands import files, record
from islands.genome.population import Population, take
from islands.process import started
from islands.record import Recorder
from islands.rundir import IslandDir
from islands.speciation import sole_species
from tests.islands.evolving import after, digests, evolve, history, make_run, tiny, write_config
from tests.islands.stories import checkpoints, newest, story

TICKS = float(os.sysconf("SC_CLK_TCK"))


@pytest.fixture
def place(tmp_path):
    return IslandDir(tmp_path / "island-003", "island-003").create()


@pytest.fixture(scope="module")
def evolved(shared_folder):
    """A run halted after four generations."""
    run = make_run(shared_folder / "evolved", tiny("generations=9", "record.keep=9"))
    (island,) = evolve(run, halted=after(4))
    return run, island.state


def heartbeat(place):
    return files.read_json(place.heartbeat)


def test_a_heartbeat_says_whose_it_is_how_far_it_has_come_and_what_it_uses(place, evolved):
    _, state = evolved
    threads = {"os": 3, "pools": {"numba": 1}}
    before = psutil.Process().cpu_times()
    Recorder(place, 3, 9, threads).beat("running", state, force=True)
    beat, me = heartbeat(place), psutil.Process()
    assert (beat["format"], beat["epoch"], beat["state"]) == (1, 1, "running")
    assert (beat["generation"], beat["generations"], beat["best"]) == (3, 9, state.best)
    assert beat["threads"] == threads
    assert beat["pid"] == os.getpid() and beat["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert psutil.boot_time() + beat["started"] / TICKS == pytest.approx(me.create_time(), abs=1)
    after = me.cpu_times()
    assert before.user + before.system <= beat["cpu_seconds"] <= after.user + after.system
    assert beat["rss_mb"] == pytest.approx(me.memory_info().rss / 1e6, rel=0.2)
    assert me.create_time() <= beat["time"]


def test_before_the_first_generation_a_heartbeat_names_none(place):
    Recorder(place, 0, 9, {}).beat("starting", None, force=True)
    assert (heartbeat(place)["state"], heartbeat(place)["generation"], heartbeat(place)["best"]) == (
        "starting", None, None,
    )  # fmt: skip


def test_heartbeats_that_follow_each_other_at_once_cost_one_write(place, monkeypatch):
    recorder = Recorder(place, 0, 9, {})
    monkeypatch.setattr(record, "HEARTBEAT_SECONDS", math.inf)
    recorder.beat("starting", None, force=True)
    recorder.beat("running", None)
    assert heartbeat(place)["state"] == "starting"
    recorder.beat("done", None, force=True)
    assert heartbeat(place)["state"] == "done"
    monkeypatch.setattr(record, "HEARTBEAT_SECONDS", 0.0)
    recorder.beat("running", None)
    assert heartbeat(place)["state"] == "running"


def test_a_process_is_told_from_a_later_one_of_its_number_whatever_its_name(tmp_path):
    program = shutil.copy("/bin/sleep", tmp_path / "a) R 1 (b")
    with subprocess.Popen([program, "60"]) as process:
        try:
            created = psutil.Process(process.pid).create_time()
            assert psutil.boot_time() + started(process.pid) / TICKS == pytest.approx(created, abs=1)
            assert started(process.pid) > started(os.getpid())
        finally:
            process.kill()


def test_the_last_heartbeat_of_a_finished_island_says_that_it_is_done(memory_folder):
    run = make_run(memory_folder / "run", tiny())
    evolve(run)
    beat = heartbeat(run.island("island-000"))
    assert (beat["state"], beat["generation"], beat["generations"]) == ("done", 4, 5)
    assert beat["best"] == max(line["best"] for line in history(run))


def test_the_epoch_rises_at_every_start(memory_folder):
    run = make_run(memory_folder / "run", tiny("generations=3"))
    for epoch in (1, 2, 3):
        write_config(run, tiny(f"generations={3 * epoch}"))
        evolve(run, halted=after(2))
        assert heartbeat(run.island("island-000"))["epoch"] == epoch


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"epoch": null}', b'{"epoch": "x"}', b"\xff"])
def test_an_island_whose_heartbeat_is_damaged_starts_all_the_same(memory_folder, damage):
    run = make_run(memory_folder / "run", tiny())
    evolve(run, halted=after(2))
    run.island("island-000").heartbeat.write_bytes(damage)
    evolve(run)
    assert len(digests(run)) == 5 and heartbeat(run.island("island-000"))["epoch"] >= 1


@settings(deadline=None, max_examples=30)
@given(back=st.integers(1, 4))
def test_metrics_are_rewound_to_the_checkpoint_that_a_run_goes_on_from(evolved, back):
    run, _ = evolved
    place, whole = run.island("island-000"), run.island("island-000").metrics.read_bytes()
    saved = {path: path.read_bytes() for path in checkpoints(run)}
    try:
        for path in checkpoints(run)[-back:]:
            path.unlink()
        state = newest(run)[0] if checkpoints(run) else None
        Recorder(place, 0, 9, {}).rewind(state)
        assert place.metrics.exists() == (state is not None)
        assert files.read_jsonl(place.metrics) == [json.loads(line) for line in whole.splitlines()][: 4 - back]
    finally:
        place.metrics.write_bytes(whole)
        for path, content in saved.items():
            path.write_bytes(content)


def test_a_run_thrown_back_to_an_earlier_checkpoint_tells_every_generation_once(memory_folder):
    whole, run = (make_run(memory_folder / name, tiny("record.keep=9")) for name in ("whole", "run"))
    evolve(whole)
    evolve(run, halted=after(4))
    for path in checkpoints(run)[-2:]:
        path.unlink()
    evolve(run)
    assert [line["generation"] for line in history(run)] == [0, 1, 2, 3, 4] and story(run) == story(whole)


@settings(deadline=None, max_examples=30)
@given(
    kept=st.floats(0, 1),
    torn=st.sampled_from([b"", b"{", b'{"generation": 3', b"\0" * 5000]) | st.binary(max_size=50),
)
@example(kept=1.0, torn=b'{"generation": 3')
def test_a_torn_tail_of_the_metrics_is_repaired(tmp_path_factory, kept, torn):
    """The checkpoint is durable and the metrics are not: any end of the last line may be missing, or more be torn."""
    folder = tmp_path_factory.mktemp("torn")
    whole, run = make_run(folder / "whole", tiny()), make_run(folder / "run", tiny())
    evolve(whole)
    evolve(run, halted=after(3))
    path = run.island("island-000").metrics
    *lines, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines) + last[: round(kept * len(last))] + torn.replace(b"\n", b""))
    evolve(run)
    assert story(run) == story(whole) and path.read_bytes().endswith(b"\n")


def test_a_damaged_line_of_the_metrics_is_dropped_when_the_island_goes_on(memory_folder):
    run = make_run(memory_folder / "run", tiny())
    evolve(run, halted=after(3))
    path = run.island("island-000").metrics
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{oops\n" + lines[2])
    evolve(run)
    assert [line["generation"] for line in files.read_jsonl(path)] == [0, 2, 3, 4]


def test_a_result_holds_what_the_run_came_to(memory_folder):
    run = make_run(memory_folder / "run", tiny(), names=["seed-7"], seeds=[7])
    evolve(run)
    place = run.island("seed-7")
    result, state = files.read_json(place.result), newest(run, "seed-7")[0]
    assert (result["format"], result["island"], result["index"], result["seed"]) == (1, "seed-7", 0, 7)
    assert (result["generations"], result["evaluations"], result["stopped"]) == (5, 60, None)
    assert (result["best_fitness"], result["digest"]) == (state.best, state.population.digest())
    assert (result["seconds"], result["cpu_seconds"]) == (state.seconds, state.cpu_seconds)
    assert [result[name] for name in ("sent", "received", "admitted", "refused")] == [0, 0, 0, 0]


def test_the_sizes_of_the_largest_species_are_told_by_their_lasting_numbers_and_the_others_together(evolved):
    _, state = evolved
    sizes = [1, 1, 1, *range(2, 27), 0]
    genomes = take(state.population.genomes, np.zeros(sum(sizes), np.int64))
    many = sole_species(genomes, 0, 0)
    label = np.repeat(np.arange(len(sizes)), sizes)
    many = replace(many, label=label, number=100 + np.arange(len(sizes)), threshold=1.0)
    told = record.summarise(Population(genomes, np.zeros(len(label), np.float32)), many)["species_sizes"]
    assert list(told.items())[:2] == [("127", 26), ("126", 25)] and len(told) == record.LARGEST + 1
    assert told["other"] == 1 + 1 + 1 + 2 and sum(told.values()) == len(label)


def test_where_nobody_is_compared_no_sizes_of_species_are_told(evolved):
    _, state = evolved
    one = sole_species(state.population.genomes, 0, 0)
    assert "species_sizes" not in record.summarise(state.population, one)
