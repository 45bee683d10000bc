"""Recorded episodes: `python -m islands.record_episode RUN_DIR`, with what is wanted as JSON on stdin.

    [{"island": "island-000", "what": "champion"}, …]

`what` is `champion`, on the first of the held-out episodes that it was judged by; `first`, the best of the first
generation that the log still tells (lived again); or `last`, the best of the newest checkpoint; these two on the first
of the episodes that they were scored by. Says one JSON line each, in the order asked for: a recording (see
`islands.recording`) with `island`, `what`, `generation`, `scored` (what the genome was given for all its episodes) and
`episodes`; or, with `island` and `what`, an `error`. Writes nothing into the run.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from islands import checkpoint, files, loading, recording
from islands.config import Config
from islands.errors import ConfigError, EvolabError
from islands.genome.population import Genomes, decode
from islands.replay import Past, beginning, lives
from islands.rng import Purpose, child, island_number, stream
from islands.rundir import RunDir, checkpoints_in
from islands.tasks import Task, make

CHAMPION, FIRST, LAST = "champion", "first", "last"


@dataclass(frozen=True)
class Subject:
    """Who is to be seen, in which episode, and what is known of it."""

    config: Config
    genomes: Genomes
    row: int
    key: np.uint64
    told: dict[str, Any]


def champion(past: Past, config: Config) -> Subject:
    """An island's champion, as its result states it."""
    result = files.read_json(past.place.result)
    known, generation = result["champion"], int(result["generations"]) - 1
    blob = files.read(past.place.champion)
    if hashlib.sha256(blob).hexdigest() != known["digest"]:
        raise EvolabError(f"{past.place.champion}", expected=f"digest {known['digest'][:16]}…", got="another genome")
    genomes = decode([blob], make(config).layout)
    told = {"generation": generation, "scored": known["mean"], "ci95": known["ci95"], "episodes": known["episodes"]}
    return Subject(config, genomes, 0, _key(past, generation, Purpose.HELD_OUT), told)


def best_of(past: Past, config: Config, state: checkpoint.State) -> Subject:
    """The best genome of a generation by the score that bred it."""
    if not np.isfinite(state.population.fitness).any():
        raise EvolabError(f"generation {state.generation}", expected="a genome with a score", got="none")
    row = int(np.nanargmax(state.population.fitness))
    told = {
        "generation": state.generation,
        "scored": float(state.population.fitness[row]),
        "episodes": config.evaluation.episodes,
    }
    return Subject(config, state.population.genomes, row, _key(past, state.generation, Purpose.PELLETS), told)


def first(past: Past) -> Subject:
    """The best of the first generation, which is lived again."""
    begin = beginning(past)
    if begin is None:
        with tempfile.TemporaryDirectory(prefix="evolab-record-") as folder:
            begin = next(lives(past, None, Path(folder)))
        recorded = past.lines.get(begin.generation, {}).get("digest", begin.record["digest"])
        if recorded != begin.record["digest"]:
            raise EvolabError(f"generation {begin.generation}", expected="the recorded one", got="another")
    return best_of(past, _on_the_cpu(past.config_of(begin.generation)), begin)


def last(past: Past) -> Subject:
    """The best of the newest checkpoint that can be read."""
    found = checkpoints_in(past.place.checkpoints) if past.place.checkpoints.is_dir() else []
    for path in found:
        try:
            state = checkpoint.read(path, past.owner)
        except ValueError:  # damaged: the one before it
            continue
        return best_of(past, _on_the_cpu(past.config_of(state.generation)), state)
    raise EvolabError(f"{past.place.checkpoints}", expected="a checkpoint", got="none that can be read")


def subject(run: RunDir, island: str, what: str) -> Subject:
    """Whom a request means."""
    past = Past.of(run, island)
    if what == CHAMPION:
        return champion(past, _on_the_cpu(past.config))
    if what in (FIRST, LAST):
        return first(past) if what == FIRST else last(past)
    raise ConfigError("what", expected=f"{CHAMPION}, {FIRST} or {LAST}", got=ascii(what))


def recorded(chosen: Subject) -> dict[str, Any]:
    """The episode of a subject, played and written down."""
    name = chosen.config.task.name
    if not recording.can_record(name):
        raise EvolabError(f"task {name}", expected="one with something to see", got="numbers only")
    task: Task = make(chosen.config)
    return {**chosen.told, **recording.record(name, task, chosen.genomes, chosen.row, chosen.key)}


def _key(past: Past, generation: int, purpose: Purpose) -> np.uint64:
    """The first episode of a stream of the island."""
    name = str(past.entry["name"])
    return child(stream(int(past.entry["seed"]), island_number(name), generation, purpose), 0)


def _on_the_cpu(config: Config) -> Config:
    return replace(config, device="cpu")


def main() -> int:
    """Record; exit code 0: every request was answered, if only with an error."""
    try:
        run = RunDir(sys.argv[1])
        loading.load(run.config)
        for wanted in json.load(sys.stdin):
            print(files.dumps(_answer(run, str(wanted["island"]), str(wanted["what"]))), flush=True)
    except EvolabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _answer(run: RunDir, island: str, what: str) -> dict[str, Any]:
    asked = {"island": island, "what": what}
    try:
        return {**asked, **recorded(subject(run, island, what))}
    except EvolabError as error:
        return {**asked, "error": str(error)}
    except (KeyError, TypeError, ValueError) as error:  # files that somebody else has written
        return {**asked, "error": f"unreadable: {error!r:.200}"}


if __name__ == "__main__":
    sys.exit(main())
