"""Which file system a path lies on, and what is known of its kind."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

NETWORK = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|davfs|glusterfs|gfs2|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs|panfs|prl_fs|pvfs2"
    r"|smb[23]|smbfs|vboxsf|virtiofs|vmhgfs|wekafs|fuse\.(ceph|davfs|glusterfs|juicefs|sshfs|vmhgfs-fuse)"
)
OBJECT_STORES = re.compile(r"fuse\.(blobfuse2?|gcsfuse|goofys|mountpoint-s3|rclone|s3backer|s3fs)")
"""Object stores dressed up as file systems: a rename is a copy and a removal, and locks exclude nobody."""
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted file system: its kind (`ext4`, `nfs4`, …), what is mounted, where, and with which options."""

    kind: str
    source: str
    place: str
    options: frozenset[str]

    @property
    def network(self) -> bool:
        """Whether other hosts may use it at the same time."""
        return self.object_store or NETWORK.fullmatch(self.kind) is not None

    @property
    def object_store(self) -> bool:
        """Whether it is an object store that looks like a file system."""
        return OBJECT_STORES.fullmatch(self.kind) is not None

    @property
    def in_memory(self) -> bool:
        """Whether a reboot empties it."""
        return self.kind in ("tmpfs", "ramfs")


def mount_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> Mount:
    """The file system that `path` lies on. Follows symbolic links, so a dead disk may keep it waiting."""
    real = os.path.realpath(path)
    found = Mount("unknown", "unknown", "/", frozenset())
    for line in _lines(mountinfo):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 6 or len(kind) < 2:
            continue
        place = _plain(fields[4])
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(found.place):  # of two mounts in one place, the later one covers the other
            options = frozenset([*fields[5].split(","), *(kind[2].split(",") if len(kind) > 2 else [])])
            found = Mount(kind[0], _plain(kind[1]), place, options)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _plain(text: str) -> str:
    """Spaces and the like are written in octal there."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
