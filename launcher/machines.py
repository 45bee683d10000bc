"""The machines that a study could run on: those of `configs/machines.yaml`, and this one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import loading
from islands.errors import ConfigError
from launcher import cores, host, presets
from launcher.plan import Machine, rented

HERE = "this machine"
_KEYS = {"vcpus": (1, 4096), "memory_gb": (0.1, 1e6), "dollars_per_hour": (0.0, 1e4), "threads_per_core": (1, 2)}
_WHOLE = ("vcpus", "threads_per_core")


@dataclass(frozen=True)
class Offer:
    """One line of the table. Memory in GB."""

    name: str
    vcpus: int
    memory_gb: float
    dollars_per_hour: float
    threads_per_core: int

    def machine(self, efficiency: float, setup: float) -> Machine:
        """The machine as the planner sees it, given the speed beside a busy hyper-thread and the hours of set-up."""
        return rented(
            self.name, self.vcpus, self.memory_gb, self.dollars_per_hour, self.threads_per_core, efficiency, setup
        )


def table() -> Path:
    """Where the project's own table lies."""
    return presets.folder() / "machines.yaml"


def read(path: Path | None = None) -> list[Offer]:
    """The machines of a table (default: the project's), in its order."""
    path = path or table()
    with loading.located(str(path)):
        data = loading.read_yaml(path)
        if not isinstance(data, Mapping) or not data:
            raise ConfigError("the whole", expected="a machine a line, as in NAME: {vcpus: 2, …}", got=f"{data!r:.60}")
        return [_offer(str(name), entry) for name, entry in data.items()]


def chosen(offers: Sequence[Offer], names: Sequence[str]) -> list[Offer]:
    """The offers called `names`, in the order of the table; all without names."""
    known = {offer.name: offer for offer in offers}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"--machine {name}: not in the table", do=hint)
    return [offer for offer in offers if not names or offer.name in names]


def here(crowded: float | None, dollars_per_hour: float | None, efficiency: float) -> Machine:
    """This machine, as far as this process may use it; `crowded` as it was measured with all cores busy, if it was.

    Where the kernel shows hyper-threads, an island is at full speed as long as it has its physical core to itself.
    Where it shows none, a virtual machine may still hide them, so that only one island alone surely is.
    """
    granted, ram = cores.usable(), host.memory()
    count = granted.count
    whole = min(count, cores.physical(granted.cpus))
    seen = whole < count
    if crowded is None:
        return Machine(HERE, count, ram.usable, dollars_per_hour, whole, efficiency if seen else 1.0)
    return Machine(HERE, count, ram.usable, dollars_per_hour, whole if seen else 1, crowded)


def shows_hyperthreads() -> bool:
    """Whether two of the usable cores are hyper-threads of one, as far as the kernel says."""
    granted = cores.usable()
    return cores.physical(granted.cpus) < len(granted.cpus)


def _offer(name: str, entry: object) -> Offer:
    if not isinstance(entry, Mapping):
        raise ConfigError(name, expected=f"a mapping with {', '.join(_KEYS)}", got=f"{entry!r:.60}")
    for key in entry:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"valid here: {', '.join(_KEYS)}"
            raise ConfigError(f"{name}.{key}: unknown key", do=hint)
    for key in _KEYS:
        if key not in entry:
            raise ConfigError(f"{name}.{key}", expected="a value", got="none", do="every machine needs all four")
    values = {key: _number(f"{name}.{key}", key, entry[key]) for key in _KEYS}
    return Offer(
        name, int(values["vcpus"]), values["memory_gb"], values["dollars_per_hour"], int(values["threads_per_core"])
    )


def _number(where: str, key: str, value: Any) -> float:
    low, high = _KEYS[key]
    whole = key in _WHOLE
    good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not low <= value <= high:
        noun = "a whole number" if whole else "a number"
        raise ConfigError(where, expected=f"{noun} from {low:g} to {high:g}", got=f"{value!r:.60}")
    return float(value)
