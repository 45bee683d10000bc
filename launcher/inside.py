"""Asks a module of the inside, in a process of its own, and hears what it says: one JSON object a line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from typing import Any

from islands.errors import EvolabError
from launcher.workers import environment


def said(
    module: str, *arguments: str, request: Any = None, threads: int = 1, fine: Collection[int] = (0,)
) -> Iterator[dict[str, Any]]:
    """Every line of `python -m MODULE ARGUMENTS…` as it comes; `request` goes to its stdin as JSON.

    Any other exit code than the `fine` ones is an EvolabError with the last line of its stderr.
    """
    pipe = subprocess.PIPE
    command = [sys.executable, "-P", "-m", module, *arguments]
    with subprocess.Popen(
        command, env=environment(threads), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        if request is not None:
            process.stdin.write(json.dumps(request))
        process.stdin.close()
        for line in process.stdout:
            yield json.loads(line)
        words = process.stderr.read().strip()
    if process.returncode not in fine:
        raise EvolabError((words.splitlines() or [f"exit code {process.returncode} of its process"])[-1])
