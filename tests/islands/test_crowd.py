"""Islands of a run of many write less often, and lose nothing by it."""

from __future__ import annotations

import os

from islands import crowd
from islands.rundir import checkpoints_in
from tests.islands.evolving import after, digests, evolve, make_run, result, tiny

MANY = [f"island-{index:03}" for index in range(128)]
KEPT = tiny("generations=30", "record.keep=1000")


def test_a_few_islands_write_as_often_as_they_like_and_many_share_what_a_disk_can_take() -> None:
    assert [crowd.spacing(islands, 100.0, 128) for islands in (1, crowd.FEW, 50, 128)] == [0.0, 0.0, 0.5, 1.28]


def test_many_islands_on_few_cores_write_no_more_than_takes_a_hundredth_of_the_cores() -> None:
    assert [crowd.spacing(128, 100.0, cores) for cores in (1, 2, 8, 16)] == [16.0, 8.0, 2.0, 1.28]
    assert crowd.spacing(crowd.FEW, 100.0, 1) == 0.0
    here = len(os.sched_getaffinity(0) | os.sched_getaffinity(os.getppid()))
    assert crowd.spacing(128, 100.0) == crowd.spacing(128, 100.0, here)


def test_one_of_many_islands_leaves_checkpoints_out_but_not_the_last_and_evolves_as_one_alone(memory_folder) -> None:
    alone, among = make_run(memory_folder / "alone", KEPT), make_run(memory_folder / "among", KEPT, MANY)
    evolve(alone)
    evolve(among, only=MANY[:1])
    assert digests(among) == digests(alone)
    assert result(among)["digest"] == result(alone)["digest"]
    assert len(checkpoints_in(alone.island(MANY[0]).checkpoints)) == 30
    (newest, *others) = checkpoints_in(among.island(MANY[0]).checkpoints)
    assert len(others) < 15 and "29" in newest.name


def test_one_of_many_that_is_asked_to_stop_has_a_checkpoint_of_its_generation(memory_folder) -> None:
    run = make_run(memory_folder / "run", KEPT, MANY)
    (island,) = evolve(run, only=MANY[:1], halted=after(7))
    assert island.state is not None and island.unsaved is None
    newest, *_ = checkpoints_in(run.island(MANY[0]).checkpoints)
    assert str(island.state.generation) in newest.name
