"""On a machine with an NVIDIA GPU: what it computes is what the processor computes, and twice the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from islands.errors import ConfigError
from islands.gpu.machine import numba_cuda
from islands.tasks import make
from launcher import presets
from tests.islands.migration_parts import drawn

SHORT = {"cartpole": "task.steps=50", "neat_baseline": "task.duration=2", "pure_baseline": "task.duration=2"}


@pytest.mark.parametrize("preset", SHORT)
def test_a_gpu_plays_the_same_game_and_every_time(preset: str) -> None:
    try:
        numba_cuda()
    except ConfigError as error:
        pytest.skip(str(error.got))
    config = presets.resolve(preset, [SHORT[preset]])
    genomes = drawn(200, config=config)
    batch = genomes, np.arange(200), np.arange(200, dtype=np.uint64)
    here, there = make(config).play(*batch), make(replace(config, device="cuda"))
    first, second = there.play(*batch), there.play(*batch)
    assert (first.steps == here.steps).mean() > 0.98
    assert np.quantile(np.abs(first.fitness - here.fitness), 0.98) < 1e-2
    np.testing.assert_array_equal(first.fitness, second.fitness)
    np.testing.assert_array_equal(first.behaviour, second.behaviour)
