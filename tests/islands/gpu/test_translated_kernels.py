"""What a GPU's threads compute, compiled for this processor and compared with the kernels of sixteen lanes.

Only the compiler differs from a GPU's: the same functions, the same loops, the same layout of memory.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from islands.genome.population import Genomes
from islands.gpu import machine
from islands.gpu.batch import Pellets, Plain
from islands.rng import substream
from islands.tasks import Played, make
from islands.tasks.plain import PlainTask
from launcher import presets
from tests.islands.gpu.host import HOST
from tests.islands.migration_parts import drawn
from tests.islands.tasks.creatures import MODES
from tests.islands.tasks.test_pellets_batches import STEPS, stock

SOAK = pytest.mark.soak


def episodes(genomes: Genomes) -> tuple[np.ndarray, np.ndarray]:
    """Items and keys: every genome twice, one after the other, because the host's thread plays every other episode."""
    items = np.repeat(np.arange(genomes.count), 2)
    return items, np.array([substream(np.uint64(7), int(item) % 3) for item in items], np.uint64)


def assert_same_bits(threads: Played, lanes: Played) -> None:
    """Of the episodes that the host's thread played."""
    for name in ("reason", "steps", "fitness", "behaviour"):
        np.testing.assert_array_equal(getattr(threads, name)[1::2], getattr(lanes, name)[1::2], err_msg=name)


def test_a_thread_plays_creatures_of_every_mode_as_a_lane_does_to_the_last_bit() -> None:
    ended: set[int] = set()
    for mode in MODES:
        task, genomes = stock(mode)
        parameters = task.parameters._replace(steps=STEPS)
        lanes = task.play(genomes, *episodes(genomes), parameters)
        assert_same_bits(Pellets(HOST, task.layout).play(genomes, parameters, *episodes(genomes)), lanes)
        ended |= set(lanes.reason.tolist())
        assert len(np.unique(lanes.fitness)) > 5
    assert len(ended) > 1  # some bodies came apart


@pytest.mark.parametrize(
    "preset", ["cartpole", *(pytest.param(name, marks=SOAK) for name in ("double_pole", "double_pole_memory", "xor"))]
)
def test_a_thread_plays_a_task_without_bodies_as_a_lane_does_to_the_last_bit(preset: str) -> None:
    config = presets.resolve(preset, [])
    task, genomes = make(config), drawn(40, config=config)
    assert isinstance(task, PlainTask)
    lanes = task.play(genomes, *episodes(genomes))
    player = Plain(HOST, task.rules, task.layout, task.shape)
    threads = player.play(genomes, task.numbers, task.shape, *episodes(genomes))
    assert_same_bits(threads, lanes)
    assert len(np.unique(lanes.fitness)) > 3


def test_memory_for_threads_grows_with_the_largest_genome_and_is_kept_otherwise() -> None:
    config = presets.resolve("cartpole", [])
    task = make(config)
    assert isinstance(task, PlainTask)
    threads = Plain(HOST, task.rules, task.layout, task.shape).threads
    threads.grow(16, 32)
    held = threads.arrays
    threads.grow(16, 16)
    assert threads.arrays is held and threads.sizes == (16, 32)
    threads.grow(8, 48)
    assert threads.arrays is not held and threads.sizes == (16, 48)


def test_whoever_starts_on_a_gpu_compiles_what_examines_on_the_processor_once_for_all_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(presets.resolve("cartpole", []), device="cuda")
    task, played, play = make(config), [], PlainTask.play_compiled
    monkeypatch.setattr(machine, "gpu", lambda: HOST)  # which may have compiled it before
    monkeypatch.setattr(PlainTask, "play_compiled", lambda *given: played.append(given[-1].steps) or play(*given))
    task.warm_up(drawn(3, config=config))
    assert played == [1]
