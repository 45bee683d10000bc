"""Slurm's queue: what it has of a run's islands, and how they are ended there."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from islands import files
from islands.errors import ConfigError, EvolabError
from islands.rundir import IslandDir, RunDir

ANSWER = 30.0
"""Seconds that one of its commands may take."""
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
GOING = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")


def name_of(run: RunDir) -> str:
    """What the run's jobs are called."""
    return f"evolab-{run.path.absolute().name}"


def under_way(run: RunDir) -> dict[str, str]:
    """See `launcher.places.asking`. Waits for Slurm's answer."""
    return {name: plain(state) for name, (_, state) in _jobs(run).items()}


def kill(run: RunDir) -> list[str]:
    """See `launcher.places.asking`: what runs is killed at once, what waits is withdrawn."""
    found = _jobs(run)
    numbers = [number for number, _ in found.values()]
    if numbers:
        cancel("--signal=KILL", *numbers)
        cancel(*numbers)
    return list(found)


def _jobs(run: RunDir) -> dict[str, tuple[str, str]]:
    """Number and state of the islands' jobs that Slurm has not ended, by island."""
    try:
        done = subprocess.run(
            question(run), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise silent(str(error)) from error
    if done.returncode != 0:
        raise silent((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    states = states_in(done.stdout)
    numbers = {island.name: number_of(island) for island in run.islands()}
    found = {name: (number, states.get(number, "")) for name, number in numbers.items()}
    return {name: pair for name, pair in found.items() if pair[1] in WAITING or pair[1] in GOING}


def question(run: RunDir) -> list[str]:
    """The command that says what is in the queue of the run."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
    return [*command, f"--user={os.getuid()}", f"--name={name_of(run)}"]


def states_in(answer: str) -> dict[str, str]:
    """The states that an answer tells of, by job."""
    rows = (line.strip().partition("|") for line in answer.splitlines())
    return {number: state for number, _, state in rows if state}


def silent(got: str) -> ConfigError:
    """What to say when there is no answer."""
    return ConfigError("squeue", expected="what is in the queue", got=got, do="try again when Slurm answers")


def number_of(island: IslandDir) -> str:
    """The job that is noted in an island's folder; "" without one."""
    with suppress(EvolabError, OSError, KeyError):
        return str(files.read_json(island.place)["job"])
    return ""


def cancel(*words: str) -> None:
    """Call scancel; what it has to say is of no use."""
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            ["scancel", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=ANSWER, check=False,
        )  # fmt: skip


def plain(state: str) -> str:
    """A state as people say it."""
    return state.lower().replace("_", " ")
