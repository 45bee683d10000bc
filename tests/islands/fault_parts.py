"""What the tests of faults build with: an archipelago in the middle of its life, and processes that a fault strikes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import __main__ as island_process
from islands import durable, faults, files, log, migration_log, record
from islands.loading import override
from islands.rundir import RunDir, checkpoints_in
from tests.islands.evolving import after, evolve
from tests.islands.pool_parts import FORK
from tests.islands.test_replay import EVERY, NAMES, archipelago, tiny

ERRORS = tuple(faults.ERRORS)
NOWHERE = {"mark.begun", "mark.made", "mend.begun", "mend.kept", "mend.cut"}
"""Points that no island passes: the launcher's `evolab stop`, and the journal of a study."""
ONLY_AFTER_A_FAULT = {point for point in faults.POINTS if point.endswith(".failed")}


def trials(passed: dict[str, int]) -> Iterator[str]:
    """Every fault, apart from kills, that can strike a process which passes these points so often."""
    for point, count in sorted(passed.items()):
        for passage in range(1, count + 1):
            for what in faults.possible(point)[1:]:
                yield f"{point}:{passage}:{what}"
                yield f"{point}:{passage}:{what}:{faults.FOR_EVER}"


def covering(passed: dict[str, int], turn: int) -> Iterator[str]:
    """Some of them: every point once, in the middle of the run, with another error each; others with each `turn`."""
    for number, point in enumerate(sorted(passed), 2 * turn):
        found = faults.possible(point)[1:]
        if found:
            for_ever = f":{faults.FOR_EVER}" if number // 2 % 2 else ""
            yield f"{point}:{(passed[point] + 1) // 2}:{found[number % len(found)]}{for_ever}"


def half_way(folder: Path, migrates: bool = True) -> RunDir:
    """An archipelago that was killed after some generations, with everything about it that a start has to mend."""
    config = tiny(*EVERY, "generations=7", "migration.keep=2", "record.keep=2")
    if not migrates:
        config = override(config, ["migration.every=0"])
    run = archipelago(folder, config)
    evolve(run, halted=after(4))
    for name in NAMES:
        place = run.island(name)
        for path in (place.metrics, place.migrations):
            with path.open("ab") as stream:
                stream.write(b'{"torn": ')
        (place.checkpoints / ".00000003.safetensors.0.tmp").write_bytes(b"half")
        (place.checkpoints / "00000009.safetensors").write_bytes(b"no checkpoint")
        place.log.write_text("an earlier process said this\n")
    pool = folder / "run-pool"
    if migrates:
        (pool / "migration_pool" / NAMES[0] / "hostile").write_bytes(b"no publication")
        shutil.rmtree(pool / "migration_pool" / NAMES[1])
        for number in range(66):
            (pool / "quarantine" / f"{number:04d}").touch()
    return run


def copied(template: RunDir, folder: Path) -> RunDir:
    """The archipelago once more, with its pool, in `folder`."""
    shutil.copytree(template.path.parent, folder)
    run = RunDir(folder / template.name)
    files.write_json(run.plan, {**run.read_plan(), "migration_dir": str(folder / "run-pool")})
    return run


@dataclass
class End:
    """How a process ended: its exit code, how often the fault happened, which points it passed, what it said."""

    code: int
    happened: int
    passed: dict[str, int]
    said: str
    lines: list[tuple[str, str]]  # acknowledged: log and line
    files: list[tuple[str, str]]  # acknowledged: file and SHA-256, the newest content last


def play(run: RunDir, fault: str = "") -> End:
    """A real island process (forked) that plays the whole run, with a fault; what it has acknowledged is noted."""
    told = run.path / "told.json"
    process = FORK.Process(target=_play, args=(run, fault, told))
    process.start()
    process.join(120)
    assert process.exitcode is not None and told.exists(), (fault, process.exitcode)
    place = run.island(NAMES[0])
    said = "".join(path.read_text() for path in sorted(place.path.glob("island.log*")))
    return End(code=process.exitcode, said=said, **json.loads(told.read_text()))


def _play(run: RunDir, fault: str, told: Path) -> None:
    lines, contents = [], []
    append, put = durable.append, durable.put

    def noted_append(path: Path, added: list[str], waits: bool) -> None:
        append(path, added, waits)
        if waits:
            lines.extend((str(path), line) for line in added)

    def noted_put(path: Path, parts: Any, step: str) -> None:
        parts = list(parts)
        put(path, parts, step)
        contents.append((str(path), hashlib.sha256(b"".join(parts)).hexdigest()))

    record.HEARTBEAT_SECONDS = 1e9  # so that passages do not depend on the clock
    migration_log.LOG_SEGMENT = 40_000  # put aside once
    durable.BLOCK = 256
    log.rotate.__defaults__ = (1,)
    os.dup2(os.open(run.island(NAMES[0]).log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 this process ends soon
    os.environ[faults.VARIABLE] = fault
    faults.forget()
    durable.append, durable.put = noted_append, noted_put
    evolve = island_process.evolve_batch
    island_process.evolve_batch = lambda *given: evolve(*given[:-1], 1)  # one process passes all points
    sys.argv = ["islands", str(run.path), "--all"]
    code = island_process.main()
    passed = {point: count for point, count in faults.passed.items() if point != faults.ANY}
    record_ = {"happened": sum(faults.happened.values()), "passed": passed, "lines": lines, "files": contents}
    told.write_text(json.dumps(record_))
    os._exit(code)


def assert_nothing_acknowledged_is_missing(run: RunDir, end: End) -> None:
    """Every durable line acknowledged is in its log; the newest checkpoint and publication are there, whole."""
    text = {name: "".join(p.read_text() for p in run.island(name).path.glob("migrations*.jsonl")) for name in NAMES}
    for path, line in end.lines:
        assert line + "\n" in text[Path(path).parent.name]
    for kind in ("checkpoints", "migration_pool"):
        newest = {Path(path).parent: (path, digest) for path, digest in end.files if f"/{kind}/" in path}
        for path, digest in newest.values():
            assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest, path


def leftovers(run: RunDir) -> list[Path]:
    """Temporary files in the folders that the islands have written to."""
    return list(run.path.parent.rglob(".*.tmp"))


def kept(run: RunDir, name: str) -> int:
    """How many checkpoints an island has."""
    return len(checkpoints_in(run.island(name).checkpoints))
