"""The chart of species: a stream for each, as wide as it has genomes, one under another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcher.report.figures import PALETTE, Chart, Trace, View, numbers
from launcher.report.metrics_data import IslandData
from launcher.report.run_data import RunData
from launcher.report.run_figures import GENERATION
from launcher.report.species_data import OTHERS, Streams, read_streams

ISLANDS = 8
"""Islands whose streams can be looked at: of more, those with the best champions or scores."""
_OPACITY = ("0.9", "0.68", "0.46")
"""Species that share a colour differ in strength."""


def with_streams(data: RunData, charts: Sequence[Chart]) -> list[Chart]:
    """The charts of a run, that of its species with their sizes where they are recorded."""
    return [_with_sizes(data, chart) if chart.name == "species" else chart for chart in charts]


def _with_sizes(data: RunData, counts: Chart) -> Chart:
    found = [(island, read_streams(data.run.island(island.name))) for island in _chosen(data)]
    views = [_streams(island.name, streams) for island, streams in found if streams]
    if not views:
        return counts
    note = "Each stream is a species, as wide as it has genomes, from its beginning to its end; the oldest are below."
    if any(OTHERS in streams.sizes for _, streams in found if streams):
        note += " Grey: small ones together."
    if (width := max(streams.width for _, streams in found if streams)) > 1:
        note += f" Sizes are means of {width} generations."
    if len(data.islands) > len(views):
        note += f" Of {len(data.islands)} islands, the {len(views)} with the best scores can be chosen."
    return replace(counts, note=note, views=[*views, *(replace(view, label="how many") for view in counts.views)])


def _chosen(data: RunData) -> Sequence[IslandData]:
    """The islands that are shown, in their order."""
    if len(data.islands) <= ISLANDS:
        return data.islands
    best = sorted(data.islands, key=lambda island: max(island.best_at.values(), default=float("-inf")), reverse=True)
    names = {island.name for island in best[:ISLANDS]}
    return [island for island in data.islands if island.name in names]


def _streams(island: str, streams: Streams) -> View:
    traces = [_stream(name, index, streams) for index, name in enumerate(streams.sizes)]
    layout = {"yaxis": {"rangemode": "tozero"}, "showlegend": False}
    return View(f"sizes on {island}", traces, GENERATION, "genomes in each species", layout)


def _stream(name: str, index: int, streams: Streams) -> Trace:
    """One species: only the generations in which it lived; Plotly takes it for 0 elsewhere."""
    sizes = streams.sizes[name]
    colour = f"@{index % PALETTE}/{_OPACITY[index // PALETTE % len(_OPACITY)]}"
    shown = "the other species" if name == OTHERS else f"species {name}"
    return {
        "type": "scatter", "mode": "lines", "stackgroup": "species", "name": shown, "showlegend": False,
        "x": [streams.x[place] for place in sizes], "y": numbers(list(sizes.values())),
        "line": {"width": 0.5, "color": "@paper"}, "fillcolor": "@muted/0.35" if name == OTHERS else colour,
        "hovertemplate": f"{shown}, generation %{{x}}: %{{y:.4~g}} genomes<extra></extra>",
    }  # fmt: skip
