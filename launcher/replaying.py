"""`evolab replay`: one island lived again from its log, in a process of its own, and held against what was recorded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import inside
from launcher.terminal import counted


def replay(run: RunDir, island: str, until: int | None, genome: str, export: Path | None) -> dict[str, Any]:
    """Live `island` (index or name) again up to generation `until`; the keys of `evolab replay --json`.

    `same`: whether every generation lived has the digest and the link that were recorded; `differs`: the first that
    has not. `begins`: the generation of the checkpoint where it began, where the log does not reach back further.
    """
    if export is not None and not export.absolute().parent.is_dir():
        raise ConfigError("--export", expected="a file in a folder that exists", got=str(export))
    arguments = [str(run.path), island, "--genome", genome]
    arguments += [] if until is None else ["--until", str(until)]
    arguments += [] if export is None else ["--export", str(export)]
    found: dict[str, Any] = {"run": run.name, "island": island, "begins": None, "generations": 0, "differs": None}
    began = time.monotonic()
    threads = int(run.read_plan()["threads"])
    with counted("generation", 1 + (_last(run, island) if until is None else until)) as tell:
        for line in inside.said("islands.replay", *arguments, threads=threads, fine=(0, 1)):
            _note(line, found)
            tell(found.get("last", -1) + 1)
    return {**found, "same": found["differs"] is None, "seconds": time.monotonic() - began}


def _last(run: RunDir, island: str) -> int:
    """The last generation that an island (index or name) has recorded."""
    newest = files.tail_jsonl(run.island(run.entry(island)["name"]).metrics, 1)
    return int(newest[0]["generation"]) if newest else 0


def _note(line: dict[str, Any], found: dict[str, Any]) -> None:
    match line.get("event"):
        case "begins":
            found["begins"] = line["generation"]
        case "exported":
            found["exported"] = {key: line[key] for key in ("path", "genome", "generation", "fitness")}
        case _:
            found["generations"] += 1
            found["last"], found["digest"] = line["generation"], line["digest"]
            if not line["same"]:
                found["differs"] = {key: line[key] for key in ("generation", "digest", "recorded")}


def told(result: dict[str, Any]) -> str:
    """The result in words."""
    begins = "its first generation" if result["begins"] is None else f"the checkpoint of generation {result['begins']}"
    lines = [f"lived again from {begins}: {result['generations']} generations in {result['seconds']:.1f} s"]
    if result["same"]:
        lines.append(f"every generation as recorded; digest of generation {result['last']}: {result['digest']}")
    else:
        differs = result["differs"]
        recorded = differs["recorded"] or "nothing"
        lines.append(f"generation {differs['generation']} differs: recorded {recorded}, lived {differs['digest']}")
    if exported := result.get("exported"):
        what = f"genome {exported['genome']} of generation {exported['generation']}"
        lines.append(f"{what} (fitness {exported['fitness']:.4g}) is in {exported['path']}")
    return "\n".join(lines)
