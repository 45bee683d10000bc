"""Tables for people, on stdout. Each takes the same dictionaries that `--json` prints."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from launcher.utilisation import clock

_WIDTH_OF_A_FILE = 200
Record = Mapping[str, Any]


def configs(presets: Sequence[Record]) -> None:
    """`evolab configs`."""
    columns = ("name", "mode", "task", "population", "description")
    _print(columns, ([str(preset[column]) for column in columns] for preset in presets))


def seeds(summary: Record) -> None:
    """`evolab run`: one line a seed."""
    solvable = any(seed["solved"] is not None for seed in summary["seeds"])
    header = ("seed", "generations", "best", "champion (held out)", *(["solved after"] if solvable else []), "species",
              "seconds", "digest")  # fmt: skip
    rows = [
        (
            str(seed["seed"]),
            number(seed["generations"]),
            number(seed["best_fitness"]),
            mean(seed["champion"]),
            *([number(seed["evaluations_to_solve"])] if solvable else []),
            number(seed["history"][-1]["species"] if seed["history"] else None),
            number(seed["seconds"]),
            (seed["digest"] or "–")[:16],
        )
        for seed in summary["seeds"]
    ]
    _print(header, rows)
    print(f"run: {summary['run']}")


def archipelago(summary: Record) -> None:
    """`evolab launch`: one line an island, the champion, the path of the run."""
    header = ("island", "generations", "best", "champion (held out)", "migrants in", "out", "restarts", "core use")
    rows = [
        (
            island["island"],
            number(island["generations"]) if island["generations"] is not None else island["state"],
            number(island["best_fitness"]),
            mean(island["champion"]),
            f"{number(island['admitted'])} of {number(island['received'])}",
            number(island["sent"]),
            str(island["restarts"]),
            f"{island['cpu_utilisation']:.0%}",
        )
        for island in summary["islands"]
    ]
    _print(header, rows)
    if summary["champion"]:
        print(f"champion: {mean(summary['champion'])} on {summary['champion']['island']}")
    print(f"utilisation: {summary['utilisation']:.0%} of the usable cores in {clock(summary['seconds'])}")
    print(f"run: {summary['run']}")


def statuses(runs: Sequence[Record]) -> None:
    """`evolab status` without a run: one line a run."""
    header = ("run", "state", "islands", "finished", "generations", "best", "created")
    _print(
        header,
        (
            (
                run["run"],
                run["state"],
                str(run["islands"]),
                str(run["finished"]),
                f"{run['generations_done']}/{run['generations']}",
                number(run["best"]),
                str(run["created"]),
            )
            for run in runs
        ),
        spare=("created", "finished", "islands"),
    )


def status(run: Record) -> None:
    """`evolab status RUN`: one line an island; on a terminal as wide as that, with trends."""
    if sys.stdout.isatty():
        from launcher import status_screen

        status_screen.show(run)
        return
    print(f"{run['run']}: {run['state']} ({run['command']} of {run['config']}, since {run['created']})")
    if run["launcher"]:
        print(_launcher_line(run["launcher"]))
    header = ("island", "state", "generations", "best", "CPU s", "MB", "restarts", "heartbeat")
    _print(header, (_status_row(island) for island in run["islands"]))


def top(runs: Sequence[Record]) -> None:
    """`evolab top`: one line a run, those at work first."""
    rows = (
        (
            run["run"],
            run["state"],
            ", ".join(f"{count} {state}" for state, count in run["states"].items()),
            str(run["processes"]),
            number(run["cpu_seconds"]),
            "–" if run["utilisation"] is None else f"{run['utilisation']:.0%}",
            f"{run['generations_done']}/{run['generations']}",
            number(run["best"]),
            "–" if run["cost"] is None else f"{run['cost']:.2f}",
        )
        for run in runs
    )
    header = ("run", "state", "islands", "processes", "CPU s", "core use", "generations", "best", "cost")
    _print(header, rows, spare=("CPU s", "processes", "islands"))


def results(runs: Sequence[Record]) -> None:
    """`evolab results`: one line a run."""
    header = ("run", "command", "config", "islands", "finished", "generations", "best", "champion (held out)")
    _print(
        header,
        (
            (
                run["run"],
                run["command"],
                str(run["config"]),
                str(run["islands"]),
                str(run["finished"]),
                number(run["generations"]),
                number(run["best_fitness"]),
                mean(run["champion"]),
            )
            for run in runs
        ),
    )


def show(run: Record) -> None:
    """`evolab show RUN`: the essentials and one line an island."""
    settings = run["configuration"]
    print(f"{run['run']}: {run['state']} ({run['command']} of {run['config']}, created {run['created']})")
    print(
        f"{settings['mode']} on {settings['task']['name']}, population {settings['population']}, "
        f"{settings['generations']} generations, migration directory {run['migration_dir'] or 'none'}"
    )
    header = ("island", "seed", "state", "generations", "best", "champion (held out)", "in", "out", "digest")
    rows = [
        (
            island["island"],
            str(island["seed"]),
            island["state"],
            number(island["generations"] if island["generations"] is not None else island["done"]),
            number(island["best_fitness"]),
            mean(island["champion"]),
            number(island["admitted"]),
            number(island["sent"]),
            (island["digest"] or "–")[:16],
        )
        for island in run["islands"]
    ]
    _print(header, rows)
    for island in run["islands"]:
        if island["overrides"]:
            print(f"{island['island']} differs: {', '.join(f'{k}={v}' for k, v in island['overrides'].items())}")


def comparison(report: Record) -> None:
    """`evolab compare`: the ranking and the verdicts."""
    header = ("rank", "name", "champion (held out)", "based on", "best", "against the first", "p (Holm)")
    rows = [
        (
            str(entry["rank"]),
            entry["name"],
            mean(entry),
            entry["basis"],
            number(entry["best_fitness"]),
            entry["verdict"],
            number(entry["p"]),
        )
        for entry in report["ranking"]
    ]
    _print(header, rows)
    print(report["conclusion"])


def benchmark(figures: Record) -> None:
    """`evolab benchmark`: one figure a line, and one phase a line where they were measured."""
    _print(("figure", "value"), ((key, number(value)) for key, value in figures.items() if key != "profile"))
    if "profile" in figures:
        told = figures["profile"]
        whole = ("whole generation", told["seconds_per_generation"], told["cpu_seconds_per_generation"], 1.0)
        phases = [(p["phase"], p["seconds"], p["cpu_seconds"], p["share"]) for p in told["phases"]]
        rows = (
            (name, f"{wall * 1e3:.3f}", f"{cpu * 1e3:.3f}", f"{share:.1%}")
            for name, wall, cpu, share in [*phases, whole]
        )
        _print(("phase of a generation", "ms", "ms of CPU", "share"), rows)


def study(summary: Record) -> None:
    """`evolab search`: how the study ended."""
    states = ", ".join(f"{count} {state}" for state, count in summary["states"].items() if count)
    print(f"study {summary['study']}: {states or 'no trials'} in {clock(summary['seconds'])} of trials' time")
    if summary["best"]:
        print(f"best: trial {summary['best']['trial']}, {mean(_valued(summary['best']))}")
        params = summary["best"]["params"].items()
        _print(("parameter", "value"), ((name, number(value)) for name, value in params))
    if summary["pareto_front"]:
        print("Pareto front:")
        rows = ((str(each["trial"]), *map(number, each["values"])) for each in summary["pareto_front"])
        _print(("trial", *summary["objectives"]), rows)
    if summary["cost"] is not None:
        print(f"cost: {summary['cost']:.2f}")
    print(f"study: {summary['path']}")


def studies(listed: Sequence[Record]) -> None:
    """`evolab search --list`: one line a study."""
    rows = (
        (
            each["study"],
            each["mode"],
            str(each["trials"]),
            ", ".join(f"{count} {state}" for state, count in each["states"].items() if count) or "–",
            "–" if not each["best"] else mean(_valued(each["best"])),
            each["state"] or "–",
        )
        for each in listed
    )
    _print(("study", "mode", "trials", "states", "best", "last sitting"), rows)


def best(found: Record) -> None:
    """`evolab best`: one line a trial, then the first one's parameters."""
    names = found["objectives"]
    rows = (
        (
            str(each["trial"]),
            mean(_valued(each)),
            *map(number, each["values"][1:]),
            clock(each["seconds"]),
            each["runs"][0],
        )
        for each in found["trials"]
    )
    _print(("trial", f"{names[0]} (held out)", *names[1:], "time", "run"), rows)
    if found["trials"]:
        print(f"parameters of trial {found['trials'][0]['trial']}:")
        _print(("parameter", "value"), ((name, number(v)) for name, v in found["trials"][0]["params"].items()))


def importance(found: Record) -> None:
    """`evolab importance`: one line a parameter."""
    rows = ((name, f"{value:.3f}") for name, value in found["importance"].items())
    _print(("parameter", f"importance ({found['method']}, {found['complete']} trials)"), rows)
    if found["not_ranked"]:
        print(f"not ranked, since not every trial has them: {', '.join(found['not_ranked'])}")


def _valued(trial: Record) -> Record:
    return {"mean": trial["values"][0], "ci95": trial["ci95"]}


def mean(entry: Record | None) -> str:
    """`12.3 ± 0.4`: a mean with half its 95 % interval."""
    if not entry or entry.get("mean") is None:
        return "–"
    low, high = entry.get("ci95") or (None, None)
    if low is None or high is None:
        return number(entry["mean"])
    return f"{number(entry['mean'])} ± {number((high - low) / 2)}"


def _launcher_line(launcher: Record) -> str:
    """The run's launcher, or what its last one left."""
    parts = [f"launcher: process {launcher['pid']}" if launcher["alive"] else "launcher: none; the last one's figures"]
    if launcher["utilisation"] is not None:
        now = f" now, {launcher['utilisation']:.0%} since its start" if launcher["alive"] else ""
        share = launcher["utilisation_now"] if launcher["alive"] else launcher["utilisation"]
        parts.append(f"utilisation {share:.0%}{now}")
    if launcher["restarts"]:
        parts.append(f"{launcher['restarts']} restarts")
    if launcher["cost"] is not None:
        parts.append(f"cost {launcher['cost']:.2f} in {clock(launcher['seconds'] or 0)}")
    return " · ".join(parts) + (f"\n{launcher['disk']}" if launcher["disk"] and launcher["alive"] else "")


def _status_row(island: Record) -> tuple[str, ...]:
    age = island["seconds_since_heartbeat"]
    return (
        island["island"],
        island["state"] + (f": {island['message']}" if island["message"] else ""),
        "–" if island["generations"] is None else f"{island['done']}/{island['generations']}",
        number(island["best"]),
        number(island["cpu_seconds"]),
        number(island["rss_mb"]),
        number(island["restarts"]),
        "–" if age is None else f"{clock(max(0.0, age))} ago",
    )


def number(value: object) -> str:
    """A figure as tables show it; – where there is none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print(header: Sequence[str], rows: Iterable[Sequence[str]], spare: Sequence[str] = ()) -> None:
    """Print a table. `spare`: columns that a narrow terminal does without, the first of them first."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, cells = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE), [header, *rows]
    if len(cells) == 1:
        print("nothing yet")
        return
    for name in spare:
        if _wide(cells) > console.width:
            place = cells[0].index(name)
            cells = [(*row[:place], *row[place + 1 :]) for row in cells]
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for place, title in enumerate(cells[0]):
        table.add_column(title, overflow="fold", no_wrap=bool(spare and place))
    for row in cells[1:]:
        table.add_row(*map(Text, row))
    console.print(table)


def _wide(cells: Sequence[Sequence[str]]) -> int:
    """Characters that a table takes at its widest."""
    from rich.cells import cell_len

    return sum(max(map(cell_len, column)) + 3 for column in zip(*cells, strict=True)) - 3
