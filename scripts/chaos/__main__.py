"""Faults on purpose, with real processes, and a report of what became of them.

make chaos                                    # everything: about 40 minutes on 2 cores
make chaos ARGS='--quick'                     # all of it smaller: about 4 minutes
make chaos ARGS='--only kills,hostile'        # some scenarios
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from scripts.chaos import cost, hostile, kills, stalls, stops, suite
from scripts.chaos.report import Report

SCENARIOS: dict[str, tuple[Callable[[Report, Path], None], str]] = {
    "writers": (suite.writers, "64 writers × 1000 publications, 8 readers"),
    "kills": (kills.main, "500 × kill -9 over 8 islands in 1,500 generations"),
    "faults": (suite.faults, "every fault point × each error"),
    "hostile": (hostile.main, "10,000 hostile files, 100,000 valid ones"),
    "stalls": (stalls.main, "SIGSTOP of one island of 8 for 120 s"),
    "stops": (stops.main, "200 × SIGTERM"),
    "disk": (suite.disk, "full, read-only, without inodes"),
    "misfits": (suite.misfits, "crashing, hanging, poisoned and badly configured islands"),
    "cost": (cost.main, "8, 32 and 128 islands: system calls, files, memory, start"),
}


def main() -> int:
    arguments = parsed()
    folder = arguments.out or Path(f"chaos-{time.strftime('%Y%m%d-%H%M%S')}")
    if folder.exists() and any(folder.iterdir()):
        print(f"chaos: {folder} is not empty; choose another folder with --out", file=sys.stderr)
        return 2
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(folder, arguments.quick)
    for name in arguments.only:
        attempt(report, name, folder / name)
    failed = [line for line in report.lines if line.passed is False]
    print(f"{folder / 'report.md'}: {len(report.lines)} checks, {len(failed)} failed")
    return 1 if report.failed else 0


def parsed() -> argparse.Namespace:
    listed = "; ".join(f"{name}: {about}" for name, (_, about) in SCENARIOS.items())
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.splitlines()[0], epilog=listed)
    parser.add_argument("--only", type=chosen, default=list(SCENARIOS), metavar="NAME,…", help="these scenarios")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter faults: about four minutes")
    parser.add_argument("--out", type=Path, help="folder of the report, new or empty (default: chaos-<time>)")
    return parser.parse_args()


def chosen(text: str) -> list[str]:
    """The scenarios that a comma-separated list names."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(SCENARIOS)}, got {', '.join(unknown)}")
    return names


def attempt(report: Report, name: str, folder: Path) -> None:
    """One scenario. An error of its own is a failed check and does not keep the others from being tried."""
    report.scenario, before = name, len(report.lines)
    report.tell(SCENARIOS[name][1])
    folder.mkdir()
    try:
        SCENARIOS[name][0](report, folder)
    except Exception as error:
        (report.folder / f"{name}.traceback").write_text(traceback.format_exc())
        report.check(SCENARIOS[name][1], "to be carried out", f"{type(error).__name__}: {error}", False)
    mine = report.lines[before:]
    if mine and all(line.passed is not False for line in mine):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        report.tell(f"what it left is in {folder}")


if __name__ == "__main__":
    sys.exit(main())
