"""Memory of a whole island process, by population and size of the genomes: a process each, living a few generations.

`python -m scripts.benchmarks.memory RUN_DIR NODES` is one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from launcher import benchmark, presets, run
from scripts.benchmarks.pieces import ONE_THREAD, ROOT, table

TITLE = "Memory of an island"
POPULATIONS, NODES = (500, 2_000, 10_000), (10, 50)
GENERATIONS = 5
BAR = 300.0
"""MB that a population of 10,000 with 50 nodes each may take."""
STOCK = 64
"""Genomes that are grown; the population repeats them."""


def measure(quick: bool) -> dict[str, Any]:
    """A process for each size, and one before them that compiles what is not in the cache yet."""
    _told(POPULATIONS[0], NODES[0])
    return {"lives": [_told(population, nodes) for nodes in NODES for population in POPULATIONS]}


def _told(population: int, nodes: int) -> dict[str, Any]:
    sets = [f"population={population}", f"generations={GENERATIONS}", "network.max_hidden=128", "migration.every=0"]
    sets += ["record.checkpoint_seconds=0"]
    config = presets.resolve("cartpole", [*sets, "evaluation.stop_when_solved=false"])
    with benchmark.room() as folder:
        made = run.make(folder / "run", config, run.Plan("evolve", "cartpole", (("island-000", config.seed),)))
        command = [sys.executable, "-m", "scripts.benchmarks.memory", str(made.path), str(nodes)]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{population} of {nodes} nodes: {found['peak_mb']:.0f} MB at most", file=sys.stderr)
    return found


def lived(path: Path, nodes: int) -> dict[str, Any]:
    """The memory of this process, in which a run's island lives with its files, a checkpoint every generation."""
    from islands import loading, process, threads
    from islands.__main__ import island_of
    from islands.compiling import one_compiles_for_all
    from islands.loop import Evolution
    from islands.reproduction import Offspring
    from islands.rundir import RunDir
    from islands.speciation import found_species
    from islands.tasks import make

    process.give_large_memory_back()
    folder = RunDir(path)
    plan, config = folder.read_plan(), loading.load(folder.config)
    task = make(config)
    one_compiles_for_all(config, task)
    folder.island("island-000").create()
    island = island_of(folder, plan, plan["islands"][0], config, task.layout, threads.refuse_more_than(1))
    before = process.resident_mb()
    genomes = grown(config, task, config.population, nodes)
    island.offspring = Offspring(genomes, found_species(genomes, config.speciation, 0), {})
    figures = {
        "genomes_mb": sum(array.nbytes for array in genomes) / 1e6,
        "nodes": float(genomes.node_start[-1] / config.population),
        "connections": float(genomes.conn_start[-1] / config.population),
    }
    del genomes
    evolution = Evolution(config, task, [island], lambda: False)
    for _ in range(config.generations):
        evolution.advance([island])
        evolution.record(island, False)
    return {"population": config.population, **figures, "before_mb": before, "peak_mb": peak_mb()}


def grown(config: Any, task: Any, population: int, nodes: int) -> Any:
    """Genomes with `nodes` neurons each, by a mutation that adds one and a connection, again and again."""
    import numpy as np

    from islands import loading
    from islands.algorithms import breeder_of
    from islands.genome.population import take
    from islands.loop import breeding_of
    from islands.reproduction import Plan, breed

    breeding = breeding_of(loading.override(config, ["mutation.add_node=1", "mutation.add_connection=1"]), task)
    genomes = take(breeder_of(breeding).first((1, 0, 0)).genomes, np.arange(STOCK))
    everyone = Plan(np.arange(STOCK), np.full(STOCK, -1), np.zeros(STOCK, np.uint8))
    for generation in range(nodes - task.outputs):
        genomes, _ = breed(genomes, everyone, breeding, 1.0, (1, 0, generation))
    return take(genomes, np.arange(population) % STOCK)


def peak_mb() -> float:
    """The most that has been resident of this process, MB (10^6 bytes)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    rows = []
    for one in found["lives"]:
        largest = one["population"] == max(POPULATIONS) and one["nodes"] > max(NODES) - 1
        verdict = "–" if not largest else f"{BAR:.0f} MB: {'met' if one['peak_mb'] <= BAR else 'missed'}"
        above = one["peak_mb"] - one["before_mb"]
        rows.append((
            f"{one['population']:,}", f"{one['nodes']:.0f}", f"{one['connections']:.0f}", f"{one['genomes_mb']:.1f}",
            f"{one['before_mb']:.0f}", f"{one['peak_mb']:.0f}", f"{above / one['genomes_mb']:.1f} ×", verdict,
        ))  # fmt: skip
    header = (
        "population",
        "nodes",
        "connections",
        "genomes, MB",
        "before the first, MB",
        "peak, MB",
        "above that",
        "bar",
    )
    return "\n\n".join([
        f"A whole island process on CartPole, files and all, a checkpoint every generation, {GENERATIONS} generations;"
        " resident memory. *Before the first*: with everything imported and the kernels loaded. *Above that*: what the"
        " peak adds, in populations.",
        table(header, rows),
    ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.memory")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("nodes", type=int)
    arguments = parser.parse_args()
    print(json.dumps(lived(arguments.run_dir, arguments.nodes)))
