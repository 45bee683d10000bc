"""YAML without its traps: what could be read as something else than it says is an error.

Plain `yaml.safe_load` keeps the last of two equal keys, reads `010` as 8 and `1:30` as 90, and lets a file of a few
hundred bytes grow without bound through aliases. Here each of these is a `ConfigError` that names the line.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from islands.errors import ConfigError

_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")


class _StrictLoader(yaml.SafeLoader):
    """`yaml.SafeLoader` that refuses duplicate keys, aliases, octal and sexagesimal numbers."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            loader: Any = self
            raise _problem(loader.peek_event().start_mark, "an alias (*name) is not allowed", "write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                got = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise _problem(key.start_mark, f"a key must be a word, got {got}", "quote it if it is meant as a word")
            if key.value in seen:
                raise _problem(key.start_mark, f"duplicate key {key.value!r}", "keep one of the two")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        """A whole number written in plain decimal digits."""
        if not _DECIMAL.fullmatch(node.value) or len(node.value) > 100:
            text = f"YAML reads {node.value[:40]!r} as octal, hexadecimal, binary, base 60 or beyond any bound"
            raise _problem(node.start_mark, text, "write a plain decimal number, or quote it if it is text")
        return int(node.value.replace("_", ""))

    def construct_real(self, node: yaml.ScalarNode) -> float:
        """A real number that is not in base 60."""
        if ":" in node.value:
            text = f"YAML reads {node.value[:40]!r} as a number in base 60"
            raise _problem(node.start_mark, text, "write a plain decimal number, or quote it if it is text")
        return super().construct_yaml_float(node)


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_decimal)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_real)


def _problem(mark: Any, what: str, do: str) -> ConfigError:
    return ConfigError(f"line {mark.line + 1}, column {mark.column + 1}: {what}", do=do)


def parse(text: str) -> Any:
    """The plain value (dict, list, str, int, float, bool, date or None) that `text` holds; ConfigError otherwise."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{place}not YAML ({error.problem})", do="check quotes, indentation and colons") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"not YAML ({error})", do="check for characters that are not text") from error
    except RecursionError as error:
        raise ConfigError("nested too deeply", expected="at most two levels of keys") from error
