"""Islands beside pygmo's archipelago: a migration step by the size of a genome, and a worker that is killed."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from islands import loading
from islands.config import Config
from islands.genome.initial import CONNECTIVITY, FirstDraw, draw_genomes
from islands.genome.population import Genomes, Population, layout_of
from islands.migration import Migrator
from islands.rundir import RunDir
from scripts.benchmarks import field
from scripts.benchmarks.pieces import ONE_THREAD, short, table
from scripts.chaos import runs
from scripts.chaos.stalls import all_running, launched

TITLE = "Beside pygmo's archipelago"
NEEDS = ("pygmo",)
POPULATION = 32
SIZES = {10: (1, 5), 10_000: (64, 154), 100_000: (64, 1_560)}
"""Numbers in a genome, about: hidden neurons and inputs of a fixed network that has as many."""
QUOTED = {10: 0.0013, 10_000: 0.031, 100_000: 0.548}
"""Seconds of pygmo's step with worker processes, measured elsewhere."""
WAITING, BACK = 20.0, 10.0
"""Seconds that pygmo gets to notice a killed worker; and the bar for an island."""
DRIVER = field.DRIVERS / "pygmo_archipelago.py"


def measure(quick: bool) -> dict[str, Any]:
    """Steps of both, and a killed worker of both."""
    refused = field.install_into("pygmo", NEEDS)
    steps = 5 if quick else 20
    theirs: dict[str, Any] = {"refused": refused, "steps": {}, "killed": None}
    if not refused:
        for size in SIZES:
            theirs["steps"][str(size)] = asked("step", POPULATION, steps, size)
        theirs["killed"] = asked("kill", WAITING)
    return {"theirs": theirs, "ours": {str(size): our_step(size, steps) for size in SIZES}, "killed": killed(quick)}


def asked(*arguments: object) -> dict[str, Any]:
    """What the driver says."""
    done = subprocess.run(
        [str(field.python_in("pygmo")), str(DRIVER), *map(str, arguments)], env={**os.environ, **ONE_THREAD},
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    print(f"pygmo {' '.join(map(str, arguments))}: {done.stdout.strip()}", file=sys.stderr, flush=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def our_step(size: int, steps: int) -> dict[str, Any]:
    """Medians of an island's migration: emigrants published, others' taken in, through files as always."""
    config, hidden, inputs = _config(*SIZES[size]), *SIZES[size]
    layout = layout_of(config, inputs, 1)
    network = config.network
    first = FirstDraw(2, 2, 1, CONNECTIVITY.index(network.connectivity), network.weight_scale, 0.0, 1)
    with tempfile.TemporaryDirectory(prefix="evolab-pygmo-") as name:
        folder, walls, cpus = Path(name), [], []
        one, other = (_migrator(config, layout, folder, island) for island in ("one", "other"))
        for generation in range(1, steps + 3):
            mine, theirs = (_drawn(generation + shift, layout, first) for shift in (0, 1_000))
            other.publish(generation, theirs)
            wall, cpu = time.perf_counter(), time.process_time()
            one.publish(generation, mine)
            done = one.exchange(generation, mine, lambda newcomers: np.ones(newcomers.count, np.float32))
            cpus.append(time.process_time() - cpu)
            walls.append(time.perf_counter() - wall)
        assert len(done.slots) == config.migration.migrants
    numbers = _numbers(mine.genomes) // POPULATION
    print(f"ours, {numbers} numbers: {1e3 * statistics.median(walls[2:]):.1f} ms", file=sys.stderr, flush=True)
    return {
        "numbers": numbers,
        "hidden": hidden,
        "wall": statistics.median(walls[2:]),
        "cpu": statistics.median(cpus[2:]),
    }


def _config(hidden: int, inputs: int) -> Config:
    sets = ["mode=pure", "task.name=cartpole", f"network.hidden={hidden}", f"population={POPULATION}"]
    return loading.override(Config(), sets)


def _migrator(config: Config, layout: Any, folder: Path, island: str) -> Migrator:
    made = Migrator(config, layout, island, (config.seed, len(island)), folder / f"{island}.jsonl")
    made.join(folder / "pool", 1, None)
    made.recall(0)
    return made


def _drawn(key: int, layout: Any, first: FirstDraw) -> Population:
    genomes = draw_genomes(POPULATION, np.uint64(key), layout, first)
    return Population(genomes, np.arange(POPULATION, dtype=np.float32))


def _numbers(genomes: Genomes) -> int:
    return sum(column.size for column in genomes if column.dtype == np.float32)


def killed(quick: bool) -> dict[str, Any]:
    """Kill one of three islands; when it is back, and how fast the others were before and until then."""
    with tempfile.TemporaryDirectory(prefix="evolab-pygmo-") as name:
        folder = Path(name)
        run = RunDir(folder / "run")
        settings = [part for each in (*runs.TINY, runs.ENDLESS) for part in ("--set", each)]
        command = [sys.executable, "-P", "-m", "launcher", "launch", "-c", "neat_baseline", "--islands", "3", "--out",
                   str(run.path), *settings]  # fmt: skip
        with launched(command, folder):
            beats = runs.wait_for(lambda: all_running(run), 600, "that all islands run")
            victim, *others = run.islands()
            runs.wait_for(lambda: runs.generation(victim) > 50, 120, "some generations")
            began, before = time.monotonic(), sum(map(runs.generation, others))
            time.sleep(3.0 if quick else 10.0)
            pace = (sum(map(runs.generation, others)) - before) / (time.monotonic() - began)
            reached, before = runs.generation(victim), sum(map(runs.generation, others))
            os.kill(int(beats[0]["pid"]), signal.SIGKILL)
            began = time.monotonic()
            runs.wait_for(lambda: runs.generation(victim) > reached + 1, 120, "that the island is back")
            seconds = time.monotonic() - began
            meanwhile = (sum(map(runs.generation, others)) - before) / seconds
    return {"seconds": seconds, "pace": pace, "meanwhile": meanwhile}


def section(found: dict[str, Any]) -> str:
    """Both tables in one, and what became of the killed."""
    theirs, ours = found["theirs"], found["ours"]
    rows = []
    for size in SIZES:
        step, mine = theirs["steps"].get(str(size), {}), ours[str(size)]
        of_them = step.get("processes", QUOTED[size])
        rows.append((
            f"{size:,}", _ms(step["threads"]) if step else "–", _ms(of_them) if step else f"{_ms(of_them)} (quoted)",
            f"{_ms(QUOTED[size])}", f"{_ms(mine['wall'])} · {_ms(mine['cpu'])} ({mine['numbers']:,})",
            f"{short(of_them / mine['wall'])}",
        ))  # fmt: skip
    header = ("numbers in a genome", "pygmo, threads, ms", "pygmo, worker processes, ms", "quoted",
              "this project, ms wall · CPU (numbers)", "worker processes over this project")  # fmt: skip
    version = next((step["version"] for step in theirs["steps"].values()), None)
    why = (
        f"pygmo {version}" if version else f"pygmo could not be installed ({theirs['refused']}); its figures are quoted"
    )
    about = (
        f"A migration step at population {POPULATION}, {why}: two islands in a ring whose algorithm does nothing;"
        " a worker process gets the whole population and gives it back. Here five genomes are published and five taken"
        " in, through files that survive a power cut, and the population stays where it is."
    )
    return f"{about}\n\n{table(header, rows)}\n\n{_fate(found)}"


def _fate(found: dict[str, Any]) -> str:
    """What became of the killed workers."""
    mine, told = found["killed"], found["theirs"]["killed"]
    if told is None:
        theirs = "pygmo, a worker killed: hangs for ever (measured elsewhere)."
    elif told["hangs"]:
        theirs = f"pygmo, a worker killed: it still waits after {told['seconds']:.0f} s."
    else:
        theirs = f"pygmo, a worker killed: it comes back after {told['seconds']:.1f} s ({told['status']})."
    met = "met" if mine["seconds"] <= BACK else "missed"
    return (
        f"{theirs} Here: it is back, a generation further than before, after {mine['seconds']:.1f} s (within"
        f" {BACK:.0f} s: {met}), and the others make {mine['meanwhile']:.0f} generations a second meanwhile,"
        f" {mine['pace']:.0f} before."
    )


def _ms(seconds: float) -> str:
    return short(1e3 * seconds)
