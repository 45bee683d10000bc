"""`evolab doctor` on a folder: its file system, its space, and the trials that are made there.

The trials (see `launcher.doctor_trials`) use a folder that is gone afterwards.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from islands.errors import ConfigError, EvolabError
from islands.rundir import RunDir
from launcher import nfs
from launcher.doctor_trials import TRIALS, Place
from launcher.findings import ROOM, Check, Finding
from launcher.mounts import Mount, mount_of

LEAST_GB, SCARCE_GB = 0.2, 2.0
"""Free space below which a run cannot go on for long, and below which it should not begin."""
LEAST_INODES = 10_000


@contextmanager
def checks(folder: Path) -> Iterator[Sequence[Check]]:
    """The checks of `folder`; a ConfigError where there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}", expected="a folder that exists", do="make it first, or name another")
    mount = mount_of(folder)
    looks: list[Check] = [
        ("file system", lambda: file_system(mount)),
        ("free space", lambda: free_space(os.statvfs(folder))),
        ("inodes", lambda: inodes(os.statvfs(folder))),
        *nfs_checks(folder, mount),
    ]
    try:
        name = tempfile.mkdtemp(prefix=ROOM, dir=folder)
    except OSError as error:
        reason = f"{folder.absolute()} cannot be written into: {error.strerror}"
        yield [
            ("folder", lambda: Finding("folder", "error", reason, "choose another, or mend it (mount, chown)")),
            *looks,
        ]
        return
    try:
        place = Place(folder, mount, Path(name))
        yield [("folder", lambda: whose(folder)), *looks, *((name, _bound(each, place)) for name, each in TRIALS)]
    finally:
        try:
            _remove(Path(name))
        finally:  # SIGTERM may break that off, once
            _remove(Path(name))


def nfs_checks(folder: Path, mount: Mount) -> list[Check]:
    """What NFS options mean, of `folder` and of the migration directory where a run lies there."""
    found: list[Check] = [("mount options", lambda: nfs.options(mount))] if mount.kind.startswith("nfs") else []
    with suppress(EvolabError, OSError):
        shared = mount_of(Path(RunDir(folder).read_plan()["migration_dir"] or folder))
        name = "mount options of the migration directory"
        if shared != mount and shared.kind.startswith("nfs"):
            found.append((name, lambda: nfs.options(shared, name)))
    return found


def whose(folder: Path) -> Finding:
    """Who may write there besides this user."""
    mode = folder.stat().st_mode
    found = f"{folder.absolute()}: writable"
    if mode & 0o002 and not mode & 0o1000:
        do = f"chmod o-w {folder.absolute()}: runs in there are refused while everybody may write"
        return Finding("folder", "warning", f"{found}, by everybody (mode {mode & 0o7777:o})", do)
    return Finding("folder", "ok", found)


def file_system(mount: Mount) -> Finding:
    """Its kind, and what that means for runs and for a shared migration directory."""
    found = f"{mount.kind} on {mount.source}, mounted at {mount.place}"
    if "ro" in mount.options:
        return Finding("file system", "error", f"{found}, read-only", "mount it read-write, or choose another folder")
    if mount.object_store:
        do = "an object store renames by copying and its locks exclude nobody: use a disk, copy results afterwards"
        return Finding("file system", "warning", found, do)
    if mount.network and mount.options & {"nolock", "local_lock=all", "local_lock=flock"}:
        do = "locks hold on one host only: mount without nolock and local_lock, or keep all islands on this host"
        return Finding("file system", "warning", f"{found}, without locks between hosts", do)
    if mount.network:
        do = "right for --migration-dir between hosts; runs/ is faster on a local disk"
        return Finding("file system", "note", f"{found}: a network file system", do)
    if mount.in_memory:
        return Finding("file system", "note", f"{found}: in memory", "a reboot empties it: keep runs elsewhere")
    if mount.kind == "overlay":
        return Finding(
            "file system", "note", f"{found}: a container's own layer", "it goes with the container: use a volume"
        )
    return Finding("file system", "ok", found)


def free_space(status: os.statvfs_result) -> Finding:
    """Free bytes for this user, in GB of 10^9."""
    free, size = status.f_bavail * status.f_frsize / 1e9, status.f_blocks * status.f_frsize / 1e9
    found = f"{free:.1f} of {size:.1f} GB free"
    do = "make room: a run pauses when nothing is left, and keeps its checkpoints"
    if free < LEAST_GB:
        return Finding("free space", "error", found, do)
    if free < SCARCE_GB:
        return Finding("free space", "warning", found, do)
    return Finding("free space", "ok", found)


def inodes(status: os.statvfs_result) -> Finding:
    """How many files can still be made; file systems without a limit say 0 of 0."""
    if not status.f_files:
        return Finding("inodes", "ok", "no limit")
    found = f"{status.f_favail:,} of {status.f_files:,} free"
    if status.f_favail < LEAST_INODES:
        return Finding("inodes", "warning", found, "remove many small files: no file can be made without one")
    return Finding("inodes", "ok", found)


def _bound(trial: Callable[[Place], Finding], place: Place) -> Callable[[], Finding]:
    return lambda: trial(place)


def _remove(folder: Path) -> None:
    """Remove the folder with the files in it (there are no others)."""
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()
