"""Any set of runs as pandas DataFrames: per generation, per migrant, per champion.

Every frame starts with the columns `run` (directory, text), `config` (text), `island` (text) and `seed` (int64).
Missing values are NaN; pandas is imported when a frame is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from islands import files
from islands.rundir import IslandDir, RunDir

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("run", "config", "island", "seed")
GENERATIONS = {
    "generation": "int64",
    "best": "float64",
    "mean": "float64",
    "median": "float64",
    "std": "float64",
    "species": "float64",
    "threshold": "float64",
    "failed": "float64",
    "nodes": "float64",
    "connections": "float64",
    "body_nodes": "float64",
    "muscles": "float64",
    "mutation_boost": "float64",
    "evaluations": "float64",
    "steps": "float64",
    "evaluate_seconds": "float64",
    "reproduce_seconds": "float64",
    "checkpoint_seconds": "float64",
    "migrate_seconds": "float64",
    "seconds": "float64",
    "time": "float64",
    "digest": "str",
}
MIGRANTS = {
    "generation": "int64",
    "slot": "float64",
    "source": "str",
    "sequence": "float64",
    "digest": "str",
    "fitness": "float64",
    "admitted": "bool",
    "reason": "str",
}
CHAMPIONS = {
    "generations": "int64",
    "best_fitness": "float64",
    "mean": "float64",
    "ci95_low": "float64",
    "ci95_high": "float64",
    "episodes": "float64",
    "seconds": "float64",
    "cpu_seconds": "float64",
    "evaluations": "float64",
    "evaluations_to_solve": "float64",
    "generalisation": "float64",
    "hidden_nodes": "float64",
    "sent": "float64",
    "received": "float64",
    "admitted": "float64",
    "refused": "float64",
    "stopped": "str",
    "digest": "str",
}
Origin = dict[str, Any]


def generations(runs: Iterable[RunDir]) -> pd.DataFrame:
    """One row a generation and island: the columns of `GENERATIONS`, and `disqualified.*`, `limited.*` counts."""
    return _frame(runs, _generation_rows, GENERATIONS)


def migrants(runs: Iterable[RunDir]) -> pd.DataFrame:
    """One row an arrival, admitted or refused: the columns of `MIGRANTS`."""
    return _frame(runs, _migrant_rows, MIGRANTS)


def champions(runs: Iterable[RunDir]) -> pd.DataFrame:
    """One row a finished island: the columns of `CHAMPIONS`."""
    return _frame(runs, _champion_rows, CHAMPIONS)


FRAMES: dict[str, Callable[[Iterable[RunDir]], pd.DataFrame]] = {
    "generations": generations,
    "migrants": migrants,
    "champions": champions,
}


def export(runs: Iterable[RunDir], folder: Path, form: str = "csv") -> list[Path]:
    """Write all frames to `folder` as `csv` or `parquet`; returns the paths."""
    runs = list(runs)
    files.make_folder(folder)
    written = []
    for name, make in FRAMES.items():
        path = folder / f"{name}.{form}"
        frame = make(runs)
        content = frame.to_parquet(index=False) if form == "parquet" else frame.to_csv(index=False).encode()
        files.replace_atomically(path, content)
        written.append(path)
    return written


def _frame(
    runs: Iterable[RunDir], rows: Callable[[IslandDir], Iterator[dict[str, Any]]], columns: dict[str, str]
) -> pd.DataFrame:
    import pandas as pd

    dtypes = {"run": "str", "config": "str", "island": "str", "seed": "int64", **columns}
    records = [{**origin, **row} for origin, island in _islands(runs) for row in rows(island)]
    frame = pd.DataFrame.from_records(records)
    extra = sorted(name for name in frame.columns if name not in dtypes and "." in name)
    frame = frame.reindex(columns=[*dtypes, *extra])
    return frame.astype(dtypes)


def _islands(runs: Iterable[RunDir]) -> Iterator[tuple[Origin, IslandDir]]:
    for run in runs:
        plan = run.read_plan()
        for entry in plan["islands"]:
            values = (str(run.path), plan.get("config"), entry["name"], entry["seed"])
            yield dict(zip(KEYS, values, strict=True)), run.island(entry["name"])


def _generation_rows(island: IslandDir) -> Iterator[dict[str, Any]]:
    for record in files.read_jsonl(island.metrics):
        row = {key: record.get(key) for key in GENERATIONS}
        for group in ("disqualified", "limited"):
            row.update({f"{group}.{key}": count for key, count in (record.get(group) or {}).items()})
        yield row


def _migrant_rows(island: IslandDir) -> Iterator[dict[str, Any]]:
    for record in files.read_jsonl(island.migrations):
        if "admitted" in record:
            yield {key: record.get(key) for key in MIGRANTS}


def _champion_rows(island: IslandDir) -> Iterator[dict[str, Any]]:
    if not island.result.exists():
        return
    result = files.read_json(island.result)
    champion = result.get("champion") or {}
    low, high = champion.get("ci95") or (None, None)
    known = {"mean": champion.get("mean"), "ci95_low": low, "ci95_high": high, "episodes": champion.get("episodes")}
    yield {key: result.get(key) for key in CHAMPIONS} | known
