"""Errors a user can act on: what was expected, what came, what to do.

Each class fixes the exit code of an island's process; the launcher's commands
turn every `EvolabError` into one line on stderr and exit code 2.
"""

from __future__ import annotations


class EvolabError(Exception):
    """A problem told in one line: `what: expected …, got …; do this`."""

    exit_code = 70

    def __init__(self, what: str, *, expected: str = "", got: str = "", do: str = "") -> None:
        self.what, self.expected, self.got, self.do = what, expected, got, do
        line = what
        if expected:
            line += f": expected {expected}"
        if got:
            line += f", got {got}"
        if do:
            line += f"; {do}"
        super().__init__(line.replace("\n", " "))


class ConfigError(EvolabError):
    """A configuration, a command line or a directory that cannot be used as asked. Never retried."""

    exit_code = 78


class DiskError(EvolabError):
    """A durable write that could not be made (full, read-only, I/O error)."""

    exit_code = 74


class TryAgain(EvolabError):
    """A passing condition: the same command may work later."""

    exit_code = 75


STOPPED = 85
"""Exit code of an island that stopped on request with a checkpoint written."""
