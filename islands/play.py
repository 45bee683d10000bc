"""A genome on fresh episodes: `python -m islands.play`, with what to play as JSON on stdin.

    {"config": a whole configuration, "genome": base64 of a genome's file, "episodes": 64, "seed": 0}

Says {"done", "of"} as it goes and in the end one line with what came of it.
"""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from typing import Any

import numpy as np

from islands import files, loading
from islands.compiling import one_compiles_for_all
from islands.errors import ConfigError, EvolabError
from islands.genome.population import Genomes, decode
from islands.rng import Purpose, stream
from islands.rollout import Pace, play_alone, worth
from islands.tasks import Task, make


def play(task: Task, genomes: Genomes, key: np.uint64, episodes: int, pace: Pace | None = None) -> dict[str, Any]:
    """Play the one genome of `genomes` on `episodes` episodes of the stream `key`; the figures of `evolab play`.

    `mean` and `ci95` are None where an episode failed: what is not known is no score. Where the task holds data
    out, they are its own measure of those.
    """
    task = task.parts.get("held out", task)
    played = play_alone(task, genomes, 0, key, episodes, pace)
    found = task.worth(genomes, 0, key) if task.worth else worth(played.fitness)
    known = bool(np.isfinite(played.fitness).all())
    ended = Counter(played.reason.tolist())
    return {
        "mean": found.mean if known else None,
        "ci95": [found.low, found.high] if known and (task.random or task.worth) else None,
        "episodes": found.episodes,
        "failed": int((~np.isfinite(played.fitness)).sum()),
        "solved": None if played.solved is None else int(played.solved.sum()),
        "ended": {task.reasons[reason]: count for reason, count in sorted(ended.items())},
        "steps": float(played.steps.mean(dtype=np.float64)),
        "fitness": played.fitness.tolist(),
    }


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What came of a request."""
    config = loading.from_dict(request["config"])
    task = make(config)
    try:
        genomes = decode([base64.b64decode(request["genome"])], task.layout)
    except ValueError as error:
        do = "give the configuration that it evolved under"
        raise ConfigError("the genome", expected="one of its configuration", got=str(error), do=do) from error
    one_compiles_for_all(config, task)
    key = stream(int(request["seed"]), 0, 0, Purpose.PLAY)
    return play(task, genomes, key, int(request["episodes"]), Pace(lambda done, of: _say(done=done, of=of)))


def main() -> int:
    """Play; exit code 0: played."""
    try:
        _say(**answer(json.load(sys.stdin)))
    except EvolabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _say(**record: Any) -> None:
    print(files.dumps(record), flush=True)


if __name__ == "__main__":
    sys.exit(main())
