"""Batched networks compute what their genomes say, connection by connection."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from islands.config import Config, NetworkConfig
from islands.genome.marking import connection_mark, mark, output_mark
from islands.genome.population import MUSCLE_GENES, SHARED_GENES, Genomes
from islands.networks import input_marks, input_slots
from islands.networks_torch import fixed_networks, forward_fixed, forward_neat, neat_networks, padded
from islands.threads import torch_module
from tests.islands.tasks.creatures import configured, evolved, first_draw, hand_built

torch = torch_module()


def rows(genomes: Genomes, table: str, p: int) -> slice:
    start = getattr(genomes, f"{table}_start")
    return slice(start[p], start[p + 1])


def outputs_by_hand(genomes: Genomes, p: int, marks: np.ndarray, inputs: np.ndarray, bias: int) -> list[float]:
    """Each muscle's output: tanh of the weighted sum over its neuron's connections, sources first, by recursion."""
    heard = {int(marking): float(value) for marking, value in zip(marks, inputs, strict=True) if marking}
    own = rows(genomes, "node", p)
    biases = dict(zip(genomes.node_id[own].tolist(), genomes.node_bias[own].tolist(), strict=True))
    into: dict[int, list[tuple[int, float]]] = {node: [] for node in biases}
    for c in range(genomes.conn_start[p], genomes.conn_start[p + 1]):
        source, target = genomes.conn_ends[c].tolist()
        if genomes.conn_on[c]:
            into[target].append((source, float(genomes.conn_weight[c])))

    def value(node: int) -> float:
        if node in heard:
            return heard[node]
        total = sum(
            weight * value(source) for source, weight in into.get(node, ()) if source in heard or source in into
        )
        return math.tanh(total + biases[node] * bias)

    return [value(int(output_mark(muscle))) for muscle in genomes.muscle_id[rows(genomes, "muscle", p)]]


@pytest.mark.parametrize("bias", ["node", "input", "none"])
def test_neat_networks_compute_the_sum_over_their_connections(bias: str) -> None:
    task, genomes = evolved(configured("neat", "sin", "all", bias), 12, rounds=8)
    assert (genomes.conn_on == 0).any() and (np.diff(genomes.node_start) > np.diff(genomes.muscle_start)).any()
    room = (int(np.diff(genomes.body_start).max()), int(np.diff(genomes.muscle_start).max()))
    inputs = np.random.default_rng(1).normal(size=(12, input_slots(task.layout, *room)))
    networks = neat_networks(genomes, task.layout, room)
    memory = torch.zeros((12, networks.bias.shape[1]), dtype=torch.float64)
    found, _ = forward_neat(networks, torch.as_tensor(inputs), memory)
    for p in range(12):
        bodies, muscles = genomes.body_id[rows(genomes, "body", p)], genomes.muscle_id[rows(genomes, "muscle", p)]
        marks = np.zeros(inputs.shape[1], np.uint64)
        input_marks(task.layout, bodies, muscles, *room, marks)
        expected = outputs_by_hand(genomes, p, marks, inputs[p], task.layout.node_bias)
        np.testing.assert_allclose(found[p, : len(muscles)].numpy(), expected, atol=1e-6)
        assert (found[p, len(muscles) :] == 0.0).all()


def test_a_connection_that_closes_a_cycle_hears_the_tick_before() -> None:
    task, _ = first_draw(configured("neat"), 1)
    genomes = hand_built(task, [(0, 1, 0, 0.4, 0.6), (1, 1, 0, 0.4, 0.6)], [(0, 1, 1.0, 50.0, 2.0)])
    out, sensor = output_mark(genomes.muscle_id[0]), mark(np.uint64(1), np.uint64(0), 0, 0)
    ends = np.array([[sensor, out], [out, out]], np.uint64)
    marks = np.array([connection_mark(*pair) for pair in ends], np.uint64)
    order = np.argsort(marks)
    genomes = genomes._replace(
        node_start=np.array([0, 1]), node_id=np.array([out], np.uint64), node_bias=np.array([0.1], np.float32),
        node_kind=np.zeros(1, np.uint8),
        conn_start=np.array([0, 2]), conn_id=marks[order], conn_ends=ends[order],
        conn_weight=np.array([0.5, -0.8], np.float32)[order], conn_on=np.ones(2, np.uint8),
    )  # fmt: skip
    networks = neat_networks(genomes, task.layout, (2, 1))
    memory, expected = torch.zeros((1, 1)), 0.0
    inputs = torch.zeros((1, 7))
    inputs[0, 0] = 0.9
    for _ in range(4):
        found, memory = forward_neat(networks, inputs, memory)
        expected = math.tanh(0.1 + 0.5 * 0.9 - 0.8 * expected)
        assert float(found) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("connectivity", ["none", "sparse_inputs"])
def test_a_muscle_without_connections_is_driven_by_its_bias_alone(connectivity: str) -> None:
    network = NetworkConfig(connectivity=connectivity, output_bias=0.3)  # type: ignore[arg-type]
    task, genomes = first_draw(Config(mode="neat", network=network), 4)
    room = (int(np.diff(genomes.body_start).max()), int(np.diff(genomes.muscle_start).max()))
    networks = neat_networks(genomes, task.layout, room)
    found, _ = forward_neat(networks, torch.zeros((4, 7)), torch.zeros_like(networks.bias))
    muscles = np.diff(genomes.muscle_start)
    for p in range(4):
        np.testing.assert_allclose(found[p, : muscles[p]], math.tanh(0.3), rtol=1e-6)


@pytest.mark.parametrize(("felt", "bias"), [("none", "node"), ("all", "input"), ("velocity", "none"), ("all", "node")])
def test_fixed_networks_take_each_parts_weights_from_its_own_row(felt: str, bias: str) -> None:
    config = replace(configured("pure", "sin", felt, bias), network=NetworkConfig(hidden=5, bias=bias))  # type: ignore[arg-type]
    task, genomes = evolved(config, 6, rounds=4)
    layout = task.layout
    room = (int(np.diff(genomes.body_start).max()), int(np.diff(genomes.muscle_start).max()))
    inputs = np.random.default_rng(2).normal(size=(6, input_slots(layout, *room)))
    none = torch.zeros((6, 0))
    found = forward_fixed(fixed_networks(genomes, layout, room), torch.as_tensor(inputs), none)[0].numpy()
    for p in range(6):
        node, muscle = genomes.body_gene[rows(genomes, "body", p)], genomes.muscle_gene[rows(genomes, "muscle", p)]
        shared, hidden = genomes.shared[p], []
        for h in range(5):
            total = shared[SHARED_GENES + 5 * layout.inputs + h] if layout.node_bias else 0.0
            total += shared[SHARED_GENES + h * layout.inputs :][: layout.inputs] @ inputs[p, : layout.inputs]
            at = layout.inputs
            if layout.strain:
                total += sum(muscle[j, MUSCLE_GENES + h] * inputs[p, at + j] for j in range(len(muscle)))
                at += room[1]
            if layout.velocity:
                heard = inputs[p, at:].tolist()
                total += sum(
                    node[n, 5 + 3 * h + axis] * heard[3 * n + axis] for n in range(len(node)) for axis in range(3)
                )
                at += 3 * room[0]
            if layout.contact:
                base = 5 + 15 * layout.velocity
                total += sum(node[n, base + h] * inputs[p, at + n] for n in range(len(node)))
            hidden.append(math.tanh(total))
        outer = muscle[:, MUSCLE_GENES + 5 * layout.strain :]
        expected = np.tanh(outer[:, :5] @ np.array(hidden) + (outer[:, 5] if layout.node_bias else 0.0))
        np.testing.assert_allclose(found[p, : len(muscle)], expected, atol=1e-5)
        assert (found[p, len(muscle) :] == 0.0).all()


def test_padding_puts_zeros_behind_each_genomes_rows() -> None:
    found = padded(np.array([0, 2, 2, 5]), np.array([1, 2, 3, 4, 5]), 4)
    np.testing.assert_array_equal(found, [[1, 2, 0, 0], [0, 0, 0, 0], [3, 4, 5, 0]])
