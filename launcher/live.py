"""What a run's launcher knows and the islands' files do not say: launcher.json, replaced every two seconds at most."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from islands import files, process
from islands.errors import EvolabError
from islands.rundir import RunDir
from launcher.states import BACKOFF

if TYPE_CHECKING:
    from launcher.workers import Worker

FORMAT = 1
EVERY = 2.0


class Live:
    """Writes launcher.json for as long as this process works on the run."""

    def __init__(self, run: RunDir, cost_per_hour: float | None, detach: bool, place: dict[str, Any]) -> None:
        before = read(run)
        self._run, self._cost_per_hour = run, cost_per_hour
        self._identity = {**process.identity(), "host": socket.gethostname(), "since": time.time(), "detach": detach}
        self._identity["place"] = place
        self.cost_before = float(before.get("cost") or 0.0)
        self.seconds_before = float(before.get("seconds") or 0.0)
        self._next = 0.0

    def write(self, workers: Sequence[Worker], figures: dict[str, Any], force: bool = False) -> None:
        """Replace the file, unless that was done a moment ago. A disk that refuses is no reason to fail."""
        now = time.monotonic()
        if not force and now < self._next:
            return
        self._next = now + EVERY
        islands = {}
        for worker in workers:
            entry = {
                "state": worker.state,
                "reason": worker.reason or None,
                "pid": worker.process.pid if worker.process else None,
                "where": (worker.process.where or None) if worker.process else None,
                "restarts": worker.restarts,
                "again_in": round(max(0.0, worker.due - now), 1) if worker.state == BACKOFF else None,
                "utilisation": round(worker.utilisation(now), 4),
            }
            islands.update({island.name: entry for island in worker.job.islands})
        record = {"format": FORMAT, **self._identity, **figures, "cost_per_hour": self._cost_per_hour}
        with contextlib.suppress(OSError, EvolabError):
            files.write_json(self._run.launcher, {**record, "islands": islands, "time": time.time()})


def read(run: RunDir) -> dict[str, Any]:
    """The last launcher.json, its launcher living or not; {} where there is none that can be read."""
    with contextlib.suppress(OSError, EvolabError):
        found = files.read_json(run.launcher)
        if found.get("format") == FORMAT and isinstance(found.get("islands"), dict):
            return found
    return {}


def is_current(record: dict[str, Any]) -> bool:
    """Whether the launcher that wrote a launcher.json still lives; false on another host, which cannot know."""
    return bool(record) and process.is_alive(record)
