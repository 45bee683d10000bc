"""The commands that people look at in a browser: `evolab report`, `dashboard`. Parse → call one function → print."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launcher.cli import JSON, print_or_json


@click.command()
@click.argument("names", metavar="RUN|STUDY|FOLDER…", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="The file, replaced if there. Default: report.html in the run's or study's folder, else in this one.",
)  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@click.option("--with-runs", is_flag=True, help="Of a study or folder: a report of every run too, which it links to.")
@JSON
def report(names: tuple[str, ...], out: Path | None, opens: bool, with_runs: bool, as_json: bool) -> None:
    """Write one HTML file about a run, a study or a folder of them, or about several compared. It needs no network.

    A run that goes on, or was killed, is reported as far as it came.
    """
    from launcher import report as reporting

    told = reporting.write(names, out, with_runs)
    if opens and click.launch(Path(told["path"]).as_uri()) != 0:
        print("evolab: no browser could be opened", file=sys.stderr)
    print_or_json(told, lambda value: click.echo(f"report: {value['path']} ({value['bytes'] / 1e6:.1f} MB)"), as_json)


@click.command()
@click.argument("runs_dir", required=False, type=click.Path(path_type=Path), default=Path("runs"))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Where it listens; 0: any free one."
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
def dashboard(runs_dir: Path, port: int, opens: bool) -> None:
    """Show the runs in RUNS_DIR (default: ./runs), and the studies beside it, on a page that follows them.

    On this machine alone, until Ctrl-C; it changes nothing, and runs go on without it.
    """
    from launcher.dashboard import server

    def ready(url: str) -> None:
        click.echo(f"dashboard: {url} (Ctrl-C ends it)")
        if opens and click.launch(url) != 0:
            print("evolab: no browser could be opened", file=sys.stderr)

    sys.exit(server.exit_code(server.serve(runs_dir, port, ready)))


COMMANDS = (report, dashboard)
