"""Launchers of stand-in islands as processes of their own, and what to wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from islands import files
from islands.rundir import IslandDir, RunDir, checkpoints_in
from launcher import events

SCRIPT = Path(__file__).with_name("launch_stand_ins.py")
ROOT = SCRIPT.parents[2]


class Launch:
    """A launcher of stand-in islands in `folder`. `settings`: see launch_stand_ins.py."""

    def __init__(
        self, folder: Path, *arguments: object, faults: str = "", seconds: float = 0.02, **settings: object
    ) -> None:
        environment = dict(os.environ, PYTHONPATH=str(ROOT), STAND_IN=faults, STAND_IN_SECONDS=str(seconds))
        environment |= {"SETTINGS": json.dumps(settings), "TMPDIR": str(folder)}
        command = [sys.executable, str(SCRIPT), *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)

    def end(self, within: float = 90.0) -> tuple[int, dict[str, Any], str]:
        out, err = self.process.communicate(timeout=within)
        return self.process.returncode, json.loads(out) if out else {}, err


def evolab(folder: Path, *arguments: object, within: float = 60.0) -> subprocess.CompletedProcess[str]:
    """The command itself, in `folder`."""
    command = [sys.executable, "-m", "launcher", *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(folder))
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=within
    )


def wait_for(condition: Callable[[], Any], within: float = 30.0) -> Any:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def beat(island: IslandDir) -> dict[str, Any]:
    return files.read_json(island.heartbeat) if island.heartbeat.exists() else {}


def at_generation(island: IslandDir, generation: int) -> Callable[[], dict[str, Any] | None]:
    """The heartbeat, once it has come so far."""

    def look() -> dict[str, Any] | None:
        found = beat(island)
        return found if found.get("state") == "running" and (found["generation"] or 0) >= generation else None

    return look


def saved(island: IslandDir) -> int:
    """The generation that an island's newest checkpoint is named by, which may be behind its heartbeat's; -1: none."""
    found = checkpoints_in(island.checkpoints) if island.checkpoints.exists() else []
    return max((int(path.stem) for path in found), default=-1)


def seen(island: IslandDir) -> list[dict[str, Any]]:
    """What a stand-in noted, once a start."""
    path = island.path / "seen.jsonl"
    return files.read_jsonl(path) if path.exists() else []


def told(run: RunDir, kind: str, island: str | None = None) -> list[dict[str, Any]]:
    """A run's events of a kind, of one island where that is given."""
    found = events.read(run) if run.events.exists() else []
    return [event for event in found if event["event"] == kind and (island is None or event.get("island") == island)]
