"""The charts of a study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from launcher.report.figures import Chart, Trace, View, bars, line, number, plain, points, short
from launcher.report.study_data import Stay, StudyData, stays
from launcher.space import Parameter
from launcher.study_summary import front, interval
from launcher.trials import COMPLETE, FAIL, PRUNED, RUNNING, Trial

LOOKS = {COMPLETE: ("@0", "circle"), PRUNED: ("@4", "x"), FAIL: ("@1", "triangle-up"), RUNNING: ("@2", "circle-open")}
"""Colour and mark of a trial, by its state."""
WORDS = {COMPLETE: "complete", PRUNED: "pruned", FAIL: "failed", RUNNING: "running"}
QUARTERS = ("lowest quarter", "second quarter", "third quarter", "best quarter")
_SHADES = ("@muted/0.35", "@5/0.6", "@0/0.8", "@1")
MOST_PARAMETERS = 30
TRIAL = "trial, from 1"


def charts(data: StudyData, now: float) -> list[Chart]:
    """All that the trials have figures for."""
    found = [history(data), importance(data), parallel(data), slices(data), pareto(data), gantt(data, now), cost(data)]
    return [chart for chart in found if chart is not None]


def _objective(data: StudyData, index: int = 0) -> str:
    name = data.identity.objectives[index]
    return "held-out fitness, mean over seeds" if name == "fitness" else f"{name}, mean over seeds"


def history(data: StudyData) -> Chart | None:
    """The value of every trial, and the best so far."""
    if not data.trials:
        return None
    views = [
        View(name, _history(data, index), TRIAL, _objective(data, index))
        for index, name in enumerate(data.identity.objectives)
    ]
    note = (
        "A trial's value is the mean over its seeds of what champions are worth on fresh episodes, with its 95 % "
        "interval. Pruned trials stand at the last figure that the pruner saw of them."
    )
    return Chart("history", "Optimisation history", note, views, 400)


def _history(data: StudyData, index: int) -> list[Trace]:
    done = data.complete
    values = [(trial.values or [])[index] for trial in done]
    spans = [interval(trial) for trial in done] if index == 0 else [None] * len(done)
    halves = [(span[1] - span[0]) / 2 if span else 0.0 for span in spans]
    numbers = [trial.number for trial in done]
    error = {"type": "data", "array": [short(half) for half in halves], "color": "@0/0.5", "thickness": 1, "width": 3}
    hover = "trial %{x}: %{y:.4~g} ± %{error_y.array:.3~g}" if index == 0 else "trial %{x}: %{y:.4~g}"
    traces = [points("complete", numbers, values, error_y=error, hovertemplate=hover)]
    seen = [(trial, each) for trial in data.trials if trial.state == PRUNED and (each := _last_seen(trial, index))]
    if seen:
        colour, symbol = LOOKS[PRUNED]
        x, y = [trial.number for trial, _ in seen], [each for _, each in seen]
        traces.append(
            points("pruned, last seen", x, y, colour=colour, symbol=symbol, hovertemplate="trial %{x}: %{y:.4~g}")
        )
    best = list(accumulate(values, max))
    return [*traces, line("best so far", numbers, best, shape="hv", colour="@ink", width=2)]


def _last_seen(trial: Trial, index: int) -> float | None:
    if not trial.intermediate:
        return None
    values = trial.intermediate[max(trial.intermediate)]
    return number(values[index]) if index < len(values) else None


def importance(data: StudyData) -> Chart | None:
    """Which parameters mattered."""
    if data.importance is None or not data.importance["importance"]:
        return None
    ranked = sorted(data.importance["importance"].items(), key=lambda pair: pair[1])[-MOST_PARAMETERS:]
    trace = bars("importance", [short(100 * share) for _, share in ranked], [plain(name) for name, _ in ranked])
    trace["hovertemplate"] = "%{y}: %{x:.3~g} %"
    doubt = f" {data.importance['warning']}." if data.importance["warning"] else ""
    note = (
        f"What the best trials have in common (PED-ANOVA), over {data.importance['complete']} complete trials.{doubt}"
    )
    view = View("importance", [trace], "share of importance, %", "", {"yaxis": {"type": "category"}})
    return Chart("importance", "Which parameters mattered", note, [view], 130 + 24 * max(3, len(ranked)))


def parallel(data: StudyData) -> Chart | None:
    """A line a trial over all parameters, each scaled to its range."""
    parameters, done = data.parameters[:MOST_PARAMETERS], sorted(data.complete, key=lambda t: (t.values or [0.0])[0])
    if len(done) < 2 or len(parameters) < 2:
        return None
    traces: list[Trace] = []
    for quarter, (name, shade) in enumerate(zip(QUARTERS, _SHADES, strict=True)):
        chosen = [trial for place, trial in enumerate(done) if place * 4 // len(done) == quarter]
        if chosen:
            traces.append(_threads(name, chosen, parameters, shade))
    best = _threads(f"best: trial {done[-1].number}", done[-1:], parameters, "@ink")
    best["line"]["width"] = 4
    ends = [_ends(parameter) for parameter in parameters]
    ticks = [f"{plain(p.name)}: {low} to {high}" for p, (low, high) in zip(parameters, ends, strict=True)]
    layout = {
        "xaxis": {"tickvals": list(range(len(parameters))), "ticktext": ticks, "tickangle": -60},
        "yaxis": {"tickvals": [0, 0.5, 1], "ticktext": ["lowest", "middle", "highest"], "range": [-0.05, 1.05]},
    }
    note = (
        "A line a complete trial; where a parameter did not count for a trial, its line has a gap. Where the best "
        "quarter's lines run together, the parameter mattered. Lowest and highest of each range stand beside its name."
    )
    view = View("parallel", [*traces, best], "parameter and its range", "place in the range", layout)
    return Chart("parallel", "Parallel coordinates", note, [view], 640, wide=160 + 34 * len(parameters))


def _threads(name: str, trials: Sequence[Trial], parameters: Sequence[Parameter], colour: str) -> Trace:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str | None] = []
    for trial in trials:
        for place, parameter in enumerate(parameters):
            value = trial.params.get(parameter.name)
            x.append(place)
            y.append(None if value is None else scaled(parameter, value))
            text.append(plain(f"trial {trial.number}: {parameter.name} {_told(value)}"))
        x, y, text = [*x, None], [*y, None], [*text, None]
    trace = line(name, x, y, colour=colour, mode="lines+markers", marker={"size": 4, "color": colour})
    return {**trace, "text": text, "hovertemplate": "%{text}"}


def scaled(parameter: Parameter, value: Any) -> float | None:
    """Where a value lies in its range, from 0 to 1."""
    if parameter.kind == "categorical":
        choices = list(parameter.choices)
        return choices.index(value) / max(1, len(choices) - 1) if value in choices else None
    known = number(value)
    if known is None or parameter.high == parameter.low:
        return None if known is None else 0.5
    if parameter.log and min(known, parameter.low) > 0:
        return math.log(known / parameter.low) / math.log(parameter.high / parameter.low)
    return (known - parameter.low) / (parameter.high - parameter.low)


def _ends(parameter: Parameter) -> tuple[str, str]:
    ends = parameter.choices if parameter.kind == "categorical" else (parameter.low, parameter.high)
    return plain(_told(ends[0])), plain(_told(ends[-1])) + (" (log)" if parameter.log else "")


def _told(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def slices(data: StudyData) -> Chart | None:
    """Each parameter against the first objective."""
    if not data.complete:
        return None
    views = []
    for parameter in data.parameters:
        known = [trial for trial in data.complete if parameter.name in trial.params]
        x = [trial.params[parameter.name] for trial in known]
        flat = [str(value) if parameter.kind == "categorical" else value for value in x]
        text = [f"trial {trial.number}" for trial in known]
        y = [short((trial.values or [0.0])[0]) for trial in known]
        trace = points("trials", [plain(v) if isinstance(v, str) else v for v in flat], y, text=text)
        trace["hovertemplate"] = "%{text}: %{x}, %{y:.4~g}"
        axis = {"type": "category" if parameter.kind == "categorical" else "log" if parameter.log else "linear"}
        views.append(View(parameter.name, [trace], plain(parameter.name), _objective(data), {"xaxis": axis}))
    return Chart("slices", "Slices", "Every complete trial, by one parameter at a time.", views) if views else None


def pareto(data: StudyData) -> Chart | None:
    """Both objectives, and the trials that no other dominates."""
    if len(data.identity.objectives) < 2 or not data.complete:
        return None
    best = sorted(front(data.trials), key=lambda trial: trial.values or [])
    values = [[short(value) for value in trial.values or []] for trial in best]
    others = [trial for trial in data.complete if trial not in best]
    dominated = points(
        "dominated", [(t.values or [])[0] for t in others], [(t.values or [])[1] for t in others], colour="@muted",
        text=[f"trial {t.number}" for t in others], hovertemplate="%{text}: %{x:.4~g}, %{y:.4~g}",
    )  # fmt: skip
    edge = line("Pareto front", [v[0] for v in values], [v[1] for v in values], colour="@1", mode="lines+markers")
    edge |= {"text": [f"trial {t.number}" for t in best], "hovertemplate": "%{text}: %{x:.4~g}, %{y:.4~g}"}
    edge["marker"] = {"size": 10, "color": "@1", "symbol": "diamond"}
    view = View("front", [dominated, edge], _objective(data, 0), _objective(data, 1))
    note = "Both objectives are better when larger; of the trials on the line none beats another in both."
    return Chart("pareto", "Pareto front", note, [view], 420)


def gantt(data: StudyData, now: float) -> Chart | None:
    """Which trial ran when on which core."""
    found = stays(data.trials, now)
    if not found:
        return None
    longest = max(stay.end for stay in found)
    unit, divisor = ("h", 3600) if longest > 7200 else ("min", 60) if longest > 300 else ("s", 1)
    traces = [_bars(found, state, divisor, unit) for state in WORDS if any(stay.trial.state == state for stay in found)]
    lanes = sorted({stay.lane for stay in found}, key=lambda lane: (lane.split()[0], int(lane.split()[1])))
    at_once = _at_once(found)
    layout = {
        "barmode": "overlay", "bargap": 0.25,
        "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": lanes, "autorange": "reversed"},
    }  # fmt: skip
    note = f"A bar a process of a trial; bars above each other ran at the same time: at most {at_once} trials at once."
    view = View("cores", traces, f"time since the first trial, {unit}", "core", layout)
    return Chart("gantt", "Trials on the cores", note, [view], 170 + 26 * max(2, len(lanes)))


def _bars(found: Sequence[Stay], state: str, divisor: float, unit: str) -> Trace:
    chosen = [stay for stay in found if stay.trial.state == state]
    lengths = [short((stay.end - stay.begin) / divisor) for stay in chosen]
    trace = bars(WORDS[state], lengths, [stay.lane for stay in chosen], LOOKS[state][0])
    trace["base"] = [short(stay.begin / divisor) for stay in chosen]
    trace["marker"]["line"] = {"color": "@paper", "width": 2}
    labels = [f"{stay.trial.number}" for stay in chosen]
    hover = f"trial %{{text}}, {WORDS[state]}: %{{x:.4~g}} {unit} on %{{y}}"
    return {**trace, "text": labels, "textposition": "inside", "insidetextanchor": "middle", "hovertemplate": hover}


def _at_once(found: Sequence[Stay]) -> int:
    """The most trials that ran at one moment."""
    spans = {(stay.trial.number, stay.begin, stay.end) for stay in found}
    moments = sorted([(begin, 1) for _, begin, _ in spans] + [(end, -1) for _, _, end in spans])
    return max(accumulate(step for _, step in moments))


def cost(data: StudyData) -> Chart | None:
    """What the trials took."""
    over = [trial for trial in data.trials if trial.seconds > 0]
    if not over:
        return None
    numbers = [trial.number for trial in over]
    views = [_taken("wall time", numbers, [trial.seconds for trial in over], "wall time of trials so far, s")]
    views.append(_taken("CPU time", numbers, [trial.cpu_seconds for trial in over], "CPU time so far, s"))
    if any(trial.cost for trial in over):
        costs = [trial.cost or 0.0 for trial in over]
        views.insert(0, _taken("cost", numbers, costs, "cost so far, currency"))
    return Chart("cost", "What it took", "Summed over the trials, in the order of their numbers.", views, 300)


def _taken(label: str, numbers: list[int], values: list[float], axis: str) -> View:
    trace = line(label, numbers, list(accumulate(values)), shape="hv", fill="tozeroy", fillcolor="@0/0.15")
    return View(label, [trace], TRIAL, axis)
