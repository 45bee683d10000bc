"""`translated`: a compiled function made anew with other names, and with it all that it calls."""

from __future__ import annotations

import dis
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any


def translated(
    function: Any, names: Mapping[str, Any], make: Callable[[FunctionType], Any], found: dict[Any, Any] | None = None
) -> Any:
    """`function` (a Numba dispatcher or plain Python) compiled by `make`, and each compiled function it calls likewise.

    names: what global names stand for instead, wherever they occur; plain Python functions among them are translated,
    too. `found` keeps what has been translated, so that each function is made once.
    """
    found = {} if found is None else found
    source: FunctionType = getattr(function, "py_func", function)
    if source in found:
        return found[source]
    space = dict(source.__globals__)
    for name in _globals_in(source.__code__) & (names.keys() | space.keys()):
        value = names[name] if name in names else space[name]
        is_ours = hasattr(value, "py_func") or (name in names and isinstance(value, FunctionType))
        space[name] = translated(value, names, make, found) if is_ours else value
    made = FunctionType(source.__code__, space, source.__name__, source.__defaults__, source.__closure__)
    made.__qualname__ = source.__qualname__
    found[source] = make(made)
    return found[source]


def _globals_in(code: CodeType) -> set[str]:
    """The global names that code reads."""
    inner = [_globals_in(part) for part in code.co_consts if isinstance(part, CodeType)]
    own = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    return own.union(*inner)
