"""What the doctor tries on a disk, on a good one and on one that misbehaves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest

from launcher import doctor_disk, doctor_trials
from launcher.doctor_trials import TRIALS, Place
from launcher.mounts import Mount

DISK = Mount("ext4", "/dev/vda", "/", frozenset({"rw"}))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, DISK, tmp_path)


def space(free_gb: float, inodes: int = 10**6, all_inodes: int = 10**7) -> Any:
    return SimpleNamespace(
        f_bavail=int(free_gb * 1e6), f_blocks=10**8, f_frsize=1000, f_favail=inodes, f_files=all_inodes
    )


@pytest.mark.parametrize(("name", "trial"), [each for each in TRIALS if each[0] != "fsync"])
def test_a_good_disk_passes_every_trial(place: Place, name: str, trial: Any) -> None:
    found = trial(place)
    assert (found.name, found.verdict, found.do) == (name, "ok", "")


def test_a_durable_write_is_timed_and_what_is_slow_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor_trials.durable_write(place)
    assert found.name == "fsync" and "ms for a durable write" in found.found
    monkeypatch.setattr(doctor_trials, "SLOW", 0.0)
    assert doctor_trials.durable_write(place).verdict in ("note", "warning")
    monkeypatch.setattr(doctor_trials, "VERY_SLOW", 0.0)
    slow = doctor_trials.durable_write(place)
    assert slow.verdict == "warning" and "checkpoint_seconds" in slow.do


def test_a_replacement_that_is_a_copy_is_seen_through(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def copied(source: Path, target: Path) -> None:
        target.unlink()
        with open(source, "rb") as reading, open(target, "wb", buffering=512) as writing:
            shutil.copyfileobj(reading, writing, 512)
        source.unlink()

    monkeypatch.setattr(os, "replace", copied)
    found = doctor_trials.rename(place)
    assert found.verdict == "error" and "torn" in found.found


def test_a_lock_that_excludes_nobody_is_seen_through(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pretended:
        def __init__(self, *_: object, **__: object) -> None: ...

        def acquire(self) -> None: ...

    monkeypatch.setattr(filelock, "FileLock", Pretended)
    found = doctor_trials.locks(place)
    assert found.verdict == "error" and "two processes held the same lock" in found.found


def test_a_disk_without_locks_is_seen_through(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def __init__(self, *_: object, **__: object) -> None: ...

        def acquire(self) -> None:
            os._exit(1)

    monkeypatch.setattr(filelock, "FileLock", Missing)
    found = doctor_trials.locks(place)
    assert found.verdict == "error" and "could not be had" in found.found


def test_a_name_that_two_can_create_is_seen_through(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, *more: opened(path, flags & ~os.O_EXCL, *more))
    found = doctor_trials.exclusive_creation(place)
    assert found.verdict == "error" and f"of {doctor_trials.RACES}" in found.found


def test_a_disk_whose_clock_is_wrong_is_seen_through(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    now = doctor_trials.time.time
    monkeypatch.setattr(doctor_trials.time, "time", lambda: now() + 90)
    found = doctor_trials.clock_of_files(place)
    assert found.verdict == "warning" and "90" in found.found


def test_a_network_disk_is_polled_whatever_inotify_says(tmp_path: Path) -> None:
    found = doctor_trials.events(Place(tmp_path, Mount("nfs4", "server:/x", "/", frozenset()), tmp_path))
    assert found.verdict == "note" and "network" in found.found


@pytest.mark.parametrize(
    ("mount", "verdict", "told"),
    [
        (DISK, "ok", "ext4 on /dev/vda"),
        (Mount("nfs4", "s:/x", "/mnt", frozenset({"rw"})), "note", "a network file system"),
        (Mount("nfs", "s:/x", "/mnt", frozenset({"nolock"})), "warning", "without locks between hosts"),
        (Mount("nfs", "s:/x", "/mnt", frozenset({"local_lock=flock"})), "warning", "without locks between hosts"),
        (Mount("fuse.blobfuse2", "blob", "/mnt", frozenset()), "warning", "fuse.blobfuse2"),
        (Mount("tmpfs", "tmpfs", "/dev/shm", frozenset()), "note", "in memory"),
        (Mount("overlay", "overlay", "/", frozenset()), "note", "container"),
        (Mount("xfs", "/dev/vdb", "/", frozenset({"ro"})), "error", "read-only"),
    ],
)
def test_the_kind_of_a_file_system_is_judged(mount: Mount, verdict: str, told: str) -> None:
    found = doctor_disk.file_system(mount)
    assert found.verdict == verdict and told in found.found
    assert bool(found.do) == (verdict != "ok")


@pytest.mark.parametrize(("free", "verdict"), [(80.0, "ok"), (1.5, "warning"), (0.1, "error")])
def test_scarce_space_is_a_warning_and_none_an_error(free: float, verdict: str) -> None:
    assert doctor_disk.free_space(space(free)).verdict == verdict


def test_scarce_inodes_are_a_warning_and_no_limit_is_fine() -> None:
    assert doctor_disk.inodes(space(1.0)).verdict == "ok"
    assert doctor_disk.inodes(space(1.0, inodes=10)).verdict == "warning"
    assert doctor_disk.inodes(space(1.0, inodes=0, all_inodes=0)).found == "no limit"


def test_a_folder_for_everybody_is_a_warning_unless_its_files_stay_their_owners(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert doctor_disk.whose(tmp_path).verdict == "warning"
    tmp_path.chmod(0o1777)
    assert doctor_disk.whose(tmp_path).verdict == "ok"


def test_whatever_happens_in_between_the_room_is_gone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), doctor_disk.checks(tmp_path):
        (room,) = tmp_path.iterdir()
        (room / "file").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
