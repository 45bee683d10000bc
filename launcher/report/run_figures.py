"""The charts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launcher.report.figures import Chart, Trace, View, band, bars, colour_of, line, number, plain, points
from launcher.report.metrics_data import PHASES, IslandData
from launcher.report.run_data import RunData, band_of, over_islands

GENERATION = "generation, from 0"
STRUCTURE = {
    "nodes": ("Neurons", "neurons per genome, mean"),
    "connections": ("Connections", "connections per genome, mean"),
    "body_nodes": ("Body nodes", "body nodes per genome, mean"),
    "muscles": ("Muscles", "muscles per genome, mean"),
}


def charts(data: RunData) -> list[Chart]:
    """All that the files of the run have figures for."""
    makers = (fitness, champions, species, structure, diversity, use, phases, hyperparameters)
    return [chart for maker in makers if (chart := maker(data)) is not None]


def fitness(data: RunData) -> Chart | None:
    """Fitness over generations."""
    if not _have(data, "best"):
        return None
    views = [
        View("best of each generation", lines_of(data.islands, "best"), GENERATION, FITNESS),
        View("best so far", _so_far(data), GENERATION, FITNESS),
        View("mean of the population", lines_of(data.islands, "mean"), GENERATION, FITNESS),
    ]
    told = f"the thick one their mean, the band {band_of(data.islands)}" if len(data.islands) > 1 else "one population"
    thinned = f" Each point stands for {data.width} generations (the best of them)." if data.width > 1 else ""
    note = (
        f"A thin line an island, {told}. The best of a generation is one lucky evaluation more often than not.{thinned}"
    )
    return Chart("fitness", "Fitness over generations", note, views, 420)


FITNESS = "fitness, the task's score"


def lines_of(islands: Sequence[IslandData], key: str) -> list[Trace]:
    """A line an island; with several, the mean over them with its interval on top."""
    shown = [(index, island) for index, island in enumerate(islands) if key in island.series]
    faint = 0.75 if len(islands) <= 4 else 0.35
    if len(islands) == 1:
        return [trace for _, island in shown for trace in _alone(island, key)]
    traces = [
        line(island.name, island.x, island.series[key], width=1.2, opacity=faint, **colour_of(index))
        for index, island in shown
    ]
    xs, mean, low, high = over_islands(islands, key)
    wide = band(band_of(islands), xs, low, high, "@ink")
    return [*wide, *traces, line("mean over islands", xs, mean, colour="@ink", width=3)]


def _alone(island: IslandData, key: str) -> list[Trace]:
    """One population: its spread where that is known."""
    values = island.series[key]
    spread = island.series.get("std") if key == "mean" else None
    around: list[Trace] = []
    if spread:
        pairs = list(zip(values, spread, strict=True))
        low = [None if None in pair else pair[0] - pair[1] for pair in pairs]  # type: ignore[operator]
        high = [None if None in pair else pair[0] + pair[1] for pair in pairs]  # type: ignore[operator]
        around = band("± standard deviation of the population", island.x, low, high, "@0")
    return [*around, line(island.name, island.x, values, width=2.5)]


def _so_far(data: RunData) -> list[Trace]:
    traces = []
    for index, island in enumerate(data.islands):
        best, values = None, []
        for value in island.series.get("best", ()):
            best = value if best is None or (value is not None and value > best) else best
            values.append(best)
        traces.append(line(island.name, island.x, values, shape="hv", **colour_of(index)))
    return traces


def champions(data: RunData) -> Chart | None:
    """Every island's champion: what it is worth, and what its score said."""
    known = [island for island in data.islands if number((island.told["champion"] or {}).get("mean")) is not None]
    if not known:
        return None
    names = [plain(island.name) for island in known]
    found = [island.told["champion"] for island in known]
    means = [number(champion["mean"]) or 0.0 for champion in found]
    highs = [(champion.get("ci95") or [mean, mean])[1] for champion, mean in zip(found, means, strict=True)]
    halves = [high - mean for high, mean in zip(highs, means, strict=True)]
    held_out = points(
        "held-out mean, 95 % interval", means, names, size=10,
        error_x={"type": "data", "array": halves, "color": "@0", "thickness": 2, "width": 6},
        hovertemplate="%{y}: %{x:.4~g} ± %{error_x.array:.3~g}",
    )  # fmt: skip
    scores = [number(island.told["best_fitness"]) for island in known]
    best = points("best score of one evaluation", scores, names, colour="@1", symbol="diamond-open", size=11)
    note = (
        "What each champion is worth on fresh episodes, beside the best score that evolution saw. "
        "A wide gap between the two is luck, not skill."
    )
    view = View("champions", [best, held_out], FITNESS, "", {"yaxis": {"autorange": "reversed", "type": "category"}})
    return Chart("champions", "Champions, held out", note, [view], _tall(len(known)))


def species(data: RunData) -> Chart | None:
    """How many species lived."""
    if not _have(data, "species"):
        return None
    view = View("species", lines_of(data.islands, "species"), GENERATION, "species, number")
    note = "How many species lived on each island. Their sizes are not recorded, so none are drawn."
    return Chart("species", "Species", note, [view])


def structure(data: RunData) -> Chart | None:
    """How networks and bodies grew."""
    views = [
        View(label, lines_of(data.islands, key), GENERATION, axis)
        for key, (label, axis) in STRUCTURE.items()
        if any(value for island in data.islands for value in island.series.get(key, ()))
    ]
    if not views:
        return None
    return Chart("structure", "Growth of structure", "The mean genome of each population.", views)


def diversity(data: RunData) -> Chart | None:
    """How differently the populations behaved."""
    if not _have(data, "diversity"):
        return None
    axis = "distance of two behaviours, RMS"
    view = View("diversity", lines_of(data.islands, "diversity"), GENERATION, axis)
    note = "How differently two genomes of a population behave, in the units of the task's behaviour descriptors."
    return Chart("diversity", "Behavioural diversity", note, [view])


def use(data: RunData) -> Chart | None:
    """How busy each island kept its core."""
    told = data.launcher.get("islands") or {}
    shares = {
        island.name: number((told.get(island.name) or {}).get("utilisation"))
        for island in data.islands
        if isinstance(told.get(island.name), dict)
    }
    known = {name: share * 100 for name, share in shares.items() if share is not None}
    if not known:
        return None
    trace = bars("core use", list(known.values()), [plain(name) for name in known], hovertemplate="%{y}: %{x:.0f} %")
    layout = {"yaxis": {"autorange": "reversed", "type": "category"}, "xaxis": {"rangemode": "tozero"}}
    whole = number(data.launcher.get("utilisation"))
    over = f" Over the whole run {whole:.0%} of the usable cores were used, starts and waits included." if whole else ""
    note = f"CPU time of each island's process over the wall time that it lived: 100 % is one core kept busy.{over}"
    view = View("use", [trace], "share of one core, %", "", layout)
    return Chart("use", "Core use", note, [view], _tall(len(known)))


def phases(data: RunData) -> Chart | None:
    """Where the time of generations went."""
    known = [island for island in data.islands if island.seconds > 0]
    if not known:
        return None
    names = [plain(island.name) for island in known]
    traces: list[Trace] = []
    for index, phase in enumerate(PHASES):
        spent = [island.phases.get(phase, 0.0) for island in known]
        if any(spent):
            traces.append(bars(phase, spent, names, f"@{index}", hovertemplate="%{y}: %{x:.3~g} s"))
    rest = [max(0.0, island.seconds - sum(island.phases.values())) for island in known]
    traces.append(bars("the rest", rest, names, "@muted", hovertemplate="%{y}: %{x:.3~g} s"))
    layout: dict[str, Any] = {"barmode": "stack", "yaxis": {"autorange": "reversed", "type": "category"}}
    note = "Wall time of all generations by phase; starting and judging the champion are not part of it."
    return Chart(
        "phases", "Time by phase", note, [View("phases", traces, "wall time, s", "", layout)], _tall(len(known))
    )


def hyperparameters(data: RunData) -> Chart | None:
    """What `--pbt` made of the hyperparameters."""
    names = sorted({key for island in data.islands for key in island.hyperparameters})
    moved = [key for key in names if any(len(island.hyperparameters.get(key, ())) > 1 for island in data.islands)]
    views = [
        View(key, [_steps(island, key, index) for index, island in enumerate(data.islands)], GENERATION, key)
        for key in moved
    ]
    if not views:
        return None
    note = "With --pbt a beaten island takes over the sender's hyperparameters, perturbed: every step is such a moment."
    return Chart("hyperparameters", "Hyperparameters over time", note, views)


def _steps(island: IslandData, key: str, index: int) -> Trace:
    steps = island.hyperparameters.get(key, [])[-500:]
    x = [at for at, _ in steps]
    y = [value for _, value in steps]
    return line(island.name, [*x, island.last], [*y, *y[-1:]] if y else [None], shape="hv", **colour_of(index))


def _have(data: RunData, key: str) -> bool:
    return any(key in island.series for island in data.islands)


def _tall(rows: int) -> int:
    """The height of a chart with a row an island."""
    return 150 + max(2, rows) * 24
