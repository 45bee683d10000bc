"""Exported champions compute what the engine computes, without this project."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from islands.genome.population import encode
from islands.tasks import NAMES
from islands.tasks.senses import sensor_names
from islands.wiring import FORMULAS, Heard, Neuron, Output, Wiring, describe
from launcher import cli_champion, exporting
from launcher.champions import Champion
from launcher.exporting import as_dot, as_onnx, as_python, as_torch
from tests.islands.networks_engine import Thought, bred, thought
from tests.islands.test_wiring import COMPUTED, interpreted

STEPS = 63
"""Times 16 lanes: 1008 inputs."""
PLAIN = [(f"task.name={name}", f"mode={mode}") for name in NAMES for mode in ("neat", "pure") if name != "pellets"]
ALL = "task.proprioception=all"
CASES = [
    *PLAIN,
    *(
        (f"mode={mode}", ALL, f"network.bias={bias}")
        for mode in ("neat", "pure", "hybrid")
        for bias in ("node", "input")
    ),
    *((f"mode={mode}", ALL, "network.activation=sigmoid") for mode in ("neat", "pure")),
    ("mutation.recurrent=0.7",),
    ("mutation.recurrent=0.7", ALL, "network.activation=sigmoid"),
    ("task.name=double_pole", "task.velocities=false", "mutation.recurrent=0.7"),
    ("mode=pure", "network.layers=3", "network.recurrent=true", "network.hidden=6"),
    ("mode=hybrid", ALL, "network.layers=2", "network.bias=input"),
    ("task.name=double_pole", "task.velocities=false", "mode=pure", "network.recurrent=true"),
    ("network.activations=sigmoid,relu,sin,gaussian,identity,abs", "mutation.recurrent=0.3"),
    ("network.connectivity=none", "network.bias=none"),
]
WITHOUT_US = """
import json, sys
sys.modules["islands"] = sys.modules["launcher"] = None
import runpy
for case in json.load(sys.stdin):
    {run}
    print(json.dumps([outputs, kept]), flush=True)
    assert {absent}
"""
PYTHON = WITHOUT_US.format(
    run="""f = runpy.run_path(case["path"])["network"]
    memories = case["memory"] or [None] * len(case["inputs"])
    pairs = [f(x, m) for x, m in zip(case["inputs"], memories)]
    outputs, kept = zip(*pairs)""",
    absent="'numpy' not in sys.modules and 'torch' not in sys.modules",
)
TORCH = WITHOUT_US.format(
    run="""import torch
    torch.set_num_threads(1)
    network = runpy.run_path(case["path"])["Network"]()
    memory = torch.tensor(case["memory"]) if case["memory"] else None
    with torch.no_grad():
        outputs, kept = (values.tolist() for values in network(torch.tensor(case["inputs"]), memory))""",
    absent="'numba' not in sys.modules",
)


@dataclass
class Case:
    """An exported genome, and 1008 steps of the engine."""

    champion: Champion
    wiring: Wiring
    engine: Thought
    folder: Path

    def path(self, form: str) -> Path:
        return self.folder / exporting.NAMES[form]

    @property
    def inputs(self) -> np.ndarray:
        return flat(self.engine.inputs)

    @property
    def memory(self) -> np.ndarray:
        return flat(self.engine.memory)[:, list(self.wiring.memory)]

    def agrees(self, outputs: Any, kept: Any) -> None:
        """Whether outputs and memory are the engine's."""
        assert len(self.inputs) >= 1000 and self.engine.outputs.std() > 0
        print(
            "E",
            sys._getframe(1).f_code.co_name[:20],
            self.folder.name,
            abs(np.array(outputs) - flat(self.engine.outputs)).max(),
        )
        np.testing.assert_allclose(np.array(outputs), flat(self.engine.outputs), atol=1e-5, rtol=0)
        if self.wiring.memory:
            after = flat(self.engine.after)[:, list(self.wiring.memory)]
            np.testing.assert_allclose(np.array(kept), after, atol=1e-5, rtol=0)


def flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[2])


def cased(assignments: tuple[str, ...], folder: Path) -> Case:
    config, task, genomes = bred(assignments)
    wirings = [describe(genomes, row, task.layout, sensor_names(task, config)) for row in range(4)]
    row = max(range(4), key=lambda row: (len(wirings[row].memory) > 0, wirings[row].connections))
    champion = Champion(config, encode(genomes, row), {"task": config.task.name, "mode": config.mode})
    wiring = exporting.wiring_of(champion)
    forgets = not wiring.memory
    engine = thought(task, genomes, row, STEPS, 7, len(wiring.neurons), forgets)
    folder.mkdir()
    for form in exporting.NAMES:
        path = folder / exporting.NAMES[form]
        path.write_bytes(exporting.in_format(champion, wiring, form))
    return Case(champion, wiring, engine, folder)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """All of `CASES`, written in every format."""
    folder = tmp_path_factory.mktemp("exported")
    made = [cased(assignments, folder / str(i)) for i, assignments in enumerate(CASES)]
    assert sum(bool(case.wiring.memory) for case in made) >= 6
    return made


def answers(cases: list[Case], form: str, program: str, *options: str) -> Iterator[tuple[Case, Any, Any]]:
    """What the files of all cases say, in a process that cannot import this project."""
    asked = [
        {"path": str(case.path(form)), "inputs": case.inputs.tolist(),
         "memory": case.memory.tolist() if case.wiring.memory else None} for case in cases
    ]  # fmt: skip
    ran = subprocess.run(
        [sys.executable, *options, "-c", program], input=json.dumps(asked), capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    for case, line in zip(cases, ran.stdout.splitlines(), strict=True):
        yield case, *json.loads(line)


def test_the_python_function_agrees_with_the_engine_without_any_package(cases: list[Case]) -> None:
    for case, outputs, kept in answers(cases, "python", PYTHON, "-I", "-S"):
        case.agrees(outputs, kept)


def test_the_torch_module_agrees_with_the_engine_without_this_project(cases: list[Case]) -> None:
    for case, outputs, kept in answers(cases, "torch", TORCH, "-I", "-P"):
        case.agrees(outputs, kept)


def test_the_onnx_model_agrees_with_the_engine_in_onnxruntime(cases: list[Case]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    for case in cases:
        session = onnxruntime.InferenceSession(case.path("onnx").read_bytes(), providers=["CPUExecutionProvider"])
        given = {"inputs": case.inputs, **({"memory": case.memory} if case.wiring.memory else {})}
        assert [value.name for value in session.get_inputs()] == list(given)
        outputs, *kept = session.run(None, given)
        case.agrees(outputs, kept[0] if kept else None)


def test_the_json_agrees_with_the_engine(cases: list[Case]) -> None:
    for case in cases:
        record = json.loads(case.path("json").read_text())
        all_memory = flat(case.engine.memory).tolist()
        found = [interpreted(record, x, m)[0] for x, m in zip(case.inputs.tolist(), all_memory, strict=True)]
        case.agrees(found, flat(case.engine.after)[:, list(case.wiring.memory)])


def test_the_onnx_model_names_its_inputs_outputs_and_body(cases: list[Case]) -> None:
    onnx = pytest.importorskip("onnx")
    case = next(case for case in cases if case.wiring.body and case.wiring.memory)
    model = onnx.load_from_string(case.path("onnx").read_bytes())
    known = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert known["input_names"] == list(case.wiring.inputs) and known["body"] == case.wiring.body
    assert known["output_names"] == [output.name for output in case.wiring.outputs]
    assert model.opset_import[0].version >= 17
    assert [value.name for value in model.graph.output] == ["outputs", "memory_out"]


def test_the_torch_module_can_be_scripted_and_trained(cases: list[Case]) -> None:
    program = """
import runpy, sys, torch, warnings
warnings.simplefilter("ignore")
import importlib.util
spec = importlib.util.spec_from_file_location("champion", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["champion"] = module
spec.loader.exec_module(module)
network = module.Network()
x = torch.randn(5, len(module.INPUTS))
scripted = torch.jit.script(network)
plain, memory = network(x)
for one, other in zip(scripted(x, memory), network(x, memory)):
    assert torch.allclose(one, other)
plain.sum().backward()
assert all(part.grad is not None for part in network.parameters())
"""
    case = next(case for case in cases if case.wiring.memory)
    ran = subprocess.run([sys.executable, "-I", "-c", program, str(case.path("torch"))], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_python_and_json_hold_the_body_and_name_every_muscle(cases: list[Case]) -> None:
    case = next(case for case in cases if case.champion.config.mode == "hybrid")
    space: dict[str, Any] = {}
    exec(case.path("python").read_text(), space)
    assert space["BODY"] == case.wiring.body == json.loads(case.path("json").read_text())["body"]
    assert space["OUTPUTS"] == tuple(muscle["name"] for muscle in space["BODY"]["muscles"])
    assert space["INPUTS"] == case.wiring.inputs
    with pytest.raises(ValueError, match=r"expected \d+ inputs, got 1"):
        space["network"]([1.0])


def test_the_graph_draws_every_connection_and_the_body(cases: list[Case]) -> None:
    for case in cases:
        text = case.path("dot").read_text()
        assert len(re.findall(r"[in]\d+ -> n\d+ \[", text)) == case.wiring.connections
        assert len(re.findall("style=dashed", text)) == sum(h.before for n in case.wiring.neurons for h in n.heard)
        body = case.wiring.body or {"nodes": [], "muscles": []}
        assert len(re.findall(r'"body_node_\d+" -> "body_node_\d+"', text)) == len(body["muscles"])
        assert len(re.findall(r'^ *"body_node_\d+" \[', text, re.M)) == len(body["nodes"])
        assert text.count("{") == text.count("}") and text.count('"') % 2 == 0


def test_names_that_a_format_would_read_as_its_own_are_written_safely() -> None:
    names = ('a "quoted"', "back\\slash", "new\nline", "'''", '"""')
    neuron = Neuron("output_0", "tanh", 0.5, tuple(Heard(i, 1.0) for i in range(5)))
    wiring = Wiring(names, (neuron,), (Output('"""; import os', 0), Output("never", None)))
    space: dict[str, Any] = {}
    exec(as_python.write(wiring, 'a """ title \\').decode(), space)
    assert space["INPUTS"] == names and space["network"]([0.0] * 5)[0] == (np.tanh(0.5), 0.0)
    compile(as_torch.write(wiring, 'a """ title \\'), "champion_torch.py", "exec")
    dot = as_dot.write(wiring, "x").decode()
    assert 'label="a \\"quoted\\""' in dot and "new\\nline" in dot


@pytest.mark.parametrize("activation", FORMULAS)
def test_every_format_knows_every_activation(activation: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch = pytest.importorskip("torch")
    one = Neuron("hidden_0", activation, 0.25, (Heard(0, 3.0),))
    wiring = Wiring(("x",), (one,), (Output("y", 0, 0.5, 0.125),))
    inputs = np.array([[-2000.0], [-3.0], [-0.7], [0.0], [0.4], [2.0], [2000.0]], np.float32)
    if activation == "sin":
        inputs = inputs[1:-1]
    expected = [[0.5 * COMPUTED[activation](0.25 + 3.0 * float(x)) + 0.125] for (x,) in inputs]
    python: dict[str, Any] = {}
    exec(as_python.write(wiring, "x").decode(), python)
    module: dict[str, Any] = {}
    exec(as_torch.write(wiring, "x").decode(), module)
    session = onnxruntime.InferenceSession(as_onnx.write(wiring, "x"))
    found = [
        [python["network"](x)[0] for x in inputs.tolist()],
        module["Network"]()(torch.tensor(inputs))[0].detach().numpy(),
        session.run(None, {"inputs": inputs})[0],
    ]
    for outputs in found:
        np.testing.assert_allclose(outputs, expected, atol=1e-5, rtol=1e-6)


def test_the_command_offers_every_format() -> None:
    assert sorted(cli_champion.FORMATS) == sorted(exporting.NAMES) == sorted([*exporting.WRITERS, "json"])
