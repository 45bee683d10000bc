"""What an island's files say about how its process ended, and about the disk that it needs."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from islands import files
from islands.errors import STOPPED, EvolabError
from islands.rundir import RunDir
from launcher import poison
from launcher.complaints import complaint
from launcher.oom import Kills
from launcher.status import beat_of
from launcher.workers import Ended, Job, Process, Worker, ending

_LEAST, _MOST = 65536, 64_000_000


def inferred(job: Job, gone: Process) -> int | None:
    """The exit code of a process that was somebody else's child, from what it left behind; None: it left nothing."""
    if job.finished:
        return 0
    for island in job.islands:
        with contextlib.suppress(OSError, EvolabError):
            code = files.read_json(island.error)["exit_code"] if island.error.exists() else None
            if isinstance(code, int):
                return code
    beat = beat_of(job.islands)
    return STOPPED if gone.wrote(beat) and beat.get("state") == "stopped" else None


def why(worker: Worker, gone: Process, ended: Ended, kills: Kills) -> str:
    """Why an island died, in words."""
    code = worker.code
    if worker.stalled_at is not None:
        return f"stalled and killed: {worker.reason}"
    if ended.why:
        return ended.why
    text = ending(code) if code else "exit code 0 without a result"
    if code is None:
        text = ending(code)
    if code == -signal.SIGKILL and not gone.where:
        beat = beat_of(worker.job.islands)
        memory = kills.verdict(gone.pid, beat.get("rss_mb") if gone.wrote(beat) else None)
        text += f", {memory}" if memory else ""
    return text


def silence(worker: Worker) -> str:
    """In words, how long an island has been silent and where it was then."""
    beat = beat_of(worker.job.islands)
    generation, step = beat.get("generation"), beat.get("step")
    where = "while it started" if worker.pulse.starting else f"after generation {generation}"
    if isinstance(step, list) and len(step) == 2:
        where += f", {step[0]} of {step[1]} episodes of the next one evaluated"
    return f"no heartbeat for {worker.pulse.quiet:.0f} s (allowed: {worker.pulse.limit:.0f}), {where}"


def reached(job: Job) -> int | None:
    """The last generation that any of a job's populations has recorded."""
    found: list[int] = []
    for island in job.islands:
        with contextlib.suppress(OSError, EvolabError):
            generation = poison.last_reached(island)
            found += [] if generation is None else [generation]
    return max(found, default=None)


def complaint_of(job: Job) -> str:
    """What an island that ended had to say, in one line."""
    told = next((island for island in job.islands if island.error.exists()), job.islands[0])
    return complaint(told, job.log)


def note_held(worker: Worker) -> None:
    """Write why an island is held, where that is not written yet; tried again as long as the disk refuses."""
    for island in worker.job.islands:
        with contextlib.suppress(OSError, EvolabError):
            if not island.held.exists():
                files.write_json(island.held, {"format": 1, "reason": worker.reason, "time": time.time()})


def folders_of(run: RunDir) -> list[Path]:
    """Where a run writes: its own folder, and its migration directory."""
    plan = run.read_plan()
    shared = plan.get("migration_dir")
    return [run.path, *([Path(shared)] if shared and Path(shared).is_dir() else [])]


def probe_size(workers: Sequence[Worker]) -> int:
    """Bytes that the disk has to take before it is trusted again: two checkpoints of the largest island, or its log.

    An island that starts puts its log into a fresh file.
    """
    wanted = _LEAST
    for worker in workers:
        for island in worker.job.islands:
            with contextlib.suppress(OSError):
                wanted = max([wanted, *(2 * path.stat().st_size for path in island.checkpoints.iterdir())])
                wanted = max(wanted, island.migrations.stat().st_size)
    return min(wanted, _MOST)
