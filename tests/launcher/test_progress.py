"""What a person sees of islands that have no process yet."""

from pathlib import Path

from islands.rundir import IslandDir
from launcher.progress import Follower, accounting
from launcher.rows import words
from launcher.states import PENDING
from launcher.utilisation import Meter, Sample, causes


def test_an_island_that_is_to_be_forked_is_starting_and_waits_for_no_place(tmp_path: Path) -> None:
    island = IslandDir(tmp_path / "island-000", "island-000")
    (row,) = Follower([island], 9).rows({"island-000": (PENDING, None, "")})
    assert row.starting and words(row).startswith("starting")
    told = causes(idle(), [accounting(row, island, False)], 1)
    assert told[0].startswith("1 of 1 islands are still starting") and "wait for a place" not in str(told)


def test_an_island_in_a_queue_waits_for_a_place_and_says_why(tmp_path: Path) -> None:
    island = IslandDir(tmp_path / "island-000", "island-000")
    (row,) = Follower([island], 9).rows({"island-000": (PENDING, None, "Slurm job 1 is pending")})
    assert (row.starting, row.reason, words(row)) == (False, "Slurm job 1 is pending", "generation 0/9  PENDING")
    told = causes(idle(), [accounting(row, island, False)], 1)
    assert told[0] == "1 of 1 islands wait for a place to run" and "starting" not in str(told)


def idle() -> Meter:
    meter = Meter(1.0, None)
    for second in (0.0, 20.0):
        meter.take(Sample(second, 0.0, 0.0, 0))
    return meter
