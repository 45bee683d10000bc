"""`evolab doctor`: every check runs in a process that can be abandoned, since a dead disk answers no question for ever.

A group of checks is one child process, `python -m launcher.doctor GROUP [DIR] [RUN]`. It says the name of each check
before it begins and the finding after it; whoever asked waits so long and no longer, and a check that has not answered
by then is a finding too. The groups run side by side, after the one that looks at a live run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands.errors import ConfigError, EvolabError
from launcher.findings import ROOM, Check, Finding, worst
from launcher.supervisor import environment

PATIENCE: Mapping[str, float] = {"machine": 20.0, "island": 90.0, "yours": 90.0, "disk": 30.0, "run": 30.0}
"""Groups of checks, in the order in which they are shown, and the seconds each may take.

Importing PyTorch from a cold network disk takes a minute; everything else is done within seconds."""
GRACE = 2.0
"""Seconds that a child which is given up has to remove what it has made."""


@dataclass
class _Child:
    """One group's process."""

    group: str
    process: subprocess.Popen[bytes]
    due: float


def examine(folder: Path | None, run: str | None, patience: Mapping[str, float] = PATIENCE) -> dict[str, Any]:
    """Run all checks, of `folder` (None: this one, or the run's) and, where named, of a live `run`; the JSON."""
    waves = [[group for group in PATIENCE if group != "run"], ["run"] if run is not None else []]
    heard: list[list[Finding]] = []
    for wave in reversed(waves):  # the run first: the other checks would show in its figures
        with _children(wave, folder, run, patience) as children:
            refusing = sorted(children, key=lambda child: child.group != "disk")  # the quickest to say "no such folder"
            said = {child.group: _findings(child) for child in refusing}
            heard.append([finding for group in wave for finding in said[group]])
    found = [finding for each in reversed(heard) for finding in each]
    return {
        "folder": None if folder is None else str(folder),
        "run": run,
        "verdict": worst([finding.verdict for finding in found]),
        "checks": [finding._asdict() for finding in found],
    }


def exit_code(found: Mapping[str, Any]) -> int:
    """0 when nothing is worse than a note, 1 otherwise."""
    return 0 if found["verdict"] in ("ok", "note") else 1


@contextmanager
def _children(
    groups: Iterable[str], folder: Path | None, run: str | None, patience: Mapping[str, float]
) -> Iterator[list[_Child]]:
    """The groups' processes; none is left, or waited for, however the body ends."""
    children: list[_Child] = []
    try:
        for group in groups:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "launcher.doctor", group, str(folder or ""), run or ""],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(group),
            )  # fmt: skip
            children.append(_Child(group, process, time.monotonic() + patience[group]))
        yield children
    finally:
        for child in children:
            _end(child.process)


def _environment(group: str) -> dict[str, str]:
    """An island's environment for most; this process's own, as it is, for the group that asks what that means."""
    limited = environment(1)
    return limited if group != "yours" else {**os.environ, "PYTHONPATH": limited.get("PYTHONPATH", "")}


def _findings(child: _Child) -> list[Finding]:
    """What a child has said when it ends, or when its time is up."""
    with suppress(subprocess.TimeoutExpired):
        child.process.wait(max(0.1, child.due - time.monotonic()))
    late = child.process.poll() is None
    said, begun = _heard(child)
    if late:
        _end(child.process)
        killed = child.process.poll() == -signal.SIGKILL or child.process.poll() is None
        left = f"; a folder {ROOM}* may be left there" if child.group == "disk" and killed else ""
        said.append(Finding(begun or child.group, "error", f"no answer in time{left}", _HUNG))
    elif child.process.returncode:
        words = _read(child.process.stderr).decode(errors="replace").strip().splitlines() or ["no word"]
        said.append(Finding(begun or child.group, "error", f"the check itself failed: {words[-1][:200]}"))
    return said


_HUNG = "something does not answer, most likely a network disk: `mount`, `dmesg`; then ask again"


def _heard(child: _Child) -> tuple[list[Finding], str]:
    """The findings so far, and the check that was begun and has none. A refusal (no such folder) is raised."""
    found: list[Finding] = []
    begun = ""
    for line in _read(child.process.stdout).split(b"\n")[:-1]:  # what is not a whole line was never said
        words = json.loads(line)
        if "refused" in words:
            raise ConfigError(words["refused"])
        if "begun" in words:
            begun = words["begun"]
        else:
            found.append(Finding(**words))
            begun = ""
    return found, begun


def _read(stream: Any) -> bytes:
    """What lies in a pipe, without waiting for more: somebody may still hold its other end."""
    os.set_blocking(stream.fileno(), False)
    return stream.read() or b""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child, gently and then not; one that waits for a dead disk cannot be ended, and is left to the kernel."""
    for stop in (process.terminate, process.kill):
        if process.poll() is not None:
            break
        stop()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def main(arguments: list[str]) -> int:
    """A group's process: run its checks, a line of JSON before and after each."""
    group, folder, run = (*arguments, "", "")[:3]
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        with checks_of(group, Path(folder) if folder else None, run or None) as checks:
            for name, check in checks:
                _say({"begun": name})
                _say(_tried(name, check)._asdict())
    except ConfigError as error:
        _say({"refused": str(error)})
    return 0


@contextmanager
def checks_of(group: str, folder: Path | None, run: str | None) -> Iterator[Iterable[Check]]:
    """The checks of a group; what they need is made before and removed after them."""
    if group == "machine":
        from launcher import doctor_machine

        yield doctor_machine.CHECKS
    elif group in ("island", "yours"):
        from launcher import doctor_libraries

        yield doctor_libraries.checks(group)
    elif group == "disk":
        from launcher import doctor_disk
        from launcher.run import find

        with doctor_disk.checks(folder or (find(run).path if run else Path())) as checks:
            yield checks
    else:
        from launcher import doctor_run

        yield doctor_run.checks(run or "")


def _tried(name: str, check: Any) -> Finding:
    try:
        finding: Finding = check()
        return finding
    except ConfigError:
        raise
    except (EvolabError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Finding(name, "error", f"failed: {reason}"[:300])
    except Exception as error:
        return Finding(name, "error", f"could not be checked ({type(error).__name__}: {error})"[:300])


def _say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
