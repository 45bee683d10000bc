"""500 times `kill -9` at random moments over 8 islands in 1,500 generations: no generation becomes another one."""

from __future__ import annotations

import base64
import hashlib
import signal
from collections import Counter
from pathlib import Path

from islands import files
from islands.rundir import IslandDir, RunDir
from launcher.workers import Ended
from scripts.chaos import runs
from scripts.chaos.replaying import replay_all
from scripts.chaos.report import Report
from scripts.chaos.strikes import Strikes, Tally, Victim, torn

ISLANDS = 8
SMALL = ("population=40", "task.duration=8.0")


def main(report: Report, folder: Path) -> None:
    """Both halves: migration off, against the undisturbed run; migration on, against each island's own log."""
    count, generations = (32, 90) if report.quick else (500, 1500)
    without_migration(report, folder, count, generations)
    with_migration(report, folder, count, generations)


def without_migration(report: Report, folder: Path, count: int, generations: int) -> None:
    """The same run twice, once undisturbed."""
    wanted = runs.config(*SMALL, f"generations={generations}", "migration.every=0", "record.checkpoint_every=2")
    calm = runs.make(folder / "calm", wanted, ISLANDS, None)
    with runs.alive(calm, range(ISLANDS)) as children:
        report.tell("the undisturbed run")
        codes = [runs.wait_for(child.poll, 600, "the undisturbed run's end").code for child in children]
    run = runs.make(folder / "killed", wanted, ISLANDS, None)
    tally, halves = killed(report, run, count, generations, None)
    told_kills(report, tally, count, generations, halves, "migration off")
    pairs = list(zip(calm.islands(), run.islands(), strict=True))
    same = [runs.digests(a) == runs.digests(b) and len(runs.digests(b)) == generations for a, b in pairs]
    results = [one.result.exists() and _final(one) == _final(other) for one, other in pairs]
    report.check(
        f"{tally.delivered} kills, migration off",
        f"every generation's digest of {ISLANDS} islands is the undisturbed run's, and so is the final one",
        f"{sum(same)} of {ISLANDS} islands: all {generations} generations equal; {sum(results)} final digests equal",
        all(same) and all(results) and codes == [0] * ISLANDS,
    )


def with_migration(report: Report, folder: Path, count: int, generations: int) -> None:
    """Every island must be what its own log says."""
    pool = folder / "pool"
    policy = ("migration.every=1", "migration.migrants=2", "record.checkpoint_every=3")
    wanted = runs.config(*SMALL, f"generations={generations}", *policy)
    run = runs.make(folder / "migrating", wanted, ISLANDS, pool)
    tally, halves = killed(report, run, count, generations, pool)
    told_kills(report, tally, count, generations, halves, "migration on")
    report.tell("replaying every island from its log")
    wrong = replay_all(run)
    report.check(
        f"{tally.delivered} kills, migration on",
        f"each of {ISLANDS} islands replays from its log, every generation's digest equal",
        f"{ISLANDS - len(wrong)} of {ISLANDS} replayed{'; ' if wrong else ''}{'; '.join(wrong)}",
        not wrong and all(len(runs.digests(place)) == generations for place in run.islands()),
    )
    twice = [text for place in run.islands() for text in runs.told_twice(place)]
    corrupt, admitted, reasons = foreign_genomes(run)
    report.check(
        "the same logs, read line by line",
        "no migrant applied twice; every one admitted is, bit for bit, one that its source published",
        f"{admitted} admitted, {len(twice)} twice, {len(corrupt)} not as published; refused: {dict(reasons) or 'none'}",
        admitted > 0 and not twice and not corrupt and set(reasons) <= {"duplicate"},
    )
    left = runs.temporaries(run.path, pool)
    verified = [runs.evolab(folder, "verify", each.path).returncode for each in (run, RunDir(folder / "killed"))]
    report.check(
        "the files that the kills left",
        "no temporary file stays, and `evolab verify` finds nothing damaged in either run",
        f"{len(left)} temporary files, exit codes of evolab verify {verified}",
        not left and verified == [0, 0],
    )


def killed(report: Report, run: RunDir, count: int, generations: int, pool: Path | None) -> tuple[Tally, int]:
    """Kill the run's islands `count` times and let them finish; the tally, and how many writes were cut in half."""
    halves = 0

    def ending(victim: Victim, ended: Ended) -> str | None:
        nonlocal halves
        halves += torn(victim, pool)
        return None if ended.code == -signal.SIGKILL else f"exit {ended.code} instead of SIGKILL"

    return Strikes(report, run, count, signal.SIGKILL, generations, ending).run(within=1800), halves


def told_kills(report: Report, tally: Tally, count: int, generations: int, halves: int, what: str) -> None:
    """The fault really happened."""
    spread = sorted(tally.between)
    quarter = [spread[len(spread) * i // 4] for i in (1, 2, 3)] if spread else []
    report.check(
        f"kill -9 at random moments, {what}",
        f"{count} SIGKILLs to living islands, over all {generations} generations; nothing else ends any",
        f"{tally.delivered} ({tally.evolving} while evolving, {tally.starting} while starting), quartiles of the "
        f"generation: {quarter}, {halves} in the middle of a write; other ends: {tally.unexpected or 'none'}",
        tally.delivered == count and not tally.unexpected and bool(quarter) and quarter[2] > generations // 2,
    )


def foreign_genomes(run: RunDir) -> tuple[list[str], int, Counter[str]]:
    """Admitted migrants that are not what their source says it published; how many were admitted; refusals' reasons."""
    logs = {place.name: runs.log_of(place) for place in run.islands()}
    published = {
        (name, line["sequence"], digest)
        for name, lines in logs.items()
        for line in lines
        if line.get("event") == "published"
        for digest in line["digests"]
    }
    wrong: list[str] = []
    admitted, reasons = 0, Counter[str]()
    for name, lines in logs.items():
        for line in runs.arrivals(lines):
            if not line["admitted"]:
                reasons[line["reason"]] += 1
                continue
            admitted += 1
            digest = hashlib.sha256(base64.b64decode(line["genome"])).hexdigest()
            if digest != line["digest"] or (line["source"], line["sequence"], digest) not in published:
                wrong.append(f"{name} at generation {line['generation']}")
    return wrong, admitted, reasons


def _final(place: IslandDir) -> str:
    return str(files.read_json(place.result)["digest"])
