"""The commands about machines: `evolab plan`, `doctor`. Parse → call one function → print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from launcher.cli import JSON, SET, print_or_json, shared_options

_PATH = click.Path(path_type=Path)


@click.command()
@shared_options(
    click.option("-c", "--config", "preset", help="A preset (see `evolab configs`) or a YAML file's path."),
    click.option("-p", "--population", type=int, help="Genomes per population (default: the configuration's)."),
    click.option("-g", "--generations", type=int, help="Generations of a run (default: the configuration's)."),
    click.option("-n", "--trials", type=int, default=50, show_default=True, help="Trials of the study; 1: a run."),
    click.option("-s", "--seeds", type=int, default=3, show_default=True, help="Whole runs of a trial, a seed each."),
    click.option("--islands", type=int, help="Islands of a run (default: the configuration's, or single populations)."),
    click.option("-w", "--workers", "at_most", type=int, help="Trials at a time at most (default: what fits)."),
    SET,
)
@shared_options(
    click.option("--machine", "names", multiple=True, metavar="NAME", help="Only this machine; repeatable."),
    click.option("--machines", "table", type=_PATH, help="A table of your own (default: configs/machines.yaml)."),
    click.option("--max-hours", type=float, help="Also say which is the cheapest that ends in time."),
    click.option("--cost-per-hour", type=float, help="What this machine costs."),
)
@shared_options(
    click.option(
        "--creatures-per-second", type=float, metavar="X", help="Of one core (`evolab benchmark`); measures nothing."
    ),
    click.option(
        "--smt-efficiency", type=float, metavar="0.5…1",
        help="Speed of an island beside another one on the same physical core (default: measured here where the"
        " kernel shows hyper-threads, else 0.6).",
    ),
    click.option("--setup-minutes", type=float, default=5.0, show_default=True,
                 help="Booting and installing on a rented machine, paid for."),
    click.option("--check", is_flag=True, help="Also do a run here, for real, and say how far off its prediction was."),
    JSON,
)  # fmt: skip
def plan(
    population: int | None, generations: int | None, sets: tuple[str, ...], as_json: bool, **wanted: Any
) -> None:  # fmt: skip
    """Say how long a study takes and what it costs, on this machine and on those that can be rented.

    Measures islands here (about half a minute), and takes into account start-up, the champions' evaluation, memory,
    hyper-threads, and places that the last trials leave empty.
    """
    from launcher import planning, tables_machine
    from launcher.plan_words import Request
    from launcher.start import overrides

    options = {"generations": generations, "population": population}
    request = Request(overrides=overrides(options, sets), **wanted)
    print_or_json(planning.plan_for(request), tables_machine.plan, as_json)


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=_PATH)
@click.option("--run", metavar="RUN", help="Also look at this run: a run directory, or a name in runs/.")
@JSON
def doctor(folder: Path | None, run: str | None, as_json: bool) -> None:
    """Examine this machine, DIR (default: this folder, or the run's) and a live RUN; say what is wrong and the cure.

    Tries what evolution relies on for real, leaves nothing behind and never waits for ever. Exit code 0 when nothing is
    worse than a note, 1 with warnings or errors.
    """
    from launcher import doctor as examining
    from launcher import tables_machine

    found = examining.examine(folder, run)
    print_or_json(found, tables_machine.doctor, as_json)
    sys.exit(examining.exit_code(found))


COMMANDS = (plan, doctor)
