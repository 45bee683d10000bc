"""A run's figures as a Prometheus text file, for node_exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from launcher.states import ALL

_GAUGES = (
    ("evolab_utilisation_ratio", "utilisation_now", "Share of the granted cores used, over the last 30 s."),
    ("evolab_generations_per_second", "generations_per_second", "Generations a second, all islands together."),
    ("evolab_cost_total", "cost", "What the run has cost so far."),
    ("evolab_run_seconds", "seconds", "Seconds that the run has been driven."),
)


def render(run: str, islands: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    """The text. `islands`: island, state, done, best, restarts of each."""
    of_run = _labels(run=run)
    lines: list[str] = []
    for name, key, told in _GAUGES:
        if figures.get(key) is not None:
            lines += _metric(name, told, [(of_run, figures[key])])
    states = [
        (_labels(run=run, island=str(each["island"]), state=state), int(each["state"] == state))
        for each in islands
        for state in ALL
    ]
    lines += _metric("evolab_island_state", "1 for the state that an island is in.", states)
    for name, key, told in (
        ("evolab_island_generations", "done", "Generations done."),
        ("evolab_island_best", "best", "Best fitness so far."),
        ("evolab_island_restarts", "restarts", "Restarts by this launcher."),
    ):
        known = [each for each in islands if each.get(key) is not None]
        lines += _metric(name, told, [(_labels(run=run, island=str(each["island"])), each[key]) for each in known])
    return "\n".join(lines) + "\n"


def _metric(name: str, told: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    return [f"# HELP {name} {told}", f"# TYPE {name} gauge", *(f"{name}{labels} {value}" for labels, value in samples)]


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
