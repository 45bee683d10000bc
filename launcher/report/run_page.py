"""The page of a run: its story in five lines, its figures, its charts, its champion."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from islands.errors import EvolabError
from islands.rundir import RunDir
from launcher import tables
from launcher.report import (
    body_drawing,
    event_rows,
    migration_figures,
    network_drawing,
    page,
    replays,
    run_data,
    run_figures,
    species_figures,
)
from launcher.report.figures import Chart, number
from launcher.report.metrics_data import IslandData
from launcher.report.migration_data import sightings
from launcher.report.run_data import RunData
from launcher.states import DONE, RUNNING
from launcher.utilisation import clock

MISSED = {RUNNING: "still running", "STOPPED": "stopped before its end", "PENDING": "not started"}


def render(run: RunDir) -> tuple[bytes, int]:
    """The page, and how many charts it has."""
    data = run_data.gather(run)
    drawn = charts(data)
    champion = data.champion
    content = page.render(
        "run.html",
        drawn,
        title=run.name,
        kind="report of a run",
        subtitle=data.config.get("description") or "",
        written=time.strftime("%Y-%m-%d %H:%M"),
        place=str(run.path),
        lines=story(data),
        figures=figures(data),
        champion=_champion(run, champion),
        replay=_replay(run),
        no_migration=_no_migration(data),
        sightings=sightings(data.migrations, str(champion["digest"])) if champion else [],
        islands=[_row(data, island) for island in data.islands],
        overrides=_overrides(data),
        events=event_rows.rows(data.events),
        events_told=_events_told(data),
        configuration=sorted(_flat(data.config).items()),
    )
    return content, len(drawn)


def charts(data: RunData) -> list[Chart]:
    """All charts of the run that there are figures for."""
    return [*species_figures.with_streams(data, run_figures.charts(data)), *migration_figures.charts(data)]


def story(data: RunData) -> list[str]:
    """What the run was and how it went, in five lines."""
    return [_what(data), _ending(data), _worth(data), _effort(data), _exchange(data)]


def _what(data: RunData) -> str:
    config, islands = data.config, len(data.islands)
    noun = "island" if data.told["command"] != "run" else "population"
    text = f"{islands} {noun}{'s' * (islands != 1)} of {config['population']} genomes ({config['mode']}"
    text += f", {config['algorithm']}" if config.get("algorithm") not in (None, "ga") else ""
    text += f") on the task {config['task']['name']}, {config['generations']} generations wanted"
    text += f"; preset {data.told['config']}" if data.told["config"] else ""
    return f"{text}; started {data.told['created']} by evolab {data.told['command']}."


def _ending(data: RunData) -> str:
    states = Counter(str(island.told["state"]) for island in data.islands)
    done = max((island.last + 1 for island in data.islands), default=0)
    if set(states) == {DONE}:
        stops = Counter(str(island.told["stopped"]) for island in data.islands if island.told["stopped"])
        early = f"; stopped early: {', '.join(f'{n} {why}' for why, n in stops.items())}" if stops else ""
        return f"It finished after {done} generations{early}."
    told = ", ".join(f"{count} {MISSED.get(state, state)}" for state, count in states.items())
    reasons = dict.fromkeys(str(island.told["message"]) for island in data.islands if island.told["message"])
    why = f" ({'; '.join(list(reasons)[:3])})" if reasons else ""
    return f"It has not finished: {told}{why}. {done} generations are recorded."


def _worth(data: RunData) -> str:
    champion = data.champion
    best = max((b for island in data.islands for b in island.best_at.values()), default=None)
    if champion is None:
        score = f"; the best score so far is {best:.4g}, of one evaluation" if best is not None else ""
        return f"No champion has been judged yet{score}."
    text = f"The champion, of {champion['island']}, is worth {tables.mean(champion)} (mean ± 95 %) on "
    text += f"{champion['episodes']} fresh episodes"
    if best is None:
        return f"{text}."
    low, high = champion.get("ci95") or (champion["mean"],) * 2
    lucky = best > high + (high - low)
    return f"{text}; the best score of any evaluation was {best:.4g}{', a lucky one' if lucky else ''}."


def _effort(data: RunData) -> str:
    evaluations = sum(island.evaluations for island in data.islands)
    text = f"It took {evaluations:,} evaluations"
    text += f" in {clock(data.seconds)} of wall time" if data.seconds else ""
    cpu = [number(island.told["cpu_seconds"]) for island in data.islands]
    if any(cpu):
        text += f" and {clock(sum(each or 0.0 for each in cpu))} of CPU time"
    if (use := number(data.launcher.get("utilisation"))) is not None:
        text += f", with {use:.0%} of the usable cores used"
    if (cost := number(data.launcher.get("cost"))) is not None:
        text += f"; it cost {cost:.3g}"
    return f"{text}."


def _exchange(data: RunData) -> str:
    counts = data.migrations.counts().values()
    admitted, refused = sum(count[0] for count in counts), sum(count[1] for count in counts)
    text = f"{admitted + refused} migrants arrived, {admitted} were admitted" if counts else "No genome migrated"
    restarts = sum(int(number(island.told["restarts"]) or 0) for island in data.islands)
    restarts = max(restarts, sum(event.get("event") == "restart" for event in data.events))
    held = sum(island.told["state"] in ("HELD", "FAILED") for island in data.islands)
    text += f"; {restarts or 'no'} restart{'s' * (restarts != 1)}"
    return f"{text}{f', {held} islands need a look' if held else ''}."


def figures(data: RunData) -> list[tuple[str, str, str]]:
    """The large figures: label, value, what it means."""
    best = max((b for island in data.islands for b in island.best_at.values()), default=None)
    rows = [
        ("state", str(data.told["state"]).lower(), ""),
        ("champion, held out", tables.mean(data.champion), "mean ± 95 %"),
        ("best score", page.figure(best), "one evaluation"),
        ("islands" if data.told["command"] != "run" else "populations", str(len(data.islands)), ""),
        ("generations", page.figure(max((island.last + 1 for island in data.islands), default=0)), ""),
    ]
    if data.seconds:
        rows.append(("wall time", clock(data.seconds), ""))
    if (use := number(data.launcher.get("utilisation"))) is not None:
        rows.append(("core use", f"{use:.0%}", "of the usable cores"))
    if (cost := number(data.launcher.get("cost"))) is not None:
        rows.append(("cost", f"{cost:.3g}", f"at {page.figure(data.launcher.get('cost_per_hour'))} an hour"))
    return rows


def _replay(run: RunDir) -> Markup:
    """The piece of the page that replays creatures: safe by itself; a run that cannot be replayed has none."""
    try:
        return Markup(replays.fragment(run))
    except (EvolabError, ImportError):
        return Markup()


def _champion(run: RunDir, champion: Mapping[str, Any] | None) -> dict[str, Any]:
    """The drawings of the champion; `trouble`: why there are none."""
    nothing: dict[str, Any] = {"network": None, "body": None, "told": "", "trouble": ""}
    if champion is None:
        return {
            **nothing,
            "trouble": "None has been judged yet: a population's champion is known when it has finished.",
        }
    from launcher import champions, exporting

    try:
        found = champions.find(str(run.path), None, None, ())
        wiring = exporting.wiring_of(found)
    except (EvolabError, ImportError) as error:
        return {**nothing, "trouble": f"It cannot be drawn: {error}."}
    told = champions.title(found.about)
    told += f"; {len(wiring.inputs)} inputs, {len(wiring.neurons)} neurons, {wiring.connections} connections"
    body = body_drawing.draw(wiring.body) if wiring.body else None
    return {**nothing, "network": network_drawing.draw(wiring), "body": body, "told": f"{told}."}


def _no_migration(data: RunData) -> str:
    if len(data.islands) == 1:
        return "One population alone: nothing migrated."
    return "No migrants have arrived." if data.told["migration_dir"] else "These populations did not exchange genomes."


def _row(data: RunData, island: IslandData) -> dict[str, Any]:
    told = island.told
    known = [told["best_fitness"], told["best"], max(island.best_at.values(), default=None)]
    keys = ("island", "seed", "state", "champion", "cpu_seconds", "admitted", "received", "sent")
    restarts = ((data.launcher.get("islands") or {}).get(island.name) or {}).get("restarts")
    return {
        **{key: told[key] for key in keys},
        "done": island.last + 1,
        "best": next((value for value in known if value is not None), None),
        "evaluations": island.evaluations,
        "restarts": restarts,
    }


def _overrides(data: RunData) -> list[tuple[str, str, str]]:
    rows = []
    for island in data.islands:
        own = island.told["overrides"]
        rows += [(island.name, str(key), str(value)) for key, value in own.items()] if isinstance(own, dict) else []
    return rows


def _events_told(data: RunData) -> str:
    kinds = Counter(str(event.get("event")) for event in data.events)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    cut = " Only the newest are listed." if len(data.events) == run_data.NEWEST_EVENTS else ""
    return f"{told}.{cut}"


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            rows |= _flat(value, f"{above}{key}.")
        else:
            rows[f"{above}{key}"] = str(value)
    return rows
