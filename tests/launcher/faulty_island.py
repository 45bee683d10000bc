"""A real island that goes wrong as told: python faulty_island.py RUN_DIR --island K [--parent PID].

The environment variable FAULTS says which one and how, in pairs such as `1:crash,2:hang`: `crash` dies whenever it has
evaluated generation 2, `hang` stands still in the evaluation after generation 2, `poison` dies of one migrant whenever
that is scored, `refuse` cannot play its task.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from islands import tasks
from islands.__main__ import main
from islands.errors import ConfigError
from islands.genome.population import encode
from islands.loop import Evolution, Island
from islands.migration import Immigrants
from islands.rundir import RunDir


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> None:
    record = Evolution.record

    def dying(self: Evolution, island: Island, halt: bool) -> None:
        if island.state is not None and island.state.generation >= 2:
            die()
        record(self, island, halt)

    Evolution.record = dying  # type: ignore[method-assign]


def hang() -> None:
    evaluate = Evolution.evaluate

    def hanging(self: Evolution, islands: Sequence[Island]) -> None:
        while any(island.state is not None and island.state.generation >= 2 for island in islands):
            time.sleep(0.05)
        evaluate(self, islands)

    Evolution.evaluate = hanging  # type: ignore[method-assign]


def poison() -> None:
    score = Evolution.score
    while not RunDir(sys.argv[1]).island("island-000").result.exists():  # then there are migrants to be had
        time.sleep(0.05)

    def poisoned(self: Evolution, islands: Sequence[Island], came: Sequence[Immigrants]) -> Any:
        note = islands[0].place.path / "poison"
        batches = [some.genomes for some in came if some.genomes]
        blobs = [encode(genomes, row) for genomes in batches for row in range(genomes.count)]
        if blobs and not note.exists():
            note.write_bytes(blobs[0])
        if blobs and note.read_bytes() in blobs:
            die()
        return score(self, islands, came)

    Evolution.score = poisoned  # type: ignore[method-assign]


def refuse() -> None:
    def unplayable(*_: Any) -> Any:
        raise ConfigError("the task", expected="one that can be played", got="as configured")

    tasks.make = unplayable


if __name__ == "__main__":
    faults = dict(pair.split(":") for pair in os.environ.get("FAULTS", "").split(",") if pair)
    kind = faults.get(sys.argv[sys.argv.index("--island") + 1])
    if kind:
        {"crash": crash, "hang": hang, "poison": poison, "refuse": refuse}[kind]()
    sys.exit(main())
