"""The command `evolab`. Parse → call one function → print; no logic, and nothing heavy imported before it is needed."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from launcher import cli_places

if TYPE_CHECKING:
    from islands.rundir import RunDir
    from launcher.settings import Outcome, Settings
    from launcher.start import Request

F = TypeVar("F", bound=Callable[..., Any])


class _Count(click.ParamType[int]):
    """A whole number, or `auto` for 0."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        return 0 if value == "auto" else int(click.INT.convert(value, param, ctx))


JSON = click.option("--json", "as_json", is_flag=True, help="JSON alone on stdout; progress stays on stderr.")
_CONFIG = click.option("-c", "--config", "preset", help="A preset (see `evolab configs`) or a YAML file's path.")
_GENERATIONS = click.option("-g", "--generations", type=int, help="Generations; a run that has fewer is extended.")
_POPULATION = click.option("-p", "--population", type=int, help="Genomes per population.")
SET = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override any key; repeatable.")
_SEED = click.option("--seed", type=int, help="The (first) seed.")
_DEVICE = click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Where genomes are evaluated.")
_EVERY = click.option("--migrate-every", type=int, help="Generations between migrations (default 10; 0: never).")
_MIGRANTS = click.option("--migrants", type=int, help="Genomes that leave, and that arrive (default 5).")
DRIVING = (
    click.option("--pin/--no-pin", default=True, show_default=True, help="Give every island a core of its own."),
    click.option("--cost-per-hour", type=float, help="What this machine costs; the run's cost is then stated."),
    click.option("--max-cost", type=float, help="Stop with checkpoints when the run has cost so much in all."),
    click.option("--max-hours", type=float, help="Stop with checkpoints after so many hours."),
    click.option("--detach", is_flag=True, help="Islands outlive this launcher; the next one adopts them."),
    click.option("--on-finish", metavar="COMMAND", help="Run it in the end, with EVOLAB_RUN and EVOLAB_EXIT_CODE set."),
    click.option("--prometheus", type=click.Path(path_type=Path), help="Keep a Prometheus text file of the figures."),
    click.option(
        "--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Write scalars for TensorBoard."
    ),
    click.option("--low-water", type=float, metavar="GB", help="Warn below it (default: 1 GB or 2 %, the larger)."),
    *cli_places.OPTIONS,
)
"""How `launch` and `resume` drive a run; see `settings_of`."""
_OUT = click.option(
    "--out", type=click.Path(path_type=Path), help="The run directory itself. Default: runs/<name> in this folder."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evolution-lab")
def commands() -> None:
    """Evolution Lab: archipelagos of populations that evolve creatures, one process an island.

    Runs lie in ./runs, migration directories of `launch` in ./shared, studies of `search` in ./studies.
    """


def shared_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@commands.command()
@JSON
def configs(as_json: bool) -> None:
    """List the presets."""
    from launcher import presets, tables

    print_or_json([preset._asdict() for preset in presets.describe_all()], tables.configs, as_json)


@commands.command()
@shared_options(_CONFIG, _GENERATIONS, _POPULATION, _SEED, _DEVICE, SET, _OUT, JSON)
@click.option(
    "-s", "--seeds", type=int, default=1, show_default=True, help="How many: 42, 123, 456, 789, 1337, 1338, …"
)
@click.option("--batched/--no-batched", default=True, help="All seeds of a generation in one batch; same results.")
@click.option("--stagnation-limit", type=int, help="Stop after so many generations without a better best.")
def run(
    seeds: int, batched: bool, stagnation_limit: int | None, device: str | None, as_json: bool, **wanted: Any
) -> None:
    """Evolve one population per seed, without islands. The same command with --out again continues it."""
    from launcher import start, summary, tables

    request = _request(wanted, {"evaluation.stagnation_limit": stagnation_limit, "device": device})
    directory, outcome = start.run_seeds(request, seeds, batched)
    finish(directory, outcome, summary.of_run(directory), tables.seeds, as_json)


@commands.command()
@click.argument("name")
@shared_options(_CONFIG, _GENERATIONS, _POPULATION, _SEED, _DEVICE, SET, _OUT, JSON, _EVERY, _MIGRANTS)
@click.option("--migration-dir", type=click.Path(path_type=Path), help="Shared with the other islands; none: alone.")
def evolve(
    name: str,
    migration_dir: Path | None,
    device: str | None,
    migrate_every: int | None,
    migrants: int | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Evolve one island in the foreground, in runs/NAME. The same command again continues or extends it.

    Many of these with one --migration-dir make an archipelago. An island's randomness follows from seed and NAME.
    """
    from launcher import start, summary, tables

    options = {"device": device, "migration.every": migrate_every, "migration.migrants": migrants}
    directory, outcome = start.evolve(_request(wanted, options), name, migration_dir)
    finish(directory, outcome, summary.of_launch(directory, outcome), tables.archipelago, as_json)


@commands.command()
@shared_options(_CONFIG, _GENERATIONS, _POPULATION, _SEED, _DEVICE, SET, _OUT, JSON, _EVERY, _MIGRANTS)
@click.option("--islands", type=_Count(), help="How many, or auto (default): one per usable core.")
@click.option("--topology", help="full, ring, torus, star, random-K, isolated, or edges such as a>b,b>c.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads (and cores) per island.")
@shared_options(*DRIVING)
@click.option(
    "--island-config", "differing", multiple=True, metavar="ISLANDS:WHAT",
    help="Islands that differ: 0-3:KEY=VALUE,…, 4:PRESET, all:space=neat; repeatable.",
)  # fmt: skip
@click.option("--pbt", is_flag=True, help="Hyperparameters travel: a beaten island takes over the sender's, perturbed.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped; -g extends it.")
@click.option("--report", is_flag=True, help="In the end write the run's report.html, and say where it is.")
def launch(
    islands: int | None,
    topology: str | None,
    threads: int,
    differing: tuple[str, ...],
    pbt: bool,
    resume: str | None,
    report: bool,
    device: str | None,
    migrate_every: int | None,
    migrants: int | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Launch an archipelago: islands in processes of their own, one a core, that exchange genomes through files."""
    from launcher import resuming, start, summary, tables

    options = {
        "device": device,
        "migration.every": migrate_every,
        "migration.migrants": migrants,
        "migration.islands": islands,
        "migration.topology": topology,
        "migration.pbt": "true" if pbt else None,
    }
    settings = settings_of(**{name: wanted.pop(name) for name in _DRIVEN})
    request = _request(wanted, options)
    if resume and differing:
        raise click.UsageError("--island-config is for a new run: islands of one that goes on are what they were")
    if resume:
        directory, outcome = resuming.resume(resume, request, settings)
    else:
        directory, outcome = start.launch(request, threads, settings, differing)
    finish(directory, outcome, summary.of_launch(directory, outcome), tables.archipelago, as_json, report)


@commands.command()
@click.argument("run", required=False)
@click.option("--watch", is_flag=True, help="Stay and redraw what changes until Ctrl-C.")
@JSON
def status(run: str | None, watch: bool, as_json: bool) -> None:
    """Show the state of RUN, or of all runs in ./runs, from the files alone."""
    from launcher import status as states
    from launcher import tables

    look, show = (states.of_one(run), tables.status) if run else (states.of_all(), tables.statuses)
    if watch:
        from launcher import looking, status_screen
        from launcher.run import RUNS, find

        draw = status_screen.Screen(find(run)).draw if run else None
        looking.watch(look, show, [find(run).path if run else RUNS], draw)
    else:
        print_or_json(look(), show, as_json)


@commands.command()
@JSON
def results(as_json: bool) -> None:
    """List the runs in ./runs with their champions."""
    from launcher import summary, tables
    from launcher.run import every

    print_or_json(summary.of_results(every()), tables.results, as_json)


@commands.command()
@click.argument("run")
@JSON
def show(run: str, as_json: bool) -> None:
    """Show what RUN was and how it went."""
    from launcher import summary, tables
    from launcher.run import find

    print_or_json(summary.of_show(find(run)), tables.show, as_json)


@commands.command()
@click.argument("names", metavar="RUN_OR_CONFIG…", nargs=-1, required=True)
@shared_options(_GENERATIONS, _POPULATION, JSON)
@click.option("-s", "--seeds", type=int, default=5, show_default=True, help="Seeds per configuration that is run.")
def compare(names: tuple[str, ...], generations: int | None, population: int | None, seeds: int, as_json: bool) -> None:
    """Rank runs, or configurations (which are run first), by their champions' held-out means.

    Says with 95 % intervals and a test (Welch's t, Holm-corrected) whether a difference is more than noise.
    """
    from launcher import compare as comparing
    from launcher import start, tables

    wanted = start.overrides({"generations": generations, "population": population})
    print_or_json(comparing.compare(names, wanted, seeds), tables.comparison, as_json)


@commands.command()
@_CONFIG
@click.option("-p", "--population", type=int, default=500, show_default=True, help="Genomes.")
@click.option("-g", "--generations", type=int, default=10, show_default=True, help="Generations after warm-up.")
@click.option("--profile", is_flag=True, help="Also say which phases the time goes to, files and checkpoint included.")
@JSON
def benchmark(preset: str | None, population: int, generations: int, profile: bool, as_json: bool) -> None:
    """Measure whole generations after warm-up, and where the time went."""
    from launcher import benchmark as measuring
    from launcher import tables
    from launcher.start import PRESET

    figures = measuring.benchmark(preset or PRESET, population, generations)
    if profile:
        figures["profile"] = measuring.profile(preset or PRESET, population, generations)
    print_or_json(figures, tables.benchmark, as_json)


def _request(wanted: dict[str, Any], options: dict[str, Any]) -> Request:
    from launcher.start import Request, overrides

    options = {"generations": wanted["generations"], "population": wanted["population"], **options}
    return Request(wanted["preset"], overrides(options, wanted["sets"]), wanted["out"], wanted["seed"])


def print_or_json(value: Any, table: Callable[[Any], None], as_json: bool) -> None:
    """A command's result: JSON, or a table for people."""
    if as_json:
        print(json.dumps(value, indent=1, allow_nan=False))
    else:
        table(value)


def settings_of(low_water: float | None, **driving: Any) -> Settings:
    """The settings that the options in `DRIVING` ask for."""
    from launcher.settings import Settings

    place = cli_places.place_of(**{name: driving.pop(name) for name in cli_places.NAMES})
    return Settings(low_water=None if low_water is None else low_water * 1e9, place=place, **driving)


_DRIVEN = (
    "pin", "cost_per_hour", "max_cost", "max_hours", "detach", "on_finish", "prometheus", "tensorboard", "low_water",
    *cli_places.NAMES,
)  # fmt: skip


def finish(
    run: RunDir, outcome: Outcome, value: Any, table: Callable[[Any], None], as_json: bool, report: bool = False
) -> NoReturn:
    """What a command that drives a run ends with: complaints, its result, its report if wanted, its exit code."""
    from launcher.start import complaints

    for line in complaints(run, outcome):
        print(f"evolab: {line}", file=sys.stderr)
    if outcome.exit_code != 2:
        print_or_json(value, table, as_json)
    if report and outcome.exit_code != 2:
        from launcher import report as reporting

        print(reporting.said_of_run(run), file=sys.stderr if as_json else sys.stdout)
    sys.exit(outcome.exit_code)


def main() -> NoReturn:
    """The entry point: errors that a user can mend are one line on stderr and exit code 2."""
    from islands import faults, files
    from islands.errors import DiskError, EvolabError
    from launcher import cli_champion, cli_machine, cli_operate, cli_replay, cli_report, cli_search, cli_units

    for module in (cli_search, cli_champion, cli_report, cli_replay, cli_units, cli_machine, cli_operate):
        for command in module.COMMANDS:
            commands.add_command(command)
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):  # a terminal without ± is no reason to end a night with a traceback
        stdout.reconfigure(errors="replace")
    try:
        faults.check()
        commands.main(prog_name="evolab", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(0)
    except click.ClickException as error:
        print(f"evolab: {' '.join(error.format_message().split())}; see `evolab --help`", file=sys.stderr)
        sys.exit(error.exit_code)
    except EvolabError as error:
        print(f"evolab: {error}", file=sys.stderr)
        sys.exit(75 if isinstance(error, DiskError) else getattr(error, "launcher_code", 2))
    except (BrokenPipeError, SystemExit) as end:
        known = isinstance(end, BrokenPipeError) or isinstance(end.__context__, BrokenPipeError)  # by us, or by Rich
        if not known and sys.stdout is stdout:  # Click puts something else there
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())  # whoever read our output has had enough
        sys.exit(141)
    except OSError as error:
        if not files.is_of_the_disk(error):
            raise
        print(f"evolab: {error.filename or 'the disk'}: {error.strerror}; mend the disk and try again", file=sys.stderr)
        sys.exit(75)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)


if __name__ == "__main__":
    main()
