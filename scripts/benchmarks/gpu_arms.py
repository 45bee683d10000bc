"""What `gpu` measures: populations of 500, evolved for some generations on the processor first, evaluated on a GPU.

Every island meets episodes of its own. Times are of the wall: of a whole evaluation as `Task.play` does it (sorting,
genomes to the card, episodes, results back), and of the kernel alone, by the card's own events.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from islands.algorithms import Told, breeder_of
from islands.errors import ConfigError
from islands.genome.population import Genomes, Population, concatenate
from islands.gpu import lane, machine
from islands.gpu.batch import Pellets, Plain
from islands.loop import breeding_of
from islands.rng import substream
from islands.rollout import evaluate
from islands.rundir import RunDir
from islands.speciation import note_progress
from islands.tasks import make
from launcher import presets

POPULATION, GENERATIONS = 500, 10
PRESETS = ("neat_baseline", "pure_baseline", "cartpole")


def limits(cuda: Any) -> dict[str, float]:
    """What the card can do at most, as measured: GB/s read and written, float32 operations a second (FMA: two)."""
    copying = _copying(cuda)

    from numba.cuda import libdevice

    fma = libdevice.fmaf
    rounds, threads = 4096, 132 * 2048

    def multiply(out: Any) -> None:
        i = cuda.grid(1)
        a = b = c = d = e = f = g = h = np.float32(i)
        x, y = np.float32(0.999), np.float32(0.001)
        for _ in range(rounds):
            a, b, c, d = fma(a, x, y), fma(b, x, y), fma(c, x, y), fma(d, x, y)
            e, f, g, h = fma(e, x, y), fma(f, x, y), fma(g, x, y), fma(h, x, y)
        out[i] = a + b + c + d + e + f + g + h

    kernel, out = cuda.jit(multiply), cuda.device_array(threads, np.float32)
    multiplying = _seconds(cuda, lambda: kernel[threads // 256, 256](out), 5)
    return {"gb_per_second": 8 * (1 << 30) / copying / 1e9, "tflops": 16.0 * rounds * threads / multiplying / 1e12}


def _copying(cuda: Any) -> float:
    """Seconds to copy 4 GiB on the card."""
    import torch

    here = torch.empty(1 << 30, dtype=torch.float32, device="cuda").uniform_()
    there = torch.empty_like(here)
    return _seconds(cuda, lambda: there.copy_(here), 10)


def _seconds(cuda: Any, work: Callable[[], Any], times: int) -> float:
    """Median seconds of the wall, the card idle before and after."""
    found = []
    for _ in range(times + 1):
        cuda.synchronize()
        began = time.perf_counter()
        work()
        cuda.synchronize()
        found.append(time.perf_counter() - began)
    return statistics.median(found[1:])


class Timed:
    """A machine whose kernels are timed by the card's events; `seconds` of the last one."""

    def __init__(self, cuda: Any, lanes: int = lane.LANES) -> None:
        plain, self.cuda, self.seconds = machine.gpu(), cuda, 0.0

        def entry(function: Any) -> Callable[..., None]:
            start = plain.entry(function)

            def timed(threads: int, *arguments: Any) -> None:
                before, after = cuda.event(), cuda.event()
                before.record()
                start(threads, *arguments)
                after.record()
                after.synchronize()
                self.seconds = cuda.event_elapsed_time(before, after) / 1e3

            return timed

        self.machine = dataclasses.replace(plain, entry=entry, most=lanes, _made={})

    def player(self, task: Any) -> Callable[[Genomes, Any, Any], Any]:
        """As `task.play`."""
        if hasattr(task, "rules"):
            player = Plain(self.machine, task.rules, task.layout, task.shape)
            return lambda genomes, items, keys: player.play(genomes, task.numbers, task.shape, items, keys)
        bodies = Pellets(self.machine, task.layout)
        return lambda genomes, items, keys: bodies.play(genomes, task.parameters, items, keys)


def evolved(preset: str, more: list[str]) -> tuple[Any, Genomes]:
    """The task and a population after some generations on the processor."""
    config = presets.resolve(preset, [f"population={POPULATION}", *more])
    task, breeder = make(config), breeder_of(breeding_of(config, make(config)))
    offspring = breeder.first((config.seed, 0, 0))
    for generation in range(GENERATIONS):
        scores = evaluate(task, offspring.genomes, np.array([np.uint64(generation)]), 1)[0]
        species = offspring.species
        if generation:
            species = breeder.sort(offspring.genomes, species, generation)
        species = note_progress(species, scores.fitness, generation)
        told = Told(Population(offspring.genomes, scores.fitness), species, offspring.memory, [])
        offspring = breeder.breed(told, 1.0, (config.seed, 0, generation))
    return task, offspring.genomes


def batch_of(genomes: Genomes, islands: int) -> tuple[Genomes, Any, Any]:
    """So many islands' populations, an episode each: genomes, items, keys."""
    joined = concatenate([genomes] * islands) if islands > 1 else genomes
    keys = np.array([substream(np.uint64(5), island) for island in range(islands)], np.uint64)
    return joined, np.arange(joined.count), np.repeat(keys, genomes.count)


def evaluation(cards: dict[int, Timed], preset: str, islands: list[int]) -> dict[str, Any]:
    """One preset's figures: a core, the card by numbers of islands, and agreement between the two."""
    task, genomes = evolved(preset, [])
    alone = batch_of(genomes, 1)
    task.play(*alone)
    began = time.process_time()
    there = task.play(*alone)
    core = time.process_time() - began
    steps = int(there.steps.sum())
    found: dict[str, Any] = {
        "steps_a_genome": steps / POPULATION,
        "body_nodes": float(np.diff(genomes.body_start).mean()),
        "muscles": float(np.diff(genomes.muscle_start).mean()),
        "connections": float(np.diff(genomes.conn_start).mean()),
        "core": {"creatures_per_second": POPULATION / core, "steps_per_second": steps / core},
        "agreement": agreement(next(iter(cards.values())), preset),
        "islands": [],
    }
    for count in islands:
        batch = batch_of(genomes, count)
        for most, timed in cards.items() if count == islands[-1] else list(cards.items())[:1]:
            play, tries = timed.player(task), []
            for _ in range(4):
                began = time.perf_counter()
                played = play(*batch)
                tries.append((time.perf_counter() - began, timed.seconds))
            compiling, best = tries[0][0], sorted(tries[1:])[1]
            first = play(*batch)
            same = all(np.array_equal(getattr(first, n), getattr(played, n)) for n in ("fitness", "steps", "behaviour"))
            done = int(played.steps.sum())
            told = {
                "islands": count,
                "lanes": most,
                "seconds": best[0],
                "kernel_seconds": best[1],
                "first_seconds": compiling,
                "creatures_per_second": count * POPULATION / best[0],
                "steps_per_second": done / best[0],
                "kernel_steps_per_second": done / best[1],
                "twice_the_same": same,
                "to_card_mb": sum(a.nbytes for a in batch[0]) / 1e6,
            }
            found["islands"].append(told)
            print(preset, json.dumps(told), file=sys.stderr, flush=True)
    return found


def agreement(card: Timed, preset: str) -> dict[str, Any]:
    """How near the card's results come to the processor's, over short episodes and whole ones."""
    found = {}
    short = {"cartpole": "task.steps=50"}.get(preset, "task.duration=2")
    for name, more in (("short", [short]), ("whole", [])):
        try:
            task, genomes = evolved(preset, more)
        except ConfigError as error:
            found[name] = str(error)
            continue
        batch = batch_of(genomes, 1)
        ours, theirs = task.play(*batch), card.player(task)(*batch)
        away = np.abs(ours.fitness.astype(float) - theirs.fitness)
        found[name] = {
            "same_bits": float((ours.fitness == theirs.fitness).mean()),
            "same_steps": float((ours.steps == theirs.steps).mean()),
            "largest_difference": float(away.max()),
            "median_difference": float(np.median(away)),
            "largest_fitness": float(ours.fitness.max()),
            "mean": [float(ours.fitness.mean()), float(theirs.fitness.mean())],
        }
    return found


def generations(preset: str, islands: int, count: int) -> dict[str, Any]:
    """Whole generations by `evolab launch --device cuda`: medians over generations, of the seconds of a worker."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "launcher",
            "launch",
            "-c",
            preset,
            "--device",
            "cuda",
            "--islands",
            str(islands),
            "-g",
            str(count),
            "--set",
            f"population={POPULATION}",
            "--set",
            "evaluation.stop_when_solved=false",
            "--out",
            str(out),
            "--json",
        ]
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{os.getcwd()}:{os.environ.get('PYTHONPATH', '')}"},
        )
        took = time.perf_counter() - began
        if done.returncode or not list(out.glob("*/metrics.jsonl")):
            print(done.returncode, done.stdout[-2000:], done.stderr[-3000:], file=sys.stderr)
            for log in [*out.glob("logs/*"), *out.glob("*/*.log")][:4]:
                print(log, log.read_text()[-3000:], file=sys.stderr)
            return {"islands": islands, "failed": done.returncode}
        lines = [
            [json.loads(line) for line in path.read_text().splitlines()] for path in sorted(out.glob("*/metrics.jsonl"))
        ]
        workers = min(islands, int(RunDir(out).read_plan()["threads"]))
    told: dict[str, Any] = {
        "islands": islands, "workers": workers, "seconds_in_all": took, "generations": len(lines[0])
    }  # fmt: skip
    last = [max(line[g]["time"] for line in lines) for g in range(len(lines[0]))]
    told["seconds_a_generation"] = statistics.median(b - a for a, b in zip(last[1:], last[2:], strict=False))
    for phase in ("evaluate", "reproduce", "checkpoint", "migrate"):
        told[f"{phase}_seconds"] = statistics.median(
            sum(line[g].get(f"{phase}_seconds", 0.0) for line in lines) / workers for g in range(2, len(lines[0]))
        )
    told["migrations"] = [sum(line[g].get("migrate_seconds", 0.0) for line in lines) for g in range(len(lines[0]))]
    print(preset, json.dumps(told), file=sys.stderr, flush=True)
    return told
