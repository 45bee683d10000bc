"""`evolab` whose trials run stand-in islands (see stand_in_island.py): python search_stand_ins.py search STUDY …

Everything else is real: the parent, the backends, the trials' processes (this script with `--trial`), their
supervision. It only looks more often, since stand-ins are fast.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from launcher import backends, cli, supervisor, trial

SCRIPT = Path(__file__).resolve()
STAND_IN = (sys.executable, str(SCRIPT.with_name("stand_in_island.py")))


def command(study: Path, number: int) -> list[str]:
    """In the place of `launcher.backends.command`."""
    return [sys.executable, str(SCRIPT), "--trial", str(study.absolute()), str(number), "--parent", str(os.getpid())]


def wait_for(study: str, number: int, log: str) -> int:
    """In the place of `launcher.backends.wait_for`: a worker of a pool or of Ray finds it in the main module."""
    with backends.spawn(command(Path(study), number), Path(log)) as process:
        return process.wait()


def main() -> None:
    supervisor.TICK = 0.01
    if sys.argv[1] == "--trial":
        del sys.argv[1]
        trial.work = functools.partial(trial.work, program=STAND_IN)
        sys.exit(trial.main())
    from launcher import study
    from launcher.backends import pool, processes, ray

    study.TICK, study.LOOK, study.HELD_RETRY = 0.02, 0.1, 0.1
    processes.command = command
    pool.wait_for = ray.wait_for = wait_for
    cli.main()


if __name__ == "__main__":
    main()
