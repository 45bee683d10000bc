"""A network as an ONNX model: `inputs` (and `memory`, where it remembers) to `outputs` (and `memory_out`), float32.

Within, numbers are float64: in float32 the sums of a steep network differ by more than 1e-5 between runtimes.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np

from islands.errors import ConfigError
from islands.wiring import Stage, Wiring

OPSET, IR = 17, 8
"""Of 2022: what reads ONNX at all reads these."""
OPERATORS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "tanh": (("Tanh",),),
    "sigmoid": (("Mul", 2.45), ("Tanh",), ("Mul", 0.5), ("Add", 0.5)),
    "relu": (("Clip", 0.0, 1000.0),),
    "sin": (("Sin",),),
    "gaussian": (("Mul",), ("Neg",), ("Exp",)),
    "identity": (("Clip", -1000.0, 1000.0),),
    "abs": (("Abs",), ("Clip", 0.0, 1000.0)),
}
"""The activations: operators with their constants, one after another; `Mul` without one squares."""


def write(wiring: Wiring, title: str) -> bytes:
    """The model, checked. The first dimension, the batch, is free."""
    if importlib.util.find_spec("onnx") is None:
        raise ConfigError(
            "--format onnx", expected="the package onnx", got="none", do="pip install 'evolution-lab[onnx]'"
        )
    import onnx
    from onnx import helper

    graph = _Graph(wiring)
    graph.build()
    made = helper.make_graph(
        graph.nodes, "champion", graph.inputs, graph.outputs, initializer=graph.constants, doc_string=title
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="evolab", doc_string=title
    )
    helper.set_model_props(model, _properties(wiring))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _properties(wiring: Wiring) -> dict[str, str]:
    """What the tensors cannot say: names, and the body."""
    names = {"input_names": list(wiring.inputs), "output_names": [output.name for output in wiring.outputs]}
    return {key: json.dumps(value) for key, value in {**names, "body": wiring.body}.items()}


class _Graph:
    """The graph as it grows; every tensor is [batch, columns]."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs = [self._value("inputs", len(wiring.inputs))]
        self.outputs = [self._value("outputs", len(wiring.outputs))]

    def build(self) -> None:
        """Stage by stage."""
        known = self._cast("inputs", "known", double=True)
        if self.wiring.memory:
            self.inputs.append(self._value("memory", len(self.wiring.memory)))
            self.outputs.append(self._value("memory_out", len(self.wiring.memory)))
            before = self._cast("memory", "before", double=True)
            known = self._add("Concat", [known, before], "known_and_before", axis=1)
        for s, stage in enumerate(self.wiring.stages):
            known = self._add("Concat", [known, self._stage(stage, s, known)], f"known_{s}", axis=1)
        self._drive(known)
        if self.wiring.memory:
            places = [self.wiring.places[k] for k in self.wiring.memory]
            self._cast(self._gather(known, places, "kept", "kept_values"), "memory_out", double=False)

    def _stage(self, stage: Stage, s: int, known: str) -> str:
        self._gather(known, list(stage.columns), f"heard_{s}", f"heard_{s}_values")
        self._constant(f"weight_{s}", stage.weight.astype(np.float64))
        self._constant(f"bias_{s}", stage.bias.astype(np.float64))
        self._add("Gemm", [f"heard_{s}_values", f"weight_{s}", f"bias_{s}"], f"sum_{s}", transB=1)
        return self._activated(stage.activation, f"sum_{s}", f"values_{s}")

    def _activated(self, activation: str, total: str, out: str) -> str:
        """One operator after another, each of the sum or of what the one before made of it."""
        for i, (kind, *constants) in enumerate(OPERATORS[activation]):
            names = [f"{out}_{i}_{j}" for j in range(len(constants))]
            for name, value in zip(names, constants, strict=True):
                self._constant(name, np.float64(value))
            squared = [total] if kind == "Mul" and not constants else []
            total = self._add(kind, [total, *squared, *names], f"{out}_{i}")
        return total

    def _drive(self, known: str) -> None:
        outputs = self.wiring.outputs
        driven = np.array([output.neuron is not None for output in outputs])
        places = [0 if output.neuron is None else self.wiring.places[output.neuron] for output in outputs]
        self._constant("scale", np.array([output.scale for output in outputs]) * driven)
        self._constant("offset", np.array([output.offset for output in outputs]) * driven)
        self._gather(known, places, "driver", "driven")
        self._add("Mul", ["driven", "scale"], "scaled")
        self._cast(self._add("Add", ["scaled", "offset"], "outputs_double"), "outputs", double=False)

    def _gather(self, source: str, columns: list[int], name: str, out: str) -> str:
        self._constant(name, np.array(columns, np.int64))
        return self._add("Gather", [source, name], out, axis=1)

    def _cast(self, source: str, out: str, double: bool) -> str:
        from onnx import TensorProto

        return self._add("Cast", [source], out, to=TensorProto.DOUBLE if double else TensorProto.FLOAT)

    def _add(self, kind: str, inputs: list[str], out: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def _constant(self, name: str, values: Any) -> None:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(values), name))

    def _value(self, name: str, columns: int) -> Any:
        from onnx import TensorProto, helper

        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", columns])
