"""10,000 hostile files are refused, each for its reason, at little cost; 100,000 valid ones at once are no burden."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from islands.config import Config
from islands.migration import agreement
from islands.outbox_folder import QUARANTINED
from islands.pool import Pool
from islands.publication import encode
from islands.rundir import RunDir
from islands.tasks import make
from launcher import run as runs_
from launcher.workers import Child
from scripts.chaos import runs
from scripts.chaos.forging import Forger, drawn, header_of
from scripts.chaos.report import Report

SOURCES = tuple(f"hostile-{number}" for number in range(4))
SWEEPERS = ("sweeper-0", "sweeper-1")
FULL_SIZE = ("population=500", "task.duration=30.0", "speciation.target=8", "migration.every=10")
"""Generations and a migration's share of them as the presets have them."""
MOST_SLOWER, MOST_SLOWER_VALID, MOST_MEMORY = 0.05, 0.20, 50.0


def main(report: Report, folder: Path) -> None:
    """Files that are none, then very many that are."""
    small = report.quick
    refused(report, folder, count=1000 if small else 10_000, generations=120 if small else 600)
    for where, name in (("a neighbour's outbox", "neighbour"), ("its own outbox", "island-000")):
        flooded(report, folder / name, where, name, 10_000 if small else 100_000, generations=120 if small else 400)


def refused(report: Report, folder: Path, count: int, generations: int) -> None:
    """A full-size island meets them beside a twin that does not; small ones then meet what is left."""
    wanted = runs.config(*FULL_SIZE, f"generations={generations}", edges(SOURCES, ("island-000",)))
    genomes, endless = drawn(wanted, 1)
    pools = {name: pool_of(folder / name, wanted) for name in ("hostile", "clean")}
    forger = Forger(pools["hostile"], SOURCES, genomes, endless, folder / "canary")
    report.tell(f"making {count} files")
    forger.fill(count)
    twins = {name: island(folder / f"run-{name}", wanted, pool.directory) for name, pool in pools.items()}
    report.tell(f"{generations} generations of a population of 500 among them, and of its twin without")
    pair = side_by_side(twins["hostile"], twins["clean"])
    readers = [twins["hostile"].islands()[0]]
    met = len(runs.arrivals(runs.log_of(readers[0])))
    told_pair(report, pair, f"{count} hostile files, {met} of them met at {generations // 10} migrations", MOST_SLOWER)
    sweepers, grown, codes = sweep(report, folder, pools["hostile"])
    readers += sweepers.islands()
    told_refusals(report, forger, [line for place in readers for line in runs.arrivals(runs.log_of(place))], codes)
    memory = max(pair["memory"], grown)
    report.check(
        "memory of the islands that met them",
        f"at most {MOST_MEMORY:g} MB more",
        f"{pair['memory']:.1f} MB more than the twin's; small islands grew by {grown:.1f} MB",
        memory <= MOST_MEMORY,
    )


def edges(sources: Sequence[str], targets: Sequence[str]) -> str:
    """The topology in which each target takes from each source."""
    return "migration.topology=" + ",".join(f"{source}>{target}" for source in sources for target in targets)


def pool_of(folder: Path, wanted: Config) -> Pool:
    """A new pool for a configuration's genomes."""
    return Pool.open(folder, agreement(wanted, make(wanted).layout))


def island(path: Path, wanted: Config, pool: Path) -> RunDir:
    """A run of one island in somebody's pool."""
    return runs.make(path, wanted, 1, pool, "evolve")


def side_by_side(met: RunDir, calm: RunDir) -> dict[str, Any]:
    """Two islands of the same seed at the same time, on cores that they swap: the first one's CPU time to the second's.

    "blocks": the same, for every tenth of the generations. "same": whether all digests are equal. "memory": how many MB
    more the first one had at its peak.
    """
    children = [runs.start(run, 0) for run in (met, calm)]
    places = [run.islands()[0] for run in (met, calm)]
    marks: list[dict[int, float]] = [{}, {}]
    peaks = [0.0, 0.0]
    codes: list[int | None] = [None, None]
    cores = sorted(os.sched_getaffinity(0))[:2]
    try:
        while None in codes:
            for who, child in enumerate(children):
                if codes[who] is None:
                    swap(child, cores, who)
                    marks[who].setdefault(runs.generation(places[who]), runs.cpu_seconds(child.pid))
                    peaks[who] = max(peaks[who], status_mb(child.pid, "VmHWM"))
                    ended = child.poll()
                    codes[who] = ended.code if ended else None
            time.sleep(0.01)
    finally:
        runs.end(children, signal.SIGKILL)
    common = sorted(set(marks[0]) & set(marks[1]) - {-1, 0, 1, 2})
    ends = [common[0], *common[len(common) // 10 :: max(1, len(common) // 10)][:9], common[-1]]
    spent = [[mark[b] - mark[a] for a, b in zip(ends, ends[1:], strict=False)] for mark in marks]
    return {
        "codes": codes,
        "same": runs.digests(places[0]) == runs.digests(places[1]),
        "ratio": sum(spent[0]) / sum(spent[1]),
        "blocks": sorted(one / other for one, other in zip(*spent, strict=True) if other > 0),
        "milliseconds": [1000 * sum(each) / (common[-1] - common[0]) for each in spent],
        "memory": peaks[0] - peaks[1],
    }


def swap(child: Child, cores: Sequence[int], who: int) -> None:
    """Put the process on its core of this second."""
    if len(cores) == 2:
        os.sched_setaffinity(child.pid, {cores[(int(time.monotonic()) + who) % 2]})


def status_mb(pid: int, key: str) -> float:
    """A figure of /proc/PID/status in MB; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(key + ":")), 0.0)


def told_pair(report: Report, pair: dict[str, Any], what: str, most: float) -> None:
    """The pace of an island among such files, and that they changed nothing."""
    low, high = pair["blocks"][0], pair["blocks"][-1]
    report.check(
        f"pace among {what}",
        f"at most {most:.0%} slower than a twin at the same time, in CPU seconds of the same generations",
        f"{pair['ratio'] - 1:+.1%} ({pair['milliseconds'][0]:.1f} and {pair['milliseconds'][1]:.1f} ms a generation; "
        f"tenths {low - 1:+.1%} to {high - 1:+.1%}, median {statistics.median(pair['blocks']) - 1:+.1%})",
        pair["ratio"] - 1 <= most,
    )
    report.check(
        "history of the same island",
        "it ends with 0, and every generation's digest is the twin's",
        f"exit codes {pair['codes']}, digests {'equal' if pair['same'] else 'DIFFERENT'}",
        pair["same"] and pair["codes"] == [0, 0],
    )


def sweep(report: Report, folder: Path, pool: Pool) -> tuple[RunDir, float, list[int]]:
    """Small islands that migrate at every generation until the outboxes are empty; by how many MB they grew; codes."""
    wanted = runs.config(runs.ENDLESS, "migration.every=1", edges(SOURCES, SWEEPERS))
    plan = runs_.Plan("evolve", "chaos", tuple((name, 1) for name in SWEEPERS), migration_dir=pool.directory)
    run = runs_.make(folder / "sweepers", wanted, plan)
    with runs.alive(run, range(len(SWEEPERS))) as children:
        runs.wait_until_running(run, children)
        before = [status_mb(child.pid, "VmRSS") for child in children]
        runs.wait_for(lambda: told_left(report, pool) == 0, 1200, "that all hostile files are refused", every=1.0)
        grown = max(status_mb(child.pid, "VmHWM") - b for child, b in zip(children, before, strict=True))
        codes = runs.end(children, signal.SIGTERM)
    return run, grown, codes


def told_left(report: Report, pool: Pool) -> int:
    """How many files still lie in the hostile outboxes."""
    left = sum(len([name for name in os.listdir(pool.outboxes / source) if name != ".lock"]) for source in SOURCES)
    report.tell(f"{left} hostile files are left")
    return left


def told_refusals(report: Report, forger: Forger, lines: Sequence[dict[str, Any]], codes: Sequence[int]) -> None:
    """Each file was refused once, for its reason, and none was admitted or run."""
    admitted = [line for line in lines if line["admitted"]]
    odd: Counter[str] = Counter()
    seen: Counter[tuple[str, int]] = Counter()
    wrong = []
    for line in lines:
        if line["sequence"] is None:
            odd[line["source"]] += 1
            wrong += [line["reason"]] * (line["reason"] != "name")
            continue
        key = (line["source"], line["sequence"])
        seen[key] += 1
        forgery = forger.expected.get(key)
        if forgery is None or line["reason"] not in forgery.reasons:
            wrong.append(f"{forgery.kind if forgery else key}: {line['reason']}")
    once = odd == forger.odd and seen == dict.fromkeys(forger.expected, 1)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(forger.kinds.items()))
    missing = f"; not possible here: {', '.join(sorted(forger.missing))}" if forger.missing else ""
    report.check(
        f"{forger.made} hostile files: {kinds}{missing}",
        "none admitted, each refused once and for its reason, nothing of them run, no island ended by them",
        f"{len(admitted)} admitted, {len(lines)} refusals of {seen.total() + odd.total()} files, {len(wrong)} with "
        f"another reason {Counter(wrong).most_common(3) or ''}; canary "
        f"{'THERE' if forger.canary.exists() else 'absent'}; exit codes {codes}",
        not admitted and not wrong and once and not forger.canary.exists() and set(codes) == {85},
    )
    kept = os.listdir(forger.pool.quarantine)
    plain = all(name.isascii() and name.isprintable() and "/" not in name for name in kept)
    report.check(
        "where they went",
        f"out of the outboxes into a quarantine of at most {QUARANTINED} files with plain names",
        f"{len(kept)} in quarantine, {'plain' if plain else 'ODD'} names",
        0 < len(kept) <= QUARANTINED and plain,
    )


def flooded(report: Report, folder: Path, where: str, source: str, count: int, generations: int) -> None:
    """Very many publications that are valid lie in one outbox at once; the twin has the newest of them alone."""
    wanted = runs.config(*FULL_SIZE, f"generations={generations}", edges(["neighbour"], ["island-000"]))
    genomes, _ = drawn(wanted, 2)
    pools = {name: pool_of(folder / name, wanted) for name in ("full", "clean")}
    report.tell(f"making {count} valid publications in {where}")
    for sequence in range(1, count + 1):
        header = header_of(pools["full"], source, sequence, genomes)
        lay(pools["full"], source, str(header.name()), encode(header, genomes))
    header = header_of(pools["clean"], source, count, genomes)
    lay(pools["clean"], source, str(header.name()), encode(header, genomes))
    twins = {name: island(folder / f"run-{name}", wanted, pool.directory) for name, pool in pools.items()}
    report.tell(f"{generations} generations of a population of 500 beside them, and of its twin")
    pair = side_by_side(twins["full"], twins["clean"])
    told_pair(report, pair, f"{count} valid publications in {where}", MOST_SLOWER_VALID)
    shutil.rmtree(folder)


def lay(pool: Pool, source: str, name: str, data: bytes) -> None:
    """A file in an outbox, as somebody puts it there who keeps no order."""
    box = pool.outboxes / source
    box.mkdir(exist_ok=True)
    (box / name).write_bytes(data)
