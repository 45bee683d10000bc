"""The compiled networks step by step, as tasks think with them: what every export is held against."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from islands import loading, networks_lanes
from islands.config import Config
from islands.genome.initial import draw_genomes
from islands.genome.population import Genomes, take
from islands.lanes import LANES
from islands.loop import breeding_of
from islands.networks import input_slots
from islands.reproduction import Plan, breed
from islands.tasks import Task, make


class Thought(NamedTuple):
    """A network's steps, T of them in 16 independent lanes."""

    inputs: np.ndarray  # float32 [T, 16, I]: without the constant one
    memory: np.ndarray  # float32 [T, 16, N]: the neurons' values before the step; of a fixed topology, the hidden ones'
    outputs: np.ndarray  # float32 [T, 16, M]
    after: np.ndarray  # float32 [T, 16, N]: those after it


def bred(assignments: tuple[str, ...], rounds: int = 12, key: int = 1) -> tuple[Config, Task, Genomes]:
    """A task of the configuration with `assignments`, and four genomes mutated `rounds` times, structure and all."""
    config = loading.override(Config(), assignments)
    often = replace(config.mutation, add_node=0.6, add_connection=0.6, add_muscle=0.2, add_body_node=0.2)
    config = replace(config, mutation=often)
    task = make(config)
    breeding = breeding_of(config, task)
    genomes = draw_genomes(4, np.uint64(key), task.layout, breeding.first)
    plan = Plan(np.arange(4), np.full(4, -1), np.zeros(4, np.uint8))
    for generation in range(rounds):
        genomes, _ = breed(genomes, plan, breeding, 1.0, (key, 0, generation))
    return config, task, genomes


def thought(task: Task, genomes: Genomes, row: int, steps: int, seed: int, neurons: int, forgets: bool) -> Thought:
    """Inputs from U(-1, 1), as tasks scale them, through the compiled network of genome `row`.

    `neurons`: how many it has; `forgets`: whether every step begins with an empty memory.
    """
    one, layout = take(genomes, [row]), task.layout
    room = (len(one.body_id), len(one.muscle_id))
    slots = input_slots(layout, *room)
    brain = networks_lanes.make_brain(slots, layout, len(one.node_id), len(one.conn_id), room[1])
    load = networks_lanes.load_fixed if layout.hidden else networks_lanes.load_neat
    for lane in range(LANES):
        load(brain, one, 0, lane, layout, room, slots)
    if layout.hidden:
        neurons -= room[1]
    values, drive = brain.value.reshape(-1, LANES), brain.drive.reshape(-1, LANES)
    shown = np.random.default_rng(seed).uniform(-1.0, 1.0, size=(steps, LANES, slots)).astype(np.float32)
    if layout.constant:
        shown[:, :, layout.sensors] = 1.0
    before, outputs, after = [], [], []
    values[slots:] = 0.0
    for inputs in shown:
        if forgets:
            values[slots:] = 0.0
        values[:slots] = inputs.T
        before.append(values[slots : slots + neurons].T.copy())
        if layout.hidden:
            networks_lanes.think_fixed(brain, layout, slots, room, room)
        else:
            networks_lanes.think_neat(brain, layout, slots, room)
        outputs.append(drive[: room[1]].T.copy())
        after.append(values[slots : slots + neurons].T.copy())
    heard = [i for i in range(slots) if not (layout.constant and i == layout.sensors)]
    return Thought(shown[:, :, heard], np.array(before), np.array(outputs), np.array(after))
