"""The search space of a study: which keys of a configuration vary, over what, under which condition.

A space is a YAML file (`configs/spaces/`, or a user's own), one key a line:

    mutation.add_node: {type: float, low: 0.01, high: 0.3, log: true}
    crossover.rate: {type: float, low: 0.2, high: 0.8, when: {crossover.enabled: true}}

`type` is float, int or categorical (with `choices`). `when` names other keys and the value each must have: one value, a
list of them, or `{above: x}`. It may refer to keys that come earlier in the space, or to keys that are fixed; what
needs another `task.name` than the study's is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from launcher import presets

Value = bool | int | float | str
Params = dict[str, Value]
ISLANDS = "migration.islands"
"""The number of islands: fixed by `--islands` unless that says `search`."""
MODES = ("neat", "pure", "hybrid")


class Chooser(Protocol):
    """Draws one value: Optuna's trial does, and `Dice`."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A float from `low` to `high`."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number from `low` to `high`."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""


@dataclass(frozen=True)
class Parameter:
    """One key that varies. `when`: (key, accepted values) or (key, the value it must be above)."""

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Value, ...] = ()
    when: tuple[tuple[str, tuple[Value, ...] | float], ...] = ()

    def draw(self, chooser: Chooser) -> Value:
        """A value."""
        if self.kind == "categorical":
            value: Value = chooser.suggest_categorical(self.name, self.choices)
            return value
        if self.kind == "int":
            return chooser.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return chooser.suggest_float(self.name, self.low, self.high, log=self.log)

    def ends(self) -> tuple[Value, ...]:
        """The choices, or both ends of the range."""
        if self.kind == "categorical":
            return self.choices
        return (int(self.low), int(self.high)) if self.kind == "int" else (self.low, self.high)

    def holds(self, value_of: Callable[[str], Value]) -> bool:
        """Whether its condition is met."""
        for key, wanted in self.when:
            value = value_of(key)
            if isinstance(wanted, tuple):
                if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in wanted):
                    return False
            elif isinstance(value, str) or not value > wanted:
                return False
        return True


@dataclass(frozen=True)
class Space:
    """The parameters of a study, in the order in which they are drawn."""

    parameters: tuple[Parameter, ...]

    def draw(self, chooser: Chooser, base: Config) -> Params:
        """Values for all parameters whose condition is met; `base` answers for keys that are fixed."""
        params: Params = {}
        fixed = loading.flat(base)
        names = {parameter.name for parameter in self.parameters}
        for parameter in self.parameters:
            needed = [key for key, _ in parameter.when]
            if any(key in names and key not in params for key in needed):
                continue  # it depends on one that does not count itself
            if parameter.holds(lambda key: params[key] if key in params else fixed[key]):
                params[parameter.name] = parameter.draw(chooser)
        return params

    def without(self, keys: Sequence[str]) -> Space:
        """The space without `keys`, which are fixed."""
        return Space(tuple(parameter for parameter in self.parameters if parameter.name not in keys))

    def possible(self, base: Config) -> Space:
        """The space without what the fixed keys of `base` rule out."""
        fixed, kept = loading.flat(base), list(self.parameters)
        while True:
            names = {parameter.name for parameter in kept}
            left = []
            for parameter in kept:
                settled = tuple((key, wanted) for key, wanted in parameter.when if key not in names)
                if replace(parameter, when=settled).holds(fixed.__getitem__):
                    left.append(parameter)
            if len(left) == len(kept):
                return Space(tuple(kept))
            kept = left

    def as_dict(self) -> dict[str, Any]:
        """The space as it is compared and stored: plain dicts by key."""
        listed = {}
        for parameter in self.parameters:
            record = {"type": parameter.kind, **asdict(parameter)}
            numeric = ("choices",) if parameter.kind != "categorical" else ("low", "high", "log")
            listed[parameter.name] = {k: v for k, v in record.items() if k not in ("name", "kind", *numeric)}
            if parameter.kind == "int":
                listed[parameter.name] |= {"low": int(parameter.low), "high": int(parameter.high)}
            listed[parameter.name]["when"] = {
                key: list(wanted) if isinstance(wanted, tuple) else {"above": wanted} for key, wanted in parameter.when
            }
        return listed

    def parameter(self, name: str) -> Parameter:
        """The parameter `name`."""
        return next(parameter for parameter in self.parameters if parameter.name == name)


class Dice:
    """A chooser without memory: uniform draws of one trial, keyed by (seed, trial)."""

    def __init__(self, seed: int, trial: int) -> None:
        import numpy as np

        self._rng = np.random.default_rng([seed, trial])

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Uniform from `low` to `high`, of the logarithm with `log`."""
        if log:
            return float(min(high, max(low, math.exp(self._rng.uniform(math.log(low), math.log(high))))))
        return float(self._rng.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """As `suggest_float`, rounded; the ends are as likely as the rest."""
        if log:
            return round(self.suggest_float(name, low - 0.499, high + 0.499, log=True))
        return int(self._rng.integers(low, high + 1))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Any choice."""
        return choices[int(self._rng.integers(len(choices)))]


def path_of(mode: str) -> Path:
    """The file of the space that comes with the project."""
    return presets.folder() / "spaces" / f"{mode}.yaml"


def load(path: Path, base: Config, fixed: Sequence[str] = ()) -> Space:
    """The space in the YAML file `path` for configurations like `base`, without the keys `fixed`."""
    with loading.located(str(path)):
        return from_dict(loading.read_yaml(path), base, fixed)


def from_dict(data: object, base: Config, fixed: Sequence[str] = ()) -> Space:
    """The space that a mapping describes, checked against the configuration's keys, types and bounds."""
    if not isinstance(data, Mapping) or not data:
        raise ConfigError("the whole", expected="a mapping of keys to ranges", got=f"{data!r:.80}")
    known = [key.name for key in loading.keys(base.task.name)]
    parameters = []
    for name, full in data.items():
        entry = _for_task(full, base.task.name)
        if entry is None:
            continue
        if name not in known:
            raise loading.unknown_key(str(name), base.task.name)
        with loading.located(str(name)):
            parameter = _parameter(str(name), entry, base)
            for key, _ in parameter.when:
                if key not in known:
                    raise loading.unknown_key(key, base.task.name)
        if name not in fixed:
            parameters.append(parameter)
    _check_order(parameters)
    if not parameters:
        raise ConfigError("the whole", expected="at least one key to search", got="all are fixed", do="fix fewer")
    return Space(tuple(parameters))


def _for_task(entry: object, task: str) -> object | None:
    """An entry without its condition on `task.name`, which the study fixes; None where that is not met."""
    when = entry.get("when") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(when, Mapping) or "task.name" not in when:
        return entry
    wanted = when["task.name"]
    rest = {key: value for key, value in when.items() if key != "task.name"}
    return {**entry, "when": rest} if task in (wanted if isinstance(wanted, list) else [wanted]) else None


def _parameter(name: str, entry: object, base: Config) -> Parameter:
    if not isinstance(entry, Mapping):
        raise ConfigError(
            "its entry", expected="a mapping such as {type: float, low: 0, high: 1}", got=f"{entry!r:.80}"
        )
    kind = entry.get("type")
    if kind not in ("float", "int", "categorical"):
        raise ConfigError("type", expected="float, int or categorical", got=f"{kind!r:.40}")
    valid = ("type", "choices", "when") if kind == "categorical" else ("type", "low", "high", "log", "when")
    if unknown := [key for key in entry if key not in valid]:
        raise ConfigError(f"{unknown[0]}: unknown key", do=f"valid here: {', '.join(valid)}")
    parameter = Parameter(name, kind, when=_conditions(entry.get("when", {})))
    if kind == "categorical":
        parameter = replace(parameter, choices=_choices(entry.get("choices")))
    else:
        low, high, log = _range(entry, kind)
        parameter = replace(parameter, low=low, high=high, log=log)
    for value in parameter.ends():
        loading.replaced(base, {name: value}, together=False)  # raises where the key cannot have it
    return parameter


def _choices(choices: object) -> tuple[Value, ...]:
    good = isinstance(choices, list) and all(isinstance(choice, bool | int | float | str) for choice in choices)
    if not good or not isinstance(choices, list) or len(set(map(repr, choices))) < max(1, len(choices)):
        raise ConfigError("choices", expected="a list of different values", got=f"{choices!r:.80}")
    return tuple(choices)


def _range(entry: Mapping[str, Any], kind: str) -> tuple[float, float, bool]:
    low, high, log = entry.get("low"), entry.get("high"), entry.get("log", False)
    number = int if kind == "int" else (int, float)
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, number):
            raise ConfigError(name, expected="a whole number" if kind == "int" else "a number", got=f"{value!r:.40}")
    if not isinstance(log, bool):
        raise ConfigError("log", expected="true or false", got=f"{log!r:.40}")
    low, high = float(low or 0), float(high or 0)
    if not low < high or not math.isfinite(high - low):
        raise ConfigError("low", expected=f"less than high ({high:g})", got=f"{low:g}")
    if log and low <= 0:
        raise ConfigError("low", expected="more than 0 on a logarithmic scale", got=f"{low:g}")
    return low, high, log


def _conditions(when: object) -> tuple[tuple[str, tuple[Value, ...] | float], ...]:
    if not isinstance(when, Mapping):
        raise ConfigError("when", expected="a mapping of keys to values", got=f"{when!r:.80}")
    conditions: list[tuple[str, tuple[Value, ...] | float]] = []
    for key, wanted in when.items():
        if isinstance(wanted, Mapping):
            above = wanted.get("above")
            if set(wanted) != {"above"} or isinstance(above, bool) or not isinstance(above, int | float):
                raise ConfigError(f"when {key}", expected="a value, a list, or {above: NUMBER}", got=f"{wanted!r:.80}")
            conditions.append((key, float(above)))
        else:
            conditions.append((key, _choices(wanted if isinstance(wanted, list) else [wanted])))
    return tuple(conditions)


def _check_order(parameters: Sequence[Parameter]) -> None:
    """A condition may only refer to what is drawn before."""
    places = {parameter.name: place for place, parameter in enumerate(parameters)}
    for place, parameter in enumerate(parameters):
        for key, _ in parameter.when:
            if places.get(key, -1) >= place:
                raise ConfigError(f"{parameter.name}: when {key}", expected=f"{key} to stand above {parameter.name}")
