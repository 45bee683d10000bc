"""Forward passes of whole batches in PyTorch: the readable twin of the compiled networks, and the way onto a GPU.

E networks are padded to the largest of the batch. Input slots are those of `networks.input_marks`, I of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from islands.genome.population import BODY_GENES, MUSCLE_GENES, SHARED_GENES, Array, Genomes, Layout
from islands.networks import input_marks, input_slots, output_slots, write_program
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


class FixedNetworks(NamedTuple):
    """E networks with one hidden layer of H neurons; weights 0 in padding."""

    inner: Tensor  # [E, H, I]
    inner_bias: Tensor  # [E, H]
    outer: Tensor  # [E, M, H]
    outer_bias: Tensor  # [E, M]


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
    sources, weights = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    fan_in = np.zeros((count, neurons), np.int64)
    bias = np.zeros((count, neurons), np.float32)
    output = np.full((count, room[1]), -1, np.int64)
    for p in range(count):
        bodies = genomes.body_id[genomes.body_start[p] : genomes.body_start[p + 1]]
        muscles = genomes.muscle_id[genomes.muscle_start[p] : genomes.muscle_start[p + 1]]
        input_marks(layout, bodies, muscles, *room, marks)
        length = write_program(genomes, p, marks, slots, order, first, source, weight)
        output_slots(genomes, p, slots, order, length, driver)
        sources.append(source[: first[length]].astype(np.int64))
        weights.append(weight[: first[length]].copy())
        fan_in[p, :length] = np.diff(first[: length + 1])
        output[p, : len(muscles)] = driver[: len(muscles)]
        if layout.node_bias:
            bias[p, :length] = genomes.node_bias[genomes.node_start[p] + order[:length]]
    start = np.concatenate([[0], np.cumsum(fan_in)])
    widest = max(1, int(fan_in.max()))
    shape = (count, neurons, widest)
    return NeatNetworks(
        bias=torch.as_tensor(bias),
        source=torch.as_tensor(padded(start, np.concatenate(sources), widest).reshape(shape)),
        weight=torch.as_tensor(padded(start, np.concatenate(weights), widest).reshape(shape)),
        output=torch.as_tensor(np.maximum(output, 0)),
        driven=torch.as_tensor((output >= 0).astype(np.float32)),
    )


def activated(total: Tensor, activation: int) -> Tensor:
    """The value of neurons whose weighted sums are `total`; see `Layout.activation`."""
    return torch.sigmoid(4.9 * total) if activation else torch.tanh(total)


def forward_neat(networks: NeatNetworks, inputs: Tensor, memory: Tensor, activation: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs [E, M], from -1 to 1, for `inputs` [E, I], and every neuron's value [E, K]: the next call's `memory`.

    Neurons are computed in program order; a connection that closes a cycle reads the value from `memory`.
    """
    values = torch.cat([inputs, memory], dim=1)
    for k in range(memory.shape[1]):
        heard = values.gather(1, networks.source[:, k])
        total = networks.bias[:, k] + (networks.weight[:, k] * heard).sum(dim=1)
        values[:, inputs.shape[1] + k] = activated(total, activation)
    outputs = values.gather(1, networks.output)
    outputs = (2.0 * outputs - 1.0 if activation else outputs) * networks.driven
    return outputs, values[:, inputs.shape[1] :]


def fixed_networks(genomes: Genomes, layout: Layout, room: tuple[int, int]) -> FixedNetworks:
    """The fixed-topology networks of P genomes, float32; `room` = (body nodes, muscles) of the largest body."""
    width, count = layout.hidden, genomes.count
    body = padded(genomes.body_start, genomes.body_gene, room[0])[:, :, BODY_GENES:]
    muscle = padded(genomes.muscle_start, genomes.muscle_gene, room[1])[:, :, MUSCLE_GENES:]
    shared = genomes.shared[:, SHARED_GENES:]
    inner = [shared[:, : width * layout.inputs].reshape(count, width, layout.inputs)]
    if layout.strain:
        inner.append(muscle[:, :, :width].transpose(0, 2, 1))
        muscle = muscle[:, :, width:]
    if layout.velocity:
        weights = body[:, :, : 3 * width].reshape(count, room[0], width, 3)
        inner.append(weights.transpose(0, 2, 1, 3).reshape(count, width, 3 * room[0]))
        body = body[:, :, 3 * width :]
    if layout.contact:
        inner.append(body[:, :, :width].transpose(0, 2, 1))
    none = np.zeros((count, max(width, room[1])), np.float32)
    return FixedNetworks(
        inner=torch.as_tensor(np.concatenate(inner, axis=2)),
        inner_bias=torch.as_tensor(shared[:, width * layout.inputs :] if layout.node_bias else none[:, :width]),
        outer=torch.as_tensor(np.ascontiguousarray(muscle[:, :, :width])),
        outer_bias=torch.as_tensor(muscle[:, :, width] if layout.node_bias else none[:, : room[1]]),
    )


def forward_fixed(networks: FixedNetworks, inputs: Tensor, activation: int = 0) -> Tensor:
    """Outputs [E, M], from -1 to 1, for `inputs` [E, I]."""
    hidden = activated((networks.inner * inputs[:, None, :]).sum(dim=2) + networks.inner_bias, activation)
    outputs = activated((networks.outer * hidden[:, None, :]).sum(dim=2) + networks.outer_bias, activation)
    return 2.0 * outputs - 1.0 if activation else outputs


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
    return forward_fixed(networks, inputs, activation), memory
