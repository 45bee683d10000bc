"""Makes, finds, continues and extends run directories. Refuses what belongs to another run, in one line."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import files, loading
from islands.config import Config
from islands.errors import ConfigError
from islands.rundir import PLAN_FORMAT, RunDir, check_name
from launcher.locks import held_file

SEEDS = (42, 123, 456, 789, 1337)
RUNS = Path("runs")
"""Where runs lie unless told otherwise: a folder of the current one."""


@dataclass(frozen=True)
class Plan:
    """What a run is made of besides its configuration. `islands` are (name, seed), in order."""

    command: str
    preset: str
    islands: tuple[tuple[str, int], ...]
    batched: bool = True
    threads: int = 1
    migration_dir: Path | None = None
    overrides: Sequence[Mapping[str, Any]] = ()
    """What sets each island's configuration apart from the run's (see `launcher.island_configs`); empty: nothing."""


def seeds(count: int, first: int | None = None) -> list[int]:
    """The first `count` of 42, 123, 456, 789, 1337, 1338, …; from `first` on: first, first + 1, …"""
    if first is not None:
        return [first + index for index in range(count)]
    return [SEEDS[i] if i < len(SEEDS) else SEEDS[-1] + i - len(SEEDS) + 1 for i in range(count)]


def fresh_directory(preset: str) -> Path:
    """A new directory `runs/<preset>-<time>`, made at once so that nobody else gets it."""
    stem = f"{Path(preset).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1, 1000):
        path = RUNS / (stem if attempt == 1 else f"{stem}-{attempt}")
        files.make_folder(RUNS)
        if files.make_new_folder(path):
            return path
    raise ConfigError(f"no free name for a run like {RUNS / stem}", do="give a directory with --out")


def make(path: Path, config: Config, plan: Plan) -> RunDir:
    """The run directory `path`, new or empty, with its config.yaml and run.json written."""
    run = RunDir(path)
    if run.plan.exists():
        raise ConfigError(
            f"{path} holds the run {run.read_plan()['run']!r}",
            expected="a new directory",
            do=f"go on with it (evolab launch --resume {path}) or choose another",
        )
    _refuse_foreign(path)
    record: dict[str, Any] = {
        "format": PLAN_FORMAT,
        "run": path.absolute().name,
        "run_id": uuid.uuid4().hex,
        "command": plan.command,
        "config": plan.preset,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "islands": [
            {"index": i, "name": name, "seed": seed, **({"overrides": dict(own)} if own else {})}
            for i, ((name, seed), own) in enumerate(itertools.zip_longest(plan.islands, plan.overrides))
        ],
        "batched": plan.batched,
        "migration_dir": str(plan.migration_dir.absolute()) if plan.migration_dir else None,
        "threads": plan.threads,
    }
    check_name(record["run"], "run")
    files.make_folder(path)
    _keep_strangers_out(path)
    files.replace_atomically(run.config, loading.dump(config).encode())
    run.write_plan(record)
    for island in run.islands():
        _keep_strangers_out(island.create().path)
    return run


def make_or_continue(path: Path, config: Config, plan: Plan) -> RunDir:
    """As `make`; a directory that already holds this very run is continued, or extended to more generations."""
    run = RunDir(path)
    if not run.plan.exists():
        return make(path, config, plan)
    record, old = read(run)
    islands = [[island["name"], island["seed"]] for island in record["islands"]]
    changes = difference(old, config)
    if record["command"] != plan.command:
        changes.insert(0, f"command: {record['command']} → {plan.command}")
    if islands != [list(pair) for pair in plan.islands]:
        changes.append(f"islands: {_listed(islands)} → {_listed(plan.islands)}")
    migration_dir = str(plan.migration_dir.absolute()) if plan.migration_dir else None
    if record["migration_dir"] != migration_dir:
        changes.append(f"migration directory: {record['migration_dir']} → {migration_dir}")
    if changes:
        raise ConfigError(
            f"{path} holds another run ({'; '.join(changes)})", do="take another name or --out, or the old settings"
        )
    return extend(run, config.generations)


def extend(run: RunDir, generations: int) -> RunDir:
    """The same run, aiming at `generations`: never fewer than before.

    Results short of the aim are withdrawn; one that stopped for good stays, unless more was asked. Refused while
    another launcher holds the run.
    """
    with held(run):
        return aim_at(run, generations)


def aim_at(run: RunDir, generations: int, before: int | None = None) -> RunDir:
    """As `extend`, for whoever holds the run already. `before`: its aim so far, where its file says the new one."""
    _, config = read(run)
    if generations < config.generations:
        raise ConfigError(
            f"generations of {run.path}", expected=f"at least the run's {config.generations}", got=str(generations)
        )
    longer_wanted = generations > (config.generations if before is None else before)
    if generations > config.generations:
        longer = loading.override(config, [f"generations={generations}"])
        files.replace_atomically(run.config, loading.dump(longer).encode())
    for island in run.islands():
        result = files.read_json(island.result) if island.result.exists() else None
        if result and result["generations"] < generations and (longer_wanted or not result["stopped"]):
            files.remove(island.result)
    clear(run)
    return run


def clear(run: RunDir) -> None:
    """Take back what keeps islands from being started: requests to stop, reasons to hold, old errors."""
    files.remove(run.stop)
    for island in run.islands():
        for path in (island.error, island.stop, island.held):
            files.remove(path)


def add_islands(run: RunDir, count: int, migration_dir: Path | None) -> list[str]:
    """Make the plan of `launch` that many islands longer; the names of the new ones. `migration_dir`: where there was
    none."""
    plan = run.read_plan()
    if plan["command"] != "launch":
        raise ConfigError("--islands", expected="a run of evolab launch", got=f"one of evolab {plan['command']}")
    taken = {entry["name"] for entry in plan["islands"]}
    numbered = (f"island-{index:03}" for index in itertools.count(len(taken)))
    names = list(itertools.islice((name for name in numbered if name not in taken), count))
    seed = plan["islands"][0]["seed"]
    added = [{"index": len(taken) + i, "name": name, "seed": seed} for i, name in enumerate(names)]
    for name in names:
        _keep_strangers_out(run.island(name).create().path)
    shared = plan["migration_dir"] or (str(migration_dir.absolute()) if migration_dir else None)
    files.write_json(run.plan, {**plan, "islands": [*plan["islands"], *added], "migration_dir": shared})
    return names


def find(name: str | Path) -> RunDir:
    """The run called `name`: a run directory, or one in runs/."""
    for path in (Path(name), RUNS / name):
        run = RunDir(path)
        if run.plan.is_file():
            run.refuse_strangers()
            return run
    raise ConfigError(f"no run {str(name)!r}", expected="a run directory or a name in runs/", do="see `evolab status`")


def exists(name: str | Path) -> bool:
    """Whether `find` would find a run called `name`."""
    return any(RunDir(path).plan.is_file() for path in (Path(name), RUNS / name))


def every(root: Path = RUNS) -> list[RunDir]:
    """All runs under `root`, by name."""
    if not root.is_dir():
        return []
    return [run for run in (RunDir(path) for path in sorted(root.iterdir())) if run.plan.is_file()]


def read(run: RunDir) -> tuple[dict[str, Any], Config]:
    """The run's plan (run.json) and configuration."""
    return run.read_plan(), loading.load(run.config)


def difference(old: Config, new: Config) -> list[str]:
    """What differs, as `key: old → new`; `loading.ASIDE` aside."""
    before, after = loading.flat(old), loading.flat(new)
    return [
        f"{key}: {before[key]} → {after[key]}"
        for key in before
        if key not in loading.ASIDE and before[key] != after[key]
    ]


@contextlib.contextmanager
def held(run: RunDir) -> Iterator[None]:
    """Within, this process alone works on the run; a second launcher is refused."""
    run.refuse_strangers()
    with held_file(run.lock, f"another launcher works on {run.path}", "watch it with `evolab status`", make=True):
        yield


def _keep_strangers_out(path: Path) -> None:
    """A folder that was made under a careless umask is for its owner and group all the same."""
    with files.told_in_one_line(path, "keep strangers out of"):
        mode = path.stat().st_mode & 0o7777
        if mode & 0o002:
            path.chmod(mode & ~0o002)


def _refuse_foreign(path: Path) -> None:
    """A directory that is not empty and not a half-made run is someone else's."""
    with files.told_in_one_line(path, "read"):
        try:
            names = sorted(name for name in os.listdir(path) if not name.startswith((".", "config.yaml")))
        except FileNotFoundError:
            return
        except (NotADirectoryError, PermissionError) as error:
            reason = (error.strerror or str(error)).lower()
            what = f"cannot write the directory {path} ({reason})"
            raise ConfigError(what, do="choose another with --out") from error
    if names:
        what = f"{path} is not empty and no run of evolab ({_listed(names)})"
        raise ConfigError(what, do="choose a new directory")


def _listed(things: Sequence[object]) -> str:
    names = [str(thing[0]) if isinstance(thing, list | tuple) else str(thing) for thing in things]
    return ", ".join(names[:4]) + (f" … ({len(names)})" if len(names) > 4 else "")
