"""From YAML or plain dicts to a `Config`, and back: nothing is guessed, nothing is dropped.

The dataclasses of `islands.config` are the only description of what is valid: keys and types come from their hints,
bounds from their fields' metadata. An unknown key, a value of another type, a number out of bounds and sections that
contradict each other are each a `ConfigError` with the full dotted key.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
import reprlib
import typing
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from islands import strict_yaml, tasks, topology
from islands.config import FUNCTIONS, Config, PelletsConfig, TaskConfig
from islands.errors import ConfigError, DiskError
from islands.files import is_of_the_disk

SIZE_LIMIT = 1_000_000
"""Bytes that a configuration file may have."""

LEAST_SAMPLE = 4
"""The smallest population that tells an algorithm other than ga a direction."""

ASIDE = ("generations", "description")
"""What may differ while a run's configuration counts as the same: its length, which may grow, and words."""

ADDED = (
    "algorithm", "strategy.patience", "strategy.separable", "network.layers", "network.recurrent",
    "network.activations", "mutation.activation", "migration.stretch", "migration.restart", "migration.pbt",
    "diversity.method", "diversity.weight", "diversity.neighbours", "diversity.additions", "diversity.cells",
    "diversity.descriptors", "record.checkpoint_seconds",
)  # fmt: skip
"""Keys that came later: a fingerprint leaves them out at their default, so that runs from before keep theirs."""

_NUMBER = re.compile(r"([-+]?[0-9]+)(\.[0-9]*)?(?:[eE]([-+]?)([0-9]+))?")


class Key(NamedTuple):
    """One configurable value: its dotted name, its type (bool, int, float, str or a Literal) and its default."""

    name: str
    type: Any
    default: Any


def keys(task: str = PelletsConfig.name) -> list[Key]:
    """Every key of a configuration of `task`, in declaration order."""
    return list(_keys_of(Config, "", tasks.parameters_of(task)))


def from_dict(data: object, where: str = "") -> Config:
    """The configuration that the nested mapping `data` describes; what it leaves out keeps its default.

    `where` (a file, an option) opens every error's line.
    """
    with located(where):
        config: Config = _section(Config, data, "")
        _check_together(config)
    return config


def load(path: Path | str) -> Config:
    """The configuration in the YAML file `path`."""
    with located(str(path)):
        return from_dict(read_yaml(path))


def read_yaml(path: Path | str) -> Any:
    """The plain value in the YAML file `path`, read without YAML's traps; a ConfigError where that cannot be."""
    return strict_yaml.parse(_read(Path(path)))


def dump(config: Config) -> str:
    """The whole configuration as YAML, every key written out; `load` of this text gives an equal configuration."""
    return yaml.safe_dump(config.as_dict(), sort_keys=False, allow_unicode=True, width=120)


def override(config: Config, assignments: Iterable[str]) -> Config:
    """`config` with each of `assignments` ("section.key=value") applied, later ones last."""
    pairs = [_name_and_text(assignment) for assignment in assignments]
    for name, text in pairs:
        if name == "task.name":
            config = _with_task(config, _command_line_value(str, text))
    types = {key.name: key.type for key in keys(config.task.name)}
    values = {}
    for name, text in pairs:
        own = "task.parameters" in types and name.rpartition(".")[0] == "task.parameters"
        if name not in types and not own:
            raise unknown_key(name, config.task.name)
        with located(name):
            values[name] = _command_line_value(Any if own else types[name], text)
    return replaced(config, values)


def _name_and_text(assignment: str) -> tuple[str, str]:
    name, equals, text = assignment.partition("=")
    if not equals:
        raise ConfigError(repr(assignment), expected="KEY=VALUE", got="no =", do="as in mutation.add_node=0.1")
    return name.strip(), text


def _with_task(config: Config, name: str) -> Config:
    """`config` with another task at its defaults; refused where the old one's parameters were set, for they go."""
    if name == config.task.name:
        return config
    kind, old = _task_class({"name": name}), config.task
    task, defaults = kind(name=name), type(old)(name=old.name)
    chosen = [
        f"task.{each.name}"
        for each in dataclasses.fields(old)
        if getattr(old, each.name) != getattr(defaults, each.name)
    ]
    if chosen:
        raise ConfigError(
            f"task.name={name}",
            expected=f"a configuration that sets no parameter of the task {old.name}",
            got=", ".join(chosen),
            do=f"start from a preset of {name}",
        )
    return dataclasses.replace(config, task=task)


def replaced(config: Config, values: Mapping[str, Any], together: bool = True) -> Config:
    """`config` with `values` by dotted key. Without `together`, sections may contradict each other still."""
    data = config.as_dict()
    for name, value in values.items():
        *sections, leaf = name.split(".")
        target = data
        for section in sections:
            target = target[section]
        target[leaf] = value
    return from_dict(data) if together else typing.cast(Config, _section(Config, data, ""))


def of_island(config: Config, entry: Mapping[str, Any]) -> Config:
    """The configuration of an island: the run's, with the `overrides` by dotted key of its entry in run.json."""
    own = entry.get("overrides")
    if not own:
        return config
    with located(f"run.json, overrides of {entry.get('name')}"):
        if not isinstance(own, dict):
            raise _wrong("the whole", "a mapping of keys to values", own)
        for name in own:
            if name not in flat(config):
                raise unknown_key(str(name), config.task.name)
        return replaced(config, own)


def flat(config: Config) -> dict[str, Any]:
    """Every value of a configuration by its dotted key."""
    found: dict[str, Any] = {}

    def walk(data: Mapping[str, Any], prefix: str) -> None:
        for key, value in data.items():
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}.")
            else:
                found[prefix + key] = value

    walk(config.as_dict(), "")
    return found


def fingerprint(config: Config) -> str:
    """16 hex digits that tell configurations apart, apart from what changes no generation (`ASIDE`)."""
    usual = flat(Config())
    values = {
        key: value
        for key, value in flat(config).items()
        if key not in ASIDE and (key not in ADDED or value != usual[key])
    }
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _keys_of(cls: type, prefix: str, task: type[TaskConfig]) -> Iterable[Key]:
    hints = {**typing.get_type_hints(cls), "task": task}
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _keys_of(hints[field.name], f"{prefix}{field.name}.", task)
        else:
            yield Key(prefix + field.name, hints[field.name], field.default)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        if is_of_the_disk(error):
            raise DiskError(f"cannot read {path}", expected="a healthy disk", got=f"{error.strerror}") from error
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot read the configuration {path} ({reason})", do="check the path") from error
    if len(content) > SIZE_LIMIT:
        raise ConfigError(f"{path} is too large", expected=f"at most {SIZE_LIMIT} bytes", do="is it a configuration?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not text", expected="YAML in UTF-8", got=f"byte {error.start} outside it"
        ) from error


@contextmanager
def located(where: str) -> Iterator[None]:
    """Open the line of a ConfigError raised inside with `where`."""
    try:
        yield
    except ConfigError as error:
        what = f"{where}: {error.what}" if where else error.what
        raise ConfigError(what, expected=error.expected, got=error.got, do=error.do) from error


def _command_line_value(kind: Any, text: str) -> Any:
    """What `text` means for a key of type `kind`. A shell strips quotes, so text stays text: `no` is a word here."""
    if kind is str or typing.get_origin(kind) is Literal:
        try:
            value = strict_yaml.parse(text)
        except ConfigError:
            return text
        return value if isinstance(value, str) else text
    value = strict_yaml.parse(text)
    return float(value) if kind is float and isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _section(cls: type, data: object, prefix: str) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong(prefix.rstrip(".") or "the whole", "a mapping of keys to values", data)
    hints = typing.get_type_hints(cls)
    if cls is TaskConfig:
        cls = _task_class(data)
        hints = typing.get_type_hints(cls)
    for name in data:
        if name not in hints:
            shown = prefix + (name if isinstance(name, str) and name.isprintable() else reprlib.repr(name))[:100]
            raise unknown_key(shown, cls.name if issubclass(cls, TaskConfig) else PelletsConfig.name)
    values = {}
    for field in dataclasses.fields(cls):
        if field.name in data:
            name, kind, value = prefix + field.name, hints[field.name], data[field.name]
            if dataclasses.is_dataclass(kind):
                values[field.name] = _section(typing.cast(type, kind), value, name + ".")
            else:
                values[field.name] = _value(kind, field.metadata, value, name)
    return cls(**values)


def _task_class(data: Mapping[str, Any]) -> type[TaskConfig]:
    """The dataclass of the parameters of the task that a `task` section names."""
    name = data.get("name", PelletsConfig.name)
    return tasks.parameters_of(_text(name, "task.name"))


def _value(kind: Any, bounds: Mapping[str, Any], value: object, name: str) -> Any:
    if typing.get_origin(kind) is Literal:
        return _choice(typing.get_args(kind), value, name)
    if kind is bool:
        if not isinstance(value, bool):
            raise _wrong(name, "true or false", value)
        return value
    if kind is str:
        return _text(value, name)
    if typing.get_origin(kind) is Mapping:
        return _parameters(value, name)
    return _in_bounds(kind, bounds, value, name)


def _choice(choices: Sequence[str], value: object, name: str) -> str:
    if not isinstance(value, str):
        raise _wrong(name, f"one of {', '.join(choices)}", value)
    if value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        raise _wrong(name, f"one of {', '.join(choices)}", value, f"did you mean {near[0]}?" if near else "")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in value):
        raise _wrong(name, "one line of text without control characters", value)
    return value


def _parameters(value: object, name: str) -> dict[str, Any]:
    """A mapping of names to numbers, texts and truth values."""
    if not isinstance(value, Mapping):
        raise _wrong(name, "a mapping of names to values", value)
    for key, each in value.items():
        if not (isinstance(key, str) and key.isidentifier()):
            raise _wrong(name, "names of Python's form", key)
        if not isinstance(each, bool | int | float | str) or (isinstance(each, float) and not math.isfinite(each)):
            raise _wrong(f"{name}.{key}", "a number, a text, true or false", each)
    return dict(value)


def _in_bounds(kind: type, bounds: Mapping[str, Any], value: object, name: str) -> float | int:
    low, high = bounds.get("min"), bounds.get("max")
    noun = "a whole number" if kind is int else "a number"
    expected = noun + (f" from {low} to {high}" if low is not None and high is not None else "")
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise _wrong(name, expected, value)
    inside = (low is None or value >= low) and (high is None or value <= high)
    if not inside or not math.isfinite(value):  # NaN compares false, so it is never inside
        raise _wrong(name, expected, value)
    return kind(value)  # type: ignore[no-any-return]


def _wrong(name: str, expected: str, value: object, do: str = "") -> ConfigError:
    """The error for a value of another type or out of bounds; explains how YAML came to read it so."""
    got = "nothing" if value is None else reprlib.repr(value)
    if isinstance(value, bool):
        got = f"the truth value {str(value).lower()}"
        if expected != "true or false":
            do = "YAML reads yes, no, on and off as truth values: quote a word that is meant as one"
    elif isinstance(value, str) and "number" in expected and (match := _NUMBER.fullmatch(value)):
        got = f"the text {value!r}"
        plain = "it in plain digits" if "whole" in expected else _as_yaml_number(match)
        do = f"YAML reads it as text: write {plain}"
    elif isinstance(value, str) and expected == "true or false":
        do = "write true or false without quotes"
    elif expected == "text" and value is not None:
        do = "quote it"
    return ConfigError(name, expected=expected, got=got, do=do)


def _as_yaml_number(match: re.Match[str]) -> str:
    """The same number in a form that YAML 1.1 reads as one: a point, and a sign in the exponent."""
    whole, fraction, sign, exponent = match.groups()
    if exponent is None:
        return f"{whole}{fraction or ''} without quotes"
    return f"{whole}{fraction if fraction and len(fraction) > 1 else '.0'}e{sign or '+'}{exponent}"


def unknown_key(name: str, task: str = PelletsConfig.name) -> ConfigError:
    """The error for the dotted key `name` that does not exist; names the nearest in its section, or in any section."""
    names = [key.name for key in keys(task)]
    others = [*tasks.NAMES, *(f"{prefix}:" for prefix in tasks.families.FAMILIES)]
    own_kind = tasks.parameters_of(task)
    owners = [each for each in others if tasks.parameters_of(each) is not own_kind and name in _names_of(each)]
    if owners:
        own = ", ".join(key for key in names if key.startswith("task."))
        return ConfigError(
            f"{name}: unknown key of the task {task}", do=f"{', '.join(owners)} has it; valid here: {own}"
        )
    if inside := [key for key in names if key.startswith(name + ".")]:
        return ConfigError(f"{name} is a section", expected=f"one of its keys ({', '.join(inside)})")
    section, dot, leaf = name.rpartition(".")
    here = dict.fromkeys(
        key.removeprefix(section + dot).split(".")[0] for key in names if key.startswith(section + dot)
    )
    near = [section + dot + key for key in difflib.get_close_matches(leaf, here, n=3)]
    leaves = difflib.get_close_matches(leaf, [key.rpartition(".")[2] for key in names], n=1, cutoff=0.8)
    near += [key for key in names if key.rpartition(".")[2] in leaves and key not in near]
    valid = [section + dot + key for key in here] or dict.fromkeys(key.split(".")[0] for key in names)
    return ConfigError(
        f"{name}: unknown key", do=f"did you mean {' or '.join(near)}?" if near else f"valid here: {', '.join(valid)}"
    )


def _check_functions(listed: str) -> None:
    """Refuse what `network.activations` must not list."""
    key = "network.activations"
    names = [name.strip() for name in listed.split(",")] if listed else []
    for name in names:
        if name not in FUNCTIONS:
            near = difflib.get_close_matches(name, FUNCTIONS, n=1)
            expected = f"some of {', '.join(FUNCTIONS)}, with commas between"
            raise ConfigError(key, expected=expected, got=repr(name), do=f"did you mean {near[0]}?" if near else "")
    if len(set(names)) < len(names):
        raise ConfigError(key, expected="each function once", got=repr(listed), do="leave the second one out")


def _names_of(task: str) -> list[str]:
    return [key.name for key in keys(task)]


def _check_together(config: Config) -> None:
    """Refuse names that nothing answers to, and sections that are valid alone and contradict each other."""

    def refuse(what: str, expected: str, got: object, do: str) -> None:
        raise ConfigError(what, expected=expected, got=str(got), do=do)

    tasks.families.check(config.task)
    if config.mode == "hybrid" and not config.task.body:
        refuse("mode", f"neat or pure for the task {config.task.name}", "hybrid", "it needs a body with muscles")
    if config.algorithm != "ga":
        _check_algorithm(config)
    with located("migration"):
        topology.check(config.migration.topology)
    if config.diversity.method != "none" and config.strategy.patience:
        refuse("strategy.patience", "0 with diversity.method", config.strategy.patience, "an archive is what it keeps")
    wanted = config.diversity.descriptors
    if wanted and not re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3}){0,7}", wanted):
        refuse("diversity.descriptors", "numbers from 0 on, at most 8, such as 0,2", wanted, "see the task's file")
    network, fixed = config.network, config.mode != "neat"
    _check_functions(network.activations)
    if network.layers > 1 and not fixed:
        refuse("network.layers", "1 in mode neat", network.layers, "neat grows its own structure")
    if network.recurrent and not fixed:
        refuse("network.recurrent", "false in mode neat", "true", "there, mutation.recurrent closes cycles")
    if network.activations and fixed:
        do = "network.activation is every neuron's there"
        refuse("network.activations", f"nothing in mode {config.mode}", network.activations, do)
    if config.mutation.activation and not network.activations:
        got = config.mutation.activation
        refuse("mutation.activation", "0 without network.activations", got, "list there what to draw from")
    body, population = config.body, config.population
    if body.min_nodes > body.max_nodes:
        refuse("body.min_nodes", f"at most body.max_nodes ({body.max_nodes})", body.min_nodes, "swap the two")
    if config.migration.every and config.migration.migrants > population:
        expected = f"migration.migrants at most {population}"
        refuse("more migrants than population", expected, config.migration.migrants, "send fewer or raise population")
    for name, value in (
        ("selection.elites", config.selection.elites),
        ("selection.tournament_size", config.selection.tournament_size),
        ("speciation.min_size", config.speciation.min_size),
    ):
        if value > population:
            refuse(name, f"at most the population ({population})", value, f"lower {name} or raise population")


def _check_algorithm(config: Config) -> None:
    """Refuse an algorithm over vectors of weights where genomes are not such vectors, or where it cannot begin."""
    what = f"algorithm {config.algorithm}"
    if config.mode != "pure":
        do = "set mode: pure, or algorithm: ga"
        raise ConfigError(what, expected="mode pure, whose networks keep their shape", got=config.mode, do=do)
    if config.task.body:
        expected, got = "a task without bodies, which grow and shrink", config.task.name
        raise ConfigError(what, expected=expected, got=got, do="choose another task, or algorithm: ga")
    if config.population < LEAST_SAMPLE:
        got = str(config.population)
        raise ConfigError(what, expected=f"a population of at least {LEAST_SAMPLE}", got=got, do="raise population")
    if config.diversity.method != "none":
        do = "set algorithm: ga, or diversity.method: none"
        raise ConfigError(
            what, expected="no diversity.method: it is about breeding", got=config.diversity.method, do=do
        )
    if config.migration.pbt or config.migration.restart:
        key, do = ("pbt", "") if config.migration.pbt else ("restart", "set strategy.patience for fresh starts")
        raise ConfigError(what, expected=f"no migration.{key}: it is about breeding", got="it set", do=do)
    if not config.network.weight_scale:
        do = "set network.weight_scale: it says how far the search looks at first"
        raise ConfigError(what, expected="network.weight_scale above 0", got="0", do=do)
