"""The commands for a run that goes on: `evolab resume`, `stop`, `logs`, `top`. Parse → call one function → print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from launcher.cli import DRIVING, JSON, SET, finish, print_or_json, settings_of, shared_options


@click.command()
@click.argument("run")
@click.option("-g", "--generations", metavar="N|+N", help="In all, or that many more.")
@click.option("--islands", metavar="N|+N", help="In all, or that many more.")
@click.option(
    "--allow-change", is_flag=True, help="Let --set and -c change the configuration; what changes is recorded."
)
@click.option("-c", "--config", "preset", help="Compare with this preset or YAML file.")
@shared_options(SET, *DRIVING, JSON)
def resume(
    run: str, generations: str | None, islands: str | None, allow_change: bool, preset: str | None,
    sets: tuple[str, ...], as_json: bool, **driving: Any,
) -> None:  # fmt: skip
    """Go on with RUN: adopt its living islands, restart the others, clear stops and holds. The same again does no harm.

    A configuration that differs is refused unless --allow-change is given.
    """
    from launcher import resuming, summary, tables
    from launcher.start import Request

    more = resuming.More(generations, islands, allow_change)
    directory, outcome = resuming.resume(run, Request(preset, sets), settings_of(**driving), more)
    finish(directory, outcome, summary.of_launch(directory, outcome), tables.archipelago, as_json)


@click.command()
@click.argument("run")
@click.option("--now", is_flag=True, help="Kill the islands; they go on from their last checkpoints when resumed.")
@JSON
def stop(run: str, now: bool, as_json: bool) -> None:
    """Stop RUN for good, launcher or not: islands finish their evaluation, checkpoint and end within 30 s.

    Nothing starts them again but `evolab resume`.
    """
    from launcher import stopping
    from launcher.run import find

    result = stopping.stop(find(run), now)
    print_or_json(result, stopping.told, as_json)
    sys.exit(0 if stopping.over(result) else 1)


@click.command()
@click.argument("run")
@click.argument("island", required=False)
@click.option("-f", "--follow", is_flag=True, help="Stay and show what comes, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="The newest lines of each log (with -f: 10).")
def logs(run: str, island: str | None, follow: bool, lines: int | None) -> None:
    """Show what the processes of RUN said: all of them, each line with its island's name, or those of one ISLAND."""
    from launcher import logs as reading
    from launcher.run import find

    if follow:
        reading.follow(find(run), island, 10 if lines is None else lines)
    reading.show(find(run), island, lines)


@click.command()
@click.argument("run")
@click.option("--island", required=True, metavar="K", help="Which: its index or its name.")
@click.option("--until", type=click.IntRange(min=0), metavar="G", help="Up to this generation. Default: the last.")
@click.option("--export", type=click.Path(path_type=Path), help="Write a genome of the last generation lived there.")
@click.option("--genome", default="best", show_default=True, metavar="best|SLOT", help="Which genome --export writes.")
@JSON
def replay(run: str, island: str, until: int | None, export: Path | None, genome: str, as_json: bool) -> None:
    """Live an island of RUN again, alone, from its configuration, its seed and its log of migrations.

    Every generation is held against what was recorded: exit code 1 if one differs. Changes nothing in RUN.
    """
    from launcher import replaying
    from launcher.run import find

    result = replaying.replay(find(run), island, until, genome, export)
    print_or_json(result, lambda value: click.echo(replaying.told(value)), as_json)
    sys.exit(0 if result["same"] else 1)


@click.command()
@click.argument("name")
@JSON
def verify(name: str, as_json: bool) -> None:
    """Check all that the run or study NAME has written: checkpoints, digest chains, logs of migrations, journals.

    Says what is whole, what is damaged and what can be recovered; exit code 1 if anything is damaged. Changes nothing.
    """
    from launcher import verifying

    result = verifying.verify(name)
    print_or_json(result, verifying.told, as_json)
    sys.exit(1 if verifying.damaged(result) else 0)


@click.command()
@click.option("--watch", is_flag=True, help="Stay and redraw until Ctrl-C.")
@JSON
def top(watch: bool, as_json: bool) -> None:
    """Show all runs of this machine: those in ./runs, and those that living processes work on, wherever they lie."""
    from launcher import looking, tables
    from launcher import top as working

    if watch:
        looking.watch(working.look, tables.top, [Path("runs")])
    else:
        print_or_json(working.look(), tables.top, as_json)


COMMANDS = (resume, stop, logs, top, replay, verify)
