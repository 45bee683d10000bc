"""The commands about a champion: `evolab export`, `play`. Parse → call one function → print."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launcher.cli import JSON, SET, print_or_json, shared_options

FORMATS = ("onnx", "torch", "json", "dot", "python")
_TARGET = (
    click.option("--island", metavar="K", help="Of a run: its index or name. Default: the one with the best champion."),
    click.option("-c", "--config", "preset", help="The configuration of a .safetensors file: a preset or YAML file."),
    SET,
    JSON,
)


@click.command()
@click.argument("target", metavar="RUN|STUDY|FILE")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="In which form.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file, replaced if there. Default: ./champion.*; -: stdout."
)
@shared_options(*_TARGET)
def export(
    target: str, form: str, out: Path | None, island: str | None, preset: str | None, sets: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Write the champion of a run, or of a study's best trial, so that it works without this project.

    A creature's body goes with it. FILE: a genome (`evolab replay --export`) or what --format json wrote.
    """
    from launcher import champions, exporting

    result, content = exporting.export(champions.find(target, island, preset, sets), form, out, as_json)
    if result["path"] == "-":
        sys.stdout.buffer.write(content)
    else:
        print_or_json(result, lambda value: click.echo(exporting.told(value)), as_json)


@click.command()
@click.argument("target", metavar="RUN|STUDY|FILE")
@click.option("--episodes", type=click.IntRange(min=1), default=64, show_default=True, help="Fresh ones.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which episodes.")
@shared_options(*_TARGET)
def play(
    target: str, episodes: int, seed: int, island: str | None, preset: str | None, sets: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Evaluate a champion, or any exported genome, on fresh episodes: mean ± 95 % confidence interval.

    The same --seed gives the same episodes and figures. Exit code 1 if an episode failed.
    """
    from launcher import champions, playing

    result = playing.play(champions.find(target, island, preset, sets), episodes, seed)
    print_or_json(result, lambda value: click.echo(playing.told(value)), as_json)
    sys.exit(0 if result["mean"] is not None else 1)


COMMANDS = (export, play)
