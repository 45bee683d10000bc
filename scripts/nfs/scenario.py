"""What two hosts do on one export, and what has to come of it. This side sees the exported folder itself."""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from pathlib import Path
from typing import Any

from islands import files
from islands.rundir import IslandDir, RunDir
from launcher.status import beat_of
from scripts.nfs import server
from scripts.nfs.checks import Checks, wait_for
from scripts.nfs.guest import OPTIONS, Answer, Guest

SETTINGS = ("population=12", "task.duration=0.5", "migration.every=10")
"""Of the preset quick: a generation of milliseconds."""
GENERATIONS = 1000
ENDLESS = 10_000_000
HELD, TRY_AGAIN = 3, 75
_CONFIG = ("-c", "quick", *(word for setting in SETTINGS for word in ("--set", setting)))
_LOOK = "sleep 1; cat logs/resume.code || { grep -q '2 islands' logs/resume.log && echo on; }"
OTHER = "/srv/other"
OTHER_OPTIONS = (
    ("rw,vers=4.2", "note", "60 s late"),
    ("rw,noac,vers=4.2", "note", "noac"),
    ("rw,soft,vers=4.2", "warning", "soft"),
)
"""To mount with, what `evolab doctor` says of them, and a word of the reason."""
_JUDGE = """
import sys
from pathlib import Path
from launcher import mounts, nfs
found = nfs.options(mounts.mount_of(Path(sys.argv[1])))
print(found.verdict, found.found)
"""
_OF_A_MOMENT = (".nfs*", ".*.tmp", ".evolab-doctor-*", "*.partial")


def play(checks: Checks, export: Path, nfs: server.Server, first: Guest, second: Guest) -> None:
    """All of it, in order."""
    with checks.part("mount and doctor"):
        mounts(checks, first, second)
    with checks.part("islands by hand on both hosts"):
        by_hand(checks, export, nfs, first, second)
    with checks.part("a host dies"):
        dies(checks, export, first, second)


def mounts(checks: Checks, first: Guest, second: Guest) -> None:
    """The documented options satisfy `evolab doctor`, others do not."""
    for guest in (first, second):
        done = guest.mount(OPTIONS)
        checks.that(f"{guest.name} mounts the export with {OPTIONS}", done.code == 0, done.err)
    found = doctor(first)
    for name in ("mount options", "atomic rename", "locks", "exclusive creation", "file times"):
        checks.that(f"doctor: {name}: {found[name]['found']}", found[name]["verdict"] == "ok", found[name])
    for options, verdict, word in OTHER_OPTIONS:
        done = second.mount(options, OTHER)
        checks.that(f"{second.name} mounts it with {options} as well", done.code == 0, done.err)
        found = second.ask(f"python -c '{_JUDGE}' {OTHER}")
        checks.that(
            f"doctor's judgement: {found.out.strip()}", found.out.startswith(verdict) and word in found.out, found
        )
        if verdict == "warning":
            told = doctor(second, OTHER)["mount options"]
            checks.that(f"doctor warns: {told['found']}", told["verdict"] == "warning" and word in told["found"], told)
        second.ask(f"umount {OTHER}")


def by_hand(checks: Checks, export: Path, nfs: server.Server, first: Guest, second: Guest) -> None:
    """As the documentation says: launch_islands.sh on each host, one migration directory. The server dies, too."""
    options = shlex.join([*_CONFIG, "-g", str(GENERATIONS)])
    for guest in (first, second):
        words = f"-n 1 -N $(hostname -s) -l logs/$(hostname -s) -d shared/mine -- {options}"
        guest.begin(f"hand-{guest.name}", f"$PYTHONPATH/scripts/launch_islands.sh {words}")
    runs = [RunDir(export / "runs" / f"{guest.name}-1") for guest in (first, second)]
    one, other = (RunDir.island(run, run.path.name) for run in runs)
    codes = [export / f"logs/hand-{guest.name}.code" for guest in (first, second)]
    wait_for("both at work", lambda: min(generation(one), generation(other)) >= 1 or any(map(text, codes)))
    done = second.evolab("evolve", runs[0].path.name, *_CONFIG, "--migration-dir", "shared/mine")
    refused(checks, "a run that the other host has is refused", done, HELD)
    done = second.ask(f"python -m islands runs/{runs[0].path.name} --island 0")
    refused(checks, "an island that the other host has is refused", done, TRY_AGAIN)
    nfs.crash()
    for guest, run, island, source in ((first, runs[0], one, other), (second, runs[1], other, one)):
        code = wait_for(f"{guest.name} ends", lambda guest=guest: text(export / f"logs/hand-{guest.name}.code"), 240)
        log = text(export / f"logs/{guest.name}/{run.path.name}.log")
        checks.that(
            f"{guest.name} finishes, although the server died and came back",
            code == "0" and island.result.exists(),
            log,
        )
        arrivals(checks, island, {source.name})
    whole(checks, first, *runs)
    nothing_left(checks, export)


def dies(checks: Checks, export: Path, first: Guest, second: Guest) -> None:
    """A power cut at the host of a run, while the other host's island migrates with it."""
    fleet, lone = RunDir(export / "runs/fleet"), RunDir(export / "runs/lone")
    launch = ["evolab", "launch", *_CONFIG, "--islands", "2", "-g", str(ENDLESS), "--out", "runs/fleet"]
    first.begin("fleet", shlex.join(launch))
    wait_for("the run's pool is made", (export / "shared/fleet/pool.json").exists)
    evolve = ["evolab", "evolve", "lone", *_CONFIG, "-g", str(ENDLESS), "--migration-dir", "shared/fleet"]
    second.begin("lone", shlex.join(evolve))
    islands, alone = [fleet.island(f"island-{index:03}") for index in range(2)], lone.island("lone")
    wait_for("all have met", lambda: all(generation(one) > 20 for one in islands) and taken(alone))
    refused(checks, "the run is refused on the other host", second.evolab("resume", "fleet"), HELD)
    first.kill()
    died, reached = time.monotonic(), [generation(one) for one in islands]
    before = generation(alone)
    refused(checks, "it is still refused when its host has just died", second.evolab("resume", "fleet"), HELD)
    # Asked again and again: Ganesha 4.3 dies of a lock that somebody waits for when its holder's lease ends.
    waited = second.ask("for _ in {1..120}; do flock -n runs/fleet/island-000/lock true && exit; sleep 1; done; exit 1")
    seconds = time.monotonic() - died
    checks.that(f"a dead host's locks are free again after its lease of {server.LEASE} s", waited.code == 0, waited.err)
    checks.tell(f"they were free {seconds:.0f} s after its death")
    checks.that("the other host's island goes on meanwhile", wait_for("it goes on", lambda: generation(alone) > before))
    resumed(checks, second, died)
    wait_for("the islands go on", lambda: all(generation(one) > was for one, was in zip(islands, reached, strict=True)))
    checks.that("the dead host's islands go on from their checkpoints on the other one", True)
    for run in (fleet, lone):
        done = second.evolab("stop", run.path.name)
        checks.that(f"stop ends {run.path.name}", done.code == 0, done.out + done.err)
    for island in islands:
        arrivals(checks, island, {"lone", *(one.name for one in islands)} - {island.name})
    arrivals(checks, alone, {one.name for one in islands})
    whole(checks, second, fleet, lone)
    nothing_left(checks, export)


def resumed(checks: Checks, guest: Guest, died: float) -> None:
    """Ask for the dead host's run until it is given; at most two minutes after the death."""
    while True:
        guest.begin("resume", "evolab resume fleet")
        answer = wait_for("resume is refused, or goes on", lambda: guest.ask(_LOOK).out.strip())
        waited = time.monotonic() - died
        if answer != str(HELD) or waited > 120:
            break
        time.sleep(2)
    checks.that("the other host can resume the dead host's run", answer == "on", guest.ask("cat logs/resume.log").out)
    checks.tell(f"it could {waited:.0f} s after the death")


def doctor(guest: Guest, place: str = ".") -> dict[str, dict[str, Any]]:
    """What `evolab doctor` finds, by name."""
    done = guest.evolab("doctor", place, "--json")
    if not done.out:
        raise RuntimeError(f"doctor ends with {done.code}: {done.err}")
    return {line["name"]: line for line in json.loads(done.out)["checks"]}


def refused(checks: Checks, sentence: str, done: Answer, code: int) -> None:
    """In one line, with the documented code."""
    lines = done.err.strip().splitlines()
    well = done.code == code and len(lines) == 1
    checks.that(f"{sentence} in one line, with {code}", well, f"{done.code}\n{done.out}{done.err}")


def arrivals(checks: Checks, island: IslandDir, sources: set[str]) -> None:
    """It has taken in migrants of each of `sources`, no copy of one twice."""
    found = taken(island)
    came = {line["source"] for line in found}
    checks.that(f"{island.name} has taken in migrants of {', '.join(sorted(sources))}", came == sources, came)
    keys = Counter((line["source"], line["epoch"], line["sequence"], line["digest"]) for line in found)
    twice = [key for key, count in keys.items() if count > 1]
    checks.that(f"{island.name}: no migrant of {len(found)} came twice", not twice, twice[:5])


def taken(island: IslandDir) -> list[dict[str, Any]]:
    """Its log's lines of migrants that were let in."""
    lines = files.read_jsonl(island.migrations) if island.migrations.exists() else []
    return [line for line in lines if line.get("admitted")]


def whole(checks: Checks, guest: Guest, *runs: RunDir) -> None:
    """`evolab verify` finds no damage."""
    for run in runs:
        done = guest.evolab("verify", run.path.name)
        checks.that(f"nothing of {run.path.name} is damaged", done.code == 0, done.out + done.err)


def nothing_left(checks: Checks, export: Path) -> None:
    """No name that is there for a moment only."""
    left = sorted(str(path.relative_to(export)) for form in _OF_A_MOMENT for path in export.rglob(form))
    checks.that("no temporary file is left", not left, "\n".join(left))


def generation(island: IslandDir) -> int:
    """The last one that its heartbeat tells of; -1 before the first."""
    found = beat_of([island]).get("generation")
    return found if isinstance(found, int) else -1


def text(path: Path) -> str:
    """What a file says; "" while there is none."""
    return path.read_text().strip() if path.exists() else ""
