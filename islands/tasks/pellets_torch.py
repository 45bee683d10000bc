"""The pellets task, readable: whole episodes of a batch of creatures in PyTorch.

This is the reference that the compiled kernel is tested against; the physics is
in `pellets_torch_physics`. All episodes start together. A creature that a limit
has ended stays as it is, and leaves the batch once the ended are many. Cost:
about 90 tensor operations a step, whatever the number of creatures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from islands.genome.population import HYBRID, Array, Genomes, Layout
from islands.networks_torch import FixedNetworks, NeatNetworks, memory_size, networks_of, think
from islands.rng import uniform
from islands.tasks import Played
from islands.tasks.pellets_kernel import Parameters
from islands.tasks.pellets_torch_physics import (
    GRAVITY,
    TINY,
    Body,
    State,
    centre,
    eats,
    edge_distance,
    horizontal,
    limit_broken,
    make_body,
    move_nodes,
    pull_muscles,
)
from islands.threads import torch_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Networks = NeatNetworks | FixedNetworks
else:
    torch = torch_module()

ENCODINGS = ("none", "sin", "raw", "cyclic", "sin_raw")
TICK = 3
"""Physics steps a control tick."""
SLOWEST = 0.02
"""Metres a step below which a movement of the centre of mass does not count as path."""
CROWD = 8
"""Ended creatures leave the batch when they are one in so many."""


class Draws:
    """The pellets' random numbers: draws 3n, 3n + 1, 3n + 2 of a key are angle, distance and height of its n-th."""

    def __init__(self, keys: Array, like: Tensor) -> None:
        self.keys, which = np.unique(np.asarray(keys, np.uint64), return_inverse=True)
        self.which = torch.as_tensor(which).to(like.device)
        self.table = torch.zeros((len(self.keys), 0, 3)).to(like)

    def of(self, number: Tensor) -> Tensor:
        """The three draws of pellet `number` (int64 [E]), each in [0, 1): [E, 3]."""
        known, most = self.table.shape[1], int(number.max()) + 1
        if most > known:
            wanted = range(3 * known, 3 * max(most, 2 * known))
            more = np.array([[uniform(key, i) for i in wanted] for key in self.keys], np.float32)
            self.table = torch.cat([self.table, torch.as_tensor(more).to(self.table).unflatten(1, (-1, 3))], dim=1)
        return self.table[self.which, number]

    def keep(self, rows: Tensor) -> None:
        """Go on with the episodes `rows` alone."""
        self.which = self.which[rows]


def start(
    genomes: Genomes, layout: Layout, parameters: Parameters, items: Array, keys: Array, like: Tensor
) -> tuple[Body, Networks, State, Draws]:
    """Creatures at rest before their first pellet, one an episode; numbers have the device and dtype of `like`."""
    room = (int(np.diff(genomes.body_start).max()), int(np.diff(genomes.muscle_start).max()))
    body, position = make_body(genomes, parameters, room, like)
    rows = torch.as_tensor(np.asarray(items, np.int64)).to(like.device)
    networks = _rows(networks_of(genomes, layout, room, like), rows)
    body, position, draws = _rows(body, rows), position[rows], Draws(keys, like)
    return body, networks, make_state(body, position, memory_size(networks), draws), draws


def _rows(parts: Any, rows: Tensor) -> Any:
    """The episodes `rows` of a NamedTuple of tensors."""
    return type(parts)(*(part[rows] for part in parts))


def make_state(body: Body, position: Tensor, neurons: int, draws: Draws) -> State:
    """Bodies at rest with their first pellet."""
    muscles, row = torch.zeros_like(body.rest), torch.zeros_like(body.extent)
    number = torch.zeros_like(row, dtype=torch.int64)
    length = torch.sqrt(((body.ends.transpose(1, 2) @ position) ** 2).sum(dim=2))
    strain = (0.5 * body.stiffness * (length - body.rest) ** 2).sum(dim=1)
    state = State(
        position=position,
        velocity=torch.zeros_like(position),
        touching=torch.zeros_like(body.mass),
        length=length,
        target=body.rest,
        signal=muscles,
        memory=row.new_zeros((len(row), neurons)),
        effort=row,
        given=(body.mass * GRAVITY * position[:, :, 1]).sum(dim=1) + strain,
        path=row,
        pellet=torch.zeros_like(body.home),
        angle=row,
        first=row,
        best=row,
        eaten=number,
        step=number,
        reason=number.to(torch.uint8),
    )
    return drop_pellet(body, state, draws, number == 0)


def drop_pellet(body: Body, state: State, draws: Draws, where: Tensor) -> State:
    """A new pellet, number `eaten`, for the creatures `where` (bool [E])."""
    turn, further, height = draws.of(state.eaten).unbind(dim=1)
    opposite = state.angle + math.pi + (2.0 * turn - 1.0) * (math.pi / 2.0)
    angle = torch.where(state.eaten == 0, 2.0 * math.pi * turn, opposite)
    edge = 7.0 + (state.eaten >= 1).to(turn) + (state.eaten >= 3).to(turn) + further
    middle = centre(body, state.position)
    x = middle[:, 0] + (edge + body.extent) * torch.cos(angle)
    z = middle[:, 2] + (edge + body.extent) * torch.sin(angle)
    pellet = torch.stack([x, 0.5 + 0.5 * height, z], dim=1)
    return state._replace(
        pellet=torch.where(where[:, None], pellet, state.pellet),
        angle=torch.where(where, angle, state.angle),
        first=torch.where(where, edge, state.first),
        best=torch.where(where, edge, state.best),
    )


def clock(encoding: str, step: Tensor, steps: int) -> list[Tensor]:
    """The time inputs, each [E]; t is in seconds, the period 2 s, and `raw` runs from -1 to 1 over the episode."""
    t = step / 30.0
    if encoding == "cyclic":
        return [-torch.cos(math.pi * t), torch.sin(math.pi * t)]
    inputs = []
    if encoding in ("sin", "sin_raw"):
        inputs.append(-torch.cos(math.pi * t))
    if encoding in ("raw", "sin_raw"):
        inputs.append(2.0 * step / steps - 1.0)
    return inputs


def sense(body: Body, state: State, layout: Layout, parameters: Parameters) -> Tensor:
    """The networks' inputs [E, I]."""
    there = state.pellet - centre(body, state.position)
    distance = torch.sqrt((there**2).sum(dim=1, keepdim=True) + TINY)
    speed = centre(body, state.velocity) / parameters.max_velocity
    parts = [there / distance, speed.clamp(-1.0, 1.0), (distance / 20.0).clamp(0.0, 1.0)]
    times = clock(ENCODINGS[parameters.encoding], state.step.to(distance), parameters.steps)
    parts += [time[:, None] for time in times]
    if layout.constant:
        parts.append(torch.ones_like(distance))
    if layout.strain:
        parts.append((state.length - body.rest) / body.rest)
    if layout.velocity:
        parts.append((state.velocity / 10.0).flatten(start_dim=1))
    if layout.contact:
        parts.append(state.touching)
    return torch.cat(parts, dim=1)


def control(body: Body, state: State, networks: Networks, layout: Layout, parameters: Parameters) -> State:
    """One control tick: sensors, network, dead zone, smoothing."""
    outputs, memory = think(networks, sense(body, state, layout, parameters), state.memory, layout.activation)
    u = torch.where(outputs.abs() < parameters.dead_zone, torch.zeros_like(outputs), outputs) * body.exists
    smoothed = parameters.smoothing * u + (1.0 - parameters.smoothing) * state.signal
    mean = u.abs().sum(dim=1) / body.exists.sum(dim=1).clamp(min=1.0)
    signal = torch.where(state.step[:, None] == 0, u, smoothed)
    return frozen(state, state._replace(signal=signal, memory=memory, effort=state.effort + mean))


def step(body: Body, state: State, draws: Draws, hybrid: bool) -> State:
    """One physics step of 1/30 s and all that hangs on it; ended creatures stay as they are."""
    pulled, force = pull_muscles(body, state, hybrid)
    after = move_nodes(body, pulled, force)
    moved = horizontal(centre(body, after.position) - centre(body, state.position))
    after = after._replace(
        path=state.path + torch.where(moved > SLOWEST, moved, torch.zeros_like(moved)),
        best=torch.minimum(state.best, edge_distance(body, after)),
        step=state.step + 1,
    )
    meal = eats(body, after)
    if bool(meal.any()):
        after = drop_pellet(body, after._replace(eaten=after.eaten + meal.long()), draws, meal)
    return frozen(state, after._replace(reason=limit_broken(body, after)))


def frozen(before: State, after: State) -> State:
    """`after`, but with the creatures that had ended `before` as they were."""
    ended = before.reason > 0
    if not bool(ended.any()):
        return after
    pairs = zip(before, after, strict=True)
    return State(*(torch.where(ended.view(-1, *[1] * (new.dim() - 1)), old, new) for old, new in pairs))


def mean_effort(state: State) -> Tensor:
    """mean |u| over muscles and ticks so far, [E]."""
    return state.effort / torch.div(state.step + TICK - 1, TICK, rounding_mode="floor").clamp(min=1)


def fitness(body: Body, state: State, penalty: float) -> Tensor:
    """Each creature's fitness as it stands, [E]; 0 for a disqualified one."""
    distance = edge_distance(body, state)
    progress = ((state.first - distance) / state.first).clamp(0.0, 1.0)
    regress = ((distance - state.best) / (0.5 * state.first)).clamp(0.0, 1.0)
    score = (
        100.0 * state.eaten
        + 80.0 * progress
        + (3.0 * state.path).clamp(max=20.0)
        - 20.0 * regress * (state.eaten > 0)
        - 10.0 * penalty * mean_effort(state)
    )
    return torch.where(state.reason > 0, torch.zeros_like(score), score.clamp(min=0.0))


def results(body: Body, state: State, penalty: float) -> Tensor:
    """Columns fitness, reason, steps, displacement x z, path and mean |u|: float64 [E, 7]."""
    went = (centre(body, state.position) - body.home)[:, [0, 2]]
    walked = torch.cat([went, state.path[:, None]], dim=1)
    walked = torch.where(state.reason[:, None] > 0, torch.zeros_like(walked), walked)
    columns = [fitness(body, state, penalty), state.reason, state.step, *walked.unbind(dim=1), mean_effort(state)]
    return torch.stack([column.double() for column in columns], dim=1)


def play(
    genomes: Genomes, layout: Layout, parameters: Parameters, items: Array, keys: Array, dtype: Any = torch.float32
) -> Played:  # fmt: skip
    """Play episode i with genome `items[i]` and the pellets of stream `keys[i]`; see `islands.tasks.Task`."""
    like = torch.zeros(0, dtype=dtype)
    with torch.inference_mode():
        body, networks, state, draws = start(genomes, layout, parameters, items, keys, like)
        found = results(body, state, parameters.penalty)
        rows = torch.arange(len(found), device=like.device)
        for number in range(parameters.steps):
            if number % TICK == 0:
                state = control(body, state, networks, layout, parameters)
            state = step(body, state, draws, layout.mode == HYBRID)
            ended = state.reason > 0
            if int(ended.sum()) * CROWD > len(rows):
                found[rows] = results(body, state, parameters.penalty)
                on = torch.nonzero(~ended)[:, 0]
                if len(on) == 0:
                    break
                body, networks, state, rows = _rows(body, on), _rows(networks, on), _rows(state, on), rows[on]
                draws.keep(on)
        else:
            found[rows] = results(body, state, parameters.penalty)
    table = found.cpu().numpy()
    return Played(
        fitness=table[:, 0].astype(np.float32),
        reason=table[:, 1].astype(np.uint8),
        steps=table[:, 2].astype(np.int32),
        behaviour=table[:, 3:].astype(np.float32),
    )
