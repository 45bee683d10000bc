"""One island again, alone: `python -m islands.replay RUN_DIR ISLAND`.

Its configuration, its seed and its log of migrations are all that its history follows from, so it can be lived again
without the other islands, and every generation compared with what was recorded. Writes nothing into the run; says one
JSON line a generation. A genome that lived at any time can be taken out (`--until`, `--genome`, `--export`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from islands import checkpoint, files, loading, threads
from islands.compiling import one_compiles_for_all
from islands.config import Config
from islands.errors import ConfigError, EvolabError
from islands.genome.population import encode
from islands.loop import Evolution, Island
from islands.migration import Migrator
from islands.migration_log import first_repeatable, put_aside
from islands.record import Recorder
from islands.rng import island_number
from islands.rundir import IslandDir, RunDir, checkpoints_in
from islands.tasks import make


@dataclass
class Past:
    """What is known of an island's life: its plan's entry, the configurations it had, its metrics by generation."""

    run: RunDir
    entry: dict[str, Any]
    owner: dict[str, Any]
    config: Config
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    earlier: dict[str, Config] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunDir, name: str) -> Past:
        """As the files of the run tell it."""
        plan = run.read_plan()
        entry = run.entry(name)
        owner = {"run": plan["run_id"], "island": entry["name"], "seed": int(entry["seed"])}
        past = cls(run, entry, owner, loading.of_island(loading.load(run.config), entry))
        past.lines = {line["generation"]: line for line in files.read_jsonl(past.place.metrics)}
        return past

    @property
    def place(self) -> IslandDir:
        """Where the island's files lie."""
        return self.run.island(self.entry["name"])

    def config_of(self, generation: int) -> Config:
        """The configuration under which a generation was bred and evaluated."""
        wanted = self.lines.get(generation, {}).get("config")
        if wanted is None or wanted == loading.fingerprint(self.config):
            return self.config
        if wanted not in self.earlier:
            for path in self.run.earlier_configs():
                config = loading.of_island(loading.load(path), self.entry)
                self.earlier[loading.fingerprint(config)] = config
        if wanted not in self.earlier:
            what = f"generation {generation} had another configuration"
            raise EvolabError(what, expected=f"it in {self.run.path}/config.*.yaml", got="none that matches")
        return self.earlier[wanted]


def beginning(past: Past) -> checkpoint.State | None:
    """Where a replay can begin: at the first generation (None), or where an older part of the log is gone, at the
    oldest checkpoint from which on the log tells all."""
    first = first_repeatable(past.place.migrations)
    if not first:
        return None
    for path in reversed(checkpoints_in(past.place.checkpoints)):
        if int(path.stem) > first - past.config.migration.every:
            return checkpoint.read(path, past.owner)
    got = f"one that begins with generation {first}, and no checkpoint to begin with"
    raise EvolabError(f"{past.place.migrations}", expected="a log from the first generation on", got=got)


def lives(past: Past, state: checkpoint.State | None, folder: Path) -> Iterator[checkpoint.State]:
    """Every generation after `state` (None: from the first), each as it was before its migration. Endless.

    `folder`: an empty one, for what an island writes while it lives.
    """
    name, seed = str(past.entry["name"]), int(past.entry["seed"])
    home = RunDir(folder).island(name).create()
    for segment in (past.place.migrations, put_aside(past.place.migrations)):
        if segment.exists():
            shutil.copyfile(segment, home.path / segment.name)
    recorder = Recorder(home, past.entry["index"], past.config.generations, {})
    island = Island(name, seed, island_number(name), home, recorder, None, past.owner, state)
    evolution: Evolution | None = None
    generation = state.generation if state else -1
    while True:
        generation += 1
        config = past.config_of(generation)
        if evolution is None or config != evolution.config:
            evolution = Evolution(config, make(config), [island], lambda: False)
            island.migrator = _from_the_log(island.migrator, config, evolution.task.layout, island, generation - 1)
        evolution.advance([island])
        assert island.state is not None
        yield island.state


def _from_the_log(old: Migrator | None, config: Config, layout: Any, island: Island, generation: int) -> Migrator:
    migrator = Migrator(config, layout, island.name, (island.seed, island.number), island.place.migrations)
    if old is None:
        migrator.recall(max(0, generation))
    else:
        migrator.logged = old.logged
    return migrator


def main() -> int:
    """Live the island again; exit code 0: as recorded, 1: not."""
    parser = argparse.ArgumentParser(prog="python -m islands.replay", description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("island", help="its index or name")
    parser.add_argument("--until", type=int, help="the last generation to live; default: the last recorded")
    parser.add_argument("--genome", default="best", help="slot of the genome to export, or best")
    parser.add_argument("--export", type=Path, help="the file for that genome of the last generation")
    arguments = parser.parse_args()
    try:
        return _replay(arguments)
    except EvolabError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _replay(arguments: argparse.Namespace) -> int:
    past = Past.of(RunDir(arguments.run_dir), arguments.island)
    threads.refuse_more_than(int(past.run.read_plan()["threads"]))
    last = max(past.lines, default=-1)
    until = last if arguments.until is None else arguments.until
    if not 0 <= until <= last:
        raise ConfigError("--until", expected=f"0 to {last}, the last generation recorded", got=str(until))
    state = beginning(past)
    if state is not None and state.generation > until:
        text = f"a generation from {state.generation} on: older parts of the log of migrations are gone"
        raise ConfigError("--until", expected=text, got=str(until))
    one_compiles_for_all(past.config, make(past.config))
    same = True
    if state is not None:  # as it was read, not lived
        _say(event="begins", generation=state.generation)
    with tempfile.TemporaryDirectory(prefix="evolab-replay-") as folder:
        life = lives(past, state, Path(folder))
        while same and (state is None or state.generation < until):
            state = next(life)
            same = _compare(state, past.lines.get(state.generation, {}))
    assert state is not None
    if arguments.export and same:
        _export(arguments.export, state, arguments.genome)
    return 0 if same else 1


def _compare(state: checkpoint.State, recorded: dict[str, Any]) -> bool:
    """Say a generation, and whether it is the recorded one; where nothing was recorded there is nothing to deny."""
    record = state.record
    same = all(recorded.get(key, record[key]) == record[key] for key in ("digest", "chain"))
    _say(
        generation=state.generation, digest=record["digest"], recorded=recorded.get("digest"), same=same,
        best=record["best"], admitted=len(record["admitted"]),
    )  # fmt: skip
    return same


def _export(path: Path, state: checkpoint.State, wanted: str) -> None:
    fitness = state.population.fitness
    if wanted == "best":
        row = int(np.nanargmax(fitness))
    elif wanted.isdecimal() and int(wanted) < len(fitness):
        row = int(wanted)
    else:
        raise ConfigError("--genome", expected=f"best, or 0 to {len(fitness) - 1}", got=ascii(wanted))
    files.replace_atomically(path, encode(state.population.genomes, row))
    _say(
        event="exported", generation=state.generation, genome=row, fitness=float(fitness[row]),
        path=str(path.absolute()),
    )  # fmt: skip


def _say(**record: Any) -> None:
    print(files.dumps(record), flush=True)


if __name__ == "__main__":
    sys.exit(main())
