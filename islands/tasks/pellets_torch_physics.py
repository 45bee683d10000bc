"""The physics of the pellets task, readable: bodies of point masses and springs, batched in PyTorch.

The twin of the compiled `pellets_physics`, formula by formula. E creatures are padded to the batch's largest body of N
body nodes and M muscles; padding has no mass, no stiffness and no say. Units are m, s, kg, N; y is up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from islands.genome import population as columns
from islands.genome.population import Genomes
from islands.networks_torch import padded
from islands.tasks.pellets_kernel import EXPLODED, FINISHED, NOT_FINITE, TOO_FAR, TOO_HIGH, Parameters
from islands.threads import torch_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = torch_module()

DT = 1.0 / 30.0
GRAVITY, RESTITUTION, TARGET_SPEED = 9.8, 0.2, 5.0
KEEP = 0.9**DT
"""Share of a velocity that is left after one step."""
FAR, HIGH = 50.0, 30.0
REACH = 0.35
"""How close to a node's surface a pellet must be to be eaten, m."""
ENERGY_FACTOR, ENERGY_MARGIN = 4.0, 100.0
TINY = 1e-12
"""Added below square roots, m^2, so that a length of zero has a direction."""


class Body(NamedTuple):
    """What stays as it is during an episode."""

    mass: Tensor  # [E, N] kg, 0 in padding
    inverse: Tensor  # [E, N] 1 / mass, 0 in padding
    radius: Tensor  # [E, N] m
    friction: Tensor  # [E, N] Coulomb coefficient on this ground
    ends: Tensor  # [E, N, M]: -1 at a muscle's first body node, +1 at its second, else 0
    rest: Tensor  # [E, M] m, 1 in padding
    stiffness: Tensor  # [E, M] N/m
    damping: Tensor  # [E, M] N s/m
    frequency: Tensor  # [E, M] Hz, the global multiplier included
    amplitude: Tensor  # [E, M]
    phase: Tensor  # [E, M] rad
    exists: Tensor  # [E, M]: 1, 0 in padding
    extent: Tensor  # [E] horizontal radius at the start, at least 1 m
    home: Tensor  # [E, 3] centre of mass at the start


class State(NamedTuple):
    """What changes."""

    position: Tensor  # [E, N, 3] m
    velocity: Tensor  # [E, N, 3] m/s
    touching: Tensor  # [E, N]: 1 on the ground
    length: Tensor  # [E, M] m, as the last step found it
    target: Tensor  # [E, M] m
    signal: Tensor  # [E, M]: s, the smoothed outputs
    memory: Tensor  # [E, K]: neurons' values at the last tick (neat)
    effort: Tensor  # [E]: sum over ticks of the mean |u|
    given: Tensor  # [E] J: energy at the start and what the muscles may have added
    path: Tensor  # [E] m
    pellet: Tensor  # [E, 3] m
    angle: Tensor  # [E] rad, of the pellet as seen when it appeared
    first: Tensor  # [E] m: d0
    best: Tensor  # [E] m: d_best
    eaten: Tensor  # int64 [E]
    step: Tensor  # int64 [E]: steps simulated
    reason: Tensor  # uint8 [E]: 0 while within the limits


def centre(body: Body, values: Tensor) -> Tensor:
    """Mean over the body weighted by mass: [E, 3] of [E, N, 3]."""
    return (body.mass[:, :, None] * values).sum(dim=1) / body.mass.sum(dim=1, keepdim=True)


def horizontal(vector: Tensor) -> Tensor:
    """Length of the horizontal part of [..., 3]."""
    return torch.sqrt(vector[..., 0] ** 2 + vector[..., 2] ** 2 + TINY)


def edge_distance(body: Body, state: State) -> Tensor:
    """d: horizontal distance from the centre of mass to the pellet, less the body's extent, at least 0."""
    return (horizontal(state.pellet - centre(body, state.position)) - body.extent).clamp(min=0.0)


def make_body(genomes: Genomes, parameters: Parameters, room: tuple[int, int], like: Tensor) -> tuple[Body, Tensor]:
    """The bodies of P genomes and the positions [P, N, 3] of their nodes at the start."""
    node = torch.as_tensor(padded(genomes.body_start, genomes.body_gene, room[0])).to(like)
    muscle = torch.as_tensor(padded(genomes.muscle_start, genomes.muscle_gene, room[1])).to(like)
    shared = torch.as_tensor(genomes.shared).to(like)
    is_node = torch.as_tensor(padded(genomes.body_start, np.ones(len(genomes.body_id)), room[0])).to(like)
    exists = torch.as_tensor(padded(genomes.muscle_start, np.ones(len(genomes.muscle_id)), room[1])).to(like)
    ids = padded(genomes.body_start, genomes.body_id, room[0])
    joined = padded(genomes.muscle_start, genomes.muscle_ends, room[1])
    meets = torch.as_tensor((ids[:, :, None, None] == joined[:, None, :, :]).astype(np.float32)).to(like)
    radius = node[:, :, columns.SIZE] / 2
    mass = (10.0 * 4.0 / 3.0 * math.pi * radius**3).clamp(min=0.5) * is_node
    position = node[:, :, columns.POSITION_X : columns.POSITION_Z + 1]
    body = Body(
        mass=mass,
        inverse=torch.where(is_node > 0, 1.0 / mass, torch.zeros_like(mass)),
        radius=radius,
        friction=parameters.friction * node[:, :, columns.FRICTION],
        ends=(meets[..., 1] - meets[..., 0]) * is_node[:, :, None] * exists[:, None, :],
        rest=torch.where(exists > 0, muscle[:, :, columns.REST], torch.ones_like(exists)),
        stiffness=muscle[:, :, columns.STIFFNESS],
        damping=muscle[:, :, columns.DAMPING],
        frequency=muscle[:, :, columns.FREQUENCY] * shared[:, columns.MULTIPLIER, None],
        amplitude=muscle[:, :, columns.AMPLITUDE],
        phase=muscle[:, :, columns.PHASE],
        exists=exists,
        extent=mass[:, 0],
        home=position[:, 0],
    )
    home = centre(body, position)
    extent = (horizontal(position - home[:, None, :]) * is_node).amax(dim=1).clamp(min=1.0)
    return body._replace(extent=extent, home=home), position


def wanted_length(body: Body, state: State, hybrid: bool) -> Tensor:
    """What the network asks of each muscle, m: [E, M]."""
    if not hybrid:
        return body.rest * (1.0 - state.signal)
    t = state.step.to(body.rest)[:, None] / 30.0
    wave = torch.sin(2.0 * math.pi * body.frequency * t + body.phase)
    return body.rest * (1.0 - wave * body.amplitude * (0.5 + 0.5 * (state.signal + 1.0)))


def pull_muscles(body: Body, state: State, hybrid: bool) -> tuple[State, Tensor]:
    """Move the muscles' targets; the state and the force on every node [E, N, 3], N."""
    motion = torch.cat([state.position, state.velocity], dim=2)
    between, closing = (body.ends.transpose(1, 2) @ motion).split(3, dim=2)
    length = torch.sqrt((between**2).sum(dim=2) + TINY)
    change = wanted_length(body, state, hybrid) - state.target
    target = state.target + change.clamp(-TARGET_SPEED * DT, TARGET_SPEED * DT)
    target = torch.minimum(torch.maximum(target, body.rest / 2), 2 * body.rest)
    work = 0.5 * body.stiffness * ((length - target) ** 2 - (length - state.target) ** 2)
    direction = between / length[:, :, None]
    rate = (closing * direction).sum(dim=2)
    tension = body.stiffness * (length - target) + body.damping * rate
    force = body.ends @ (-tension[:, :, None] * direction)
    return state._replace(length=length, target=target, given=state.given + work.clamp(min=0.0).sum(dim=1)), force


def move_nodes(body: Body, state: State, force: Tensor) -> State:
    """Semi-implicit Euler, then the ground."""
    fall = torch.tensor([0.0, GRAVITY * DT, 0.0]).to(force)
    velocity = (state.velocity + force * body.inverse[:, :, None] * DT - fall) * KEEP
    x, y, z = (state.position + velocity * DT).unbind(dim=2)
    vx, vy, vz = velocity.unbind(dim=2)
    under = y < body.radius
    vy = torch.where(under & (vy < 0.0), -RESTITUTION * vy, vy)
    speed = torch.sqrt(vx**2 + vz**2 + TINY)
    slowed = torch.where(under, (speed - body.friction * GRAVITY * DT).clamp(min=0.0) / speed, torch.ones_like(speed))
    return state._replace(
        position=torch.stack([x, torch.where(under, body.radius, y), z], dim=2),
        velocity=torch.stack([vx * slowed, vy, vz * slowed], dim=2),
        touching=under.to(y),
    )


def limit_broken(body: Body, state: State) -> Tensor:
    """Why a body is no longer possible: uint8 [E], 0 where it is."""
    used = body.mass > 0.0
    position = torch.where(used[:, :, None], state.position, torch.zeros_like(state.position))
    motion = 0.5 * (state.velocity**2).sum(dim=2) + GRAVITY * position[:, :, 1]
    energy = torch.where(used, body.mass * motion, torch.zeros_like(motion)).sum(dim=1)
    reason = torch.where(energy <= ENERGY_FACTOR * state.given + ENERGY_MARGIN, FINISHED, EXPLODED)
    reason = torch.where((position[:, :, 1] > HIGH).any(dim=1), TOO_HIGH, reason)
    reason = torch.where(((position**2).sum(dim=2) > FAR**2).any(dim=1), TOO_FAR, reason)
    reason = torch.where(torch.isfinite(position).all(dim=2).all(dim=1), reason, NOT_FINITE)
    return reason.to(torch.uint8)


def eats(body: Body, state: State) -> Tensor:
    """Whether some node's centre is within its radius + 0.35 m of the pellet: bool [E]."""
    away = torch.sqrt(((state.position - state.pellet[:, None, :]) ** 2).sum(dim=2))
    return ((away - body.radius <= REACH) & (body.mass > 0.0)).any(dim=1)
