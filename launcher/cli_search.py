"""The commands about studies: `evolab search`, `best`, `importance`. Parse → call one function → print."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from launcher.cli import JSON, SET, print_or_json, shared_options

_MODES = click.Choice(["neat", "pure", "hybrid"])
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("study", required=False)
@click.option("--list", "listing", is_flag=True, help="List the studies in ./studies.")
@shared_options(
    click.option("-m", "--mode", type=_MODES, help="Which networks evolve (default: neat, or the configuration's)."),
    click.option("-c", "--config", "preset", help="What trials start from (default: <mode>_baseline)."),
    click.option("-n", "--trials", type=int, default=50, show_default=True, help="Trials of the study, in all."),
    click.option("-g", "--generations", type=int, help="Generations of a run (default: the configuration's)."),
    click.option("-s", "--seeds", type=int, default=3, show_default=True, help="Whole runs of a trial, a seed each."),
    click.option("-p", "--population-size", type=int, help="Genomes per population (default: the configuration's)."),
    click.option("--stagnation-limit", type=int, default=50, show_default=True,
                 help="A population stops after so many generations without a better best; 0: never."),
    SET,
)  # fmt: skip
@shared_options(
    click.option("--backend", help="sequential (default), processes (default with --n-jobs), ray or pool."),
    click.option("-w", "--n-jobs", "--workers", "jobs", type=int, help="Trials at a time."),
    click.option("--islands", help="Islands of a trial: a number, auto (default: one per core of a trial) or search."),
    click.option(
        "--threads-per-worker", "threads", type=int, default=1, show_default=True, help="Threads of an island."
    ),
    click.option(
        "--limit-threads", is_flag=True, help="One thread an island: the default, as the seed's flag meant it."
    ),
    click.option("--oversubscribe", is_flag=True, help="Allow more threads than usable cores."),
    click.option("--address", help="A running Ray cluster's (with --backend ray)."),
)
@shared_options(
    click.option("--multi-objective", is_flag=True, help="Maximise fitness and behavioural diversity."),
    click.option("--sampler", help="tpe (default), gp, cmaes, nsga2 (default with --multi-objective) or random."),
    click.option("--pruner", type=click.Choice(["median", "hyperband", "wilcoxon", "none"]), default="none",
                 show_default=True, help="When to give a trial up."),
    click.option("--space", type=_PATH, help="A search space of your own (default: configs/spaces/<mode>.yaml)."),
    click.option("--storage", help="Any Optuna storage's URL (default: a journal in the study's folder)."),
    click.option("--seed", type=int, default=42, show_default=True, help="The sampler's."),
)  # fmt: skip
@shared_options(
    click.option("--timeout", help="Stop with checkpoints after so long: 90, 30m, 2h."),
    click.option("--cost-per-hour", type=float, help="What this machine costs; trials' costs are then stated."),
    click.option("--max-cost", type=float, help="Stop with checkpoints at this cost."),
    click.option("--revive", type=int, metavar="TRIAL", help="Let a pruned trial go on to its end."),
    click.option("--out", type=_PATH, help="The study's folder itself. Default: studies/STUDY in this folder."),
    JSON,
)
def search(study: str | None, listing: bool, as_json: bool, **wanted: Any) -> None:
    """Search hyperparameters: a study of trials, each one or more whole runs. The same command again continues it."""
    from launcher import tables

    if listing:
        from launcher import best

        print_or_json(best.listing(), tables.studies, as_json)
        return
    if study is None:
        raise click.UsageError("expected the name of a STUDY, or --list")
    from launcher import search as searching

    with contextlib.redirect_stdout(sys.stderr):  # where Ray, for one, would tell of workers that died
        summary, code = searching.search(_request(study, **wanted))
    print_or_json(summary, tables.study, as_json)
    sys.exit(code)


@click.command()
@click.argument("study")
@click.option("-n", "count", type=int, default=5, show_default=True, help="How many trials.")
@click.option("--export", "preset", type=_PATH, help="Write the best one's configuration as a preset, name.yaml.")
@JSON
def best(study: str, count: int, preset: Path | None, as_json: bool) -> None:
    """Show the best trials of STUDY (the Pareto front, where it has several objectives)."""
    from launcher import best as finding
    from launcher import tables

    if preset is not None:
        print(f"wrote {finding.export(study, preset)}", file=sys.stderr)
    print_or_json(finding.best(study, count), tables.best, as_json)


@click.command()
@click.argument("study")
@click.option("--method", type=click.Choice(["ped-anova", "fanova"]), default="ped-anova", show_default=True)
@JSON
def importance(study: str, method: str, as_json: bool) -> None:
    """Show which parameters of STUDY mattered."""
    from launcher import best as finding
    from launcher import tables

    found = finding.importance(study, method)
    if found["warning"]:
        print(f"evolab: warning: {found['warning']}", file=sys.stderr)
    print_or_json(found, tables.importance, as_json)


def _request(
    study: str, sets: tuple[str, ...], generations: int | None, population_size: int | None, stagnation_limit: int,
    limit_threads: bool, threads: int, timeout: str | None, **wanted: Any,
) -> Any:  # fmt: skip
    from islands.errors import ConfigError
    from launcher.search import Request, seconds_of
    from launcher.start import overrides

    if limit_threads and threads != 1:
        raise ConfigError(
            "--limit-threads", expected="one thread", got=f"--threads-per-worker {threads}", do="drop one"
        )
    options = {"generations": generations, "population": population_size}
    options["evaluation.stagnation_limit"] = stagnation_limit
    return Request(
        study, overrides=overrides(options, sets), threads=threads,
        timeout=None if timeout is None else seconds_of(timeout), **wanted,
    )  # fmt: skip


COMMANDS = (search, best, importance)
