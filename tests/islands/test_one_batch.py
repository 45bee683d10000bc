"""An archipelago in one process, its islands one batch: what a GPU has, here on the processor."""

from __future__ import annotations

from tests.islands.evolving import digests, evolve, start, tiny
from tests.islands.migration_parts import EVERY, NAMES, archipelago, arrived


def test_the_number_of_threads_that_breed_and_write_changes_nothing(memory_folder):
    config = tiny(*EVERY)
    alone, several = (archipelago(memory_folder / name, config) for name in ("alone", "several"))
    evolve(alone)
    evolve(several, threads=3)
    for name in NAMES[:2]:
        assert digests(several, name) == digests(alone, name)
        assert arrived(several, name) and [m["digest"] for m in arrived(several, name)] == [
            m["digest"] for m in arrived(alone, name)
        ]


def test_one_process_evolves_all_islands_of_a_launch_as_the_loop_alone_does(memory_folder):
    config = tiny(*EVERY)
    here, there = (archipelago(memory_folder / name, config) for name in ("here", "there"))
    evolve(here)
    process = start(there, "--all")
    assert process.communicate(timeout=120)[1] == "" and process.returncode == 0
    assert [digests(there, name) for name in NAMES[:2]] == [digests(here, name) for name in NAMES[:2]]
