"""Forward passes of whole batches in PyTorch: the readable twin of the compiled networks, and the way onto a GPU.

E networks are padded to the largest of the batch. Input slots are those of `networks.input_marks`, I of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from islands.genome.population import BODY_GENES, BOUND, KINDS, MUSCLE_GENES, Array, Genomes, Layout, deeper
from islands.networks import input_marks, input_slots, make_desk, output_slots, write_program
from islands.threads import torch_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = torch_module()


class NeatNetworks(NamedTuple):
    """E NEAT networks as programs of at most K neurons, each with at most F connections into it."""

    bias: Tensor  # [E, K]
    source: Tensor  # int64 [E, K, F]: input slot, or I + k for the k-th neuron
    weight: Tensor  # [E, K, F]; 0 in padding
    output: Tensor  # int64 [E, M]: slot of the neuron that drives each muscle
    driven: Tensor  # [E, M]: 1 where there is such a neuron, 0 elsewhere
    kind: Tensor  # int64 [E, K]: each neuron's function, see `population.KINDS`; [E, 0]: all have the network's own


class FixedNetworks(NamedTuple):
    """E networks with L hidden layers of H neurons; weights 0 in padding."""

    inner: Tensor  # [E, H, I]
    inner_bias: Tensor  # [E, H]
    outer: Tensor  # [E, M, H]: from the last layer
    outer_bias: Tensor  # [E, M]
    deep: Tensor  # [E, L - 1, H, H]: from each layer (last axis) to the next
    deep_bias: Tensor  # [E, L - 1, H]
    own: Tensor  # [E, L, H, H]: from each layer to itself, a step later; [E, 0, H, H] where nothing is remembered


def padded(start: Array, values: Array, room: int) -> Array:
    """Rows `start[p]:start[p + 1]` of `values` as [P, room, ...], with zeros behind each genome's last."""
    lengths = np.diff(start)
    out = np.zeros((len(lengths), room, *values.shape[1:]), values.dtype)
    out[np.arange(room) < lengths[:, None]] = values
    return out


def neat_networks(genomes: Genomes, layout: Layout, room: tuple[int, int]) -> NeatNetworks:
    """The NEAT networks of P genomes, float32; `room` = (body nodes, muscles) of the largest body."""
    count, slots = genomes.count, input_slots(layout, *room)
    neurons = max(1, int(np.diff(genomes.node_start).max()))
    connections = int(np.diff(genomes.conn_start).max())
    marks, order = np.zeros(slots + 1, np.uint64), np.zeros(neurons, np.int32)
    first, source = np.zeros(neurons + 1, np.int32), np.zeros(connections, np.int32)
    weight, driver = np.zeros(connections, np.float32), np.zeros(room[1], np.int32)
    desk = make_desk(neurons, connections)
    sources, weights = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    fan_in = np.zeros((count, neurons), np.int64)
    bias = np.zeros((count, neurons), np.float32)
    kind = np.zeros((count, neurons * (layout.activations > 0)), np.int64)
    output = np.full((count, room[1]), -1, np.int64)
    for p in range(count):
        bodies = genomes.body_id[genomes.body_start[p] : genomes.body_start[p + 1]]
        muscles = genomes.muscle_id[genomes.muscle_start[p] : genomes.muscle_start[p + 1]]
        input_marks(layout, bodies, muscles, *room, marks)
        length = write_program(genomes, p, marks, slots, order, first, source, weight, desk)
        output_slots(genomes, p, slots, order, length, driver)
        sources.append(source[: first[length]].astype(np.int64))
        weights.append(weight[: first[length]].copy())
        fan_in[p, :length] = np.diff(first[: length + 1])
        output[p, : len(muscles)] = driver[: len(muscles)]
        if layout.node_bias:
            bias[p, :length] = genomes.node_bias[genomes.node_start[p] + order[:length]]
        if layout.activations:
            kind[p, :length] = genomes.node_kind[genomes.node_start[p] + order[:length]]
    start = np.concatenate([[0], np.cumsum(fan_in)])
    widest = max(1, int(np.max(fan_in)))
    shape = (count, neurons, widest)
    return NeatNetworks(
        bias=torch.as_tensor(bias),
        source=torch.as_tensor(padded(start, np.concatenate(sources), widest).reshape(shape)),
        weight=torch.as_tensor(padded(start, np.concatenate(weights), widest).reshape(shape)),
        output=torch.as_tensor(np.maximum(output, 0)),
        driven=torch.as_tensor((output >= 0).astype(np.float32)),
        kind=torch.as_tensor(kind),
    )


def activated(total: Tensor, activation: int) -> Tensor:
    """The value of neurons whose weighted sums are `total`; see `Layout.activation`."""
    return torch.sigmoid(4.9 * total) if activation else torch.tanh(total)


def activated_by(total: Tensor, kind: Tensor, activation: int) -> Tensor:
    """The values of neurons of which each has its own function: `kind` int64 [E], see `population.KINDS`."""
    kept = total.clamp(-BOUND, BOUND)
    values = {
        "": activated(total, activation), "tanh": activated(total, 0), "sigmoid": activated(total, 1),
        "relu": kept.clamp(min=0.0), "sin": torch.sin(total), "gaussian": torch.exp(-total * total),
        "identity": kept, "abs": kept.abs(),
    }  # fmt: skip
    return torch.stack([values[name] for name in KINDS], dim=1).gather(1, kind[:, None])[:, 0]


def forward_neat(networks: NeatNetworks, inputs: Tensor, memory: Tensor, activation: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs [E, M], from -1 to 1, for `inputs` [E, I], and every neuron's value [E, K]: the next call's `memory`.

    Neurons are computed in program order; a connection that closes a cycle reads the value from `memory`.
    """
    values = torch.cat([inputs, memory], dim=1)
    for k in range(memory.shape[1]):
        heard = values.gather(1, networks.source[:, k])
        total = networks.bias[:, k] + (networks.weight[:, k] * heard).sum(dim=1)
        own = networks.kind.shape[1] > 0
        values[:, inputs.shape[1] + k] = (
            activated_by(total, networks.kind[:, k], activation) if own else activated(total, activation)
        )
    outputs = values.gather(1, networks.output)
    outputs = (2.0 * outputs - 1.0 if activation else outputs) * networks.driven
    return outputs, values[:, inputs.shape[1] :]


def fixed_networks(genomes: Genomes, layout: Layout, room: tuple[int, int]) -> FixedNetworks:
    """The fixed-topology networks of P genomes, float32; `room` = (body nodes, muscles) of the largest body."""
    width, count = layout.hidden, genomes.count
    body = padded(genomes.body_start, genomes.body_gene, room[0])[:, :, BODY_GENES:]
    muscle = padded(genomes.muscle_start, genomes.muscle_gene, room[1])[:, :, MUSCLE_GENES:]
    at, more = deeper(layout), layout.layers - 1
    inner = [genomes.shared[:, at.inner : at.inner_bias].reshape(count, width, layout.inputs)]
    if layout.strain:
        inner.append(muscle[:, :, :width].transpose(0, 2, 1))
        muscle = muscle[:, :, width:]
    if layout.velocity:
        weights = body[:, :, : 3 * width].reshape(count, room[0], width, 3)
        inner.append(weights.transpose(0, 2, 1, 3).reshape(count, width, 3 * room[0]))
        body = body[:, :, 3 * width :]
    if layout.contact:
        inner.append(body[:, :, :width].transpose(0, 2, 1))
    none = np.zeros((count, max(layout.layers * width, room[1])), np.float32)
    bias = genomes.shared[:, at.inner_bias : at.deep] if layout.node_bias else none[:, :width]
    deep_bias = genomes.shared[:, at.deep_bias : at.own] if layout.node_bias else none[:, : more * width]
    return FixedNetworks(
        inner=torch.as_tensor(np.concatenate(inner, axis=2)),
        inner_bias=torch.as_tensor(np.ascontiguousarray(bias)),
        outer=torch.as_tensor(np.ascontiguousarray(muscle[:, :, :width])),
        outer_bias=torch.as_tensor(muscle[:, :, width] if layout.node_bias else none[:, : room[1]]),
        deep=torch.as_tensor(genomes.shared[:, at.deep : at.deep_bias].reshape(count, more, width, width)),
        deep_bias=torch.as_tensor(deep_bias.reshape(count, more, width)),
        own=torch.as_tensor(genomes.shared[:, at.own :].reshape(count, -1, width, width)),
    )


def forward_fixed(
    networks: FixedNetworks, inputs: Tensor, memory: Tensor, activation: int = 0
) -> tuple[Tensor, Tensor]:
    """Outputs [E, M], from -1 to 1, for `inputs` [E, I], and the layers' values [E, L H]: the next call's `memory`.

    A network that remembers nothing has a memory [E, 0].
    """
    hidden, width, layers = inputs, networks.inner.shape[1], []
    for layer in range(networks.deep.shape[1] + 1):
        weight = networks.deep[:, layer - 1] if layer else networks.inner
        total = (weight * hidden[:, None, :]).sum(dim=2)
        total = total + (networks.deep_bias[:, layer - 1] if layer else networks.inner_bias)
        if networks.own.shape[1]:
            before = memory[:, layer * width : (layer + 1) * width]
            total = total + (networks.own[:, layer] * before[:, None, :]).sum(dim=2)
        hidden = activated(total, activation)
        layers.append(hidden)
    outputs = activated((networks.outer * hidden[:, None, :]).sum(dim=2) + networks.outer_bias, activation)
    remembered = torch.cat(layers, dim=1) if networks.own.shape[1] else memory
    return 2.0 * outputs - 1.0 if activation else outputs, remembered


def memory_size(networks: NeatNetworks | FixedNetworks) -> int:
    """How many values each network hands on from step to step."""
    if isinstance(networks, NeatNetworks):
        return networks.bias.shape[1]
    return networks.own.shape[1] * networks.own.shape[2]


def networks_of(genomes: Genomes, layout: Layout, room: tuple[int, int], like: Tensor) -> NeatNetworks | FixedNetworks:
    """The networks of P genomes on the device of `like` and, but for indices, in its dtype."""
    networks = (fixed_networks if layout.hidden else neat_networks)(genomes, layout, room)
    moved = (part.to(like) if part.is_floating_point() else part.to(like.device) for part in networks)
    return type(networks)(*moved)


def think(
    networks: NeatNetworks | FixedNetworks, inputs: Tensor, memory: Tensor, activation: int
) -> tuple[Tensor, Tensor]:
    """Outputs [E, M] from -1 to 1, and the neurons' memory."""
    if isinstance(networks, NeatNetworks):
        return forward_neat(networks, inputs, memory, activation)
    return forward_fixed(networks, inputs, memory, activation)
