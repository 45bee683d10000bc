"""A genome's network spelled out: what it hears, what it computes, in which order, and the body that it moves.

All that leaves this project (`evolab export`) is written from this one description. An input that is always 1 is part
of the biases here, so that nobody has to supply it. Neurons stand in the order in which they are computed; what closes
a cycle hears the value of the step before, 0.0 at the first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from islands.genome import population as columns
from islands.genome.population import ACTIVATIONS, HYBRID, KINDS, Array, Genomes, Layout, deeper, take
from islands.networks import input_marks, input_slots, make_desk, output_slots, write_program

FORMULAS = {
    "tanh": "tanh(x)",
    "sigmoid": "1 / (1 + exp(-4.9 x))",
    "relu": "min(max(x, 0), 1000)",
    "sin": "sin(x)",
    "gaussian": "exp(-x x)",
    "identity": "min(max(x, -1000), 1000)",
    "abs": "min(|x|, 1000)",
}
"""What a neuron makes of its weighted sum x, by the name of its activation."""
UNITS = "m, s, N; frequency in Hz, phase in rad; y is up and the ground is at 0"


class Heard(NamedTuple):
    """One connection into a neuron."""

    source: int  # input i, or I + k for the k-th neuron
    weight: float
    before: bool = False  # whether it carries the value of the step before


@dataclass(frozen=True)
class Neuron:
    """Its value is activation(bias + sum of weight x what is heard)."""

    name: str
    activation: str
    bias: float
    heard: tuple[Heard, ...]


class Output(NamedTuple):
    """scale x value of the neuron + offset, from -1 to 1; 0 where no neuron drives it."""

    name: str
    neuron: int | None
    scale: float = 1.0
    offset: float = 0.0


class Stage(NamedTuple):
    """n neurons that can be computed together, from K columns of what is known by then; see `Wiring.places`."""

    activation: str
    columns: tuple[int, ...]  # [K]
    weight: Array  # float32 [n, K]; 0 where there is no connection
    bias: Array  # float32 [n]


@dataclass(frozen=True)
class Wiring:
    """A network, and the body that goes with it."""

    inputs: tuple[str, ...]
    neurons: tuple[Neuron, ...]
    outputs: tuple[Output, ...]
    body: dict[str, Any] | None = None

    @property
    def connections(self) -> int:
        """How many there are."""
        return sum(len(neuron.heard) for neuron in self.neurons)

    @functools.cached_property
    def memory(self) -> tuple[int, ...]:
        """The neurons whose value is heard a step later; empty: the network remembers nothing."""
        width = len(self.inputs)
        return tuple(sorted({h.source - width for neuron in self.neurons for h in neuron.heard if h.before}))

    @functools.cached_property
    def places(self) -> dict[int, int]:
        """The column of each neuron's value where inputs, memory and all stages stand side by side."""
        order = [k for _, chosen in self._groups for k in chosen]
        return {k: len(self.inputs) + len(self.memory) + at for at, k in enumerate(order)}

    @functools.cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The neurons in as few stages as their order allows, each of one activation."""
        return tuple(self._stage(activation, chosen) for activation, chosen in self._groups)

    @functools.cached_property
    def _groups(self) -> list[tuple[str, tuple[int, ...]]]:
        width, levels = len(self.inputs), [0] * len(self.neurons)
        groups: dict[tuple[int, str], list[int]] = {}
        for k, neuron in enumerate(self.neurons):
            sources = (h.source - width for h in neuron.heard if not h.before and h.source >= width)
            levels[k] = max((levels[source] + 1 for source in sources), default=0)
            groups.setdefault((levels[k], neuron.activation), []).append(k)
        return [(key[1], tuple(groups[key])) for key in sorted(groups)]

    def _stage(self, activation: str, chosen: tuple[int, ...]) -> Stage:
        heard = [(row, self._place(h), h.weight) for row, k in enumerate(chosen) for h in self.neurons[k].heard]
        sources = sorted({place for _, place, _ in heard})
        at = {place: column for column, place in enumerate(sources)}
        weight = np.zeros((len(chosen), len(sources)), np.float32)
        for row, place, value in heard:
            weight[row, at[place]] += np.float32(value)
        bias = np.array([self.neurons[k].bias for k in chosen], np.float32)
        return Stage(activation, tuple(sources), weight, bias)

    def _place(self, heard: Heard) -> int:
        """The column that a connection comes from; see `places`."""
        width = len(self.inputs)
        if heard.source < width:
            return heard.source
        k = heard.source - width
        return width + self.memory.index(k) if heard.before else self.places[k]

    def as_dict(self) -> dict[str, Any]:
        """The description as plain JSON values."""
        width = len(self.inputs)

        def told(heard: Heard) -> dict[str, Any]:
            if heard.source < width:
                return {"input": heard.source, "weight": heard.weight}
            return {"neuron": heard.source - width, "weight": heard.weight, "before": heard.before}

        return {
            "inputs": list(self.inputs),
            "neurons": [
                {"name": n.name, "activation": n.activation, "bias": n.bias, "heard": [told(h) for h in n.heard]}
                for n in self.neurons
            ],
            "outputs": [output._asdict() for output in self.outputs],
            "memory": list(self.memory),
            "activations": {name: FORMULAS[name] for name in sorted({n.activation for n in self.neurons})},
            "body": self.body,
        }


def describe(
    genomes: Genomes, row: int, layout: Layout, sensors: Sequence[str] = (), actions: Sequence[str] = ()
) -> Wiring:
    """Genome `row` spelled out. `sensors`, `actions`: names of the task's inputs and outputs; else they are numbered.

    The outputs of a genome with a body are its muscles.
    """
    one = take(genomes, [row])
    names = _slot_names(one, layout, sensors)
    kind = "muscle" if layout.body else "output"
    numbered = [f"{kind}_{j}" for j in range(len(one.muscle_id))]
    parts = list(actions) if len(actions) == len(numbered) and not layout.body else numbered
    neurons, drivers = (_fixed if layout.hidden else _evolved)(one, layout, len(names), parts)
    scale, offset = (2.0, -1.0) if layout.activation else (1.0, 0.0)
    outputs = tuple(
        Output(part, None) if driver is None else Output(part, driver, scale, offset)
        for part, driver in zip(parts, drivers, strict=True)
    )
    inputs = tuple(name for name in names if name is not None)
    constant = names.index(None) if None in names else None
    return Wiring(inputs, tuple(_without(constant, neuron) for neuron in neurons), outputs, _body(one, layout, parts))


def _slot_names(one: Genomes, layout: Layout, sensors: Sequence[str]) -> list[str | None]:
    """The names of the input slots, in the order of `networks.input_marks`; None: the constant one."""
    nodes, muscles = range(len(one.body_id)), range(len(one.muscle_id))
    names: list[str | None] = list(sensors or (f"input_{i}" for i in range(layout.sensors)))
    assert len(names) == layout.sensors
    names += [None] * layout.constant
    names += [f"muscle_{j}.strain" for j in muscles] * layout.strain
    names += [f"node_{n}.velocity_{axis}" for n in nodes for axis in "xyz"] * layout.velocity
    names += [f"node_{n}.contact" for n in nodes] * layout.contact
    assert len(names) == input_slots(layout, len(nodes), len(muscles))
    return names


def _evolved(one: Genomes, layout: Layout, slots: int, parts: Sequence[str]) -> tuple[list[Neuron], list[int | None]]:
    """The program of a NEAT genome: its neurons, and the one that drives each output."""
    bodies, muscles = len(one.body_id), len(one.muscle_id)
    marks, order = np.zeros(slots + 1, np.uint64), np.zeros(len(one.node_id) + 1, np.int32)
    first, source = np.zeros(len(one.node_id) + 2, np.int32), np.zeros(len(one.conn_id) + 1, np.int32)
    weight, driver = np.zeros(len(one.conn_id) + 1, np.float32), np.zeros(muscles, np.int32)
    input_marks(layout, one.body_id, one.muscle_id, bodies, muscles, marks)
    desk = make_desk(len(one.node_id), len(one.conn_id))
    length = int(write_program(one, 0, marks, slots, order, first, source, weight, desk))
    output_slots(one, 0, slots, order, length, driver)
    drivers = [int(slot) - slots if slot >= 0 else None for slot in driver]
    names = {k: parts[j] for j, k in enumerate(drivers) if k is not None}
    hidden = (f"hidden_{i}" for i in range(length))
    neurons = []
    for k in range(length):
        heard = range(first[k], first[k + 1])
        neurons.append(
            Neuron(
                names.get(k) or next(hidden),
                KINDS[one.node_kind[order[k]]] or ACTIVATIONS[layout.activation],
                short(one.node_bias[order[k]]) if layout.node_bias else 0.0,
                tuple(Heard(int(source[c]), short(weight[c]), bool(source[c] >= slots + k)) for c in heard),
            )
        )
    return neurons, drivers


def _fixed(one: Genomes, layout: Layout, slots: int, parts: Sequence[str]) -> tuple[list[Neuron], list[int | None]]:
    """The layers of a fixed topology: hidden neurons layer by layer, then the outputs."""
    width, activation, shared = layout.hidden, ACTIVATIONS[layout.activation], one.shared[0]
    at, neurons = deeper(layout), list[Neuron]()
    weights, muscle = _first_layer(one, layout)
    bias = np.zeros((layout.layers, width), np.float32)
    if layout.node_bias:
        bias[0] = shared[at.inner_bias :][:width]
        bias[1:] = shared[at.deep_bias :][: width * (layout.layers - 1)].reshape(-1, width)
    for layer in range(layout.layers):
        if layer:
            weights = shared[at.deep + (layer - 1) * width * width :][: width * width].reshape(width, width)
        base = slots + (layer - 1) * width if layer else 0
        own = shared[at.own + layer * width * width :][: width * width].reshape(-1, width)
        for h in range(width):
            heard = [Heard(base + i, short(weight)) for i, weight in enumerate(weights[h])]
            if layout.recurrent:
                mine = slots + layer * width
                heard += [Heard(mine + i, short(weight), True) for i, weight in enumerate(own[h])]
            neurons.append(Neuron(f"hidden_{len(neurons)}", activation, short(bias[layer, h]), tuple(heard)))
    last = len(neurons) - width
    for part, row in zip(parts, muscle, strict=True):
        heard = [Heard(slots + last + h, short(row[h])) for h in range(width)]
        neurons.append(Neuron(part, activation, short(row[width]) if layout.node_bias else 0.0, tuple(heard)))
    return neurons, [last + width + j for j in range(len(parts))]


def _first_layer(one: Genomes, layout: Layout) -> tuple[Array, Array]:
    """Weights from all input slots to the first hidden layer [H, slots], and what each muscle's row has left [M, …]."""
    width, shared = layout.hidden, one.shared[0, columns.SHARED_GENES :]
    muscle, body = one.muscle_gene[:, columns.MUSCLE_GENES :], one.body_gene[:, columns.BODY_GENES :]
    inner = [shared[: width * layout.inputs].reshape(width, layout.inputs)]
    if layout.strain:
        inner.append(muscle[:, :width].T)
        muscle = muscle[:, width:]
    if layout.velocity:
        inner.append(body[:, : 3 * width].reshape(-1, width, 3).transpose(1, 0, 2).reshape(width, -1))
        body = body[:, 3 * width :]
    if layout.contact:
        inner.append(body[:, :width].T)
    return np.concatenate(inner, axis=1), muscle


def _without(constant: int | None, neuron: Neuron) -> Neuron:
    """The neuron without the input slot that is always 1, which becomes part of its bias."""
    if constant is None:
        return neuron
    given = sum(h.weight for h in neuron.heard if h.source == constant)
    heard = tuple(h._replace(source=h.source - (h.source > constant)) for h in neuron.heard if h.source != constant)
    return Neuron(neuron.name, neuron.activation, short(neuron.bias + given), heard)


def _body(one: Genomes, layout: Layout, parts: Sequence[str]) -> dict[str, Any] | None:
    """The body's nodes and muscles; a muscle has the name of the output that drives it."""
    if not layout.body:
        return None
    at = {int(marking): f"node_{n}" for n, marking in enumerate(one.body_id)}
    nodes = []
    for name, gene in zip(at.values(), one.body_gene, strict=True):
        position = [short(gene[axis]) for axis in (columns.POSITION_X, columns.POSITION_Y, columns.POSITION_Z)]
        size, friction = short(gene[columns.SIZE]), short(gene[columns.FRICTION])
        nodes.append({"name": name, "diameter": size, "friction": friction, "position": position})
    muscles = []
    for name, ends, gene in zip(parts, one.muscle_ends, one.muscle_gene, strict=True):
        muscle: dict[str, Any] = {"name": name, "ends": [at[int(end)] for end in ends]}
        for key, column in (("rest", columns.REST), ("stiffness", columns.STIFFNESS), ("damping", columns.DAMPING)):
            muscle[key] = short(gene[column])
        if layout.mode == HYBRID:
            muscle["frequency"] = short(gene[columns.FREQUENCY] * one.shared[0, columns.MULTIPLIER])
            muscle["amplitude"], muscle["phase"] = short(gene[columns.AMPLITUDE]), short(gene[columns.PHASE])
        muscles.append(muscle)
    return {"units": UNITS, "nodes": nodes, "muscles": muscles}


def short(value: Any) -> float:
    """The shortest number that is the same in float32."""
    return float(str(np.float32(value)))
