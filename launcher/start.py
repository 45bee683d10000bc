"""What `run`, `evolve` and `launch` do: resolve the configuration, make or find the run directory, drive it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from islands import topology
from islands.config import Config
from islands.errors import ConfigError
from islands.files import make_folder
from islands.rundir import RunDir, check_name
from islands.tasks import check_device
from launcher import cores, island_configs, presets
from launcher import run as runs
from launcher.complaints import complaint
from launcher.drive import Outcome, Settings, drive
from launcher.states import FAILED, HELD
from launcher.trying import refuse_unplayable

PRESET = "neat_baseline"
"""The configuration when none is named."""
SHARED = Path("shared")
"""Where `launch` puts migration directories: a folder of the current one."""


@dataclass(frozen=True)
class Request:
    """What the user asked for: preset or file (None: not said), overrides ("a.b=value"), directory, first seed."""

    preset: str | None = None
    overrides: tuple[str, ...] = ()
    out: Path | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        """The configuration's name."""
        return self.preset or PRESET

    def config(self, *more: str) -> Config:
        """The configuration, with `more` overrides on top."""
        seed = () if self.seed is None else (f"seed={self.seed}",)
        config = presets.resolve(self.name, [*self.overrides, *seed, *more])
        check_device(config)
        refuse_unplayable(config)
        return config


def overrides(options: Mapping[str, object], assignments: Sequence[str] = ()) -> tuple[str, ...]:
    """Options that were given (not None) and `--set` assignments as one list of overrides, the latter last."""
    return (*(f"{key}={value}" for key, value in options.items() if value is not None), *assignments)


def run_seeds(request: Request, count: int, batched: bool, settings: Settings | None = None) -> tuple[RunDir, Outcome]:
    """`evolab run`: one population per seed in one process, no migration."""
    if count < 1:
        raise ConfigError("seeds", expected="at least 1", got=str(count))
    config = request.config("migration.every=0")
    explicit = config.seed if request.seed is not None or config.seed != runs.SEEDS[0] else None
    seeds = runs.seeds(count, explicit)
    config = dataclasses.replace(config, seed=seeds[0])
    islands = tuple((f"seed-{seed}", seed) for seed in seeds)
    plan = runs.Plan("run", request.name, islands, batched=batched)
    run = _directory(request, config, plan)
    return run, drive(run, settings or Settings(account=False))


def evolve(
    request: Request, name: str, migration_dir: Path | None, settings: Settings | None = None
) -> tuple[RunDir, Outcome]:
    """`evolab evolve`: one island in the foreground; the same command again continues or extends it.

    An island's randomness follows from seed and name, so that islands started by a bare loop differ.
    """
    check_name(name)
    config = request.config() if migration_dir else request.config("migration.every=0")
    plan = runs.Plan("evolve", request.name, ((name, config.seed),), migration_dir=migration_dir)
    if migration_dir:
        make_folder(migration_dir)
    run = runs.make_or_continue(request.out or runs.RUNS / name, config, plan)
    return run, drive(run, settings or Settings(account=False))


def launch(
    request: Request, threads: int = 1, settings: Settings | None = None, differing: Sequence[str] = ()
) -> tuple[RunDir, Outcome]:
    """`evolab launch`: an archipelago, one process an island (on a GPU one for all, and one batch), migration through a
    directory of its own.

    `differing`: what --island-config says, see `launcher.island_configs`.
    """
    config = request.config()
    settings = settings or Settings(pin=True)
    settings.check()
    if threads < 1:
        raise ConfigError("threads", expected="at least 1", got=str(threads))
    settings.where.check(settings.detach)
    if config.device != "cpu":
        _refuse_on_gpu(config, differing, settings)
        threads = max(threads, cores.usable().count)
    count = config.migration.islands or max(1, settings.where.count() // (1 if config.device != "cpu" else threads))
    islands = tuple((f"island-{index:03}", config.seed) for index in range(count))
    topology.check(config.migration.topology, [name for name, _ in islands])
    own = island_configs.overrides_of(differing, config, count) if differing else []
    path = request.out or runs.fresh_directory(request.name)
    migrates = bool(config.migration.every and config.migration.migrants and count > 1)
    shared = shared_folder(path) if migrates else None
    run = runs.make(path, config, runs.Plan("launch", request.name, islands, True, threads, shared, own))
    if shared:
        make_folder(shared)
    return run, drive(run, settings)


def _refuse_on_gpu(config: Config, differing: Sequence[str], settings: Settings) -> None:
    """Refuse what islands that are one batch of one process cannot have."""
    if differing:
        raise ConfigError(
            "--island-config", expected=f"islands that are alike with device {config.device}: they are one batch",
            got=" ".join(differing), do="leave it out, or use --device cpu",
        )  # fmt: skip
    if settings.where.elsewhere:
        raise ConfigError(
            "--on", expected=f"here, with device {config.device}", got=settings.where.on,
            do="start it in a job of your own on a machine with a GPU, or use --device cpu",
        )  # fmt: skip


def complaints(run: RunDir, outcome: Outcome) -> list[str]:
    """One line for every island that failed or is held."""
    failed = [island for island in run.islands() if outcome.states.get(island.name) in (FAILED, HELD)]
    return [f"{island.name}: {complaint(island, island.log)}" for island in failed]


def _directory(request: Request, config: Config, plan: runs.Plan) -> RunDir:
    if request.out:
        return runs.make_or_continue(request.out, config, plan)
    return runs.make(runs.fresh_directory(request.name), config, plan)


def shared_folder(path: Path) -> Path:
    """A migration directory for the run at `path` that nobody else uses."""
    name = path.absolute().name
    numbered = (SHARED / f"{name}-{number}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([SHARED / name], numbered) if not candidate.exists())
