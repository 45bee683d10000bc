"""A disk that takes nothing, and a run that waits for it: a small tmpfs where this may be mounted.

A quota needs a kernel with quota formats: what EDQUOT does to a run is shown by injection (`islands.faults`).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from islands import checkpoint, faults, files
from islands.rundir import RunDir, checkpoints_in
from launcher import disk, events
from launcher.disk import Disk, low, probe
from launcher.status import living
from tests.launcher.launches import ROOT, Launch, evolab, saved, told, wait_for

TINY = [
    "-c",
    "quick",
    "-p",
    30,
    "--set",
    "task.duration=1",
    "--set",
    "record.checkpoint_seconds=0",
    "--migrate-every",
    0,
    "--islands",
    2,
    "--json",
]
LONG, DISK = 400, 75


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB and 400 files."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=400,mode=755", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte that is left."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue
    return path


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Within, no byte is left."""
    filler = fill(folder)
    yield
    filler.unlink()


@contextlib.contextmanager
def no_inode_left(folder: Path) -> Iterator[None]:
    """Within, no file can be made."""
    made = []
    with contextlib.suppress(OSError):
        while True:
            made.append(folder / f"file-{len(made)}")
            made[-1].touch()
    yield
    for path in made:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within, the file system is mounted read-only on top of itself: a remount is refused while logs are open in it."""
    aside = folder.with_name("aside")
    aside.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", str(folder), str(aside)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(aside)], check=True)
        subprocess.run(["mount", "--bind", str(aside), str(folder)], check=True)
        yield
        subprocess.run(["umount", "-l", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(aside)], check=True)


Trouble = Callable[[Path], AbstractContextManager[None]]
TROUBLES = {
    "full": (full, "no space left on device", 2),
    "inodes": (no_inode_left, "no space left on device", 1),
    "read-only": (read_only, "read-only file system", 1),
}
"""How to make it, what the system then says, and how many islands are to see it."""


def test_a_probe_writes_and_leaves_nothing(tmp_path: Path) -> None:
    assert probe(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert probe(tmp_path / "nowhere") == "no such file or directory"


def test_a_probe_of_a_full_disk_says_so(small: Path) -> None:
    filler = fill(small)
    assert probe(small) == "no space left on device"
    assert [path.name for path in small.iterdir()] == ["filler"]
    filler.unlink()
    assert probe(small) is None


def test_a_disk_that_refuses_is_probed_every_two_seconds_until_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["full", "full", None])
    probed = []
    monkeypatch.setattr(disk, "probe", lambda folder, size: probed.append(size) or next(answers))
    watched = Disk([tmp_path])
    assert not watched.try_all(100.0, 7) and watched.refused == f"{tmp_path}: full"
    assert [watched.try_again(now, 7) for now in (100.5, 101.9, 102.0, 103.0, 104.0, 110.0)] == [
        False, False, False, False, True, False,
    ]  # fmt: skip
    assert probed == [7, 7, 7] and watched.refused is None


def test_little_space_is_told_once_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scarce: list[str | None] = ["3 MB left", "2 MB left", None, "1 MB left"]
    monkeypatch.setattr(disk, "low", lambda folder, mark: scarce.pop(0))
    watched = Disk([tmp_path])
    told_ = [watched.warning(now) for now in (0.0, 5.0, 10.0, 20.0, 30.0)]
    assert told_ == [f"{tmp_path}: 3 MB left", None, None, None, f"{tmp_path}: 1 MB left"]


def test_the_low_water_mark_is_a_gigabyte_or_two_percent_unless_told(tmp_path: Path) -> None:
    assert low(tmp_path, 0) is None
    assert "less than" in str(low(tmp_path, 1e18))


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[RunDir]:
    """The run that the disk's trouble must not change."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        done = evolab(Path(folder), "launch", *TINY, "-g", LONG, "--out", "whole", within=120)
        assert done.returncode == 0, done.stderr
        yield RunDir(Path(folder) / "whole")


@pytest.mark.parametrize("kind", TROUBLES)
def test_a_disk_that_takes_nothing_pauses_a_run_which_goes_on_by_itself_with_the_same_digests(
    small: Path, tmp_path: Path, undisturbed: RunDir, kind: str
) -> None:
    trouble, reason, count = TROUBLES[kind]
    run, said = RunDir(small / "mine"), tmp_path / "said"
    with _launched(tmp_path, said, "-g", LONG, "--islands", count, "--out", run.path) as launched:
        islands = wait_for(lambda: run.plan.exists() and run.islands())
        for island in islands:
            wait_for(lambda island=island: saved(island) >= 5, within=60)  # a line comes before its checkpoint
        with trouble(small):
            began = time.time()
            wait_for(lambda: not any(map(living, islands)), within=30)
            wait_for(lambda: "the disk takes nothing" in said.read_text(), within=10)
            assert launched.poll() is None
            for island in islands:  # the last checkpoint is there, and whole
                newest = checkpoints_in(island.checkpoints)[0]
                owner = {"run": run.read_plan()["run_id"], "island": island.name, "seed": 42}
                assert checkpoint.read(newest, owner).generation >= 5
        ended = time.time()
        wait_for(lambda: told(run, "disk-back"), within=20)
        out, _ = launched.communicate(timeout=90)
    err_text = said.read_text()
    assert launched.returncode == 0, err_text
    assert err_text.count("paused, because the disk takes nothing") == 1 and f": {reason})" in err_text
    ((paused,), (back,)) = told(run, "disk-full"), told(run, "disk-back")
    assert paused["time"] - began < 5 and back["time"] - ended < 10
    assert {event.get("code") for event in told(run, "exit")} == {74, 0}
    summary = json.loads(out)
    assert {island["restarts"] for island in summary["islands"]} == {0}  # a full disk is nobody's fault
    for island in islands:
        assert _digests(run, island.name) == _digests(undisturbed, island.name)


@contextlib.contextmanager
def _launched(folder: Path, said: Path, *more: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`evolab launch` of two tiny islands, as a process of its own."""
    command = [sys.executable, "-m", "launcher", "launch", *map(str, (*TINY, "--low-water", 0, *more))]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(folder), **environment)
    with (
        said.open("w") as err,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=err, text=True
        ) as launched,
    ):
        try:
            yield launched
        finally:
            launched.kill()


def test_a_fault_that_passes_restarts_an_island_which_comes_to_the_same_digests(
    folder: Path, undisturbed: RunDir
) -> None:
    """A quota that is exceeded once: the island's first process meets it, the launcher never."""
    run, said, fault = RunDir(folder / "mine"), folder / "said", "replace.written:250:EDQUOT"
    settings = ("-g", LONG, "--islands", 1, "--out", run.path)
    with _launched(folder, said, *settings, **{faults.VARIABLE: fault}) as launched:
        out, _ = launched.communicate(timeout=120)
    assert launched.returncode == 0, said.read_text()
    (island,), (told_of_disk,) = run.islands(), told(run, "disk")
    assert f"fault: {fault} at passage" in island.log.read_text()
    assert [event["code"] for event in told(run, "exit")] == [74, 0]
    assert "expected free space in the quota, got Disk quota exceeded" in told_of_disk["reason"]
    assert _digests(run, island.name) == _digests(undisturbed, island.name)
    assert json.loads(out)["islands"][0]["restarts"] == 0


@pytest.mark.parametrize("how", ["signal", "stop", "limit"])
def test_a_run_that_is_ended_while_it_waits_for_the_disk_ends_with_75(tmp_path: Path, how: str) -> None:
    settings = {"max_hours": 2 / 3600} if how == "limit" else {}
    launched = Launch(tmp_path, 2, 500, "mine", faults="island-000:full", **settings)
    try:
        run = RunDir(tmp_path / "mine")
        wait_for(lambda: told(run, "disk", "island-000"))
        if how == "signal":
            launched.process.send_signal(signal.SIGTERM)
        if how == "stop":
            assert evolab(tmp_path, "stop", "mine").returncode == 0
        code, summary, _ = launched.end()
    finally:
        launched.process.kill()
    assert code == DISK
    assert [island["state"] for island in summary["islands"]] == ["STOPPED", "STOPPED"]
    assert events.read(run)[-1]["exit_code"] == DISK


def test_a_launch_or_resume_that_cannot_write_its_own_files_ends_with_75_in_one_line(
    small: Path, tmp_path: Path
) -> None:
    one = (*TINY, "--islands", 1, "-g", 1, "--out")
    assert evolab(tmp_path, "launch", *one, small / "old").returncode == 0
    for kind in ("full", "read-only"):
        with TROUBLES[kind][0](small):
            for command in (("launch", *one, small / "new"), ("resume", small / "old", "-g", "+5")):
                done = evolab(tmp_path, *command)
                assert (done.returncode, done.stdout, done.stderr.count("\n")) == (DISK, "", 1), done.stderr
                assert done.stderr.startswith("evolab: cannot ")
        assert not RunDir(small / "new").plan.exists()


def _digests(run: RunDir, name: str) -> list[str]:
    path = run.island(name).metrics
    return [line["digest"] for line in files.read_jsonl(path)] if path.exists() else []
