"""neat-python on CartPole: its own loop (`Population.run`) a generation at a time, the episodes in plain Python."""

from __future__ import annotations

import math
import random
import tempfile
import time

import neat
import rounds
from rounds import FARTHEST, FORCE, GRAVITY, HALF, MOMENT, STEEPEST, STEPS, TAU, TOTAL

CONFIG = """
[NEAT]
fitness_criterion = max
fitness_threshold = 1e9
no_fitness_termination = True
pop_size = {population}
reset_on_extinction = False
[DefaultGenome]
activation_default = tanh
activation_mutate_rate = 0.0
activation_options = tanh
aggregation_default = sum
aggregation_mutate_rate = 0.0
aggregation_options = sum
bias_init_mean = 0.0
bias_init_stdev = 1.0
bias_init_type = gaussian
bias_max_value = 30.0
bias_min_value = -30.0
bias_mutate_power = 0.5
bias_mutate_rate = 0.8
bias_replace_rate = 0.1
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = 0.4
conn_add_prob = 0.1
conn_delete_prob = 0.0
enabled_default = True
enabled_mutate_rate = 0.01
enabled_rate_to_true_add = 0.0
enabled_rate_to_false_add = 0.0
feed_forward = True
initial_connection = full
node_add_prob = 0.05
node_delete_prob = 0.0
num_hidden = 0
num_inputs = 4
num_outputs = 1
response_init_mean = 1.0
response_init_stdev = 0.0
response_init_type = gaussian
response_max_value = 30.0
response_min_value = -30.0
response_mutate_power = 0.0
response_mutate_rate = 0.0
response_replace_rate = 0.0
single_structural_mutation = False
structural_mutation_surer = default
weight_init_mean = 0.0
weight_init_stdev = 1.0
weight_init_type = gaussian
weight_max_value = 30
weight_min_value = -30
weight_mutate_power = 0.5
weight_mutate_rate = 0.8
weight_replace_rate = 0.1
[DefaultSpeciesSet]
compatibility_threshold = 3.0
[DefaultStagnation]
species_fitness_func = max
max_stagnation = 15
species_elitism = 2
[DefaultReproduction]
elitism = 1
survival_threshold = 0.2
min_species_size = 2
"""
"""Its example's, with the rates of NEAT (2002) as this project's preset has them."""


def episode(activate: object, state: tuple[float, ...]) -> int:
    """Steps that a network balances."""
    x, speed, angle, spin = state
    sin, cos = math.sin, math.cos
    for step in range(1, STEPS + 1):
        force = FORCE if activate((x, speed, angle, spin))[0] > 0.0 else -FORCE  # type: ignore[operator]
        cosine, sine = cos(angle), sin(angle)
        push = (force + MOMENT * spin * spin * sine) / TOTAL
        turn = (GRAVITY * sine - cosine * push) / (HALF * (4.0 / 3.0 - 0.1 * cosine * cosine / TOTAL))
        x, speed = x + TAU * speed, speed + TAU * (push - MOMENT * turn * cosine / TOTAL)
        angle, spin = angle + TAU * spin, spin + TAU * turn
        if x < -FARTHEST or x > FARTHEST or angle < -STEEPEST or angle > STEEPEST:
            return step
    return STEPS


def begin(population: int, seed: int) -> rounds.Play:
    random.seed(seed)
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(CONFIG.format(population=population))
        file.flush()
        parts = (neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet, neat.DefaultStagnation)
        evolving = neat.Population(neat.Config(*parts, file.name))

    def play(state: tuple[float, ...]) -> rounds.Generation:
        live, spent = 0, 0.0

        def evaluate(genomes: list[tuple[int, neat.DefaultGenome]], config: neat.Config) -> None:
            nonlocal live, spent
            began = time.process_time()
            for _, genome in genomes:
                steps = episode(neat.nn.FeedForwardNetwork.create(genome, config).activate, state)
                genome.fitness = float(steps)
                live += steps
            spent = time.process_time() - began

        before = evolving.population
        evolving.run(evaluate, 1)
        connections = sum(len(genome.connections) for genome in before.values()) / population
        return rounds.Generation(live, live, spent, len(evolving.species.species), connections)

    return play


if __name__ == "__main__":
    rounds.serve(begin, ("neat-python",))
