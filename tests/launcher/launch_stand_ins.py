"""`evolab launch` with stand-in islands: python launch_stand_ins.py ISLANDS GENERATIONS [OUT | --resume RUN]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from islands.errors import EvolabError
from launcher import start, summary
from launcher.drive import Settings

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in_island.py")))


def main(arguments: list[str]) -> int:
    islands, generations, *rest = arguments
    settings = Settings(pin=True, program=STAND_IN)
    if rest[:1] == ["--resume"]:
        request = start.Request(overrides=(f"generations={generations}",))
        run, outcome = start.resume(rest[1], request, settings)
    else:
        request = start.Request(
            "quick", (f"generations={generations}", f"migration.islands={islands}"), Path(rest[0]) if rest else None
        )
        run, outcome = start.launch(request, 1, settings)
    print(json.dumps(summary.of_launch(run, outcome)))
    return outcome.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EvolabError as error:
        print(error, file=sys.stderr)
        sys.exit(getattr(error, "launcher_code", 2))
