"""An archipelago as one batch: by one process, or by workers for which one process plays, here on the processor."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from islands import files, loading
from islands.config import Config
from islands.process import started
from islands.rundir import RunDir
from tests.islands.evolving import digests, evolve, history, make_run, result, tiny, wait_until
from tests.islands.migration_parts import EVERY, NAMES, archipelago, arrived
from tests.islands.stories import newest, story

FOREVER = tiny(*EVERY, "generations=100000000")
JUDGED = {
    "examined": ("task.name=cartpole", "population=40", "generations=30", "migration.every=3"),
    "shown": ("task.name=xor", "population=150", "generations=40", "migration.every=0"),
    "held out": ("task.name=digits", "population=20", "generations=3", "migration.every=1", "task.rows=50"),
}
"""Tasks that are solved by islands in generations of their own, by an examination or in their episodes, and one whose
champion is chosen and judged on other rows than those that breed it."""


def of(*assignments: str) -> Config:
    """The default configuration with these assignments."""
    return loading.override(Config(), assignments)


Begin = Callable[..., subprocess.Popen[str]]


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes that it has forked."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def at_work(begin: Begin, run: RunDir) -> tuple[subprocess.Popen[str], list[int]]:
    """A process whose islands evolve, and its workers."""
    process = begin(run, "--all")
    wait_until(lambda: all(len(history(run, name)) > 2 for name in NAMES[:2]))
    workers = workers_of(process)
    assert len(workers) == 2
    return process, workers


def test_the_number_of_workers_changes_nothing(memory_folder: Path) -> None:
    config = tiny(*EVERY)
    alone, several = (archipelago(memory_folder / name, config, NAMES) for name in ("alone", "several"))
    evolve(alone)
    evolve(several, workers=3)
    for name in NAMES:
        assert digests(several, name) == digests(alone, name)
        assert arrived(several, name) and [m["digest"] for m in arrived(several, name)] == [
            m["digest"] for m in arrived(alone, name)
        ]


@pytest.mark.parametrize("how", JUDGED)
def test_workers_find_the_solutions_and_champions_that_one_process_finds(memory_folder: Path, how: str) -> None:
    config = of(*JUDGED[how], "record.checkpoint_seconds=0")
    alone, several = (archipelago(memory_folder / name, config, NAMES[:3]) for name in ("alone", "several"))
    evolve(alone)
    evolve(several, workers=2)
    same = ("solved", "generations", "evaluations_to_solve", "digest", "stopped", "champion", "sent", "admitted")
    for name in NAMES[:3]:
        assert digests(several, name) == digests(alone, name)
        assert {key: result(several, name)[key] for key in same} == {key: result(alone, name)[key] for key in same}
    if how != "held out":
        assert any(result(alone, name)["solved"] for name in NAMES[:3])


def test_one_process_evolves_all_islands_of_a_launch_as_the_loop_alone_does(memory_folder: Path, begin: Begin) -> None:
    config = tiny(*EVERY)
    here, there = (archipelago(memory_folder / name, config) for name in ("here", "there"))
    evolve(here)
    process = begin(there, "--all")
    assert process.communicate(timeout=120)[1] == "" and process.returncode == 0
    assert [digests(there, name) for name in NAMES[:2]] == [digests(here, name) for name in NAMES[:2]]


def test_workers_that_were_stopped_go_on_as_if_they_had_not_been(memory_folder: Path, begin: Begin) -> None:
    config = tiny(*EVERY, "generations=40")
    whole, broken = (archipelago(memory_folder / name, config) for name in ("whole", "broken"))
    evolve(whole)
    process = begin(broken, "--all")
    wait_until(lambda: all(len(history(broken, name)) > 2 for name in NAMES[:2]))
    process.terminate()
    assert process.communicate(timeout=120)[1] == "" and process.returncode == 85
    reached = [len(history(broken, name)) for name in NAMES[:2]]
    assert reached[0] == reached[1] < 40
    for name in NAMES[:2]:
        assert newest(broken, name)[0].generation == reached[0] - 1
        assert files.read_json(broken.island(name).heartbeat)["state"] == "stopped"
    evolve(broken, workers=2)
    for name in NAMES[:2]:
        assert story(broken, name) == story(whole, name)


def test_a_stopped_worker_leaves_no_finished_island_with_a_result_too_early(memory_folder: Path) -> None:
    run = archipelago(memory_folder, tiny(*EVERY, "generations=6"))
    evolve(run, only=NAMES[:1])
    first, second = (run.island(name) for name in NAMES[:2])
    first.result.unlink()
    evolve(run, halted=lambda: True, workers=2)
    assert not first.result.exists() and not second.result.exists() and len(history(run, NAMES[1])) == 1
    evolve(run, workers=2)
    assert first.result.exists() and second.result.exists()


def test_a_killed_worker_ends_its_process_by_the_same_signal_and_all_go_on_later(
    memory_folder: Path, begin: Begin
) -> None:
    run = archipelago(memory_folder, tiny(*EVERY, "generations=150"))
    process, workers = at_work(begin, run)
    os.kill(workers[1], signal.SIGKILL)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == -signal.SIGKILL
    assert told == f"the worker of {NAMES[1]} was ended by SIGKILL\n"
    wait_until(lambda: started(workers[0]) is None)
    again = begin(run, "--all")
    assert again.communicate(timeout=120)[1] == "" and again.returncode == 0
    assert all(len(digests(run, name)) == 150 for name in NAMES[:2])


def test_workers_end_with_the_process_that_plays_for_them(memory_folder: Path, begin: Begin) -> None:
    process, workers = at_work(begin, archipelago(memory_folder, FOREVER))
    os.kill(workers[0], signal.SIGSTOP)  # even one that can do nothing itself
    process.kill()
    wait_until(lambda: all(started(pid) is None for pid in workers))


def test_what_is_wrong_with_an_island_is_told_by_its_worker_and_ends_the_run(memory_folder: Path, begin: Begin) -> None:
    run = archipelago(memory_folder, FOREVER)
    process, workers = at_work(begin, run)
    run.island(NAMES[1]).metrics.rename(memory_folder / "metrics")
    run.island(NAMES[1]).metrics.mkdir()
    (line,) = process.communicate(timeout=120)[1].splitlines()
    assert process.returncode == 78 and "metrics.jsonl" in line
    assert files.read_json(run.island(NAMES[1]).error)["message"] == line
    assert not run.island(NAMES[0]).error.exists()
    wait_until(lambda: all(started(pid) is None for pid in workers))


def test_a_stall_shows_the_stacks_of_the_workers_too(memory_folder: Path, begin: Begin) -> None:
    run = archipelago(memory_folder, FOREVER)
    process, _ = at_work(begin, run)
    process.send_signal(signal.SIGUSR1)
    for name in NAMES[:2]:
        wait_until(lambda name=name: "in evolve_batch" in run.island(name).log.read_text())  # type: ignore[misc]
    process.terminate()
    told = process.communicate(timeout=120)[1]
    assert told.count("in evolve_batch") == told.count("in _serve") == 1


def test_heartbeats_name_the_process_that_a_launcher_looks_after(memory_folder: Path, begin: Begin) -> None:
    run = archipelago(memory_folder, FOREVER)
    process, _ = at_work(begin, run)
    assert {files.read_json(run.island(name).heartbeat)["pid"] for name in NAMES[:2]} == {process.pid}


def test_genomes_that_grow_find_room_on_their_way_to_who_plays_them(memory_folder: Path) -> None:
    config = of(
        "task.name=cartpole", "population=300", "generations=4", "mutation.add_node=1", "mutation.add_connection=1"
    )
    alone, several = (make_run(memory_folder / name, config, NAMES, range(1, 5)) for name in ("alone", "several"))
    evolve(alone)
    evolve(several, workers=4)
    assert [digests(several, name) for name in NAMES] == [digests(alone, name) for name in NAMES]
