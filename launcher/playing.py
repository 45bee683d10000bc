"""`evolab play`: a champion, or any genome that was written out, on fresh episodes, in a process of its own."""

from __future__ import annotations

import base64
from typing import Any

from launcher import inside
from launcher.champions import Champion, title
from launcher.terminal import counted


def play(champion: Champion, episodes: int, seed: int) -> dict[str, Any]:
    """Play `episodes` episodes of the stream of `seed`; the keys of `evolab play --json`."""
    request = {
        "config": champion.config.as_dict(),
        "genome": base64.b64encode(champion.genome).decode(),
        "episodes": episodes,
        "seed": seed,
    }
    found: dict[str, Any] = {}
    with counted("episode", episodes) as tell:
        for found in inside.said("islands.play", request=request):
            if "done" in found:
                tell(found["done"])
    return {"champion": champion.about, "seed": seed, **found}


def told(result: dict[str, Any]) -> str:
    """The result in words."""
    return "\n".join([title(result["champion"]), *_worth(result), *_episodes(result)])


def _worth(result: dict[str, Any]) -> list[str]:
    if result["mean"] is None:
        return [f"mean: not known, {result['failed']} of {result['episodes']} episodes failed"]
    if result["ci95"] is None:
        return [f"fitness: {result['mean']:.4g}, of one episode: they are all the same"]
    half = (result["ci95"][1] - result["ci95"][0]) / 2
    return [f"mean: {result['mean']:.4g} ± {half:.4g} (95 %), {result['episodes']} episodes of seed {result['seed']}"]


def _episodes(result: dict[str, Any]) -> list[str]:
    scores = sorted(score for score in result["fitness"] if score is not None)
    ended = ", ".join(f"{reason} {count}" for reason, count in result["ended"].items())
    lines = [f"episodes: {ended}; {result['steps']:.4g} steps each"]
    if len(scores) > 1:
        lines[0] += f"; from {scores[0]:.4g} to {scores[-1]:.4g}"
    if result["solved"] is not None:
        lines.append(f"solved: {result['solved']} of {result['episodes']}")
    return lines
