"""How pages are made: templates with everything from files escaped, and what can stand inlined in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from islands import files

HERE = Path(__file__).parent
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def environment(folder: Path = HERE) -> Environment:
    """The templates of a package's `templates/`; a name that is not there is an error."""
    loader = FileSystemLoader(folder / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def script_data(value: Any) -> Markup:
    """JSON that can stand within a `<script>` element, whatever it holds."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup("".join(_ESCAPES.get(character, character) for character in text))


def asset(name: str) -> Markup:
    """A file of this package; none holds what would end the element that it stands in."""
    return Markup(files.read(HERE / "assets" / name).decode())
