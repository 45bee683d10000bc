"""A network, and its body, as a Graphviz graph: `dot -Tsvg champion.dot > champion.svg`.

Blue connections excite, orange ones inhibit (Okabe & Ito's colours, which colour-blind people tell apart); the wider,
the heavier. A dashed one carries the value of the step before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from islands.wiring import Heard, Wiring

EXCITES, INHIBITS, QUIET = "#0072B2", "#D55E00", "#999999"
NUMBERED = 40
"""So many connections have their weight written beside them; of more it is the tooltip alone."""


def write(wiring: Wiring, title: str) -> bytes:
    """The graph: inputs on the left, outputs on the right."""
    lines = [
        "digraph champion {",
        f"  label={_quoted(title)}; labelloc=t; rankdir=LR; nodesep=0.15; ranksep=1;",
        '  node [shape=box, style=rounded, fontname="Helvetica", fontsize=10];',
        '  edge [arrowsize=0.6, fontname="Helvetica", fontsize=8];',
        *(f"  {line}" for part in (_inputs, _neurons, _connections, _body) for line in part(wiring)),
        "}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _inputs(wiring: Wiring) -> Iterator[str]:
    heard = {h.source for neuron in wiring.neurons for h in neuron.heard}
    yield "{ rank=source;"
    for i, name in enumerate(wiring.inputs):
        colour = "" if i in heard else f", color={_quoted(QUIET)}, fontcolor={_quoted(QUIET)}"
        yield f"  i{i} [label={_quoted(name)}{colour}];"
    yield "}"


def _neurons(wiring: Wiring) -> Iterator[str]:
    last = {output.neuron for output in wiring.outputs}
    for k, neuron in enumerate(wiring.neurons):
        if k not in last:
            yield _neuron(k, neuron.name, neuron.activation, neuron.bias)
    yield "{ rank=sink;"
    for j, output in enumerate(wiring.outputs):
        if output.neuron is None:
            yield f"  o{j} [label={_quoted(output.name)}, color={_quoted(QUIET)}, fontcolor={_quoted(QUIET)}];"
        else:
            neuron = wiring.neurons[output.neuron]
            yield "  " + _neuron(output.neuron, output.name, neuron.activation, neuron.bias, ", peripheries=2")
    yield "}"


def _neuron(k: int, name: str, activation: str, bias: float, more: str = "") -> str:
    return f"n{k} [label={_quoted(f'{name}|{activation}|bias {bias:.3g}'.replace('|', chr(10)))}{more}];"


def _connections(wiring: Wiring) -> Iterator[str]:
    heaviest = max((abs(h.weight) for neuron in wiring.neurons for h in neuron.heard), default=0.0) or 1.0
    numbered = wiring.connections <= NUMBERED
    for k, neuron in enumerate(wiring.neurons):
        for h in neuron.heard:
            yield _connection(h, k, len(wiring.inputs), heaviest, numbered)


def _connection(heard: Heard, target: int, inputs: int, heaviest: float, numbered: bool) -> str:
    source = f"i{heard.source}" if heard.source < inputs else f"n{heard.source - inputs}"
    colour = EXCITES if heard.weight >= 0 else INHIBITS
    width = 0.3 + 3.7 * abs(heard.weight) / heaviest
    label = f", label={_quoted(f'{heard.weight:.2g}')}" if numbered else ""
    memory = ", style=dashed, constraint=false" if heard.before else ""
    drawn = f"color={_quoted(colour)}, penwidth={width:.2f}, tooltip={_quoted(f'{heard.weight:.6g}')}"
    return f"{source} -> n{target} [{drawn}{label}{memory}];"


def _body(wiring: Wiring) -> Iterator[str]:
    if wiring.body is None:
        return
    yield 'subgraph cluster_body { label="body"; node [shape=circle];'
    for node in wiring.body["nodes"]:
        x, y, z = node["position"]
        about = f"{node['name']}\n{node['diameter']:.2f} m\n({x:.2f}, {y:.2f}, {z:.2f})"
        yield f"  {_quoted('body_' + node['name'])} [label={_quoted(about)}];"
    for muscle in wiring.body["muscles"]:
        one, other = (_quoted("body_" + end) for end in muscle["ends"])
        about = f"{muscle['name']}\nrest {muscle['rest']:.2f} m"
        yield f"  {one} -> {other} [dir=none, penwidth=2, label={_quoted(about)}];"
    yield "}"


def _quoted(text: str) -> str:
    """A string of Graphviz, whose escapes are those of JSON as far as they are needed here."""
    return json.dumps(text, ensure_ascii=False)
