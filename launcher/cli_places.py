"""The options of `launch` and `resume` that say where islands run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from launcher.places import Place

_TIME = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?", re.ASCII)


class _Minutes(click.ParamType[int]):
    """Minutes, `HH:MM:SS` or `D-HH:MM:SS`, as for sbatch."""

    name = "MINUTES|[D-]HH:MM:SS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Whole minutes, at least 5: the island needs the last one and a half to checkpoint."""
        found = _TIME.fullmatch(str(value))
        if found and (found[1] or found[4]):
            days, hours, minutes = int(found[1] or 0), int(found[2]), int(found[3])
            total = (days * 24 + hours) * 60 + minutes
        else:
            total = int(click.INT.convert(value, param, ctx))
        if total < 5:
            self.fail(f"{value!r} is less than 5 minutes.", param, ctx)
        return total


OPTIONS = (
    click.option("--on", type=click.Choice(["here", "ray", "slurm"]), help="Where islands run. Default: as last time."),
    click.option("--address", metavar="ADDRESS", help="Ray: of a cluster, or auto. Default: a Ray started here."),
    click.option("--partition", metavar="NAME", help="Slurm: the partition."),
    click.option("--account", metavar="NAME", help="Slurm: whom it is charged to."),
    click.option("--time", type=_Minutes(), help="Slurm: a task's time limit (default 4 h); islands go on after it."),
    click.option("--memory", type=click.FloatRange(min=0, min_open=True), metavar="GB", help="Slurm: of an island."),
    click.option("--cpus-per-task", "cpus", type=click.IntRange(min=1), help="Slurm: of an island; default --threads."),
    click.option(
        "--slurm", "extra", multiple=True, metavar="KEY=VALUE", help="Slurm: any option of sbatch; repeatable."
    ),
)
NAMES = ("on", "address", "partition", "account", "time", "memory", "cpus", "extra")
_OF_RAY, _OF_ALL = {"address"}, {"on"}


def place_of(on: str | None, **options: Any) -> Place | None:
    """The place that was asked for; None: nobody said."""
    from launcher.places import Place

    given = {name: value for name, value in options.items() if value}
    for name in given:
        fits = "ray" if name in _OF_RAY else "slurm"
        if on != fits:
            shown = {"cpus": "cpus-per-task", "extra": "slurm"}.get(name, name)
            raise click.UsageError(f"--{shown} goes with --on {fits}")
    return Place(on, **given) if on else None
