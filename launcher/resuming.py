"""`evolab resume` and `launch --resume`: go on where a run stopped, with more generations or islands if asked."""

from __future__ import annotations

import dataclasses

from islands import files, loading, topology
from islands.config import Config
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import live, presets
from launcher import run as runs
from launcher.events import Events
from launcher.settings import Outcome, Settings
from launcher.start import Request, shared_folder


@dataclasses.dataclass(frozen=True)
class More:
    """What a run that goes on is to have more of: `+100` or a total, each; and whether it may be changed otherwise."""

    generations: str | None = None
    islands: str | None = None
    allow_change: bool = False


NOTHING = More()


def prepare(name: str, request: Request, more: More = NOTHING) -> tuple[RunDir, list[str]]:
    """Make the run `name` ready to go on; the run, and what has changed. Refused while a launcher holds it."""
    run = runs.find(name)
    plan, old = runs.read(run)
    count = len(plan["islands"])
    config = _wanted(old, request, more)
    islands = _total("--islands", more.islands, count)
    changes = runs.difference(old, config)
    if changes and not more.allow_change:
        do = "resume without these, or with --allow-change, or start anew"
        raise ConfigError(f"{run.path} has another configuration ({'; '.join(changes)})", do=do)
    if islands > count and plan["command"] == "launch":
        topology.check(config.migration.topology, [entry["name"] for entry in plan["islands"]])
    with runs.held(run):
        told = list(changes)
        if config.generations != old.generations:
            told.append(f"generations: {old.generations} → {config.generations}")
        if changes:
            files.replace_atomically(run.earlier_config(loading.fingerprint(old)), loading.dump(old).encode())
            files.replace_atomically(run.config, loading.dump(config).encode())
        runs.aim_at(run, config.generations, old.generations)
        if islands > count:
            migrates = config.migration.every > 0 and config.migration.migrants > 0
            shared = shared_folder(run.path) if migrates and not plan["migration_dir"] else None
            names = runs.add_islands(run, islands - count, shared)
            if shared:
                files.make_folder(shared)
                told.append(f"migration directory: none → {shared}")
            told.append(f"islands: {count} → {islands} ({names[0]} to {names[-1]})")
        if told:
            Events(run).event("changed", text="; ".join(told), changes=told)
    return run, told


def resume(
    name: str, request: Request, settings: Settings | None = None, more: More = NOTHING
) -> tuple[RunDir, Outcome]:  # fmt: skip
    """Go on with the run `name`; the same again does no harm. Living islands of a launcher that died are adopted."""
    from launcher.drive import drive, place_of

    if settings:
        settings.check(live.read(runs.find(name)).get("cost_per_hour"))
    settings = settings or Settings(pin=True)
    place_of(runs.find(name), settings).check(settings.detach)
    run, changed = prepare(name, request, more)
    of_islands = [text for text in changed if not text.startswith("islands: ")]
    return run, drive(run, dataclasses.replace(settings, renew=bool(of_islands)))


def _wanted(old: Config, request: Request, more: More) -> Config:
    base = presets.resolve(request.preset) if request.preset else old
    seed = () if request.seed is None else (f"seed={request.seed}",)
    config = loading.override(base, [*request.overrides, *seed])
    if request.preset and not any(text.startswith("generations=") for text in request.overrides):
        config = dataclasses.replace(config, generations=old.generations)
    if more.generations is not None:
        total = _total("--generations", more.generations, old.generations)
        config = loading.override(config, [f"generations={total}"])
    return config


def _total(name: str, wanted: str | None, now: int) -> int:
    """`+100` on top of `now`, or a total that is no less."""
    if wanted is None:
        return now
    text = wanted.strip()
    if not text.removeprefix("+").isdecimal() or len(text) > 10:
        raise ConfigError(name, expected="a whole number, or +N for N more", got=ascii(wanted))
    total = now + int(text[1:]) if text.startswith("+") else int(text)
    if total < now:
        raise ConfigError(name, expected=f"at least the {now} it has", got=str(total))
    return total
