"""A network spelled out computes what the engine computes, and names its parts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islands.config import FUNCTIONS
from islands.genome.population import ACTIVATIONS, BODY_GENES, take
from islands.tasks import NAMES
from islands.tasks.senses import action_names, sensor_names
from islands.wiring import FORMULAS, describe
from tests.islands.networks_engine import bred, thought

COMPUTED = {
    "tanh": math.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + math.exp(-4.9 * x)) if x > -100.0 else 0.0,
    "relu": lambda x: min(max(x, 0.0), 1000.0),
    "sin": math.sin,
    "gaussian": lambda x: math.exp(-(x**2)),
    "identity": lambda x: min(max(x, -1000.0), 1000.0),
    "abs": lambda x: min(abs(x), 1000.0),
}


def interpreted(
    record: Mapping[str, Any], inputs: Sequence[float], memory: Sequence[float]
) -> tuple[list[float], list[float]]:
    """What the JSON of a description says, connection by connection; `memory`: of all neurons."""
    values: list[float] = []
    for neuron in record["neurons"]:
        total = neuron["bias"]
        for heard in neuron["heard"]:
            if "input" in heard:
                total += heard["weight"] * inputs[heard["input"]]
            else:
                total += heard["weight"] * (memory if heard["before"] else values)[heard["neuron"]]
        values.append(COMPUTED[neuron["activation"]](total))
    driven = [0.0 if o["neuron"] is None else o["scale"] * values[o["neuron"]] + o["offset"] for o in record["outputs"]]
    return driven, values


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(["neat", "pure", "hybrid"]),
    felt=st.sampled_from(["none", "strain", "velocity", "contact", "all"]),
    bias=st.sampled_from(["node", "input", "none"]),
    activation=st.sampled_from(["tanh", "sigmoid"]),
    recurrent=st.sampled_from([0.0, 0.7]),
    layers=st.integers(1, 3),
    functions=st.sampled_from(["", "relu, sin, gaussian", "tanh,sigmoid,relu,sin,gaussian,identity,abs"]),
    key=st.integers(0, 2**32),
)
def test_any_genome_spelled_out_computes_what_the_engine_does_step_by_step(
    mode: str, felt: str, bias: str, activation: str, recurrent: float, layers: int, functions: str, key: int
) -> None:
    wanted = (f"task.proprioception={felt}", f"network.bias={bias}", f"network.activation={activation}")
    if mode == "neat":
        wanted += (f"mutation.recurrent={recurrent}", f"network.activations={functions}")
    else:
        wanted += (f"network.layers={layers}", f"network.recurrent={recurrent > 0}".lower(), "network.hidden=5")
    config, task, genomes = bred((f"mode={mode}", *wanted), 6, key)
    wiring = describe(genomes, key % 4, task.layout, sensor_names(task, config))
    record = json.loads(json.dumps(wiring.as_dict()))
    engine = thought(task, genomes, key % 4, 4, key, len(wiring.neurons), forgets=False)
    for t in range(4):
        for lane in range(2):
            outputs, values = interpreted(record, engine.inputs[t, lane].tolist(), engine.memory[t, lane].tolist())
            np.testing.assert_allclose(outputs, engine.outputs[t, lane], atol=5e-5)
            shown = engine.after[t, lane]
            np.testing.assert_allclose(values[: len(shown)], shown, atol=5e-5)


def test_networks_with_cycles_remember_and_others_do_not() -> None:
    _, task, genomes = bred(("mutation.recurrent=0.7",))
    assert any(describe(genomes, row, task.layout).memory for row in range(4))
    _, task, genomes = bred(("mutation.recurrent=0",))
    assert not any(describe(genomes, row, task.layout).memory for row in range(4))


def test_an_elman_network_remembers_all_its_hidden_neurons() -> None:
    _, task, genomes = bred(("mode=pure", "network.layers=2", "network.hidden=3", "network.recurrent=true"), 2)
    assert describe(genomes, 0, task.layout).memory == (0, 1, 2, 3, 4, 5)


def test_neurons_with_functions_of_their_own_say_so() -> None:
    _, task, genomes = bred(("network.activations=sin,abs",), 20)
    hidden = [n for row in range(4) for n in describe(genomes, row, task.layout).neurons if n.name[:6] == "hidden"]
    assert {neuron.activation for neuron in hidden} == {"sin", "abs"}


def test_stages_hold_every_neuron_once_and_hear_only_what_is_known_by_then() -> None:
    _, task, genomes = bred(("mutation.recurrent=0.5", "task.proprioception=all"), 20)
    wiring = describe(genomes, 0, task.layout)
    known = len(wiring.inputs) + len(wiring.memory)
    for stage in wiring.stages:
        assert max(stage.columns, default=0) < known
        known += len(stage.bias)
    assert sorted(wiring.places.values()) == list(range(known - len(wiring.neurons), known))
    assert len(wiring.stages) < len(wiring.neurons)
    weights = sum(float(stage.weight.sum(dtype=np.float64)) for stage in wiring.stages)
    assert weights == pytest.approx(sum(h.weight for neuron in wiring.neurons for h in neuron.heard), abs=1e-4)


def test_a_creature_is_described_with_its_body_and_its_muscles_drive_it_by_name() -> None:
    config, task, genomes = bred(("mode=hybrid", "task.proprioception=all", "task.time_encoding=cyclic"))
    one = take(genomes, [2])
    wiring = describe(genomes, 2, task.layout, sensor_names(task, config))
    body = wiring.body
    assert body is not None
    assert [muscle["name"] for muscle in body["muscles"]] == [output.name for output in wiring.outputs]
    assert len(body["nodes"]) == len(one.body_id) and len(body["muscles"]) == len(one.muscle_id)
    for node, gene in zip(body["nodes"], one.body_gene[:, :BODY_GENES], strict=True):
        assert np.float32([node["diameter"], node["friction"], *node["position"]]).tolist() == gene.tolist()
    for muscle, ends in zip(body["muscles"], one.muscle_ends, strict=True):
        assert muscle["ends"] == [f"node_{one.body_id.tolist().index(int(end))}" for end in ends]
        assert {"rest", "stiffness", "damping", "frequency", "amplitude", "phase"} <= set(muscle)
    assert {"pellet.distance", "muscle_0.strain", "node_1.velocity_z", "node_0.contact"} <= set(wiring.inputs)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_of_every_task_has_a_name_of_its_own(name: str) -> None:
    config, task, genomes = bred((f"task.name={name}",), 0)
    inputs = describe(genomes, 0, task.layout, sensor_names(task, config)).inputs
    assert len(set(inputs)) == len(inputs) == task.sensors
    assert ("input_0" in inputs) == (name in ("xor", "parity", "multiplexer", "digits"))


@pytest.mark.parametrize("name", sorted({*NAMES} - {"pellets"}))
def test_every_output_of_a_control_task_has_a_name_of_its_own(name: str) -> None:
    config, task, genomes = bred((f"task.name={name}",), 0)
    wiring = describe(genomes, 0, task.layout, sensor_names(task, config), action_names(task, config))
    names = [output.name for output in wiring.outputs]
    assert len(set(names)) == len(names) == task.outputs
    assert ("output_0" in names) == (name in ("xor", "parity", "multiplexer"))
    assert {neuron.name for neuron in wiring.neurons} >= {
        output.name for output in wiring.outputs if output.neuron is not None
    }


def test_double_pole_without_velocities_names_what_is_left() -> None:
    config, task, _ = bred(("task.name=double_pole", "task.velocities=false"), 0)
    assert list(sensor_names(task, config)) == ["position", "angle_long", "angle_short", "half"]


def test_an_input_that_is_always_one_is_part_of_the_biases() -> None:
    config, task, genomes = bred(("task.name=cartpole", "mode=pure", "network.bias=input"))
    wiring = describe(genomes, 0, task.layout, sensor_names(task, config))
    assert wiring.inputs == ("position", "velocity", "angle", "angular_velocity")
    assert any(neuron.bias for neuron in wiring.neurons)


def test_every_activation_has_a_formula() -> None:
    assert tuple(FORMULAS) == tuple(COMPUTED) == FUNCTIONS and set(ACTIVATIONS) < set(FORMULAS)
