"""8, 32 and 128 islands by `evolab launch` on this machine: what each costs to start, keep, migrate and look at."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from islands.rundir import RunDir
from scripts.chaos import runs, tracing
from scripts.chaos.report import Report
from scripts.chaos.stalls import all_running, launched

POPULATION = 500
SETTINGS = ("task.duration=1.0", "migration.every=1", "record.checkpoint_every=2")
"""Short generations, so that there are many migrations; what an island keeps in memory is that of its population."""
MOST_PRIVATE = 150.0
MOST_START = 30.0
GROWTH = 1.25
"""How much more an island may cost among many than among fewer; names and unlike schedules are not growth."""


def main(report: Report, folder: Path) -> None:
    """A row for each number of islands, then what may not grow from row to row."""
    counts = (6, 8, 12) if report.quick else (8, 32, 128)  # from six on, five immigrants come from five others
    rows: list[dict[str, Any]] = []
    for count in counts:
        rows.append(measured(report, folder / str(count), count))
        report.table(f"Cost of an island, population {POPULATION}, among how many", [shown(row) for row in rows])
    told_start(report, rows)
    told_calls(report, rows)
    told_files(report, rows)


def measured(
    report: Report, folder: Path, count: int, settings: Sequence[str] = (f"population={POPULATION}", *SETTINGS)
) -> dict[str, Any]:
    """Launch `count` islands, let them migrate, look at them, stop them."""
    with archipelago(report, folder, count, settings) as (run, launcher, pids, row):
        row |= pace(run, pids, launcher, 5)
        row |= memory([*pids, launcher]) | held([*pids, launcher])
        row |= calls(report, run, folder, pids)
        row |= growth(report, run)
        report.tell(f"stopping {count} islands")
    return row


@contextmanager
def archipelago(
    report: Report, folder: Path, count: int, settings: Sequence[str]
) -> Iterator[tuple[RunDir, int, list[int], dict[str, Any]]]:
    """`count` islands that have migrated: their run, the launcher's pid, theirs, and what starting them took."""
    folder.mkdir()
    run = RunDir(folder / "run")
    command = [sys.executable, "-P", "-m", "launcher", "launch", "-c", "neat_baseline", "-g", "10000000", "--islands",
               str(count), "--out", str(run.path), "--no-pin"]  # fmt: skip
    command += [part for assignment in settings for part in ("--set", assignment)]
    report.tell(f"starting {count} islands")
    row: dict[str, Any] = {"islands": count}
    began = time.monotonic()
    with launched(command, folder) as launcher:
        starts = first_beats(run, count, within=900)
        row |= {"start wall s": time.monotonic() - began, "start CPU s": statistics.median(starts)}
        row["launcher CPU s"] = runs.cpu_seconds(launcher.pid)
        beats = runs.wait_for(lambda: all_running(run), 60, "that all islands run")
        pids = [int(beat["pid"]) for beat in beats]
        migrate(run, 5)
        yield run, launcher.pid, pids, row


def first_beats(run: RunDir, count: int, within: float) -> list[float]:
    """CPU seconds of each island at its first heartbeat of evolving."""
    found: dict[str, float] = {}

    def all_there() -> bool:
        for index, place in enumerate(run.islands() if run.plan.exists() else []):
            beat = runs.beat(place) if place.name not in found else {}
            if beat.get("state") == "running":
                found[place.name] = float(beat["cpu_seconds"])
                if index != count // 2:
                    give_way(int(beat["pid"]))
        return len(found) == count

    runs.wait_for(all_there, within, f"the start of {count} islands", every=0.05)
    return list(found.values())


def give_way(pid: int) -> None:
    """Let an island go on in what others leave, so that neither the launcher, who is one against so many, starves, nor
    the island whose calls are traced, the middle one: that one switches at each call."""
    os.setpriority(os.PRIO_PROCESS, pid, 19)
    with suppress(OSError):  # where the kernel groups processes by session, that alone would change nothing
        Path(f"/proc/{pid}/autogroup").write_text("19")


def migrate(run: RunDir, more: int) -> None:
    """Wait until each island has come to so many more generations (each with a migration)."""
    places = run.islands()
    aims = [runs.generation(place) + more for place in places]

    def all_there() -> bool:
        return all(runs.generation(place) >= aim for place, aim in zip(places, aims, strict=True))

    runs.wait_for(all_there, 900, f"{more} generations more of all islands", every=0.2)


def pace(run: RunDir, pids: list[int], launcher: int, windows: int) -> dict[str, float]:
    """CPU of an island's generation, and of the launcher a second; medians over some windows of two seconds."""
    found = []
    for _ in range(windows):
        began, cpu, own, done = time.monotonic(), _cpu(pids), runs.cpu_seconds(launcher), _generations(run)
        time.sleep(2.0)
        seconds, generations = time.monotonic() - began, _generations(run) - done
        found.append(((_cpu(pids) - cpu) / max(1, generations), (runs.cpu_seconds(launcher) - own) / seconds))
    generation, share = (statistics.median(column) for column in zip(*found, strict=True))
    return {"CPU ms a generation": 1e3 * generation, "launcher cores": share}


def _cpu(pids: list[int]) -> float:
    return sum(map(runs.cpu_seconds, pids))


def _generations(run: RunDir) -> int:
    return sum(map(runs.generation, run.islands()))


def held(pids: list[int]) -> dict[str, int]:
    """Kernel locks and inotify watches of islands and launcher, the last; locks at their most in some looks."""
    watches = 0
    for entry in (entry for pid in pids for entry in Path(f"/proc/{pid}/fdinfo").iterdir()):
        with suppress(OSError):
            watches += entry.read_text().count("inotify wd:")
    mine = {str(pid) for pid in pids}
    looks = [Path("/proc/locks").read_text().splitlines() for _ in range(20)]
    return {
        "inotify watches": watches,
        "locks": max(sum(not mine.isdisjoint(line.split()) for line in look) for look in looks),
    }


def memory(pids: list[int]) -> dict[str, float]:
    """Private memory (USS) and proportional share (PSS) of an island, and of the whole tree, in MB; the last is the
    launcher."""
    found = [psutil.Process(pid).memory_full_info() for pid in pids]
    private = [each.uss / 1e6 for each in found[:-1]]
    return {
        "private MB": statistics.median(private),
        "largest private MB": max(private),
        "PSS MB": statistics.median(each.pss / 1e6 for each in found[:-1]),
        "whole tree MB": sum(each.pss / 1e6 for each in found),
    }


def calls(report: Report, run: RunDir, folder: Path, pids: list[int]) -> dict[str, Any]:
    """System calls of a generation and of a migration of one island, and of `evolab status`."""
    command = [sys.executable, "-P", "-m", "launcher", "status", str(run.path), "--json"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=runs.environment(folder), check=True, stdout=subprocess.DEVNULL)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    if tracing.STRACE is None:
        return {"status CPU s": spent}
    report.tell(f"system calls of one of {len(pids)} islands")
    middle = len(pids) // 2
    place = run.islands()[middle]
    aim = runs.generation(place) + (6 if report.quick else 15)
    seen = tracing.of_island(pids[middle], folder, lambda: runs.generation(place) >= aim, within=240)
    return {
        "calls a generation": seen.generation,
        "calls a migration": seen.migration,
        "lock polls a migration": seen.polls,
        "calls of status": tracing.of_command(command, folder, runs.environment(folder)),
        "status CPU s": spent,
    }


def growth(report: Report, run: RunDir) -> dict[str, Any]:
    """Files, the fullest folder and open files an island; how many files came in some migrations more."""
    pool = Path(run.read_plan()["migration_dir"])
    migrate(run, 5)
    before = least_entries(run.path, pool)
    migrate(run, 10 if report.quick else 20)
    after = least_entries(run.path, pool)
    open_files = [len(os.listdir(f"/proc/{runs.beat(place)['pid']}/fd")) for place in run.islands()]
    return {
        "files": sum(after.values()),
        "files came": sum(after.values()) - sum(before.values()),
        "fullest folder": max(after.values()),
        "open files": max(open_files),
    }


def least_entries(*roots: Path) -> dict[str, int]:
    """Of each folder the fewest entries in some looks: between writing and pruning there is one more."""
    fewest = entries(*roots)
    for _ in range(20):
        time.sleep(0.25)
        fewest = {folder: min(count, fewest.get(folder, count)) for folder, count in entries(*roots).items()}
    return fewest


def entries(*roots: Path) -> dict[str, int]:
    """How many entries each folder has; what a write in progress has is left out."""
    return {
        folder: len([name for name in [*folders, *names] if not name.endswith(".tmp")])
        for root in roots
        for folder, folders, names in os.walk(root)
    }


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people."""
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}


def told_start(report: Report, rows: list[dict[str, Any]]) -> None:
    """What starting costs, and what an island keeps."""
    cores, last = len(os.sched_getaffinity(0)), rows[-1]
    each = last["start CPU s"] + last["launcher CPU s"] / last["islands"]
    report.check(
        f"start of {', '.join(str(row['islands']) for row in rows)} islands",
        f"an island a core (128 on 128 cores): less than {MOST_START:g} s of CPU time a core",
        f"{each:.2f} s an island, the launcher's share included (alone among {rows[0]['islands']}: "
        f"{rows[0]['start CPU s']:.2f} s); on the {cores} cores here {each * last['islands'] / cores:.0f} s a core for "
        f"{last['islands']} islands",
        each < MOST_START,
    )
    report.check(
        f"private memory of an island, population {POPULATION}",
        f"at most {MOST_PRIVATE:g} MB",
        "; ".join(
            f"{row['islands']}: {row['private MB']:.0f} MB (largest {row['largest private MB']:.0f}), whole tree "
            f"{row['whole tree MB']:,.0f} MB" for row in rows
        ),
        max(row["largest private MB"] for row in rows) <= MOST_PRIVATE,
    )  # fmt: skip


def told_calls(report: Report, rows: list[dict[str, Any]]) -> None:
    """System calls do not grow with the number of islands."""
    if tracing.STRACE is None:
        report.check("system calls", "flat an island", "strace is not installed", None)
        return
    counts = [row["islands"] for row in rows]
    for what in ("calls a migration", "calls a generation"):
        found = [row[what] for row in rows]
        report.check(
            f"system {what} of one island among {', '.join(map(str, counts))}",
            f"not more than {GROWTH:g} times as many among {counts[-1]} as among {counts[-2]}",
            ", ".join(f"{value:.0f}" for value in found),
            found[-1] <= GROWTH * found[-2],
        )
    status = [row["calls of status"] for row in rows]
    slopes = [(b - a) / (m - n) for a, b, n, m in zip(status, status[1:], counts, counts[1:], strict=False)]
    report.check(
        f"system calls of `evolab status` for {', '.join(map(str, counts))} islands",
        f"an island more costs the same everywhere, within a factor of {GROWTH:g}",
        f"{', '.join(f'{value:,}' for value in status)}: {', '.join(f'{slope:.1f}' for slope in slopes)} an island",
        slopes[-1] <= GROWTH * slopes[0],
    )


def told_files(report: Report, rows: list[dict[str, Any]]) -> None:
    """No folder grows without bound, and no process keeps files open."""
    report.check(
        "files of run and pool while islands migrate",
        "none come; as many open files among many islands as among few",
        "; ".join(f"{row['islands']}: {row['files']:,} files, {row['files came']:+} meanwhile, fullest folder "
                  f"{row['fullest folder']}, {row['open files']} open" for row in rows),
        all(row["files came"] <= 0 for row in rows) and rows[-1]["open files"] <= rows[0]["open files"] + 2,
    )  # fmt: skip
