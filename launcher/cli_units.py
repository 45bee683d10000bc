"""The commands for systemd and other supervisors: `evolab island`, `install-unit`. Parse → call a function → print."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("place", metavar="RUN:INDEX")
def island(place: str) -> None:
    """Be one island of a run, for a supervisor other than `launch` (systemd, a shell's loop).

    Sets the variables that limit threads and becomes `python -m islands`. Exit codes: 0 finished, 85 stopped with a
    checkpoint, 75 try again, 78 a configuration that cannot work, 74 disk, 70 internal; 2 no such run.
    """
    from launcher.island import become

    become(place)


@click.command("install-unit")
@click.option("--user", is_flag=True, help="Units of your own service manager, in ~/.config/systemd/user.")
@click.option("--dir", "folder", type=_PATH, help="Where the units go. Default: /etc/systemd/system.")
@click.option("--working-directory", "directory", type=_PATH, help="The folder of runs/. Default: this one.")
@click.option("--memory-max", "memory", default="90%", show_default=True, help="For all of evolab together: 64G, 90%.")
@click.option("--cpus", default="", help="The processors that evolab may use, such as 1-127. Default: all.")
@click.option("--print", "printed", is_flag=True, help="Print the units, write nothing.")
@click.option("--force", is_flag=True, help="Replace units that are different.")
def install_unit(
    user: bool, folder: Path | None, directory: Path | None, memory: str, cpus: str, printed: bool, force: bool
) -> None:
    """Write the systemd units for this installation: evolab-run@, evolab-island@ and evolab.slice.

    System units run as the owner of the working directory.
    """
    from launcher import installing

    request = installing.Request(user, folder, directory, memory, cpus)
    print("\n".join(installing.shown(request) if printed else installing.install(request, force)))


COMMANDS = (island, install_unit)
