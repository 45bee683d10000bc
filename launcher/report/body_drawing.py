"""Where everything of a drawn body lies, seen from the side and from above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIZE, MARGIN = 300.0, 34.0
"""Pixels of a view's longer side, and around it."""
VIEWS = (("from the side", 0, 1), ("from above", 0, 2))
"""Each with the axes of a position that go to the right and up: x is along, y up, z across."""


@dataclass(frozen=True)
class Ball:
    """A node of the body."""

    x: float
    y: float
    radius: float
    name: str
    told: str


@dataclass(frozen=True)
class Muscle:
    """A muscle between two nodes."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    told: str


@dataclass(frozen=True)
class Side:
    """One view, in pixels. `ground`: where the ground is drawn, if it is seen. `metre`: the pixels of one."""

    title: str
    width: float
    height: float
    balls: list[Ball]
    muscles: list[Muscle]
    ground: float | None
    metre: float


def draw(body: Mapping[str, Any]) -> list[Side]:
    """Both views of a body as `islands.wiring` describes it, on one scale."""
    nodes = body["nodes"]
    radius = max((node["diameter"] / 2 for node in nodes), default=0.5)
    spans = []
    for axis in range(3):
        values = [node["position"][axis] for node in nodes] or [0.0]
        low = min(values) - radius
        spans.append((min(low, 0.0) if axis == 1 else low, max(values) + radius))
    longest = max(high - low for low, high in spans) or 1.0
    return [_side(body, title, across, up, spans, SIZE / longest) for title, across, up in VIEWS]


def _side(
    body: Mapping[str, Any], title: str, across: int, up: int, spans: list[tuple[float, float]], scale: float
) -> Side:
    (left, right), (bottom, top) = spans[across], spans[up]

    def place(node: Mapping[str, Any]) -> tuple[float, float]:
        position = node["position"]
        return MARGIN + (position[across] - left) * scale, MARGIN + (top - position[up]) * scale

    at = {node["name"]: place(node) for node in body["nodes"]}
    stiffest = max((muscle["stiffness"] for muscle in body["muscles"]), default=0.0) or 1.0
    muscles = [_muscle(muscle, at, stiffest) for muscle in body["muscles"]]
    nearest_last = sorted(body["nodes"], key=lambda node: node["position"][3 - across - up] * (1 if up == 1 else -1))
    balls = [
        Ball(*at[node["name"]], max(3.0, node["diameter"] / 2 * scale), node["name"].removeprefix("node_"), _of(node))
        for node in nearest_last
    ]
    width, height = 2 * MARGIN + (right - left) * scale, 2 * MARGIN + (top - bottom) * scale
    ground = MARGIN + top * scale if up == 1 else None
    return Side(title, round(width), round(height), balls, muscles, ground, scale)


def _muscle(muscle: Mapping[str, Any], at: Mapping[str, tuple[float, float]], stiffest: float) -> Muscle:
    one, other = (at[end] for end in muscle["ends"])
    told = f"{muscle['name']}: {' to '.join(muscle['ends'])}, rest {muscle['rest']:.2f} m"
    told += f", stiffness {muscle['stiffness']:.3g}, damping {muscle['damping']:.3g}"
    if "frequency" in muscle:
        told += f", {muscle['frequency']:.2g} Hz, amplitude {muscle['amplitude']:.2g}"
    return Muscle(*one, *other, round(1.5 + 3.5 * muscle["stiffness"] / stiffest, 2), told)


def _of(node: Mapping[str, Any]) -> str:
    x, y, z = node["position"]
    told = f"{node['name']}: {node['diameter']:.2f} m across, friction {node['friction']:.2f}"
    return f"{told}, at {x:.2f}, {y:.2f}, {z:.2f} m"
