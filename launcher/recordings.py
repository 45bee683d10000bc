"""Recorded episodes of a run's champion and of others, made in a process of their own: what a replay shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from islands import files
from islands.config import PelletsConfig
from islands.rundir import IslandDir, RunDir
from launcher import inside, summary
from launcher.run import read
from launcher.terminal import counted

MOST = 24
"""Islands whose best is shown."""
CHAMPION, FIRST, LAST = "champion", "first", "last"
SEEN = {
    PelletsConfig.name, "cartpole", "cartpole_swing_up", "double_pole", "acrobot", "mountain_car",
    "mountain_car_continuous", "pendulum",
}  # fmt: skip
"""Tasks with something to see: those of `islands.recording.can_record`, which imports what computes."""


def task_of(run: RunDir) -> str:
    """The name of the run's task."""
    return read(run)[1].task.name


def can_be_seen(run: RunDir) -> bool:
    """Whether an episode of the run's task can be drawn."""
    return task_of(run) in SEEN


def chosen(run: RunDir, most: int = MOST) -> list[dict[str, str]]:
    """Whom to show, the champion of the run first: `island`, `what` (see `islands.record_episode`) and `title`.

    The best of every island (of the `most` best, by validation), and of the champion's island the best of the first
    and of the last generation. An island that has not finished is shown by the best of its newest checkpoint.
    """
    ranked = _ranked(run)
    if not ranked:
        return []
    wanted = [_best(place, result, index == 0) for index, (place, result) in enumerate(ranked[:most])]
    name = ranked[0][0].name
    extra = [_entry(name, FIRST, f"best of the first generation, {name}")]
    if wanted[0]["what"] == CHAMPION:
        extra.append(_entry(name, LAST, f"highest score of the last generation, {name}"))
    return [wanted[0], *extra, *wanted[1:]]


def _best(place: IslandDir, result: dict[str, Any], leads: bool) -> dict[str, str]:
    if not result.get("champion"):
        return _entry(place.name, LAST, f"highest score so far, {place.name}")
    return _entry(place.name, CHAMPION, f"champion{' of the run' if leads else ''}, {place.name}")


def _entry(island: str, what: str, title: str) -> dict[str, str]:
    return {"island": island, "what": what, "title": title}


def _ranked(run: RunDir) -> list[tuple[IslandDir, dict[str, Any]]]:
    """The islands that have something to show, the best champions first, then those that have none yet."""
    rows = []
    for place in run.islands():
        result = files.read_json(place.result) if place.result.exists() else {}
        if result.get("champion") or (place.checkpoints.is_dir() and any(place.checkpoints.iterdir())):
            rows.append((place, result))
    leader = summary.best_champion([{"island": place.name, "champion": known.get("champion")} for place, known in rows])
    best = leader["island"] if leader else None
    return sorted(rows, key=lambda row: (row[0].name != best, *_order(row[1].get("champion") or {})))


def _order(champion: dict[str, Any]) -> tuple[bool, float]:
    worth = champion.get("validation", champion.get("mean"))
    return worth is None, -float(worth or 0.0)


def made(run: RunDir, wanted: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """The recordings of `chosen`, in its order, each with its `title`; one that cannot be had has an `error` instead.

    Cost: three seconds to start, a tenth of a second for each creature, and the evaluation of a generation for `first`.
    """
    if not wanted:
        return []
    found: list[dict[str, Any]] = []
    with counted("episode", len(wanted)) as tell:
        for line in inside.said("islands.record_episode", str(run.path), request=list(wanted)):
            found.append({"title": wanted[len(found)]["title"], **line})
            tell(len(found))
    return found
