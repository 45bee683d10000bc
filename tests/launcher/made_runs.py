"""Run directories with the files that islands leave, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from islands import files
from islands.rundir import RunDir
from launcher import presets, run


def finished(
    path: Path, means: Sequence[float], migrates: bool = False, half: float = 1.0, generations: int = 3
) -> RunDir:
    """A finished run with one population for each of `means`; their champions' intervals are ± `half`."""
    names = tuple((f"seed-{i}", i) for i in range(len(means)))
    shared = path / "shared" if migrates else None
    made = run.make(path, presets.resolve("quick"), run.Plan("run", "quick", names, migration_dir=shared))
    for index, (island, mean) in enumerate(zip(made.islands(), means, strict=True)):
        champion = {"mean": mean, "ci95": [mean - half, mean + half], "episodes": 64, "digest": "c" * 64}
        counts = {"sent": 5, "received": 3, "admitted": 2, "refused": 1, "stopped": None}
        result = {"format": 1, "island": island.name, "index": index, "seed": index, "generations": generations}
        result |= {"best_fitness": mean + 5, "champion": champion, "digest": f"{index:064}", "seconds": 1.0}
        files.write_json(island.result, {**result, "cpu_seconds": 0.9, "evaluations": 30, **counts})
        metrics = files.JsonLines(island.metrics, durable=False)
        for generation in range(generations):
            line = {"generation": generation, "best": generation + mean, "mean": mean, "median": None, "species": 4}
            metrics.append({**line, "disqualified": {"unstable": generation}, "limited": {}, "digest": "e" * 64})
        log = files.JsonLines(island.migrations, durable=False)
        arrival = {"generation": 2, "slot": 7, "source": "seed-9", "sequence": 1, "digest": "f" * 64, "fitness": 2.5}
        log.append({"generation": 2, "event": "published", "sequence": 1, "digests": ["a" * 64]})
        log.append({**arrival, "admitted": True, "reason": "", "genome": "AAAA"})
        refusal = {"slot": None, "digest": None, "fitness": None, "admitted": False, "reason": "truncated"}
        log.append({**arrival, **refusal})
    return made
