"""Any set of runs and studies as pandas DataFrames: generations, migrants, champions, islands, trials.

The frames of runs start with the columns `run` (directory, text), `config` (text), `island` (text) and `seed` (int64),
that of studies with `study` (directory, text). Columns, dtypes and units are in `GENERATIONS`, `MIGRANTS`, `CHAMPIONS`,
`ISLANDS` and `TRIALS`. Missing values are NaN; a damaged line of a file is left out with a warning. pandas is imported
when a frame is asked for.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from islands import files, migration_log
from islands.rundir import IslandDir, RunDir
from launcher import live, status
from launcher.trials import StudyDir, Trial

if TYPE_CHECKING:
    import pandas as pd

KEYS = {"run": "str", "config": "str", "island": "str", "seed": "int64"}
GENERATIONS = {
    "generation": "int64",  # from 0
    "best": "float64",  # fitness, the task's score
    "mean": "float64",
    "median": "float64",
    "std": "float64",
    "species": "float64",  # how many
    "threshold": "float64",  # distance within which genomes are of one species
    "failed": "float64",  # genomes without a score
    "nodes": "float64",  # a genome, mean; so are the next three
    "connections": "float64",
    "body_nodes": "float64",
    "muscles": "float64",
    "diversity": "float64",  # root mean square distance of two behaviours, in the task's units
    "mutation_boost": "float64",
    "evaluations": "float64",
    "steps": "float64",
    "evaluate_seconds": "float64",
    "reproduce_seconds": "float64",
    "checkpoint_seconds": "float64",
    "migrate_seconds": "float64",
    "seconds": "float64",  # wall, the whole generation
    "time": "float64",  # seconds since 1970
    "digest": "str",
}
"""A row a generation of an island; further `disqualified.*` and `limited.*` count genomes by reason (float64)."""
MIGRANTS = {
    "generation": "int64",  # of the receiver
    "slot": "float64",  # the row it took in the population; NaN: refused
    "source": "str",
    "sequence": "float64",  # of the publication
    "digest": "str",
    "fitness": "float64",
    "admitted": "bool",
    "reason": "str",  # of a refusal
}
"""A row an arrival, admitted or refused; as far back as the logs of migrations reach."""
CHAMPIONS = {
    "generations": "int64",
    "best_fitness": "float64",  # the best score that evolution saw
    "mean": "float64",  # of held-out episodes
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
"""A row a finished island."""
ISLANDS = {
    "index": "int64",
    "state": "str",  # PENDING, RUNNING, STALLED, BACKOFF, HELD, DONE, FAILED, STOPPED
    "message": "str",  # why it is held, has failed or is stalled
    "done": "int64",  # generations
    "generations": "float64",  # wanted
    "best": "float64",  # fitness, of the last generation seen
    "cpu_seconds": "float64",
    "rss_mb": "float64",
    "restarts": "float64",
    "utilisation": "float64",  # share of one core, 0 to 1
    "seconds_since_heartbeat": "float64",
    "overrides": "str",  # JSON: what sets its configuration apart from the run's
}
"""A row an island, finished or not, as `evolab status` sees it now."""
TRIALS = {
    "trial": "int64",
    "state": "str",  # RUNNING, COMPLETE, PRUNED, FAIL
    "standard_error": "float64",  # of the first value
    "seeds": "int64",  # how many have a result
    "backend": "str",
    "cores": "int64",
    "seconds": "float64",  # wall, of its processes
    "cpu_seconds": "float64",
    "cost": "float64",
    "generations": "int64",
    "generations_wanted": "int64",
    "started": "float64",  # seconds since 1970
    "ended": "float64",
    "reason": "str",  # why it was pruned or has failed
    "runs": "str",  # its run directories, one a line
}
"""A row a trial; further `value.<objective>` (float64), and `param.<name>` as the parameter is."""
Row = dict[str, Any]


def generations(runs: Iterable[RunDir]) -> pd.DataFrame:
    """One row a generation and island: the columns of `GENERATIONS`, and `disqualified.*`, `limited.*` counts."""
    return _of_runs(runs, _generation_rows, GENERATIONS)


def migrants(runs: Iterable[RunDir]) -> pd.DataFrame:
    """One row an arrival, admitted or refused: the columns of `MIGRANTS`."""
    return _of_runs(runs, _migrant_rows, MIGRANTS)


def champions(runs: Iterable[RunDir]) -> pd.DataFrame:
    """One row a finished island: the columns of `CHAMPIONS`."""
    return _of_runs(runs, _champion_rows, CHAMPIONS)


def islands(runs: Iterable[RunDir]) -> pd.DataFrame:
    """One row an island, finished or not: the columns of `ISLANDS`."""
    return _frame((({}, list(_island_rows(run))) for run in runs), {**KEYS, **ISLANDS})


def trials(studies: Iterable[StudyDir]) -> pd.DataFrame:
    """One row a trial: `study`, the columns of `TRIALS`, and `value.*`, `param.*`."""
    groups = (({"study": str(study.path)}, list(_trial_rows(study))) for study in studies)
    return _frame(groups, {"study": "str", **TRIALS})


FRAMES: dict[str, Callable[[Iterable[RunDir]], pd.DataFrame]] = {
    "generations": generations,
    "migrants": migrants,
    "champions": champions,
    "islands": islands,
}
"""The frames of runs."""


def export(runs: Iterable[RunDir], studies: Iterable[StudyDir], folder: Path, form: str = "csv") -> list[Path]:
    """Write all frames to `folder` as `csv` or `parquet`; returns the paths."""
    runs, studies = list(runs), list(studies)
    frames = {**{name: make(runs) for name, make in FRAMES.items()}, "trials": trials(studies)}
    files.make_folder(folder)
    written = []
    for name, frame in frames.items():
        path = folder / f"{name}.{form}"
        content = frame.to_parquet(index=False) if form == "parquet" else frame.to_csv(index=False).encode()
        files.replace_atomically(path, content)
        written.append(path)
    return written


def _of_runs(
    runs: Iterable[RunDir], rows: Callable[[IslandDir], Iterator[Row]], columns: Mapping[str, str]
) -> pd.DataFrame:
    groups = ((origin, list(rows(island))) for run in runs for origin, island in _origins(run))
    return _frame(groups, {**KEYS, **columns})


def _frame(groups: Iterable[tuple[Row, list[Row]]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Rows as a frame of these columns; a group's rows share what comes before them.

    Of what else a row has, names with a dot become columns of their own, sorted after the others.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in dtypes}
    extra: dict[str, dict[int, Any]] = {}
    count = 0
    for shared, rows in groups:
        for name, values in columns.items():
            values += [shared[name]] * len(rows) if name in shared else [row.get(name) for row in rows]
        for name in set().union(*rows) - columns.keys():
            if "." in name:
                found = extra.setdefault(name, {})
                found.update((number, row[name]) for number, row in enumerate(rows, count) if name in row)
        count += len(rows)
    frame = pd.DataFrame({name: pd.Series(values, dtype=dtypes[name]) for name, values in columns.items()})
    more = {name: pd.Series(extra[name]).reindex(frame.index) for name in sorted(extra)}
    return frame.assign(**more)


def _origins(run: RunDir) -> Iterator[tuple[Row, IslandDir]]:
    plan = run.read_plan()
    for entry in plan["islands"]:
        values = (str(run.path), plan.get("config"), entry["name"], entry["seed"])
        yield dict(zip(KEYS, values, strict=True)), run.island(entry["name"])


def _records(path: Path, lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    """What the lines of a file hold; of a damaged one a warning, and no more."""
    import orjson  # a quarter of the time, where there are a hundred thousand lines

    for number, line in lines:
        record = None
        with contextlib.suppress(orjson.JSONDecodeError):
            record = orjson.loads(line)
        if isinstance(record, dict):
            yield record
        else:
            warnings.warn(f"{path}, line {number} is damaged and left out; see `evolab verify`", stacklevel=2)


def _generation_rows(island: IslandDir) -> Iterator[Row]:
    for record in _records(island.metrics, files.each_line(island.metrics)):
        for group in ("disqualified", "limited"):
            for key, count in (record.get(group) or {}).items():
                record[f"{group}.{key}"] = count
        yield record


def _migrant_rows(island: IslandDir) -> Iterator[Row]:
    for segment in migration_log.segments(island.migrations):
        lines = ((number, migration_log.without_genome(line)) for number, line in files.each_line(segment))
        for record in _records(segment, lines):
            if "admitted" in record:
                yield record


def _champion_rows(island: IslandDir) -> Iterator[Row]:
    if not island.result.exists():
        return
    result = files.read_json(island.result)
    champion = result.get("champion") or {}
    low, high = champion.get("ci95") or (None, None)
    known = {"mean": champion.get("mean"), "ci95_low": low, "ci95_high": high, "episodes": champion.get("episodes")}
    yield {key: result.get(key) for key in CHAMPIONS} | known


def _island_rows(run: RunDir) -> Iterator[Row]:
    last = live.read(run)
    known = last if live.is_current(last) else None
    entries = {entry["name"]: entry for entry in run.read_plan()["islands"]}
    for origin, island in _origins(run):
        entry, now = entries[island.name], status.island_status(island, known)
        left = last.get("islands", {}).get(island.name, {})
        row = {key: now.get(key) for key in ISLANDS} | {"index": entry["index"]}
        row |= {key: now[key] if now[key] is not None else left.get(key) for key in ("restarts", "utilisation")}
        yield origin | row | {"overrides": json.dumps(entry.get("overrides", {}))}


def _trial_rows(study: StudyDir) -> Iterator[Row]:
    objectives = files.read_json(study.identity)["objectives"]
    for trial in study.trials():
        values = dict(zip(objectives, trial.values or (), strict=False))
        yield {
            **_trial_row(study, trial),
            **{f"value.{name}": values.get(name) for name in objectives},
            **{f"param.{name}": value for name, value in trial.params.items()},
        }


def _trial_row(study: StudyDir, trial: Trial) -> Row:
    row = {key: getattr(trial, key, None) for key in TRIALS}
    runs = "\n".join(str(study.run(trial.number, spec).path) for spec in trial.runs)
    return {**row, "trial": trial.number, "seeds": len(trial.seeds), "runs": runs}
