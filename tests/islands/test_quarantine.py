"""Migrants that an island must not take in: refused when they come, taken out of what its log repeats."""

import pytest

from islands import files, quarantine
from tests.islands.evolving import after, digests, evolve, log, make_run, result, tiny
from tests.islands.stories import checkpoints
from tests.islands.test_replay import replayed

SETTINGS = ("task.duration=1.0", "migration.every=1", "migration.migrants=2", "record.keep=9", "generations=5")


@pytest.fixture
def run(memory_folder):
    """Two islands; the first has finished and left its best, the second has been halted after four generations."""
    run = make_run(memory_folder / "run", tiny(*SETTINGS), ("a", "b"), (5, 6), memory_folder / "pool")
    evolve(run, ["a"])
    evolve(run, ["b"], after(4))
    return run


def admitted(run, since=0):
    return [line for line in log(run, "b") if line.get("admitted") and line["generation"] >= since]


def avoid(run, *wanted):
    files.write_json(run.island("b").avoid, {"format": 1, "digests": list(wanted)})


def test_no_file_means_that_nobody_is_avoided(tmp_path):
    assert quarantine.read(tmp_path / "avoid.json") == frozenset()


def test_an_arrival_to_avoid_is_refused_with_the_reason_and_never_scored(memory_folder):
    run = make_run(memory_folder / "run", tiny(*SETTINGS), ("a", "b"), (5, 6), memory_folder / "pool")
    evolve(run, ["a"])
    published = [line["digests"] for line in log(run, "a") if line.get("event") == "published"]
    run.island("b").create()
    avoid(run, *published[-1])
    evolve(run, ["b"])
    arrivals = [line for line in log(run, "b") if "admitted" in line]
    assert arrivals and {line["reason"] for line in arrivals} == {"quarantined"}
    assert not any(line["admitted"] or "genome" in line for line in arrivals)
    assert not [line for line in log(run, "b") if line.get("event") == "scoring"]
    assert result(run, "b")["refused"] == len(arrivals)


def test_those_about_to_be_scored_are_named_in_the_log_before(run):
    for generation in {line["generation"] for line in admitted(run)}:
        lines = [line for line in log(run, "b") if line["generation"] == generation]
        scoring = next(index for index, line in enumerate(lines) if line.get("event") == "scoring")
        arrived = [line["digest"] for line in lines if "admitted" in line]
        assert lines[scoring]["digests"] == arrived
        assert all("admitted" not in line for line in lines[:scoring])


def test_one_taken_in_after_the_checkpoint_is_taken_out_of_the_log_for_good(run, memory_folder):
    newest = admitted(run)[-1]
    generation = newest["generation"]
    for path in checkpoints(run, "b"):
        if int(path.stem) > generation:
            path.unlink()
    before = digests(run, "b")
    avoid(run, newest["digest"])
    evolve(run, ["b"])
    corrected = [line for line in log(run, "b") if line.get("digest") == newest["digest"]]
    assert corrected and not any(line["admitted"] or "genome" in line for line in corrected)
    assert corrected[0]["reason"] == "quarantined"
    after_ = digests(run, "b")
    assert after_[: generation + 1] == before[: generation + 1]
    assert replayed(run, "b", memory_folder / "replay") == after_


def test_one_taken_in_before_the_checkpoint_stays_in_the_log(run):
    first = admitted(run)[0]
    avoid(run, first["digest"])
    evolve(run, ["b"])
    assert first in log(run, "b")
