"""pygmo's archipelago: what a migration step takes by genome size, and what becomes of it when a worker is killed.

    pygmo_archipelago.py step POPULATION STEPS NUMBERS      one line of JSON
    pygmo_archipelago.py kill SECONDS                       waits so long for an evolution whose worker was killed

Two islands in a ring, whose algorithm does nothing, so that what is left is the step: in threads of one process, and in
worker processes (mp_island), as anything written in Python needs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

import pygmo


class Slow:
    """An algorithm that takes its time."""

    def evolve(self, population: Any) -> Any:
        """Give the population back after two seconds."""
        time.sleep(2.0)
        return population


def archipelago(kind: Any, algorithm: Any, numbers: int, population: int) -> Any:
    return pygmo.archipelago(
        n=2, t=pygmo.ring(), udi=kind, algo=pygmo.algorithm(algorithm), prob=pygmo.problem(pygmo.rosenbrock(numbers)),
        pop_size=population,
    )  # fmt: skip


def step(population: int, steps: int, numbers: int) -> dict[str, float]:
    """Wall seconds of a step."""
    found = {}
    for name, kind in (("threads", pygmo.thread_island()), ("processes", pygmo.mp_island())):
        made = archipelago(kind, pygmo.null_algorithm(), numbers, population)
        for count in (2, steps):
            began = time.perf_counter()
            made.evolve(count)
            made.wait_check()
        found[name] = (time.perf_counter() - began) / steps
    return found


def kill(seconds: float) -> dict[str, Any]:
    """Whether an evolution comes to an end, and how, when one of its workers is killed in the middle of it."""
    made = archipelago(pygmo.mp_island(), Slow(), 10, 32)
    made.evolve(1)
    time.sleep(0.5)
    victims = multiprocessing.active_children()
    os.kill(victims[0].pid or 0, signal.SIGKILL)
    waiting = threading.Thread(target=made.wait, daemon=True)
    began = time.perf_counter()
    waiting.start()
    waiting.join(seconds)
    return {"hangs": waiting.is_alive(), "seconds": time.perf_counter() - began, "status": str(made.status)}


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    told = step(*map(int, numbers)) if what == "step" else kill(float(numbers[0]))
    print(json.dumps({**told, "version": pygmo.__version__}), flush=True)
    os._exit(0)  # one that hangs would never let this process end
