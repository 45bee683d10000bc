"""Where everything of a drawn network lies: layers from left to right, inputs first, outputs last.

Large networks are drawn in part: the heaviest connections, and the neurons that these join.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from islands.wiring import Heard, Wiring

MOST_CONNECTIONS = 600
"""Drawn; the heaviest."""
GAP, WIDTH, MARGIN = 26.0, 250.0, 150.0
"""Pixels between two neurons of a layer, between layers, and left for names."""
SWEEPS = 6
"""Times that layers are ordered by their neighbours' places (Sugiyama, Tagawa & Toda 1981)."""
NAMED = 6
"""More hidden neurons have no names beside them; the tooltips have them."""


@dataclass(frozen=True)
class Spot:
    """A drawn input, neuron or output. `kind`: input, hidden, output; `quiet`: nothing goes in or out."""

    x: float
    y: float
    kind: str
    name: str
    told: str
    quiet: bool = False
    named: bool = True


@dataclass(frozen=True)
class Wire:
    """A drawn connection: an SVG path. `before`: it carries the value of the step before."""

    path: str
    width: float
    excites: bool
    before: bool
    told: str


@dataclass(frozen=True)
class Drawing:
    """A network to be drawn, in pixels. `left_out`: connections that are not drawn."""

    width: float
    height: float
    spots: list[Spot]
    wires: list[Wire]
    left_out: int

    @property
    def remembers(self) -> bool:
        """Whether something carries the value of the step before."""
        return any(wire.before for wire in self.wires)


def draw(wiring: Wiring) -> Drawing:
    """The drawing of a network."""
    inputs = len(wiring.inputs)
    every = [(heard, inputs + k) for k, neuron in enumerate(wiring.neurons) for heard in neuron.heard]
    kept = sorted(every, key=lambda pair: -abs(pair[0].weight))[:MOST_CONNECTIONS]
    touched = {end for heard, target in kept for end in (heard.source, target)}
    layers = _ordered(_layers(wiring, touched, whole=len(kept) == len(every)), kept)
    rows = max((len(layer) for layer in layers), default=1)
    height = max(4, rows) * GAP + 2 * GAP
    at = {
        node: (MARGIN + column * WIDTH, height / 2 + (row - (len(layer) - 1) / 2) * _gap(len(layer), height))
        for column, layer in enumerate(layers)
        for row, node in enumerate(layer)
    }
    heaviest = max((abs(heard.weight) for heard, _ in kept), default=0.0) or 1.0
    wires = [_wire(wiring, heard, target, at, heaviest) for heard, target in reversed(kept)]
    between = [node for layer in layers[1:-1] for node in layer]
    crowded = set(between) if len(between) > NAMED else set()
    spots = [_spot(wiring, node, *place, node in touched, node not in crowded) for node, place in at.items()]
    width = 2 * MARGIN + (max(1, len(layers)) - 1) * WIDTH
    return Drawing(width, height, spots, wires, len(every) - len(kept))


def _gap(rows: int, height: float) -> float:
    """Pixels between the neurons of a layer: small layers spread out."""
    return max(GAP, min(3 * GAP, (height - 2 * GAP) / rows))


def _layers(wiring: Wiring, touched: set[int], whole: bool) -> list[list[int]]:
    """Inputs, neurons by their longest way from an input, outputs. Nodes: inputs, neurons, then undriven outputs."""
    inputs, neurons = len(wiring.inputs), len(wiring.neurons)
    depth = [0] * inputs
    for neuron in wiring.neurons:
        depth.append(1 + max((depth[h.source] for h in neuron.heard if not h.before), default=0))
    driven = [output.neuron for output in wiring.outputs]
    last = {inputs + k for k in driven if k is not None}
    layers: dict[int, list[int]] = {}
    for node in range(inputs, inputs + neurons):
        if node not in last and (whole or node in touched):
            layers.setdefault(depth[node], []).append(node)
    outputs = [inputs + neurons + j if k is None else inputs + k for j, k in enumerate(driven)]
    first = [node for node in range(inputs) if whole or node in touched]
    return [first, *(layers[level] for level in sorted(layers)), list(dict.fromkeys(outputs))]


def _ordered(layers: list[list[int]], kept: Iterable[tuple[Heard, int]]) -> list[list[int]]:
    """The layers between, each sorted by the mean place of what its neurons are joined to."""
    joined: dict[int, list[int]] = {}
    for heard, target in kept:
        joined.setdefault(heard.source, []).append(target)
        joined.setdefault(target, []).append(heard.source)
    place = {node: row / max(1, len(layer) - 1) for layer in layers for row, node in enumerate(layer)}
    for _ in range(SWEEPS if len(layers) > 2 else 0):
        for layer in layers[1:-1]:
            middle = {
                node: sum(place.get(other, 0.5) for other in joined.get(node, [])) / max(1, len(joined.get(node, [])))
                for node in layer
            }
            layer.sort(key=lambda node: middle[node])
            place |= {node: row / max(1, len(layer) - 1) for row, node in enumerate(layer)}
    return layers


def _name(wiring: Wiring, node: int) -> str:
    inputs, neurons = len(wiring.inputs), len(wiring.neurons)
    if node < inputs:
        return wiring.inputs[node]
    if node < inputs + neurons:
        return next((o.name for o in wiring.outputs if o.neuron == node - inputs), wiring.neurons[node - inputs].name)
    return wiring.outputs[node - inputs - neurons].name


def _spot(wiring: Wiring, node: int, x: float, y: float, touched: bool, named: bool) -> Spot:
    inputs, neurons = len(wiring.inputs), len(wiring.neurons)
    name = _name(wiring, node)
    if node < inputs:
        return Spot(x, y, "input", name, f"input {name}" + ("" if touched else ", heard by nobody"), not touched)
    if node >= inputs + neurons:
        return Spot(x, y, "output", name, f"output {name}: no neuron drives it, it is always 0", quiet=True)
    neuron = wiring.neurons[node - inputs]
    told = f"{name}: {neuron.activation}, bias {neuron.bias:.3g}, {len(neuron.heard)} connections in"
    last = any(output.neuron == node - inputs for output in wiring.outputs)
    return Spot(x, y, "output" if last else "hidden", name, told, named=named)


def _wire(wiring: Wiring, heard: Heard, target: int, at: dict[int, tuple[float, float]], heaviest: float) -> Wire:
    (x1, y1), (x2, y2) = at[heard.source], at[target]
    if x2 > x1:
        bend = (x2 - x1) * 0.45
        path = f"M{x1:.0f},{y1:.1f}C{x1 + bend:.0f},{y1:.1f} {x2 - bend:.0f},{y2:.1f} {x2 - 7:.0f},{y2:.1f}"
    else:  # back, or within a layer: an arc above
        lift = 26 + abs(x1 - x2) * 0.15
        path = f"M{x1:.0f},{y1:.1f}C{x1 + 40:.0f},{y1 - lift:.1f} {x2 - 50:.0f},{y2 - lift:.1f} {x2 - 7:.0f},{y2:.1f}"
    told = f"{_name(wiring, heard.source)} to {_name(wiring, target)}: weight {heard.weight:.4g}"
    told += ", the value of the step before" if heard.before else ""
    width = round(0.4 + 4.6 * abs(heard.weight) / heaviest, 2)
    return Wire(path, width, heard.weight >= 0, heard.before, told)
