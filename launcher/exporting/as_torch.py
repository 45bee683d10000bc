"""A network as a `torch.nn.Module`, in a file that needs nothing but PyTorch; `torch.jit.script` takes it."""

from __future__ import annotations

import pprint
from collections.abc import Iterator, Sequence

from islands.wiring import Wiring, short

FUNCTIONS = {
    "tanh": "torch.tanh({x})",
    "sigmoid": "0.5 + 0.5 * torch.tanh(2.45 * {x})",
    "relu": "torch.clamp({x}, 0.0, 1000.0)",
    "sin": "torch.sin({x})",
    "gaussian": "torch.exp(-torch.square({x}))",
    "identity": "torch.clamp({x}, -1000.0, 1000.0)",
    "abs": "torch.clamp(torch.abs({x}), 0.0, 1000.0)",
}
"""The activations, by name."""
WIDTH = 110

_PAGE = '''"""{title}

    outputs, memory = Network()(inputs, memory)

`inputs` [B, {inputs}], called INPUTS; `outputs` [B, {outputs}] from -1 to 1, called OUTPUTS; `memory` [B, {memory}]:
what it returned at the step before, None where an episode begins. Written by `evolab export`; needs PyTorch alone.
It computes in float64 and answers in the dtype of `inputs`; Network().float() is faster and less exact.
A weight of 0 that shares its matrix with others is no connection of the genome.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import linear

INPUTS = {input_names}
OUTPUTS = {output_names}
BODY = {body}


class Network(torch.nn.Module):
    """Neurons that can be computed together are a stage; it hears some of what is known by then."""

    def __init__(self) -> None:
        super().__init__()
{buffers}

    def forward(self, inputs: Tensor, memory: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """One step of a batch: its outputs, and the memory for the next one."""
        if memory is None:
            memory = torch.zeros([inputs.shape[0], {memory}], dtype=inputs.dtype, device=inputs.device)
        known = torch.cat([inputs, memory], dim=1).to(self.scale.dtype)
{stages}
        outputs = known[:, self.driver] * self.scale + self.offset
        return outputs.to(inputs.dtype), known[:, self.kept].to(inputs.dtype)
'''


def write(wiring: Wiring, title: str) -> bytes:
    """The file."""
    page = _PAGE.format(
        title=title.replace("\\", "/").replace('"""', "'''"),
        inputs=len(wiring.inputs),
        outputs=len(wiring.outputs),
        memory=len(wiring.memory),
        input_names=_literal(wiring.inputs),
        output_names=_literal(tuple(output.name for output in wiring.outputs)),
        body=_literal(wiring.body),
        buffers="\n".join(f"        {line}" for line in _held(wiring)),
        stages="\n".join(f"        {line}" for line in _computed(wiring)),
    )
    return page.encode()


def _literal(value: object) -> str:
    return pprint.pformat(value, width=WIDTH, sort_dicts=False)


def _held(wiring: Wiring) -> Iterator[str]:
    for s, stage in enumerate(wiring.stages):
        yield f'self.register_buffer("heard_{s}", torch.tensor({list(stage.columns)}, dtype=torch.long))'
        rows = [_numbers(row.tolist()) for row in stage.weight]
        matrix = f"[{', '.join(rows)}]"
        shape = f".reshape({len(rows)}, {len(stage.columns)})"
        yield f"self.weight_{s} = torch.nn.Parameter(torch.tensor({matrix}, dtype=torch.float64){shape})"
        yield (
            f"self.bias_{s} = torch.nn.Parameter(torch.tensor({_numbers(stage.bias.tolist())}, dtype=torch.float64))"
        )
    driven = [output.neuron is not None for output in wiring.outputs]
    driver = [0 if output.neuron is None else wiring.places[output.neuron] for output in wiring.outputs]
    scale = [output.scale * on for output, on in zip(wiring.outputs, driven, strict=True)]
    offset = [output.offset * on for output, on in zip(wiring.outputs, driven, strict=True)]
    yield f'self.register_buffer("driver", torch.tensor({driver}, dtype=torch.long))'
    yield f'self.register_buffer("scale", torch.tensor({scale}, dtype=torch.float64))'
    yield f'self.register_buffer("offset", torch.tensor({offset}, dtype=torch.float64))'
    kept = [wiring.places[k] for k in wiring.memory]
    yield f'self.register_buffer("kept", torch.tensor({kept}, dtype=torch.long))'


def _computed(wiring: Wiring) -> Iterator[str]:
    for s, stage in enumerate(wiring.stages):
        total = f"linear(known[:, self.heard_{s}], self.weight_{s}, self.bias_{s})"
        yield f"known = torch.cat([known, {FUNCTIONS[stage.activation].format(x=total)}], dim=1)"


def _numbers(values: Sequence[float]) -> str:
    return "[" + ", ".join(repr(short(value)) for value in values) + "]"
