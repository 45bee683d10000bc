"""Measures the pieces of docs/benchmarks.md and writes the page from all that has been measured so far.

make bench                        # everything: about 15 minutes
make bench ARGS='field gate'      # some pieces anew; the others as they are in runs/benchmarks/
make bench ARGS='--page-only'     # the page from what there is
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from types import ModuleType

from islands import files
from islands.errors import EvolabError
from scripts.benchmarks import (
    arithmetic,
    cores,
    field,
    gate,
    gpu,
    gpu_host,
    memory,
    pieces,
    pygmo,
    seeing,
    speed,
    starting,
)

PIECES: dict[str, ModuleType] = {
    "speed": speed, "starting": starting, "arithmetic": arithmetic, "memory": memory, "field": field, "cores": cores,
    "pygmo": pygmo, "gpu": gpu, "host": gpu_host, "gate": gate, "seeing": seeing,
}  # fmt: skip
"""Each has a TITLE, `measure(quick)`, which returns its figures, and `section(figures)`, which returns Markdown."""
HEAD = """\
# Benchmarks

`make bench` measures all of this and writes this page; `make bench ARGS=NAME` measures one section again. The figures
lie in runs/benchmarks/, a JSON file a section. CPU time is what counts where the machine was shared.
"""


def main() -> int:
    arguments = parsed()
    wanted = [] if arguments.page_only else arguments.pieces or PIECES
    codes = [measured(name, arguments.quick) for name in wanted]
    files.replace_atomically(arguments.page, page().encode())
    print(arguments.page)
    judged = pieces.kept("gate")
    return max([*codes, 1 if judged and judged["figures"]["regressed"] else 0])


def measured(name: str, quick: bool) -> int:
    """Measure a piece and keep its figures, those of before where it cannot be measured; the exit code.

    Figures from another machine, of what this one has not, stand as they are.
    """
    began, load = time.monotonic(), os.getloadavg()[0]
    print(f"{name}: {PIECES[name].TITLE}", file=sys.stderr, flush=True)
    try:
        pieces.keep(name, PIECES[name].measure(quick), load)
    except EvolabError as error:
        print(f"{name}: {error}", file=sys.stderr)
        told = pieces.kept(name)
        return 0 if told and told.get("elsewhere") else error.exit_code
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("pieces", nargs="*", type=_known, metavar="PIECE", help=f"some of {', '.join(PIECES)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    parser.add_argument("--page", type=Path, default=pieces.ROOT / "docs" / "benchmarks.md")
    return parser.parse_args()


def _known(name: str) -> str:
    if name not in PIECES:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(PIECES)}, got {name}")
    return name


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, piece in PIECES.items():
        told = pieces.kept(name)
        parts.append(f"## {piece.TITLE}\n")
        if told is None:
            parts.append(f"Not measured yet: `make bench ARGS={name}`.\n")
        else:
            parts.append(f"{pieces.stamped(name, told['stamp'])}\n\n{piece.section(told['figures'])}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
