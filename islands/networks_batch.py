"""Many networks that think together between the steps of a task whose rules are Python's own.

Compiled on the CPU, sixteen networks a group, each row's numbers independent of the others', bit for bit; in PyTorch
for the rest. A row keeps its network's memory until another genome takes its place.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from islands.genome.population import Array, Genomes, Layout, has
from islands.kernel import kernel
from islands.lanes import LANES
from islands.networks import input_slots
from islands.networks_lanes import Brain, largest, make_brain, think
from islands.tasks.plain_kernel import forget, load_network


class Networks(Protocol):
    """W rows of networks."""

    def load(self, rows: Array, items: Array) -> None:
        """Put genome `items[i]` into row `rows[i]` (both int64), without memories."""
        ...

    def think(self, inputs: Array) -> Array:
        """The outputs of every row, float32 [W, A] from -1 to 1, for `inputs` float32 [W, O]; a row that is not in use
        gives numbers without meaning."""
        ...


def room_for(genomes: Genomes, layout: Layout, outputs: int) -> tuple[Brain, int]:
    """Room for any sixteen of these genomes without bodies, and their number of input slots."""
    slots = int(input_slots(layout, 0, outputs))
    return make_brain(slots, layout, *largest(genomes), outputs), slots


@kernel
def load_lanes(brain: Any, genomes: Any, items: Any, layout: Any, fixed: Any, slots: Any, outputs: Any) -> Any:
    """Put genome `items[lane]` (int64 [16]) into each lane; below 0: leave the lane as it is."""
    room = (np.int64(0), np.int64(outputs))
    for lane in range(LANES):
        if items[lane] >= 0:
            load_network(brain, genomes, items[lane], lane, layout, room, slots, fixed)
            forget(brain, slots, lane)


@kernel
def think_lanes(
    brain: Any, inputs: Any, first: Any, layout: Any, fixed: Any, slots: Any, outputs: Any, out: Any
) -> Any:
    """Let sixteen networks think: rows `first` and on of `inputs` float32 [W, O] into those of `out` float32 [W, A]."""
    room = (np.int64(0), np.int64(outputs))
    for lane in range(LANES):
        for i in range(layout.sensors):
            brain.value[i * LANES + lane] = inputs[first + lane, i]
    think(brain, layout, slots, room, room, fixed)
    for lane in range(LANES):
        for o in range(outputs):
            out[first + lane, o] = brain.drive[o * LANES + lane]


class CompiledNetworks:
    """`Networks` on the CPU."""

    def __init__(self, genomes: Genomes, layout: Layout, outputs: int, width: int) -> None:
        self.genomes, self.layout, self.outputs, self.width = genomes, layout, outputs, width
        self.fixed = has(layout)[1]
        groups = -(-width // LANES)
        made = [room_for(genomes, layout, outputs) for _ in range(groups)]
        self.brains, self.slots = [brain for brain, _ in made], made[0][1]
        self.heard = np.zeros((groups * LANES, layout.sensors), np.float32)
        self.answers = np.zeros((groups * LANES, outputs), np.float32)

    def load(self, rows: Array, items: Array) -> None:
        """See `Networks`."""
        wanted = np.full(len(self.heard), -1, np.int64)
        wanted[rows] = items
        for brain, some in zip(self.brains, wanted.reshape(-1, LANES), strict=True):
            if (some >= 0).any():
                load_lanes(brain, self.genomes, some, self.layout, self.fixed, self.slots, self.outputs)

    def think(self, inputs: Array) -> Array:
        """See `Networks`."""
        self.heard[: self.width] = inputs
        for group, brain in enumerate(self.brains):
            think_lanes(
                brain, self.heard, group * LANES, self.layout, self.fixed, self.slots, self.outputs, self.answers
            )
        return self.answers[: self.width].copy()


class TorchNetworks:
    """`Networks` in PyTorch, in float32 on a device."""

    def __init__(self, genomes: Genomes, layout: Layout, outputs: int, width: int, device: str) -> None:
        from islands.networks_torch import memory_size, networks_of
        from islands.threads import device_of, torch_module

        self.torch, self.layout = torch_module(), layout
        self.like = self.torch.zeros(0, dtype=self.torch.float32, device=device_of(device))
        self.all: Any = networks_of(genomes, layout, (0, outputs), self.like)
        self.memory = self.like.new_zeros((width, memory_size(self.all)))
        self.items = self.torch.zeros(width, dtype=self.torch.int64, device=self.like.device)
        self.networks: Any = None

    def load(self, rows: Array, items: Array) -> None:
        """See `Networks`."""
        with self.torch.inference_mode():
            where = self.torch.as_tensor(np.asarray(rows, np.int64)).to(self.like.device)
            self.items[where] = self.torch.as_tensor(np.asarray(items, np.int64)).to(self.like.device)
            self.memory[where] = 0.0
            self.networks = type(self.all)(*(part[self.items] for part in self.all))

    def think(self, inputs: Array) -> Array:
        """See `Networks`."""
        from islands.networks_torch import think

        heard = self.torch.as_tensor(np.ascontiguousarray(inputs, np.float32)).to(self.like.device)
        with self.torch.inference_mode():
            if self.layout.constant:
                heard = self.torch.cat([heard, self.torch.ones_like(heard[:, :1])], dim=1)
            outputs, self.memory = think(self.networks, heard, self.memory, self.layout.activation)
        answers: Array = outputs.cpu().numpy()
        return answers


def networks_for(genomes: Genomes, layout: Layout, outputs: int, width: int, device: str) -> Networks:
    """`width` rows for these genomes on a device."""
    if device == "cpu":
        return CompiledNetworks(genomes, layout, outputs, width)
    return TorchNetworks(genomes, layout, outputs, width, device)
