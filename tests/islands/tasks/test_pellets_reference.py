"""The compiled kernel and the PyTorch reference, written apart from one text, play the same game."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from islands.genome.population import HYBRID, take
from islands.tasks import Played
from islands.tasks import pellets_physics as rows
from islands.tasks import pellets_torch as reference
from islands.tasks.pellets import Pellets
from islands.threads import torch_module
from tests.islands.tasks.creatures import BIASES, ENCODINGS, FELT, MODES, Lanes16, configured, evolved, first_draw

torch = torch_module()
KEY = np.uint64(7)

CASES = [
    (mode, encoding, FELT[(m + e) % 5], BIASES[(m + 2 * e) % 3])
    for (m, mode), (e, encoding) in itertools.product(enumerate(MODES), enumerate(ENCODINGS))
]
"""Every time encoding with every mode; sorts of proprioception and bias in rotation, so that each meets every mode."""


def both(task: Pellets, genomes, steps: int, dtype=torch.float32) -> tuple[Played, Played]:  # type: ignore[no-untyped-def]
    items, keys = np.arange(genomes.count), np.full(genomes.count, KEY)
    parameters = task.parameters._replace(steps=steps)
    kernel = task.play(genomes, items, keys, parameters)
    return kernel, reference.play(genomes, task.layout, parameters, items, keys, dtype=dtype)


def test_the_cases_cover_every_choice_in_every_mode() -> None:
    for choice, everything in ((1, ENCODINGS), (2, FELT), (3, BIASES)):
        assert {(case[0], case[choice]) for case in CASES} == set(itertools.product(MODES, everything))


@pytest.mark.parametrize(("mode", "encoding", "felt", "bias"), CASES)
def test_kernel_and_reference_agree_on_every_quantity_step_by_step(
    mode: str, encoding: str, felt: str, bias: str
) -> None:
    task, genomes = first_draw(configured(mode, encoding, felt, bias), 16)
    keys = list(range(16))
    kernel = Lanes16(task, genomes, keys)
    like = torch.zeros(0)
    with torch.inference_mode():
        body, networks, state, draws = reference.start(genomes, task.layout, task.parameters, np.arange(16), keys, like)
        for step in range(12):
            if step % 3 == 0:
                inputs = reference.sense(body, state, task.layout, task.parameters).numpy()
                own = heard(task, body)
                np.testing.assert_allclose(kernel.sense()[own], inputs[own], rtol=1e-4, atol=1e-4, err_msg="inputs")
                kernel.tick()
                state = reference.control(body, state, networks, task.layout, task.parameters)
            assert kernel.step()
            state = reference.step(body, state, draws, task.layout.mode == HYBRID)
            compare(kernel, body, state)


def heard(task: Pellets, body: reference.Body) -> np.ndarray:
    """Whether an input slot belongs to a part that the creature has: bool [E, slots]."""
    layout, real, muscles = task.layout, body.mass.numpy() > 0, body.exists.numpy() > 0
    parts = [np.ones((len(real), layout.inputs), bool)]
    parts += [muscles] * layout.strain + [np.repeat(real, 3, axis=1)] * layout.velocity + [real] * layout.contact
    return np.concatenate(parts, axis=1)


def compare(kernel: Lanes16, body: reference.Body, state: reference.State) -> None:
    real, muscles = body.mass.numpy() > 0, body.exists.numpy() > 0
    for name, values in (("position", state.position), ("velocity", state.velocity)):
        mine = kernel.vectors(*(("x", "y", "z") if name == "position" else ("vx", "vy", "vz")))
        np.testing.assert_allclose(mine[real], values.numpy()[real], rtol=1e-4, atol=1e-4, err_msg=name)
    np.testing.assert_array_equal(kernel.view("touching")[real], state.touching.numpy()[real])
    for name in ("length", "target", "signal"):
        mine, values = kernel.view(name)[muscles], getattr(state, name).numpy()[muscles]
        np.testing.assert_allclose(mine, values, rtol=1e-4, atol=1e-5, err_msg=name)
    numbers = {
        rows.PATH: state.path, rows.EFFORT: state.effort, rows.ENERGY_GIVEN: state.given, rows.BEST: state.best,
        rows.FIRST: state.first, rows.RADIUS: body.extent, rows.PELLET_X: state.pellet[:, 0],
        rows.PELLET_Y: state.pellet[:, 1], rows.PELLET_Z: state.pellet[:, 2],
        rows.DISTANCE: reference.edge_distance(body, state),
    }  # fmt: skip
    for row, values in numbers.items():
        np.testing.assert_allclose(kernel.row(row), values.numpy(), rtol=1e-4, atol=1e-5, err_msg=f"row {row}")


@pytest.mark.parametrize("mode", MODES)
def test_they_agree_on_sigmoid_networks_too(mode: str) -> None:
    config = configured(mode)
    task, genomes = first_draw(replace(config, network=replace(config.network, activation="sigmoid")), 32)
    kernel, other = both(task, genomes, steps=45)
    tanh = both(*first_draw(config, 32), steps=45)[0]
    assert np.quantile(np.abs(kernel.fitness - other.fitness), 0.9) < 1e-3
    assert np.quantile(np.abs(kernel.fitness - tanh.fitness), 0.9) > 0.1


@pytest.mark.parametrize(("mode", "encoding", "felt", "bias"), CASES)
def test_kernel_and_reference_agree_on_the_first_second_and_a_half(
    mode: str, encoding: str, felt: str, bias: str
) -> None:
    task, genomes = first_draw(configured(mode, encoding, felt, bias), 32)
    kernel, other = both(task, genomes, steps=45)
    np.testing.assert_array_equal(kernel.reason, other.reason)
    np.testing.assert_array_equal(kernel.steps, other.steps)
    apart = np.abs(kernel.fitness - other.fitness)
    # A dead zone or a first touch of the ground decided the other way moves a few creatures by more than rounding.
    assert np.quantile(apart, 0.9) < 1e-3
    assert np.quantile(np.abs(kernel.behaviour - other.behaviour).max(axis=1), 0.9) < 1e-4
    assert apart.max() < 1.0
    assert np.abs(kernel.behaviour).max() > 0.05  # something moved


@pytest.mark.parametrize("mode", MODES)
def test_kernel_and_reference_agree_on_evolved_structures(mode: str) -> None:
    task, genomes = evolved(configured(mode, "sin_raw", "all"), 32, rounds=6)
    kernel, other = both(task, genomes, steps=30)
    np.testing.assert_array_equal(kernel.reason, other.reason)
    assert np.quantile(np.abs(kernel.fitness - other.fitness), 0.9) < 1e-3
    assert np.quantile(np.abs(kernel.behaviour - other.behaviour).max(axis=1), 0.9) < 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_over_whole_episodes_the_kernel_is_as_close_to_float64_as_float32_is(mode: str) -> None:
    """A foot that slips or a dead zone crossed one tick later separates two creatures that differ in the last bit, so
    nobody can ask everyone for equal fitness after 30 s, least of all hybrids, whose muscles never rest. But rounding
    must do no more to the kernel than it does to the reference in float32, and who is not chaotic must agree."""
    task, genomes = first_draw(configured(mode, "cyclic", "strain"), 48)
    kernel, exact = both(task, genomes, steps=900, dtype=torch.float64)
    rounded = both(task, genomes, steps=900)[1]
    np.testing.assert_array_equal(kernel.reason, exact.reason)
    np.testing.assert_array_equal(kernel.steps, exact.steps)
    off, usual = np.abs(kernel.fitness - exact.fitness), np.abs(rounded.fitness - exact.fitness)
    settled = usual < 1e-3
    assert settled.mean() > (0.2 if mode == "hybrid" else 0.6)
    assert np.quantile(off[settled], 0.75) < 1e-2
    assert off.mean() < 2.0 * usual.mean() + 0.5
    if mode != "hybrid":
        assert (off < 0.05).mean() > 0.7


def test_ended_creatures_are_frozen_and_taken_out_of_the_batch_without_moving_the_others() -> None:
    task, genomes = first_draw(configured("hybrid"), 24)
    genomes.muscle_gene[genomes.muscle_start[3] : genomes.muscle_start[12], 1] = 20_000.0  # nine springs that explode
    items, keys = np.arange(24), np.full(24, KEY)
    parameters = task.parameters._replace(steps=90)
    played = reference.play(genomes, task.layout, parameters, items, keys)
    assert set(np.flatnonzero(played.reason)) == set(range(3, 12))
    assert (played.steps[3:12] < 90).all() and (played.fitness[3:12] == 0.0).all()
    fine = np.flatnonzero(played.reason == 0)
    alone = reference.play(take(genomes, fine), task.layout, parameters, np.arange(len(fine)), keys[fine])
    np.testing.assert_allclose(played.fitness[fine], alone.fitness, atol=0.05)


def test_an_ended_creature_keeps_its_last_state() -> None:
    task, genomes = first_draw(configured("pure"), 2)
    with torch.inference_mode():
        body, networks, state, draws = reference.start(
            genomes, task.layout, task.parameters, np.arange(2), [1, 2], torch.zeros(0)
        )
        state = state._replace(reason=torch.tensor([0, 4], dtype=torch.uint8))
        after = reference.step(body, state, draws, False)
        after = reference.control(body, after, networks, task.layout, task.parameters)
    for name, before, now in zip(state._fields, state, after, strict=True):
        assert torch.equal(before[1], now[1]), name
    assert not torch.equal(state.position[0], after.position[0])
