"""`python -m islands.tasks.trial < CONFIG`: whether a configuration's task can be loaded; says in one line why not.

A process of its own: somebody else's code may hang, crash or print.
"""

from __future__ import annotations

import sys

from islands import loading, strict_yaml, tasks
from islands.errors import EvolabError


def main() -> int:
    """Make the task; exit code 0, or that of the error."""
    try:
        tasks.make(loading.from_dict(strict_yaml.parse(sys.stdin.read())))
    except EvolabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
