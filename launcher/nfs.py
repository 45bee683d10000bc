"""What the options of an NFS mount mean for runs and migration directories that several hosts share."""

from __future__ import annotations

from launcher.findings import WORST_FIRST, Finding, Verdict
from launcher.mounts import Mount

CACHED = 10
"""Seconds for which a host may believe what it knows of a file before that is worth a word."""
_REGULAR, _FOLDER = 60, 60
"""The kernel's longest times for files and folders, where the mount says none."""
_OURS = "rw,hard,vers=4.2,actimeo=3"


def options(mount: Mount, name: str = "mount options") -> Finding:
    """The worst that is to be said of them, and all of it."""
    said = [*_locks(mount), *_version(mount), *_patience(mount), *_caches(mount)]
    shown = f"nfs, {mount.place}: "
    if not said:
        return Finding(name, "ok", f"{shown}hard, vers={_value(mount, 'vers')}, locks on the server")
    verdict = next(verdict for verdict in WORST_FIRST if any(one[0] == verdict for one in said))
    causes = "; ".join(cause for _, cause, _ in said)
    return Finding(name, verdict, shown + causes, "; ".join(dict.fromkeys(cure for _, _, cure in said)))


Said = list[tuple[Verdict, str, str]]


def _locks(mount: Mount) -> Said:
    if mount.options & {"nolock", "local_lock=all", "local_lock=flock"}:
        cause = "locks hold on one host only, so that two hosts may play one island"
        return [("error", cause, f"mount without nolock and local_lock: {_OURS}")]
    return []


def _version(mount: Mount) -> Said:
    version = _value(mount, "vers")
    if version.startswith("2"):
        return [("error", f"vers={version} has no safe locks", f"mount with {_OURS}")]
    if version.startswith("3"):
        cause = "vers=3 leaves locks to rpc.statd: one of a crashed host can stay for ever"
        return [("warning", cause, f"mount with {_OURS}")]
    return []


def _patience(mount: Mount) -> Said:
    if mount.options & {"soft", "softerr"}:
        cause = "soft: when the server is away for a moment writes fail, and islands end with 74"
        return [("warning", cause, f"mount hard: {_OURS}")]
    return []


def _caches(mount: Mount) -> Said:
    if "noac" in mount.options:
        return [("note", "noac: every look asks the server, and every write waits for it", "actimeo=3 is enough")]
    longest = max(_seconds(mount, "acregmax", _REGULAR), _seconds(mount, "acdirmax", _FOLDER))
    if longest > CACHED and not mount.options & {"lookupcache=none"}:
        cause = f"other hosts may see stop files, heartbeats and migrants {longest} s late"
        return [("note", cause, "mount with actimeo=3")]
    return []


def _seconds(mount: Mount, key: str, default: int) -> int:
    found = _value(mount, key)
    return int(found) if found.isdecimal() else default


def _value(mount: Mount, key: str) -> str:
    return next((one.partition("=")[2] for one in sorted(mount.options) if one.startswith(f"{key}=")), "")
