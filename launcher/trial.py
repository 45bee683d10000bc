"""One trial in one process: `python -m launcher.trial STUDY_DIR NUMBER`.

Runs the trial's whole runs one after another, each under the launcher's own supervision, on the cores that the trial
was given. It goes on from what is there, so the same command again is also how an interrupted trial is continued. How
it ended is its exit code: 0 all runs finished, 85 stopped with checkpoints, 78 a configuration that cannot work, 3
another process still works on it, 1 a run failed.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from islands import files, loading, process
from islands.config import Config
from islands.errors import STOPPED, ConfigError, EvolabError
from launcher import run as runs
from launcher.drive import Outcome, Settings, drive
from launcher.states import DONE, FAILED, HELD
from launcher.supervisor import PROGRAM
from launcher.trials import RunSpec, StudyDir, Trial, config_of


def main() -> int:
    """Parse, run, and say how it ended by the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.trial", description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("--parent", type=int, default=0, help="stop when this is no longer the parent process")
    arguments = parser.parse_args()
    study = StudyDir(arguments.study)
    try:
        return work(study, study.read(arguments.number), orphaned(arguments.parent))
    except EvolabError as error:
        print(f"trial {arguments.number}: {error}", file=sys.stderr, flush=True)
        return int(getattr(error, "launcher_code", error.exit_code))


def orphaned(parent: int) -> Callable[[], bool]:
    """Whether the process that asked for the trial is gone."""
    return lambda: parent > 0 and os.getppid() != parent


def work(study: StudyDir, trial: Trial, orphan: Callable[[], bool], program: Sequence[str] = PROGRAM) -> int:
    """Do the trial's runs on its cores; the exit code."""
    if trial.cpus:
        os.sched_setaffinity(0, set(trial.cpus) & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    base = loading.from_dict(files.read_json(study.identity)["configuration"])
    report = {"format": 1, **process.identity(), "host": socket.gethostname(), "time": time.time()}
    files.write_json(study.worker(trial.number), {**report, "cpus": sorted(os.sched_getaffinity(0))})

    def halt() -> bool:
        return orphan() or study.stop(trial.number).exists()

    settings = Settings(pin=True, claim=False, halt=halt, program=program)
    for spec in trial.runs:
        if halt():
            return STOPPED
        code = exit_code(_drive(study, trial, spec, config_of(base, trial.params, spec), settings))
        if code:
            return code
    return 0


def _drive(study: StudyDir, trial: Trial, spec: RunSpec, config: Config, settings: Settings) -> Outcome:
    run = study.run(trial.number, spec)
    migrates = spec.command == "launch" and config.migration.every > 0 and config.migration.migrants > 0
    shared = study.folder(trial.number) / f"{spec.name}-pool" if migrates else None
    plan = runs.Plan(spec.command, study.path.name, spec.islands, spec.batched, trial.threads, shared)
    if shared:
        files.make_folder(shared)
    return drive(runs.make_or_continue(run.path, config, plan), settings)


def exit_code(outcome: Outcome) -> int:
    """What a run's outcome means for its trial."""
    states = set(outcome.states.values())
    if states == {DONE}:
        return 0
    if not states & {FAILED, HELD}:
        return STOPPED
    return ConfigError.exit_code if outcome.exit_code == 2 else 1


if __name__ == "__main__":
    sys.exit(main())
