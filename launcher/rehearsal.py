"""What one island really costs here: whole runs in small, measured from outside.

A rehearsal is `evolab launch` itself, with as many islands as this machine has usable cores and few generations. What
other processes took from it meanwhile (the kernel says how long each island was ready and had no core) is taken out
again, so that the figures hold for a machine that does nothing else.
"""

from __future__ import annotations

import contextlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from islands import files, loading, topology
from islands.config import Config
from islands.errors import ConfigError, EvolabError
from islands.rundir import IslandDir, RunDir
from launcher import host
from launcher.benchmark import benchmark, room
from launcher.supervisor import environment

LOOK = 0.05
"""Seconds between two looks at the islands' processes."""
ENOUGH = 1.5
"""Seconds of generations that make a figure."""


@dataclass(frozen=True)
class Phases:
    """A run taken apart, in seconds with what others took taken out, and its memory in MB.

    `generation` is the islands' mean, `slowest` that of the slowest; `start` and `end` as in `launcher.plan.Pace`.
    `seconds`: the whole run by the clock; `others`: the share of it that the islands waited for a core.
    """

    islands: int
    generations: int
    seconds: float
    others: float
    start: float
    generation: float
    slowest: float
    end: float
    private: float | None
    inherited: float
    shared: float | None
    launcher: float | None

    @property
    def undisturbed(self) -> float:
        """Seconds that the whole run would have taken with the cores to itself."""
        return self.seconds * (1.0 - self.others)


@dataclass
class _Seen:
    """What the looks at one island's process found."""

    waited: float = 0.0
    lived: float = 0.0
    private: float = 0.0
    inherited: float = 0.0
    shared: float = 0.0


@dataclass
class _Watch:
    """Looks at a run's processes while it goes on."""

    run: RunDir
    began: float
    names: list[str]
    seen: dict[str, _Seen] = field(default_factory=dict)
    launcher: float = 0.0

    def look(self, pid: int) -> None:
        """Read the memory and the waiting of every island, and the memory of their launcher `pid`."""
        share = host.share_of(pid)
        self.launcher = max(self.launcher, share.private if share else 0.0)
        for name in self.names:
            with contextlib.suppress(EvolabError, OSError, KeyError, TypeError):
                self._note(name, int(files.read_json(self.run.island(name).heartbeat)["pid"]))

    def _note(self, name: str, pid: int) -> None:
        seen = self.seen.setdefault(name, _Seen())
        if share := host.share_of(pid):
            seen.private, seen.shared = max(seen.private, share.private), max(seen.shared, share.shared)
            seen.inherited = max(seen.inherited, share.inherited)
        if (waited := host.waiting_seconds(pid)) is not None:
            seen.waited, seen.lived = waited, time.time() - self.began

    def others(self) -> float:
        """The share of their lives that the islands waited for a core."""
        shares = [seen.waited / seen.lived for seen in self.seen.values() if seen.lived > 0]
        return min(0.95, statistics.fmean(shares)) if shares else 0.0


def rehearse(config: Config, islands: int, generations: int) -> Phases:
    """Launch `islands` islands for so many generations (at least 2) in a folder that is gone afterwards.

    The phases are those of the whole run that the configuration describes, as far as this much of it tells.
    """
    with room() as folder:
        path, run = folder / "config.yaml", RunDir(folder / "run")
        path.write_text(loading.dump(config))
        command = [sys.executable, "-P", "-m", "launcher", "launch", "-c", str(path), "-g", str(generations)]
        command += ["--islands", str(islands), "--out", str(run.path), "--json"]
        names = [f"island-{index:03}" for index in range(islands)]
        try:
            topology.check(config.migration.topology, names)
        except ConfigError:  # edges between islands that this many are not
            command += ["--topology", "full"]
        began = time.time()
        watch = _Watch(run, began, names)
        with open(folder / "said", "wb") as said, _running(command, folder, said) as process:
            while process.poll() is None:
                looked = time.monotonic()
                watch.look(process.pid)
                time.sleep(max(LOOK, 10 * (time.monotonic() - looked)))  # a hundred islands are a long look
        ended = time.time()
        if process.returncode:
            words = (folder / "said").read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise EvolabError("a rehearsal", expected="a run that ends well", got=words[-1][:300])
        return phases(watch, [run.island(name) for name in names], began, ended, config.generations)


def phases(watch: _Watch, islands: list[IslandDir], began: float, ended: float, wanted: int) -> Phases:
    """Take a finished run apart by the time stamps of its metrics; its pace is that of `wanted` generations."""
    lines = [files.read_jsonl(island.metrics) for island in islands]
    alone = 1.0 - watch.others()
    paces = [_pace(each, wanted) * alone for each in lines]
    start = statistics.fmean(float(each[0]["time"]) - float(each[0]["seconds"]) for each in lines) - began
    end = ended - max(float(each[-1]["time"]) for each in lines)
    private = [seen.private for seen in watch.seen.values() if seen.private]
    shared = [seen.shared for seen in watch.seen.values() if seen.shared]
    return Phases(
        islands=len(islands),
        generations=len(lines[0]),
        seconds=ended - began,
        others=watch.others(),
        start=max(0.0, start) * alone,
        generation=statistics.fmean(paces),
        slowest=max(paces),
        end=max(0.0, end) * alone,
        private=max(private, default=None),
        inherited=max((seen.inherited for seen in watch.seen.values()), default=0.0),
        shared=max(shared, default=None),
        launcher=watch.launcher or None,
    )


def sized(config: Config, path: Path) -> tuple[dict[str, Any], float]:
    """`evolab benchmark` of the configuration in `path`, long enough to mean something, and the CPU seconds it took."""
    figures, used = _measured(path, config.population, 1)
    generation = float(figures["seconds_per_generation"])
    if generation * 3 < ENOUGH:
        figures, used = _measured(path, config.population, max(3, int(ENOUGH / generation)))
    return figures, used


def crowding(config: Config, path: Path, generations: int, alone: float, count: int) -> float:
    """The speed of one of `count` benchmarks that run at the same time, 1 alone.

    Told by CPU seconds for the same work (`alone`: one's), which grow when cores share caches, clock or vector units,
    and do not when somebody else takes a turn.
    """
    if count < 2:
        return 1.0
    before = _children()
    with ThreadPoolExecutor(count) as pool:
        for each in [pool.submit(benchmark, str(path), config.population, generations) for _ in range(count)]:
            each.result()
    return min(1.0, alone / max(1e-9, (_children() - before) / count))


def length(generation: float, wanted: int, least: float, most: float) -> int:
    """How many of `wanted` generations to rehearse, given the seconds of one: half of them, but what `least` seconds
    allow and no more than `most` seconds do; at least 3, and never more than are wanted (but 2: a pace takes two)."""
    half = max(wanted / 2, least / max(generation, 1e-9))
    return max(2, min(wanted, max(3, int(min(half, most / max(generation, 1e-9))))))


def _measured(path: Path, population: int, generations: int) -> tuple[dict[str, Any], float]:
    before = _children()
    figures = benchmark(str(path), population, generations)
    return figures, _children() - before


def _pace(lines: list[dict[str, Any]], wanted: int) -> float:
    """Mean wall seconds of `wanted` generations, everything in between included.

    Genomes grow, and later generations take longer: those that were not played count as the last quarter of those that
    were.
    """
    if len(lines) < 2:
        return float(lines[0]["seconds"])
    stamps = [float(line["time"]) for line in lines]
    late = max(1, (len(stamps) - 1) // 4)
    left = max(0, wanted - len(stamps))
    rest = left * (stamps[-1] - stamps[-1 - late]) / late
    return (stamps[-1] - stamps[0] + rest) / (len(stamps) - 1 + left)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def _running(command: list[str], folder: Path, said: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which is asked to stop and waited for when the body is left early."""
    with subprocess.Popen(command, cwd=folder, env=environment(1), stdout=subprocess.DEVNULL, stderr=said) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise
