"""Time whole generations: `python -m islands.benchmark CONFIG.yaml`; prints one JSON object.

After two generations of warm-up it runs `generations` generations and reports
medians, so that one disturbed generation does not decide. A generation is
evaluation, sorting into species, statistics with the digest, and reproduction;
`creatures_per_second` counts all of it. Figures of CPU time stand where others
take turns on the core.
"""

from __future__ import annotations

import argparse
import json
import operator
import resource
import statistics
import time
from pathlib import Path

import numpy as np

from islands import loading, process, threads
from islands.algorithms import Told, breeder_of
from islands.config import Config
from islands.genome.population import Population
from islands.loop import breeding_of
from islands.record import summarise
from islands.rng import Purpose, stream
from islands.rollout import evaluate
from islands.speciation import note_progress
from islands.tasks import make

WARM_UP = 2


def measure(config: Config, allowed: int) -> dict[str, object]:
    """The figures of `evolab benchmark` for this process, which may use `allowed` threads."""
    process.give_large_memory_back()
    began = time.perf_counter()
    task = make(config)
    breeder = breeder_of(breeding_of(config, task))
    offspring = breeder.first((config.seed, 0, 0))
    task.warm_up(offspring.genomes)
    compiled = None
    whole, evaluating, breeding_seconds, steps, used = [], [], [], [], []
    for generation in range(WARM_UP + config.generations):
        start, cpu = time.perf_counter(), time.process_time()
        episodes = np.array([stream(config.seed, 0, generation, Purpose.PELLETS)])
        genomes, species = offspring.genomes, offspring.species
        scores = evaluate(task, genomes, episodes, config.evaluation.episodes)[0]
        evaluated = time.perf_counter()
        if generation:
            species = breeder.sort(genomes, species, generation)
        species = note_progress(species, scores.fitness, generation)
        sorted_out = time.perf_counter()
        population = Population(genomes, scores.fitness)
        summarise(population, species)
        population.digest()
        summed_up = time.perf_counter()
        told = Told(population, species, offspring.memory, [])
        offspring = breeder.breed(told, 1.0, (config.seed, 0, generation))
        end = time.perf_counter()
        if compiled is None:
            compiled = end - began
        if generation >= WARM_UP:
            whole.append(end - start)
            evaluating.append(evaluated - start)
            breeding_seconds.append(end - summed_up + sorted_out - evaluated)
            steps.append(scores.steps)
            used.append(time.process_time() - cpu)
    generation_seconds = statistics.median(whole)
    return {
        "population": config.population,
        "generations": config.generations,
        "threads": threads.refuse_more_than(allowed)["os"],
        "creatures_per_second": config.population / generation_seconds,
        "steps_per_second": statistics.median(map(operator.truediv, steps, whole)),
        "steps_per_cpu_second": statistics.median(map(operator.truediv, steps, used)),
        "seconds_per_generation": generation_seconds,
        "cpu_seconds_per_generation": statistics.median(used),
        "evaluate_seconds": statistics.median(evaluating),
        "reproduce_seconds": statistics.median(breeding_seconds),
        "compile_seconds": compiled,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def main() -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(prog="python -m islands.benchmark")
    parser.add_argument("config", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    config = loading.load(arguments.config)
    print(json.dumps(measure(config, arguments.threads)))


if __name__ == "__main__":
    main()
