"""One island in one process: `python -m islands RUN_DIR --island K`.

Everything it needs is in the run directory; everything it has to say it writes
there. It goes on from its newest good checkpoint, so the same command again is
also how it is restarted.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from islands import crowd, faults, files, loading, notify, occupied, process, quarantine, threads
from islands.config import Config
from islands.errors import STOPPED, ConfigError, DiskError, EvolabError, TryAgain
from islands.rundir import IslandDir, RunDir

FILES_OF_ONE = 8
"""Files that an island holds open, generously counted."""


def main() -> int:
    """Parse, run, and say how it ended by the exit code (see `islands.errors`)."""
    parser = argparse.ArgumentParser(prog="python -m islands", description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--island", type=int, default=0, help="index of the island in run.json")
    parser.add_argument("--all", action="store_true", help="every population of the run, in this process")
    parser.add_argument("--parent", type=int, default=0, help="stop when this is no longer the parent process")
    arguments = parser.parse_args()
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    places: list[IslandDir] = []
    try:
        faults.check()
        run = RunDir(arguments.run_dir)
        run.refuse_strangers()
        plan = run.read_plan()
        entries = plan["islands"] if arguments.all else [entry_of(plan, arguments.island)]
        wanted = [run.island(entry["name"]).create() for entry in entries]
        process.allow_open_files(FILES_OF_ONE * len(wanted))
        for place in wanted:
            occupied.occupy(place)  # until this process ends
        places = wanted
        for place in places:
            files.remove(place.error)
        return run_islands(run, plan, entries, Halt(run, places, arguments.parent))
    except Leave:
        notify.send("READY=1", "STATUS=stopped before it began")
        return STOPPED
    except Exception as error:
        return report(error, places)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def entry_of(plan: dict[str, Any], index: int) -> dict[str, Any]:
    """The plan's entry of island `index`."""
    if not 0 <= index < len(plan["islands"]):
        raise ConfigError("--island", expected=f"0 to {len(plan['islands']) - 1}", got=str(index))
    return dict(plan["islands"][index])


class Leave(BaseException):
    """A halt was asked for before there was anything to save."""


class Halt:
    """A question to ask once a generation: has a signal, a stop file or the launcher's death asked us to stop?

    Until `begin` nothing is under way that a checkpoint could save: a request then ends the process at once (`Leave`),
    even in the middle of a long import or compilation.

    A process whose island another one has taken (its host was cut off, and the server gave its lock away) ends when it
    asks, at once: what it would write now is another's.
    """

    def __init__(self, run: RunDir, places: list[IslandDir], parent: int = 0) -> None:
        self._stops = [run.stop, *(place.stop for place in places)]
        self._places, self._me = places, process.identity()
        self._parent = parent
        self._asked = self._begun = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):  # SIGUSR2: Slurm, before the time limit
            signal.signal(number, self._note)
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 1.0)

    def __call__(self) -> bool:
        """Whether to stop."""
        if any(occupied.taken(place, self._me) for place in self._places):
            say("another process has this island now: this one ends and writes nothing more")
            os._exit(TryAgain.exit_code)
        orphaned = self._parent > 0 and os.getppid() != self._parent
        return self._asked or orphaned or any(stop.exists() for stop in self._stops)

    def begin(self) -> None:
        """From here on whoever asks `Halt` decides when to stop."""
        self._begun = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _note(self, _number: int, _frame: object) -> None:
        self._asked = True
        self._look()

    def _look(self, *_: object) -> None:
        if not self._begun and self():
            raise Leave


def run_islands(run: RunDir, plan: dict[str, Any], entries: list[dict[str, Any]], halt: Halt) -> int:
    """Evolve the populations of `entries` to their end, as one batch or one after another."""
    found = threads.refuse_more_than(int(plan["threads"]))
    process.give_large_memory_back()
    process.compute_in_batch()
    from islands.compiling import one_compiles_for_all
    from islands.tasks import make

    config = loading.of_island(loading.load(run.config), entries[0])  # several in one process have one configuration
    task = make(config)
    islands = [island_of(run, plan, entry, config, task.layout, found) for entry in entries]
    unfinished = [island for island in islands if not already_finished(island.place, config)]
    for island in unfinished:
        files.remove(island.place.result)
        island.recorder.beat("starting", island.state, force=True)
    if not unfinished:
        notify.send("READY=1", "STATUS=finished before")  # to systemd, ending without it would be a failure
    one_compiles_for_all(config, task)
    halt.begin()
    batches = [unfinished] if plan["batched"] else [[island] for island in unfinished]
    codes = (evolve_batch(config, task, batch, halt, int(plan["threads"])) for batch in batches if batch)
    return next(filter(None, codes), 0)


def evolve_batch(config: Config, task: Any, islands: Sequence[Any], halt: Callable[[], bool], workers: int) -> int:
    """Evolve populations in step, by so many processes if there are as many populations; the exit code."""
    from islands import one_batch
    from islands.loop import Evolution

    def share(islands: Sequence[Any], task: Any, halt: Callable[[], bool], *meet: Any) -> int:
        if Evolution(config, task, islands, halt, *meet).run():
            return 0
        for island in islands:
            island.recorder.beat("stopped", island.state, force=True)
        return STOPPED

    def reported(islands: Sequence[Any], *arguments: Any) -> int:
        try:
            return share(islands, *arguments)
        except Exception as error:
            return report(error, [island.place for island in islands])

    if min(workers, len(islands)) < 2:
        return share(islands, task, halt)
    code = one_batch.evolve(islands, min(workers, len(islands)), task, reported, halt)
    if code < 0:
        os.kill(os.getpid(), -code)  # whoever looks after this process is to see what ended its worker
    return code


def already_finished(place: IslandDir, config: Config) -> bool:
    """Whether there is a result of at least as many generations as are wanted, or one that stopped for good."""
    if not place.result.exists():
        return False
    result = files.read_json(place.result)
    return bool(result["generations"] >= config.generations or result["stopped"])


def island_of(
    run: RunDir, plan: dict[str, Any], entry: dict[str, Any], config: Config, layout: Any, found: dict[str, Any]
) -> Any:
    """The island of a plan's entry, as its checkpoints and logs left it."""
    from islands import checkpoint
    from islands.loop import Island
    from islands.migration import Migrator
    from islands.record import Recorder
    from islands.rng import island_number

    place, name, seed = run.island(entry["name"]), str(entry["name"]), int(entry["seed"])
    owner = {"run": plan["run_id"], "island": name, "seed": seed}
    for folder in (place.path, place.checkpoints):
        files.remove_temporaries(folder)
    islands = len(plan["islands"])
    recorder = Recorder(place, int(entry["index"]), config.generations, found, islands)
    state = checkpoint.read_newest(place.checkpoints, owner, say)
    if state is not None:
        checkpoint.set_aside_damaged(place.checkpoints, state)
    recorder.rewind(state)
    migrator = None
    if plan["migration_dir"] and config.migration.every and config.migration.migrants:
        migrator = Migrator(config, layout, name, (seed, island_number(name)), place.migrations)
        migrator.avoid = quarantine.read(place.avoid)
        pool_id = plan["run_id"] if plan["command"] == "launch" else None
        migrator.join(Path(plan["migration_dir"]), recorder.epoch, pool_id)
        migrator.recall(state.generation if state else 0)
    spacing = max(config.record.checkpoint_seconds, crowd.spacing(islands, crowd.CHECKPOINTS))
    return Island(name, seed, island_number(name), place, recorder, migrator, owner, state, spacing=spacing)


def say(line: str) -> None:
    """A line for the island's log."""
    with suppress(OSError):  # a full disk, a closed terminal
        print(line, file=sys.stderr, flush=True)


def report(error: Exception, places: list[IslandDir]) -> int:
    """Write error.json for every population, say why in one line, and return the exit code."""
    if isinstance(error, OSError) and files.is_of_the_disk(error):
        got = os.strerror(error.errno or 0)
        error = DiskError(f"{error.filename or 'a file'}", expected="a disk that takes it", got=got)
    code = error.exit_code if isinstance(error, EvolabError) else 70
    line = str(error) if isinstance(error, EvolabError) else f"{type(error).__name__}: {error}"
    trace = traceback.format_exc()
    say(line if isinstance(error, EvolabError) else trace)
    record = {"format": 1, "kind": type(error).__name__, "message": line, "exit_code": code, "traceback": trace}
    for place in places:
        with suppress(EvolabError, OSError):
            files.write_json(place.error, record)
    return code


if __name__ == "__main__":
    sys.exit(main())
