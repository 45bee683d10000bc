"""What an island tells the world: a metrics line a generation, a heartbeat, a result."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from islands import crowd, log, solving
from islands.checkpoint import State
from islands.errors import EvolabError
from islands.files import JsonLines, dumps, each_line, read_json, record_in, remove, replace_atomically, write_json
from islands.genome.population import Population
from islands.notify import Notifier
from islands.process import identity, resident_mb
from islands.rundir import IslandDir, RunDir
from islands.speciation import Species

FORMAT = 1
HEARTBEAT_SECONDS = 0.5
"""A heartbeat is replaced at most this often: thousands of tiny generations a second cost two writes."""
LARGEST = 24
"""Species whose sizes a metrics line has; the others are one figure."""


def summarise(population: Population, species: Species) -> dict[str, Any]:
    """The fitness and the shape of an evaluated population; NaN where nothing was scored."""
    known = population.fitness[np.isfinite(population.fitness)].astype(np.float64)
    genomes, count = population.genomes, population.genomes.count
    some = known if len(known) else np.array([np.nan])
    return {
        "best": float(np.max(some)),
        "mean": float(some.mean()),
        "median": float(np.median(some)),
        "std": float(some.std()),
        "species": species.count,
        "threshold": species.threshold,
        "failed": count - len(known),
        "nodes": float(genomes.node_start[-1] / count),
        "connections": float(genomes.conn_start[-1] / count),
        "body_nodes": float(genomes.body_start[-1] / count),
        "muscles": float(genomes.muscle_start[-1] / count),
        **_sizes(species),
    }


def _sizes(species: Species) -> dict[str, Any]:
    """How many genomes each species has, by its lasting number, the largest first; nothing where nobody is compared."""
    if species.threshold == 0:
        return {}
    members = np.bincount(species.label[species.label >= 0], minlength=species.count)
    order = np.argsort(-members, kind="stable")
    sizes = {str(species.number[row]): int(members[row]) for row in order[:LARGEST] if members[row]}
    others = int(members[order[LARGEST:]].sum())
    return {"species_sizes": {**sizes, **({"other": others} if others else {})}}


class Recorder:
    """Writes one population's files; the only writer of each."""

    def __init__(self, place: IslandDir, index: int, target: int, threads: dict[str, Any], islands: int = 1) -> None:
        """`islands`: of the whole run; many of them beat more seldom."""
        self.place, self.index, self.target, self.threads = place, index, target, threads
        self._spacing = crowd.spacing(islands, crowd.HEARTBEATS)
        self.epoch = self._next_epoch()
        self._lines = JsonLines(place.metrics, durable=False)
        self._last = 0.0
        self._identity = identity()
        self._logs = (place.log, RunDir(place.path.parent).log)
        self._notifier = Notifier()

    def _next_epoch(self) -> int:
        try:
            return int(read_json(self.place.heartbeat)["epoch"]) + 1
        except (EvolabError, KeyError, TypeError, ValueError):
            return 1

    def rewind(self, state: State | None) -> None:
        """Make the metrics end with `state`'s generation: later lines are of work to be done again.

        Damaged lines go too; what they said can be had by a replay.
        """
        path = self.place.metrics
        if state is None:
            remove(path)
            return
        lines = [record_in(text) for _, text in each_line(path)]
        kept = [line for line in lines if line is not None and line["generation"] <= state.generation]
        if not kept or kept[-1]["generation"] < state.generation:
            kept.append(state.record)
        if kept != lines:
            replace_atomically(path, b"".join(dumps(line).encode() + b"\n" for line in kept))

    def generation(self, line: dict[str, Any]) -> None:
        """Append a generation's metrics."""
        self._lines.append(line)

    def beat(self, status: str, state: State | None, force: bool = False, step: tuple[int, int] | None = None) -> None:
        """Replace the heartbeat, unless one was written a moment ago; systemd, if it listens, hears of it too.

        Called by the work itself and never by a thread beside it: a heartbeat that stands still is work that does.
        `step`: episodes of the next generation evaluated, of how many.
        """
        self._notify(status, state)
        now = time.monotonic()
        if not force and now - self._last < max(HEARTBEAT_SECONDS, self._spacing):
            return
        self._last = now
        log.rotate(self._logs)
        used = os.times()
        write_json(
            self.place.heartbeat,
            {
                "format": FORMAT,
                **self._identity,
                "epoch": self.epoch,
                "state": status,
                "generation": state.generation if state else None,
                "generations": self.target,
                "step": list(step) if step else None,
                "best": state.best if state else None,
                "cpu_seconds": used.user + used.system,
                "rss_mb": resident_mb(),
                "threads": self.threads,
                "counts": state.counts if state else {},
                "time": time.time(),
            },
        )

    def _notify(self, status: str, state: State | None) -> None:
        """Ready means evaluated, or resumed with the kernels compiled; the watchdog hears of every generation."""
        if state is None or status not in ("running", "stopped"):
            return
        text = f"{self.place.name}: generation {state.generation + 1}/{self.target}, best {state.best:.4g}"
        if status == "running":
            self._notifier.turned(text, float(state.record.get("seconds") or 0.0))
        else:
            self._notifier.stopping(text)

    def result(self, state: State, champion: dict[str, Any], stopped: str | None, seed: int) -> None:
        """Write the result; its presence says that the population has finished."""
        solution = solving.solution_in(state.record)
        write_json(
            self.place.result,
            {
                "format": FORMAT,
                "island": self.place.name,
                "index": self.index,
                "seed": seed,
                "generations": state.generation + 1,
                "best_fitness": state.best,
                "champion": champion,
                **{name: state.record[name] for name in ("diversity", "behaviour_mean", "behaviour_variance")},
                "digest": state.population.digest(),
                "seconds": state.seconds,
                "cpu_seconds": state.cpu_seconds,
                "evaluations": state.evaluations,
                **(solution.told() if solution else solving.UNKNOWN),
                **{name: state.counts.get(name, 0) for name in ("sent", "received", "admitted", "refused")},
                "stopped": stopped,
            },
        )
