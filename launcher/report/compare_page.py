"""The page that compares several runs or studies: how their champions are distributed, and the test's verdict in words.

What a run says is `launcher.compare`'s; a study stands for its best trial, whose seeds are the sample.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import compare, identity
from launcher.compare import Sample
from launcher.report import page, run_data
from launcher.report.figures import Chart, Trace, View, band, line, plain, points, short
from launcher.report.run_figures import GENERATION
from launcher.trials import COMPLETE, StudyDir

FITNESS = "held-out fitness, the task's score"


def render(names: Sequence[str], found: Sequence[RunDir | StudyDir], path: Path) -> tuple[bytes, int]:
    """The page that will lie at `path`, and how many charts it has."""
    samples = [_sample(name, thing) for name, thing in zip(names, found, strict=True)]
    tasks = _tasks(found)
    verdict = compare.ranked(samples)
    ranking = verdict["ranking"]
    if len(tasks) > 1:
        verdict["conclusion"] = f"Scores of different tasks ({', '.join(tasks)}) cannot be compared"
        ranking = [{**entry, "verdict": "another task", "p": None, "p_mann_whitney": None} for entry in ranking]
    links = {name: page.link(thing, path) for name, thing in zip(names, found, strict=True)}
    charts = [_distributions(ranking)]
    runs = [(name, thing) for name, thing in zip(names, found, strict=True) if isinstance(thing, RunDir)]
    charts += [chart for chart in (_curves(runs), _trials(names, found)) if chart is not None]
    content = page.render(
        "compare.html",
        charts,
        title=" and ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} others",
        kind="comparison",
        subtitle=f"task {', '.join(tasks)}",
        written=time.strftime("%Y-%m-%d %H:%M"),
        place=", ".join(str(thing.path) for thing in found),
        conclusion=verdict["conclusion"],
        level=verdict["level"],
        ranking=ranking,
        links=links,
    )
    return content, len(charts)


def _sample(name: str, thing: RunDir | StudyDir) -> Sample:
    if isinstance(thing, RunDir):
        return compare.sample_of(name, thing)
    complete = [trial for trial in thing.trials() if trial.state == COMPLETE and trial.values]
    if not complete:
        raise ConfigError(f"study {name}", expected="a complete trial", got="none yet", do="wait, or continue it")
    best = max(complete, key=lambda trial: (trial.values or [0.0])[0])
    values = tuple(float(seed["fitness"]) for seed in best.seeds)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    scores = [seed["best_fitness"] for seed in best.seeds if seed.get("best_fitness") is not None]
    mean = statistics.fmean(values)
    return Sample(name, str(thing.path), mean, deviation, len(values), values, max(scores, default=None))


def _tasks(found: Sequence[RunDir | StudyDir]) -> list[str]:
    from launcher import run

    configs = [run.read(t)[1] if isinstance(t, RunDir) else identity.read(t).base for t in found]
    return list(dict.fromkeys(config.task.name for config in configs))


def _distributions(ranking: Sequence[dict[str, Any]]) -> Chart:
    names = [plain(entry["name"]) for entry in ranking]
    means = [entry["mean"] for entry in ranking]
    halves = [short((entry["ci95"][1] - entry["ci95"][0]) / 2) for entry in ranking]
    spread = [(plain(e["name"]), value) for e in ranking for value in e["populations"]]
    each = points("one population's champion", [short(v) for _, v in spread], [n for n, _ in spread], colour="@1/0.6")
    traces = [each] if spread else []
    traces.append(
        points(
            "mean, 95 % interval", [short(mean) for mean in means], names, symbol="diamond", size=12,
            error_x={"type": "data", "array": halves, "color": "@0", "thickness": 3, "width": 8},
            hovertemplate="%{y}: %{x:.4~g} ± %{error_x.array:.3~g}",
        )
    )  # fmt: skip
    layout = {"yaxis": {"type": "category", "autorange": "reversed", "categoryorder": "array", "categoryarray": names}}
    note = "The best first. Intervals that hardly overlap tell of a difference; the verdict above is the test's."
    view = View("champions", traces, FITNESS, "", layout)
    return Chart("distributions", "Champions", note, [view], 190 + 40 * len(names))


def _curves(runs: Sequence[tuple[str, RunDir]]) -> Chart | None:
    traces: dict[str, list[Trace]] = {"best": [], "mean": []}
    for index, (name, directory) in enumerate(runs):
        data = run_data.gather(directory)
        for key, found in traces.items():
            xs, mean, low, high = run_data.over_islands(data.islands, key)
            if xs:
                shade = band(f"band of {plain(name)}", xs, low, high, f"@{index % 8}")
                found += [{**trace, "showlegend": False} for trace in shade] if len(data.islands) > 1 else []
                found.append(line(name, xs, mean, colour=f"@{index % 8}", width=2.5))
    views = [
        View("best of each generation", traces["best"], GENERATION, "fitness, the task's score"),
        View("mean of the population", traces["mean"], GENERATION, "fitness, the task's score"),
    ]
    note = "The mean over each run's populations; the band is its 95 % interval, of fewer than 5 their range."
    return Chart("curves", "Fitness over generations", note, views, 400) if traces["best"] else None


def _trials(names: Sequence[str], found: Sequence[RunDir | StudyDir]) -> Chart | None:
    traces = []
    for index, (name, thing) in enumerate(zip(names, found, strict=True)):
        if isinstance(thing, StudyDir):
            done = [trial for trial in thing.trials() if trial.state == COMPLETE and trial.values]
            values = sorted((trial.values or [0.0])[0] for trial in done)
            share = [100 * (place + 1) / len(values) for place in range(len(values))]
            traces.append(line(name, values, share, shape="hv", colour=f"@{index % 8}", width=2.5))
    view = View("trials", traces, FITNESS, "trials up to this value, %")
    note = "Of each study's complete trials, how many came to a value or less: the further right, the better."
    return Chart("trials", "Trials of the studies", note, [view]) if traces else None
