#!/usr/bin/env python3
"""Turn any set of runs and studies into tables: a row a generation, a migrant, a champion, an island, a trial.

    scripts/aggregate.py runs/ studies/ --out tables --format parquet

Writes generations, migrants, champions, islands and trials as CSV or Parquet. Of a study its trials' runs are in the
tables too. The columns are described in `launcher/results.py`, which a notebook uses directly:

    from launcher import results, run
    frame = results.generations(run.every())
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from islands.errors import ConfigError, EvolabError  # noqa: E402
from islands.rundir import RunDir  # noqa: E402
from launcher import results, run, trials  # noqa: E402
from launcher.trials import StudyDir  # noqa: E402


def found(names: list[str]) -> tuple[list[RunDir], list[StudyDir]]:
    """The runs and the studies that the names mean: one, or a folder of them; a study's runs are among the runs."""
    runs: dict[Path, RunDir] = {}
    studies: dict[Path, StudyDir] = {}
    for name in names:
        some, searches = _called(name)
        studies |= {study.path.absolute(): study for study in searches}
        some += [made for study in searches for made in study.runs()]
        runs |= {each.path.absolute(): each for each in some}
    return list(runs.values()), list(studies.values())


def _called(name: str) -> tuple[list[RunDir], list[StudyDir]]:
    if run.exists(name):
        return [run.find(name)], []
    if trials.exists(name):
        return [], [trials.find(name)]
    runs, studies = run.every(Path(name)), trials.every(Path(name))
    if not runs and not studies:
        expected = "a run, a study, or a folder of them"
        raise ConfigError(f"nothing called {name!r}", expected=expected, do="see `evolab results`")
    return runs, studies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", metavar="RUN|STUDY|FOLDER", nargs="*", help="default: runs, and studies if there is one"
    )
    parser.add_argument("--out", type=Path, default=Path("tables"), help="folder to write to (default: tables)")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    arguments = parser.parse_args()
    try:
        runs, studies = found(arguments.names or ["runs", *(["studies"] if trials.every() else [])])
        for path in results.export(runs, studies, arguments.out, arguments.format):
            print(path)
    except EvolabError as error:
        print(f"aggregate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
