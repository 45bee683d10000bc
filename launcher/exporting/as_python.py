"""A network as one Python function that needs nothing but `math`."""

from __future__ import annotations

import pprint
import textwrap
from collections.abc import Iterator

from islands.wiring import Neuron, Wiring

FUNCTIONS = {
    "tanh": "def tanh(x):\n    return math.tanh(x)",
    "sigmoid": "def sigmoid(x):\n    return 0.5 + 0.5 * math.tanh(2.45 * x)  # 1 / (1 + exp(-4.9 x)) without overflow",
    "relu": "def relu(x):\n    return min(max(x, 0.0), 1000.0)",
    "sin": "def sin(x):\n    return math.sin(x)",
    "gaussian": "def gaussian(x):\n    return math.exp(-x * x)",
    "identity": "def identity(x):\n    return min(max(x, -1000.0), 1000.0)",
    "abs": "def abs(x):\n    return min(math.fabs(x), 1000.0)",
}
"""The activations, by name."""
WIDTH = 100

_PAGE = '''"""{title}

    outputs, memory = network(inputs, memory)

`inputs`: {inputs} numbers, called INPUTS; `outputs`: {outputs} numbers from -1 to 1, called OUTPUTS. {remembers}
Written by `evolab export`; needs nothing but Python.
"""

import math

INPUTS = {input_names}
OUTPUTS = {output_names}
BODY = {body}


{functions}


def network(inputs, memory=None):
    """One step: the outputs, and what to hand in as `memory` at the next one (None at the first)."""
    if len(inputs) != {inputs}:
        raise ValueError(f"expected {inputs} inputs, got {{len(inputs)}}")
    x = inputs
{steps}
    return ({values}), ({kept})
'''


def write(wiring: Wiring, title: str) -> bytes:
    """The file."""
    used = sorted({neuron.activation for neuron in wiring.neurons})
    memory = [f"    m = (0.0,) * {len(wiring.memory)} if memory is None else memory"] if wiring.memory else []
    steps = [*memory, *(_assigned(wiring, k, neuron) for k, neuron in enumerate(wiring.neurons))]
    remembers = (
        f"`memory`: {len(wiring.memory)} numbers of the\nstep before, None where an episode begins."
        if wiring.memory
        else "It remembers nothing:\n`memory` is empty."
    )
    page = _PAGE.format(
        title=title.replace("\\", "/").replace('"""', "'''"),
        inputs=len(wiring.inputs),
        outputs=len(wiring.outputs),
        remembers=remembers,
        input_names=_literal(wiring.inputs),
        output_names=_literal(tuple(output.name for output in wiring.outputs)),
        body=_literal(wiring.body),
        functions="\n\n\n".join(FUNCTIONS[name] for name in used),
        steps="\n".join(steps),
        values="".join(f"{value}, " for value in _outputs(wiring)).rstrip(),
        kept="".join(f"n{k}, " for k in wiring.memory).rstrip(),
    )
    return page.encode()


def _literal(value: object) -> str:
    return pprint.pformat(value, width=WIDTH, sort_dicts=False)


def _assigned(wiring: Wiring, k: int, neuron: Neuron) -> str:
    """The line, or lines, that compute a neuron."""
    sum_ = " + ".join([repr(neuron.bias), *_terms(wiring, neuron)])
    text = f"n{k} = {neuron.activation}({sum_})  # {neuron.name}"
    if len(text) + 4 <= WIDTH:
        return "    " + text
    terms = textwrap.wrap(sum_, WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    return "\n".join(
        [f"    n{k} = {neuron.activation}(  # {neuron.name}", *(f"        {line}" for line in terms), "    )"]
    )


def _terms(wiring: Wiring, neuron: Neuron) -> Iterator[str]:
    width = len(wiring.inputs)
    for h in neuron.heard:
        if h.source < width:
            source = f"x[{h.source}]"
        elif h.before:
            source = f"m[{wiring.memory.index(h.source - width)}]"
        else:
            source = f"n{h.source - width}"
        yield f"{h.weight!r} * {source}"


def _outputs(wiring: Wiring) -> Iterator[str]:
    for output in wiring.outputs:
        if output.neuron is None:
            yield "0.0"
        elif (output.scale, output.offset) == (1.0, 0.0):
            yield f"n{output.neuron}"
        else:
            yield f"{output.scale!r} * n{output.neuron} + {output.offset!r}"
