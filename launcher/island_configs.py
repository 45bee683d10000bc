"""`evolab launch --island-config ISLANDS:WHAT`: islands of one archipelago that differ.

ISLANDS is `all`, or indices and ranges such as 0,2,5-7. WHAT is one of

    algorithm=snes,population=40     keys and values, as for --set
    pure_small                       a preset, or a YAML file's path: what sets it apart from the launched one
    space=neat                       values drawn from a search space (configs/spaces, or a file) for each island alone,
                                     but for what would change the form of its genomes

A later one is applied on top of an earlier one. Islands exchange genomes, so task and form of genomes must agree; the
number of generations, the seed and the device are the run's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from launcher import presets, space

COMMON = ("generations", "seed", "device", "description", "migration.islands", "migration.topology")
"""Keys that are the run's alone."""
FORM = ("mode", "network.hidden", "network.layers", "network.recurrent", "network.bias", "network.activation",
        "network.activations")  # fmt: skip
"""Keys that the form of genomes follows from, besides the task's: a space's draws leave them alone."""
Overrides = dict[str, Any]
"""What an island has that the run's configuration has not, by dotted key: `overrides` of its entry in run.json."""

_RANGES = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")
_BETWEEN = re.compile(r",(?=[a-z_.]+=)")


def overrides_of(specs: Sequence[str], config: Config, count: int) -> list[Overrides]:
    """The overrides of each of `count` islands; a ConfigError where islands could not exchange genomes."""
    found: list[Config] = [config] * count
    for spec in specs:
        who, colon, what = spec.partition(":")
        if not colon or not what:
            raise _wrong(spec, "ISLANDS:WHAT")
        for index in _chosen(who, count, spec):
            with loading.located(f"--island-config {spec!r}"):
                found[index] = _changed(found[index], what, config, index)
    differing = [_difference(config, each) for each in found]
    _check(config, found)
    return differing


def _chosen(who: str, count: int, spec: str) -> list[int]:
    if who == "all":
        return list(range(count))
    if not _RANGES.fullmatch(who):
        raise _wrong(spec, "all, or indices and ranges such as 0,2,5-7, before the colon")
    chosen: set[int] = set()
    for part in who.split(","):
        first, _, last = part.partition("-")
        chosen.update(range(int(first), int(last or first) + 1))
    if max(chosen, default=count) >= count:
        raise _wrong(spec, f"islands from 0 to {count - 1}")
    return sorted(chosen)


def _changed(own: Config, what: str, config: Config, index: int) -> Config:
    """An island's configuration with `what` on top."""
    if what.startswith("space="):
        path = what.removeprefix("space=")
        fixed = [key for key in loading.flat(own) if key in (*COMMON, *FORM) or key.startswith("task.")]
        chosen = space.load(space.path_of(path) if path in space.MODES else Path(path), own, fixed)
        return loading.replaced(own, chosen.draw(space.Dice(config.seed, index), own))
    if "=" in what:
        return _kept(loading.override(own, _BETWEEN.split(what)), config)
    return _kept(presets.resolve(what), config)


def _kept(wanted: Config, config: Config) -> Config:
    """`wanted` with what is the run's alone."""
    return loading.replaced(wanted, {key: value for key, value in loading.flat(config).items() if key in COMMON})


def _difference(config: Config, own: Config) -> Overrides:
    common = loading.flat(config)
    values = loading.flat(own)
    if own.task != config.task:
        got = f"{own.task.name} with {_listed(own, config)}" if own.task.name == config.task.name else own.task.name
        raise ConfigError("--island-config", expected=f"the run's task, {config.task.name}", got=got)
    return {key: value for key, value in values.items() if common[key] != value}


def _listed(own: Config, config: Config) -> str:
    there = loading.flat(config)
    return ", ".join(f"{k}={v}" for k, v in loading.flat(own).items() if k.startswith("task.") and there.get(k) != v)


def _check(config: Config, found: Sequence[Config]) -> None:
    """Genomes that are to be exchanged must have one form; migrations must have the same migrants' limit at least."""
    migrates = bool(config.migration.every and config.migration.migrants and len(found) > 1)
    if not migrates or all(own is config for own in found):
        return
    from islands.migration import agreement
    from islands.tasks import make

    layout = make(config).layout
    common = agreement(config, layout)
    for index, own in enumerate(found):
        if own is config:
            continue
        theirs = agreement(own, make(own).layout)
        differs = [f"{key} {common[key]} there and {theirs[key]} here" for key in common if common[key] != theirs[key]]
        if differs:
            raise ConfigError(
                f"--island-config of island {index}",
                expected="genomes of the form that the others have, to exchange them",
                got=", ".join(differs),
                do="or launch without migration (--migrate-every 0)",
            )


def _wrong(spec: str, expected: str) -> ConfigError:
    return ConfigError(f"--island-config {spec!r}", expected=expected, got=ascii(spec), do="see evolab launch --help")
