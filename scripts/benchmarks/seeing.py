"""What looking costs: sizes of reports and recordings, times of reports and tables (about three minutes).

One real archipelago of 20 islands x 150 generations is evolved (small populations: their size does not show in files);
that of 128 x 1000 repeats its files' lines, so that every line is one that an island wrote.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from islands import files
from islands.rundir import RunDir
from launcher import presets, recordings, run
from scripts.benchmarks import pieces
from scripts.benchmarks.pieces import ROOT

SMALL, LARGE = (20, 150), (128, 1000)
"""Islands, generations."""
Line = tuple[str, tuple[int, int] | None, str, str]
TITLE = "Looking at runs"
HEAD = "Seconds are CPU seconds of one command, its start and imports included; sizes are of files."


def evolab(*arguments: str, folder: Path) -> tuple[Any, float]:
    """The JSON that a command prints, and the CPU seconds that it and its children took."""
    return timed([sys.executable, "-m", "launcher", *arguments, "--json"], folder)


def timed(command: Sequence[str], folder: Path) -> tuple[Any, float]:
    """What a command prints, read as JSON where it is, and its CPU seconds."""
    before = os.times()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, stdout=subprocess.PIPE, text=True
    )
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    try:
        return json.loads(done.stdout), spent
    except ValueError:
        return done.stdout, spent


def evolved(folder: Path) -> RunDir:
    """A real archipelago of `SMALL` with its migrations."""
    islands, generations = SMALL
    evolab("launch", "-c", "neat_baseline", "-p", "40", "-g", str(generations), "--islands", str(islands), "--out",
           "small", folder=folder)  # fmt: skip
    return RunDir(folder / "small")


def repeated(small: RunDir, folder: Path) -> RunDir:
    """An archipelago of `LARGE` whose metrics and logs of migrations repeat the lines of `small`."""
    islands, generations = LARGE
    names = tuple((f"island-{index:03}", 42) for index in range(islands))
    config = presets.resolve("neat_baseline", [f"generations={generations}"])
    made = run.make(folder / "large", config, run.Plan("launch", "neat_baseline", names, migration_dir=folder / "pool"))
    lives = [_lines(island.metrics) for island in small.islands()]
    logs = [_lines(island.migrations) for island in small.islands()]
    ends = [files.read_json(island.result) for island in small.islands()]
    for index, island in enumerate(made.islands()):
        source = index % len(lives)
        files.JsonLines(island.metrics, durable=False).extend(_onwards(lives[source], generations))
        files.JsonLines(island.migrations, durable=False).extend(_onwards(logs[source], generations))
        files.write_json(island.result, {**ends[source], "island": island.name, "index": index})
    return made


def _lines(path: Path) -> list[dict[str, Any]]:
    return list(files.each_jsonl(path))


def _onwards(lines: Sequence[dict[str, Any]], generations: int) -> list[dict[str, Any]]:
    """The lines again and again, numbered on."""
    period = SMALL[1]
    return [
        {**line, "generation": line["generation"] + start}
        for start in range(0, generations, period)
        for line in lines
        if line["generation"] + start < generations
    ]


def rows(folder: Path) -> Iterator[Line]:
    """The table: what, of which size, the figure, the bar."""
    small = evolved(folder)
    large = repeated(small, folder)
    for made, size, bar in ((small, SMALL, "under 5 MB"), (large, LARGE, "–")):
        told, seconds = evolab("report", str(made.path), folder=folder)
        yield "report of a run", size, f"{told['bytes'] / 1e6:.1f} MB in {seconds:.1f} s", bar
    chosen = recordings.made(small, recordings.chosen(small, recordings.MOST))
    sizes = [len(json.dumps(one, separators=(",", ":"))) for one in chosen if "error" not in one]
    yield (
        "recorded episode, of 20 s",
        SMALL,
        f"{sum(sizes) / len(sizes) / 1e3:.0f} kB (largest {max(sizes) / 1e3:.0f})",
        "–",
    )
    told, seconds = evolab("replay-page", str(small.path), folder=folder)
    yield (
        "replay as a page",
        SMALL,
        f"{told['bytes'] / 1e6:.1f} MB, {told['recordings']} episodes, {seconds:.1f} s",
        "–",
    )
    for form in ("csv", "parquet"):
        command = [sys.executable, str(ROOT / "scripts" / "aggregate.py"), str(large.path), "--out", f"tables-{form}"]
        _, seconds = timed([*command, "--format", form], folder)
        yield f"all tables written as {form}", LARGE, f"{seconds:.1f} s", "–"
    yield from frames(large, folder)
    for command in ("status", "show"):
        _, seconds = evolab(command, str(large.path), folder=folder)
        yield f"`evolab {command}`", LARGE, f"{seconds:.2f} s", "–"


def frames(large: RunDir, folder: Path) -> Iterator[Line]:
    """Each DataFrame, made in a process of its own."""
    program = "import json, sys, time; from islands.rundir import RunDir; from launcher import results; import pandas; "
    program += "began = time.process_time(); frame = results.FRAMES[sys.argv[1]]([RunDir(sys.argv[2])]); "
    program += "print(json.dumps([len(frame), time.process_time() - began]))"
    total = 0.0
    for name in ("generations", "migrants", "champions", "islands"):
        (count, seconds), _ = timed([sys.executable, "-c", program, name, str(large.path)], folder)
        total += seconds
        yield f"`results.{name}`", LARGE, f"{count:,} rows in {seconds:.2f} s", "–"
    yield "all frames of `launcher.results`", LARGE, f"{total:.1f} s", "under 5 s"


def dashboard() -> Iterator[Line]:
    """What the dashboard takes of a core while it shows islands at work."""
    counts = (8, LARGE[0])
    command = [sys.executable, str(ROOT / "scripts/benchmarks/dashboard.py"), "--islands", *map(str, counts)]
    for told in timed(command, ROOT)[0]:
        figure = f"{told['cores']:.3f} cores at {told['updates_per_second']:.1f} updates a second"
        yield f"dashboard, {told['islands']} islands at work", None, figure, "under 0.1 at 2"


def measure(quick: bool) -> dict[str, Any]:
    """The lines of the table."""
    found = []
    with tempfile.TemporaryDirectory(prefix="evolab-seeing-") as folder:
        for source in (rows(Path(folder)), dashboard()):
            for line in source:
                found.append(line)
                print(" · ".join([line[0], line[2]]), file=sys.stderr, flush=True)
    return {"lines": found}


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    shown = (
        (what, f"{size[0]} × {size[1]}" if size else "–", figure, bar) for what, size, figure, bar in found["lines"]
    )
    return f"{HEAD}\n\n{pieces.table(('what', 'islands × generations', 'figure', 'bar'), shown)}"
