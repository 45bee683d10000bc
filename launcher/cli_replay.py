"""The commands that show what was evolved: `evolab replay-page`, `replay-video`. Parse → call one function → print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from launcher.cli import JSON, print_or_json

_OUT = click.option("--out", type=click.Path(path_type=Path), help="The file, replaced if there. Default: in the run.")


@click.command("replay-page")
@click.argument("run")
@_OUT
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
@JSON
def replay_page(run: str, out: Path | None, opens: bool, as_json: bool) -> None:
    """Write RUN's replay as one HTML file: the champion and others moving, in recorded episodes of their evaluation.

    It needs no network and is small enough to mail.
    """
    from launcher.report import replays
    from launcher.run import find

    result = replays.page(find(run), out)
    print_or_json(result, _told, as_json)
    if opens:
        click.launch(result["path"])


def _told(result: dict[str, Any]) -> None:
    for note in result["notes"]:
        click.echo(note)
    click.echo(f"{result['recordings']} recorded episodes, {result['bytes'] / 1e6:.1f} MB: {result['path']}")


@click.command("replay-video")
@click.argument("run")
@_OUT
@click.option("--fps", type=click.IntRange(1, 60), default=15, show_default=True, help="Frames a second.")
@JSON
def replay_video(run: str, out: Path | None, fps: int, as_json: bool) -> None:
    """Write what RUN's replay begins with, the champion beside the first generation's best, as an MP4 or a GIF.

    Needs ffmpeg, Chromium and playwright.
    """
    from launcher.report import video
    from launcher.run import find

    result = video.video(find(run), out, fps)
    print_or_json(result, lambda told: click.echo(f"{told['frames']} frames, {told['path']}"), as_json)


COMMANDS = (replay_page, replay_video)
