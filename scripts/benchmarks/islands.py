#!/usr/bin/env python3
"""Do islands help? Panmictic, isolated and migrating archipelagos at equal evaluations; writes docs/islands.md.

    scripts/benchmarks/islands.py                 # all of it, or what is missing of it (about an hour of one core)
    scripts/benchmarks/islands.py --tasks memory --seeds 10 --out /tmp/islands

Every arm of a task gets the same number of genomes a generation and the same number of generations; islands of one seed
go on in step, in one process, which makes every figure repeatable. A seed is over when one island has solved the task.
What was measured lies in runs/islands/, a JSON file an arm and seed, and is not measured again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from islands import files, loading, threads  # noqa: E402
from islands.config import Config  # noqa: E402

ISLANDS = 8
MOMENTS = (0.25, 0.5, 1.0)
"""Shares of the generations after which diversity is told."""


@dataclass(frozen=True)
class Subject:
    """A task with its settings. `solvable`: it is about the evaluations to solve it; otherwise about the champion."""

    title: str
    preset: str
    sets: tuple[str, ...]
    population: int  # of an island
    generations: int
    solvable: bool = True
    note: str = ""


SUBJECTS = {
    "small": Subject(
        "Double pole without velocities, islands of 10",
        "double_pole_memory",
        (),
        10,
        400,
        note="This size was chosen because migration looked best there, on seven seeds that are not among those below.",
    ),
    "memory": Subject("Double pole without velocities, islands of 20", "double_pole_memory", (), 20, 400),
    "pellets": Subject("Pellets", "neat_baseline", ("evaluation.episodes=2",), 25, 60, solvable=False),
    "deceptive": Subject(
        "Mountain car with costly force (deceptive: doing nothing costs nothing)",
        "cartpole",
        (
            "task.name=mountain_car_continuous",
            "mutation.recurrent=0",
            "network.weight_scale=0.3",
            "mutation.add_node=0.05",
            "mutation.add_connection=0.15",
            "speciation.dynamic=false",
            "speciation.weight=0.4",
        ),  # fmt: skip
        10,
        150,
    ),
}


@dataclass(frozen=True)
class Arm:
    """A way to spread genomes over islands: settings, and what sets each island apart (--island-config)."""

    title: str
    sets: tuple[str, ...] = ()
    islands: int = ISLANDS
    differing: tuple[str, ...] = ()


HEAD = """\
# Do islands help?

Measured by `scripts/benchmarks/islands.py` on {date}, commit {commit}, {seeds} seeds an arm.

Every arm of a task has the same genomes a generation ({islands} islands, or one population of {islands} times the size)
and the same generations. Where a task can be solved, a seed is over when it is, and its cost is the evaluations until
then (a seed without success counts with the whole budget). For pellets it is the held-out mean of the champion.

A figure against a control is the chance that a seed of the arm does better than one of the control (0.5: no difference)
with its 95 % bootstrap interval, and p of a Mann-Whitney test, corrected for the number of a task's comparisons (Holm);
bold where p is below 0.05. mixed: every island draws its hyperparameters from `configs/spaces/neat.yaml`."""
MIXED = ("all:space=neat",)
ARMS = {
    "panmictic": Arm("one population", ("migration.every=0",), 1),
    "isolated": Arm("isolated islands", ("migration.topology=isolated",)),
    "default": Arm("migration as by default"),
    "ring": Arm("ring", ("migration.topology=ring",)),
    "different": Arm("emigrants: most different", ("migration.select=different",)),
    "nearest": Arm("replacing the nearest", ("migration.replace=nearest",)),
    "stretch": Arm("interval that doubles", ("migration.stretch=8",)),
    "restart": Arm("restart of stagnant islands", ("migration.restart=20",)),
    "mixed-isolated": Arm("mixed, isolated", ("migration.topology=isolated",), differing=MIXED),
    "mixed": Arm("mixed, migrating", differing=MIXED),
    "mixed-pbt": Arm("mixed, migrating, --pbt", ("migration.pbt=true",), differing=MIXED),
}
"""mixed: each island draws its hyperparameters from configs/spaces/neat.yaml."""


def measure(task: str, name: str, seed: int) -> dict[str, Any]:
    """One archipelago's life, in this process."""
    threads.refuse_more_than(1)
    from islands.__main__ import island_of
    from islands.loop import Evolution
    from islands.tasks import make
    from launcher import island_configs, presets
    from launcher import run as runs

    subject, arm = SUBJECTS[task], ARMS[name]
    population = subject.population * (ISLANDS // arm.islands)
    sets = [*subject.sets, f"population={population}", f"generations={subject.generations}", f"seed={seed}"]
    sets += ["record.checkpoint_every=1000000", *arm.sets]
    config = presets.resolve(subject.preset, sets)
    own = island_configs.overrides_of(arm.differing, config, arm.islands)
    folder = Path(tempfile.mkdtemp(prefix="evolab-islands-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        names = tuple((f"island-{i:03}", seed) for i in range(arm.islands))
        shared = folder / "pool" if arm.islands > 1 and config.migration.every else None
        run = runs.make(folder / "run", config, runs.Plan("launch", subject.preset, names, True, 1, shared, own))
        plan = run.read_plan()
        evolutions = []
        for entry in plan["islands"]:
            each = loading.of_island(config, entry)
            task_of = make(each)
            island = island_of(run, plan, entry, each, task_of.layout, {})
            evolutions.append(Evolution(each, task_of, [island], lambda: False))
        return _lived(subject, evolutions, population)
    finally:
        shutil.rmtree(folder)


def _lived(subject: Subject, evolutions: Sequence[Any], population: int) -> dict[str, Any]:
    """Every island a generation at a time, until one succeeds or the generations are over."""
    episodes = evolutions[0].config.evaluation.episodes
    from launcher.objective import diversity_of

    diversity: dict[str, float] = {}
    success: int | None = None
    moments = {max(0, round(share * subject.generations) - 1): str(share) for share in MOMENTS}
    for generation in range(subject.generations):
        for place, evolution in enumerate(evolutions):
            island = evolution.islands[0]
            evolution.advance([island])
            evolution.record(island, False)
            row = island.state.record["solution"]["row"] if subject.solvable else None
            if row is not None and success is None:
                before = generation * population * len(evolutions) + place * population
                success = (before + row + 1) * episodes
        if generation in moments:
            lines = [evolution.islands[0].state.record for evolution in evolutions]
            diversity[moments[generation]] = diversity_of(lines)
        if success is not None:
            break
    return {"evaluations": success, "champion": None if success else _champion(evolutions), "diversity": diversity}


def _champion(evolutions: Sequence[Any]) -> float:
    """The held-out mean of the champion that does best in validation."""
    found = []
    for evolution in evolutions:
        island = evolution.islands[0]
        evolution.conclude(island)
        found.append(files.read_json(island.place.result)["champion"])
    return float(max(found, key=lambda each: float(each["validation"]))["mean"])


def budget(task: str) -> int:
    """Evaluations of an arm that never succeeds."""
    subject = SUBJECTS[task]
    episodes = loading.override(_config(subject), list(subject.sets)).evaluation.episodes
    return subject.population * ISLANDS * subject.generations * episodes


def _config(subject: Subject) -> Config:
    from launcher import presets

    return presets.resolve(subject.preset)


def everything(
    tasks: Sequence[str], arms: Sequence[str], seeds: int, out: Path, jobs: int
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """What was measured, now or before, by task and arm, in the order of seeds."""
    wanted = [(task, arm, 1000 + i) for i in range(seeds) for task in tasks for arm in arms]
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    missing = []
    for each in wanted:
        path = _file(out, *each)
        if path.exists():
            found[each] = files.read_json(path)
        else:
            missing.append(each)
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(measure, *each): each for each in missing}
        for number, done in enumerate(as_completed(running), 1):
            each = running[done]
            found[each] = done.result()
            files.make_folder(_file(out, *each).parent)
            files.write_json(_file(out, *each), found[each])
            if number % 10 == 0 or number == len(missing):
                print(f"islands: {number} of {len(missing)} measured", file=sys.stderr, flush=True)
    return {(task, arm): [found[task, arm, 1000 + i] for i in range(seeds)] for task in tasks for arm in arms}


def _file(out: Path, task: str, arm: str, seed: int) -> Path:
    return out / task / arm / f"{seed}.json"


def superiority(one: Sequence[float], other: Sequence[float]) -> float:
    """The chance that a value of `one` is below one of `other`, ties half (Vargha & Delaney 2000)."""
    return statistics.fmean((a < b) + 0.5 * (a == b) for a in one for b in other)


def interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of `superiority`, from 2000 bootstrap samples."""
    import numpy as np

    generator = np.random.default_rng(1)
    a, b = np.asarray(one), np.asarray(other)
    below = (a[:, None] < b[None]) + 0.5 * (a[:, None] == b[None])
    samples = []
    for _ in range(2000):
        rows, columns = generator.integers(len(a), size=len(a)), generator.integers(len(b), size=len(b))
        samples.append(below[np.ix_(rows, columns)].mean())
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, highest = [0.0] * len(values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def costs(task: str, results: Sequence[dict[str, Any]]) -> list[float]:
    """What each seed is compared by, less is better: evaluations to success, or minus the champion's held-out mean."""
    if not SUBJECTS[task].solvable:
        return [-float(result["champion"]) for result in results]
    return [float(result["evaluations"] or budget(task)) for result in results]


def compared(task: str, found: dict[tuple[str, str], list[dict[str, Any]]], arms: Sequence[str]) -> dict[str, Any]:
    """Every arm against both controls: superiority, its interval, Holm's p over all comparisons of the task."""
    from scipy.stats import mannwhitneyu

    values = {arm: costs(task, found[task, arm]) for arm in arms}
    pairs = [
        (arm, control) for arm in arms for control in ("panmictic", "isolated") if control in arms and arm != control
    ]
    raw = [float(mannwhitneyu(values[arm], values[control]).pvalue) for arm, control in pairs]
    table: dict[str, Any] = {arm: {} for arm in arms}
    for (arm, control), p in zip(pairs, holm(raw), strict=True):
        effect, span = superiority(values[arm], values[control]), interval(values[arm], values[control])
        table[arm][control] = {"superiority": effect, "interval": span, "p": p}
    return table


def rows(
    task: str, found: dict[tuple[str, str], list[dict[str, Any]]], arms: Sequence[str], table: dict[str, Any]
) -> Iterator[str]:
    """The lines of a task's table."""
    solvable = SUBJECTS[task].solvable
    what = ("solved", "evaluations, median") if solvable else ("seeds", "champion, median")
    head = ("arm", *what, "mean ± 95 %", "against one population", "against isolated")
    yield f"| {' | '.join(head)} | diversity after {' / '.join(f'{share:.0%}' for share in MOMENTS)} |"
    yield "|---|---|---|---|---|---|---|"
    for arm in arms:
        results = found[task, arm]
        values = [abs(value) if solvable else -value for value in costs(task, results)]
        half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        digits = ",.0f" if solvable else ".1f"
        solved = sum(result["evaluations"] is not None for result in results)
        cells = [
            ARMS[arm].title,
            f"{solved} of {len(results)}" if solvable else str(len(results)),
            f"{statistics.median(values):{digits}}",
            f"{statistics.fmean(values):{digits}} ± {half:{digits}}",
            *(_against(table[arm].get(control)) for control in ("panmictic", "isolated")),
            " / ".join(_spread(results, str(share)) for share in MOMENTS),
        ]
        yield f"| {' | '.join(cells)} |"


def _spread(results: Sequence[dict[str, Any]], moment: str) -> str:
    """The median diversity then, of the seeds that were not over yet."""
    known = [result["diversity"][moment] for result in results if moment in result["diversity"]]
    return f"{statistics.median(known):.3g}" if known else "–"


def _against(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    low, high = found["interval"]
    text = f"{found['superiority']:.2f} [{low:.2f}, {high:.2f}], p {found['p']:.2g}"
    return f"**{text}**" if found["p"] < 0.05 else text


def page(
    found: dict[tuple[str, str], list[dict[str, Any]]], tasks: Sequence[str], arms: Sequence[str], seeds: int
) -> str:
    """docs/islands.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    filled = {"date": f"{datetime.date.today():%Y-%m-%d}", "commit": commit or "unknown", "seeds": seeds}
    tables = {task: compared(task, found, arms) for task in tasks}
    lines = [HEAD.format(islands=ISLANDS, **filled), "", *in_short(tables, arms)]
    for task, table in tables.items():
        subject = SUBJECTS[task]
        lines += ["", f"## {subject.title}", ""]
        size = f"Islands of {subject.population} genomes, {subject.generations} generations"
        settings = "".join(f" --set {each}" for each in subject.sets)
        lines += [
            f"{size}, {budget(task):,} evaluations at most; `-c {subject.preset}{settings}`. {subject.note}".rstrip(),
            "",
            *rows(task, found, arms, table),
            "",
            said(task, table, arms),
        ]
    return "\n".join(lines) + "\n"


def in_short(tables: dict[str, dict[str, Any]], arms: Sequence[str]) -> Iterator[str]:
    """The record of every arm over all tasks, and what follows for the defaults of `evolab launch`."""
    migrating = [arm for arm in arms if ARMS[arm].islands > 1 and "isolated" not in arm]
    records = {arm: [sides(table, arm) for table in tables.values()] for arm in migrating}
    counts = {arm: [sum(side == sign for pair in records[arm] for side in pair) for sign in (1, -1)] for arm in records}
    yield "## In short"
    yield ""
    yield "Against one population / against isolated islands: + clearly better, − clearly worse, · no clear difference."
    yield ""
    yield f"| arm | {' | '.join(SUBJECTS[task].title for task in tables)} | better : worse |"
    yield f"|---{'|---' * len(tables)}|---|"
    for arm in migrating:
        cells = [" / ".join({1: "+", 0: "·", -1: "−"}[side] for side in pair) for pair in records[arm]]
        yield f"| {ARMS[arm].title} | {' | '.join(cells)} | {counts[arm][0]} : {counts[arm][1]} |"
    yield ""
    both = [SUBJECTS[task].title for task in tables if sides(tables[task], "default") == (1, 1)]
    worse = [SUBJECTS[task].title for task in tables if -1 in sides(tables[task], "default")]
    yield f"Migration as by default beats both controls here: {'; '.join(both) or 'nowhere'}."
    yield f"It loses to a control here: {'; '.join(worse) or 'nowhere'}."
    leader = max(migrating, key=lambda arm: (counts[arm][0] - counts[arm][1], arm == "default"))
    kept = "so they stay" if leader == "default" else f"that of {ARMS[leader].title!r} is better"
    yield f"The defaults of `evolab launch` are judged by that record: {kept}."
    drawn = [arm for arm in migrating if ARMS[arm].differing and counts[arm][0] < counts[arm][1]]
    if drawn:
        yield "Hyperparameters that are drawn at random, without a search, are no way to make islands differ."
    yield f"At equal evaluations, as here, {ISLANDS} islands on {ISLANDS} cores take a fraction of the time of one"
    yield "population on one core: an archipelago that is level with one population is the faster one."


def sides(table: dict[str, Any], arm: str) -> tuple[int, ...]:
    """Against one population, against isolated islands: 1 clearly better, -1 clearly worse, 0 neither."""
    found = []
    for control in ("panmictic", "isolated"):
        if control in table[arm]:
            low, high = table[arm][control]["interval"]
            clear = table[arm][control]["p"] < 0.05
            found.append(1 if low > 0.5 and clear else -1 if high < 0.5 and clear else 0)
    return tuple(found)


def said(task: str, table: dict[str, Any], arms: Sequence[str]) -> str:
    """A task's verdict in words."""
    judged = {arm: sides(table, arm) for arm in arms if ARMS[arm].islands > 1 and "isolated" not in arm}
    better = [ARMS[arm].title for arm, pair in judged.items() if pair == (1, 1)]
    worse = [ARMS[arm].title for arm, pair in judged.items() if pair == (-1, -1)]
    lone = table.get("isolated", {}).get("panmictic")
    parts = []
    parts.append(
        f"Beyond both controls: {'; '.join(better)}."
        if better
        else "No kind of migration is clearly better than both controls."
    )
    if worse:
        parts.append(f"Clearly worse than both: {'; '.join(worse)}.")
    if lone is not None:
        side = sides(table, "isolated")[0]
        if SUBJECTS[task].solvable:
            what = {1: "need fewer evaluations than", -1: "need more evaluations than", 0: "do not clearly differ from"}
        else:
            what = {1: "have better champions than", -1: "have worse champions than", 0: "do not clearly differ from"}
        parts.append(f"Isolated islands {what[side]} one population.")
    return " ".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(SUBJECTS), help=f"some of {', '.join(SUBJECTS)}")
    parser.add_argument("--arms", default=",".join(ARMS), help=f"some of {', '.join(ARMS)}")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "islands", help="where measurements lie")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "islands.md")
    arguments = parser.parse_args()
    tasks, arms = arguments.tasks.split(","), arguments.arms.split(",")
    for names, known in ((tasks, SUBJECTS), (arms, ARMS)):
        if unknown := [name for name in names if name not in known]:
            parser.error(f"expected some of {', '.join(known)}, got {', '.join(unknown)}")
    os.environ.update(dict.fromkeys(threads.VARIABLES, "1"))
    found = everything(tasks, arms, arguments.seeds, arguments.out, arguments.jobs)
    text = page(found, tasks, arms, arguments.seeds)
    files.replace_atomically(arguments.page, text.encode())
    print(text)
    print(json.dumps({"page": str(arguments.page)}), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
