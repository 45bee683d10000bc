"""What the tests of tasks without bodies build with: genomes by first draw or evolved, rules compiled for the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from islands import loading
from islands.config import Config
from islands.genome.initial import draw_genomes
from islands.genome.population import Genomes
from islands.kernel import kernel
from islands.loop import breeding_of
from islands.reproduction import Plan, breed
from islands.tasks import RULES, make
from islands.tasks.plain import COMPILED, PlainTask, translated

LIVELY = ("mutation.add_node=0.6", "mutation.add_connection=0.9", "mutation.recurrent=0.4")


def configured(name: str, *assignments: str) -> Config:
    """A configuration of the task `name`."""
    return loading.override(Config(), [f"task.name={name}", *assignments])


def made(config: Config) -> PlainTask:
    """Its task."""
    task = make(config)
    assert isinstance(task, PlainTask)
    return task


def grown(config: Config, count: int, rounds: int = 0) -> tuple[PlainTask, Genomes]:
    """Genomes after `rounds` mutations each."""
    task = made(config)
    breeding = breeding_of(config, task)
    genomes = draw_genomes(count, np.uint64(1), task.layout, breeding.first)
    plan = Plan(np.arange(count), np.full(count, -1), np.zeros(count, np.uint8))
    for generation in range(rounds):
        genomes, _ = breed(genomes, plan, breeding, 1.0, (1, 0, generation))
    return task, genomes


@functools.cache
def compiled_rules(name: str) -> dict[str, Callable[..., Any]]:
    """The rules of a task as the kernel runs them, by role."""
    return translated(RULES[name], COMPILED, kernel)


def with_steps(task: PlainTask, steps: int) -> PlainTask:
    """The task with shorter or longer episodes."""
    task.shape = task.shape._replace(steps=steps)
    return task
