"""`evolab export`: a champion as something that works without this project. One description, one writer a format."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import ConfigError
from islands.genome.population import decode
from islands.tasks import make
from islands.tasks.senses import action_names, sensor_names
from islands.wiring import Wiring, describe
from launcher.champions import EXPORT_FORMAT, Champion, title
from launcher.exporting import as_dot, as_onnx, as_python, as_torch

WRITERS: dict[str, Callable[[Wiring, str], bytes]] = {
    "onnx": as_onnx.write,
    "torch": as_torch.write,
    "dot": as_dot.write,
    "python": as_python.write,
}
"""Each takes the description and a line that says what it is; `json` holds the genome too."""
NAMES = {
    "onnx": "champion.onnx",
    "torch": "champion_torch.py",
    "json": "champion.json",
    "dot": "champion.dot",
    "python": "champion.py",
}
"""The formats, and where each goes unless told otherwise."""


def wiring_of(champion: Champion) -> Wiring:
    """The champion's network and body; a ConfigError where its genome is none of its configuration."""
    task = make(champion.config)
    try:
        genomes = decode([champion.genome], task.layout)
    except ValueError as error:
        where = champion.about.get("file", "the champion")
        do = "give the configuration that it evolved under"
        raise ConfigError(f"genome of {where}", expected="one of its configuration", got=str(error), do=do) from error
    names = sensor_names(task, champion.config), action_names(task, champion.config)
    return describe(genomes, 0, task.layout, *names)


def export(champion: Champion, form: str, out: Path | None, as_json: bool = False) -> tuple[dict[str, Any], bytes]:
    """Write the champion to `out`; `-`: nowhere. The keys of `evolab export --json`, and the content.

    What a user has named is replaced; a file that has the name for want of one is not.
    """
    path = out or Path(NAMES[form])
    if str(path) == "-" and (form == "onnx" or as_json):
        what = "with --json" if as_json else "for ONNX, which is no text"
        raise ConfigError("--out", expected=f"a file {what}", got="-")
    if str(path) != "-" and not path.absolute().parent.is_dir():
        raise ConfigError("--out", expected="a file in a folder that exists", got=str(path))
    if out is None and path.exists():
        raise ConfigError(f"{path}", expected="no such file yet", got="one", do="name one with --out; it is replaced")
    wiring = wiring_of(champion)
    content = in_format(champion, wiring, form)
    if str(path) != "-":
        files.replace_atomically(path, content)
    return told_of(champion, wiring, form, path), content


def in_format(champion: Champion, wiring: Wiring, form: str) -> bytes:
    """The champion in one of the formats."""
    if form == "json":
        return _json(champion, wiring)
    return WRITERS[form](wiring, title(champion.about))


def _json(champion: Champion, wiring: Wiring) -> bytes:
    record = {
        "format": EXPORT_FORMAT,
        "about": champion.about,
        **wiring.as_dict(),
        "config": champion.config.as_dict(),
        "genome": base64.b64encode(champion.genome).decode(),
    }
    return (json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def told_of(champion: Champion, wiring: Wiring, form: str, path: Path) -> dict[str, Any]:
    """What was written, in figures and names."""
    body = wiring.body or {}
    return {
        "path": str(path),
        "format": form,
        "inputs": list(wiring.inputs),
        "outputs": [output.name for output in wiring.outputs],
        "neurons": len(wiring.neurons),
        "connections": wiring.connections,
        "memory": len(wiring.memory),
        "body": {part: len(body[part]) for part in ("nodes", "muscles")} if body else None,
        "champion": champion.about,
    }


def told(result: dict[str, Any]) -> str:
    """The result in words."""
    inputs, outputs = len(result["inputs"]), len(result["outputs"])
    shape = f"{inputs} inputs → {outputs} output{'s' * (outputs != 1)}, {result['neurons']} neurons"
    shape += f", {result['connections']} connections"
    shape += f", remembers {result['memory']}" if result["memory"] else ""
    body = result["body"]
    shape += f"; a body of {body['nodes']} nodes and {body['muscles']} muscles" if body else ""
    return f"{title(result['champion'])}\n{shape}\nwrote {result['path']} ({result['format']})"
