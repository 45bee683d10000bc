"""`evolab launch` with stand-in islands: python launch_stand_ins.py ISLANDS GENERATIONS [OUT | --resume RUN].

More settings come as JSON in the environment variable SETTINGS; "patience" and "policy" are mappings, "real" asks for
real islands, and "sets" is a list of overrides.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from islands.errors import EvolabError
from launcher import resuming, start, summary
from launcher.places import Place, slurm
from launcher.restarts import Policy
from launcher.settings import Settings
from launcher.stall import Patience
from launcher.workers import PROGRAM

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in_island.py")))


def wanted(more: dict[str, Any]) -> Settings:
    """The settings of a launch of stand-ins, and what the environment wants else."""
    kinds: dict[str, Any] = {
        "patience": lambda v: Patience(**v),
        "policy": lambda v: Policy(**v),
        "place": lambda v: Place(**v),
        "prometheus": Path,
        "tensorboard": Path,
    }
    slurm.LOOK = 0.5
    program = PROGRAM if more.pop("real", False) else STAND_IN
    return Settings(**{"pin": True, "program": program, **{k: kinds.get(k, lambda v: v)(v) for k, v in more.items()}})


def main(arguments: list[str]) -> int:
    islands, generations, *rest = arguments
    more = json.loads(os.environ.get("SETTINGS", "{}"))
    sets = more.pop("sets", [])
    settings = wanted(more)
    if rest[:1] == ["--resume"]:
        request = start.Request(overrides=(f"generations={generations}",))
        run, outcome = resuming.resume(rest[1], request, settings)
    else:
        overrides = (f"generations={generations}", f"migration.islands={islands}", *sets)
        request = start.Request("quick", overrides, Path(rest[0]) if rest else None)
        run, outcome = start.launch(request, 1, settings)
    print(json.dumps(summary.of_launch(run, outcome)))
    return outcome.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EvolabError as error:
        print(error, file=sys.stderr)
        sys.exit(getattr(error, "launcher_code", 2))
