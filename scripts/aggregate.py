#!/usr/bin/env python3
"""Turn any set of runs into tables: one row a generation, a migrant, a champion.

    scripts/aggregate.py runs/ --out tables --format parquet

Writes generations, migrants and champions as CSV or Parquet. In a notebook use `launcher.results` directly:

    from launcher import results, run
    frame = results.generations(run.every())
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from islands.errors import EvolabError  # noqa: E402
from launcher import results, run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Turn runs into tables: one row a generation, a migrant, a champion.")
    parser.add_argument("runs", nargs="*", default=["runs"], help="run directories, their names, or folders of runs")
    parser.add_argument("--out", type=Path, default=Path("tables"), help="folder to write to (default: tables)")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    arguments = parser.parse_args()
    try:
        found = [each for name in arguments.runs for each in run.every(Path(name)) or [run.find(name)]]
        for path in results.export(found, arguments.out, arguments.format):
            print(path)
    except EvolabError as error:
        print(f"aggregate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
