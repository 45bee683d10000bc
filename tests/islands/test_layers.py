"""Hidden layers and their memory: kernel and PyTorch agree, and one layer without memory is what it always was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.config import BodyConfig, Config, NetworkConfig
from islands.genome.population import Genomes, deeper, take
from islands.networks_torch import memory_size, networks_of, think
from islands.solving import hidden_nodes
from islands.tasks.pellets_torch import play as pellets_in_torch
from islands.tasks.plain_torch import play as plain_in_torch
from islands.threads import torch_module
from tests.islands.genome.breeding import Stock, examples
from tests.islands.tasks.creatures import BIASES, FELT, Lanes16, configured
from tests.islands.tasks.plain_parts import configured as plain
from tests.islands.tasks.plain_parts import grown

torch = torch_module()
FUNCTIONS = ("sin", "gaussian,identity", "relu,abs,tanh", "tanh,sigmoid,relu,sin,gaussian,identity,abs")


def with_network(mode: str, felt: str, bias: str, **network: object) -> Config:
    config = configured(mode, "sin", felt, bias)
    return replace(
        config, network=replace(config.network, hidden=3, **network), body=BodyConfig(max_nodes=5, max_muscles=7)
    )


def networks() -> st.SearchStrategy[Config]:
    """Networks of several layers, with memory or without; and of neurons with functions of their own."""
    common = (st.sampled_from(FELT), st.sampled_from(BIASES), st.sampled_from(("tanh", "sigmoid")))
    fixed = st.builds(
        lambda mode, felt, bias, activation, layers, recurrent: with_network(
            mode, felt, bias, activation=activation, layers=layers, recurrent=recurrent
        ),
        st.sampled_from(("pure", "hybrid")), *common, st.integers(1, 4), st.booleans(),
    )  # fmt: skip
    own = st.builds(
        lambda felt, bias, activation, listed: with_network(
            "neat", felt, bias, activation=activation, activations=listed
        ),
        *common, st.sampled_from(FUNCTIONS),
    )  # fmt: skip
    return st.one_of(fixed, own)


def drives(stock: Stock, genomes: Genomes, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Each step's outputs by the kernel and by PyTorch in float64, for the same random inputs: [steps, P, M] each."""
    from islands import networks_lanes

    lanes = Lanes16(stock.task, genomes, range(genomes.count))
    like = torch.zeros(0, dtype=torch.float64)
    twins = networks_of(genomes, stock.layout, lanes.room, like)
    memory = like.new_zeros((genomes.count, memory_size(twins)))
    rng, found, expected = np.random.default_rng(1), [], []
    for _ in range(steps):
        heard = rng.normal(size=(genomes.count, lanes.slots)).astype(np.float32)
        lanes.brain.value.reshape(-1, 16)[: lanes.slots, : genomes.count] = heard.T
        if stock.layout.hidden:
            networks_lanes.think_fixed(lanes.brain, stock.layout, lanes.slots, lanes.used, lanes.room)
        else:
            networks_lanes.think_neat(lanes.brain, stock.layout, lanes.slots, lanes.used)
        outputs, memory = think(twins, torch.as_tensor(heard).double(), memory, stock.layout.activation)
        found.append(lanes.brain.drive.reshape(-1, 16)[:, : genomes.count].T.copy())
        expected.append(outputs.numpy())
    return np.array(found), np.array(expected)


@given(networks(), st.integers(0, 2**32))
@examples(25)
def test_kernel_and_torch_compute_the_same_over_several_steps(config: Config, key: int) -> None:
    stock = Stock(config, 5, key)
    stock.age(5, key, weight_rate=0.5, weight_scale=0.2, add_node=0.9, add_connection=0.6, activation=0.2)
    found, expected = drives(stock, stock.genomes, 4)
    # float32 beside float64, through four layers that hear themselves: at most 5e-6 in 2,500 of them, with a long tail
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (np.abs(expected) <= 1.0).all()


def test_a_layers_further_weights_lie_behind_those_that_one_layer_has() -> None:
    one = Stock(with_network("pure", "all", "node"), 8)
    three = Stock(with_network("pure", "all", "node", layers=3, recurrent=True), 8)
    width, at = one.genomes.shared.shape[1], deeper(three.layout)
    assert (at.deep, at.deep_bias - at.deep, at.own - at.deep_bias) == (width, 2 * 9, 2 * 3)
    assert three.genomes.shared.shape[1] == at.own + 3 * 9 == three.layout.columns[2]
    np.testing.assert_array_equal(three.genomes.shared[:, :width], one.genomes.shared)
    assert three.genomes.muscle_gene.tobytes() == one.genomes.muscle_gene.tobytes()
    assert (three.genomes.shared[:, at.deep_bias : at.own] == 0.0).all()
    further = np.delete(three.genomes.shared[:, at.deep :], np.s_[18:24], axis=1)
    assert abs(further.std() - 1.0) < 0.15 and len(np.unique(further)) == further.size
    assert hidden_nodes(three.genomes, three.layout, 0) == 9


@pytest.mark.parametrize("felt", ["none", "all"])
def test_layers_that_hand_on_nothing_and_remember_nothing_change_nothing(felt: str) -> None:
    """Weights to itself 0: the memory is not heard. The further layer's 0: outputs are those of their biases."""
    plain_ = Stock(with_network("pure", felt, "node"), 8)
    for recurrent in (True, False):
        stock = Stock(with_network("pure", felt, "node", layers=1 + (not recurrent), recurrent=recurrent), 8)
        at = deeper(stock.layout)
        stock.genomes.shared[:, at.deep :] = 0.0
        found, _ = drives(stock, stock.genomes, 3)
        expected, _ = drives(plain_, plain_.genomes, 3)
        if recurrent:
            np.testing.assert_array_equal(found, expected)
        else:
            bias = np.tanh(stock.genomes.muscle_gene[:, -1])
            np.testing.assert_allclose(found[0][0, 0], bias[0], atol=1e-6)


def one_step_late(layers: int) -> Config:
    return with_network("pure", "none", "none", layers=layers, recurrent=True)


def test_with_weights_set_by_hand_a_network_says_what_it_heard_a_step_ago() -> None:
    """Neuron 0 hears the first input, neuron 1 neuron 0 of the step before: what no feed-forward network can say."""
    stock = Stock(one_step_late(1), 1)
    genomes, at = stock.genomes, deeper(stock.layout)
    genomes.shared[:, 1:] = 0.0
    genomes.muscle_gene[:, 6:] = 0.0
    genomes.shared[0, at.inner] = 20.0
    genomes.shared[0, at.own + 3] = 20.0  # to neuron 1 from neuron 0
    genomes.muscle_gene[:, 6 + 1] = 20.0
    from islands import networks_lanes

    lanes = Lanes16(stock.task, genomes, [0])
    inputs, said = np.random.default_rng(2).choice([-1.0, 1.0], 40), []
    for value in inputs:
        lanes.brain.value.reshape(-1, 16)[0, 0] = value
        networks_lanes.think_fixed(lanes.brain, stock.layout, lanes.slots, lanes.used, lanes.room)
        said.append(float(lanes.brain.drive[0]))
    assert said[0] == 0.0
    np.testing.assert_allclose(said[1:], inputs[:-1], atol=1e-6)


@pytest.mark.parametrize("mode", ["pure", "hybrid"])
def test_creatures_with_layers_and_memory_live_the_same_in_torch_and_forget_between_episodes(mode: str) -> None:
    config = with_network(mode, "all", "node", layers=2, recurrent=True)
    stock = Stock(replace(config, task=replace(config.task, duration=2.0)), 40)
    items, keys = np.tile(np.arange(40), 2), np.full(80, 5, np.uint64)
    one = stock.task.play(stock.genomes, items, keys)
    two = pellets_in_torch(stock.genomes, stock.layout, stock.task.parameters, items, keys)
    assert one.behaviour[:40].tobytes() == one.behaviour[40:].tobytes()
    assert np.isclose(one.behaviour, two.behaviour, rtol=1e-3, atol=1e-2).all(axis=1).mean() > 0.9
    without = stock.genomes._replace(shared=stock.genomes.shared.copy())
    without.shared[:, deeper(stock.layout).own :] = 0.0
    assert (stock.task.play(without, items, keys).behaviour != one.behaviour).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("choice", ["network.layers=3", "network.recurrent=true", "mode=neat"])
def test_episodes_without_bodies_are_the_same_in_torch_and_nobody_remembers_another_episode(choice: str) -> None:
    own = ("network.activations=sin,gaussian,relu,identity", "mutation.add_node=0.9", "mutation.recurrent=0.5")
    sets = own if choice == "mode=neat" else ("mode=pure", "network.hidden=3", choice)
    task, genomes = grown(plain("double_pole", "task.velocities=false", *sets), 40, rounds=6)
    task.shape = task.shape._replace(steps=12)
    items, keys = np.tile(np.arange(40), 2), np.zeros(80, np.uint64)
    one = task.play(genomes, items, keys)
    two = plain_in_torch(task.rules, genomes, task.layout, task.numbers, task.shape, items, keys)
    assert one.behaviour[:40].tobytes() == one.behaviour[40:].tobytes()
    alone = task.play(take(genomes, [33]), np.zeros(1, np.int64), keys[:1])
    assert alone.behaviour.tobytes() == one.behaviour[33:34].tobytes()
    assert np.isclose(one.behaviour, two.behaviour, rtol=1e-3, atol=1e-4).all(axis=1).mean() > 0.9


def test_what_is_not_to_be_remembered_is_forgotten_by_every_layer() -> None:
    """Rows of a truth table are not a sequence."""
    task, genomes = grown(plain("xor", "mode=pure", "network.layers=2", "network.recurrent=true"), 20)
    items, keys = np.arange(20), np.zeros(20, np.uint64)
    without = genomes._replace(shared=genomes.shared.copy())
    without.shared[:, deeper(task.layout).own :] = 0.0
    assert task.shape.forget and not np.array_equal(without.shared, genomes.shared)
    assert task.play(without, items, keys).fitness.tobytes() == task.play(genomes, items, keys).fitness.tobytes()


def test_without_first_connections_the_layers_are_not_connected_either() -> None:
    stock = Stock(with_network("pure", "none", "node", layers=2, recurrent=True, connectivity="none"), 3)
    assert (stock.genomes.shared[:, 1:] == 0.0).all()
    assert NetworkConfig().layers == 1 and not NetworkConfig().recurrent
