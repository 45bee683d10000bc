"""Processes as the kernel knows them: which boot, since when, how large."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

LARGE, FREE = 3 << 19, 1 << 23
"""Bytes from which on an array has pages of its own, and of free memory that a process keeps for its next arrays."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _PDEATHSIG = -1, -3, -4, 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """This boot of this machine; empty where the kernel does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def started(pid: int) -> int | None:
    """A living process's start time in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in ("Z", "X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def identity(pid: int | None = None) -> dict[str, Any]:
    """What tells a process (None: this one) from every other one, also after its number was given away again."""
    pid = os.getpid() if pid is None else pid
    return {"pid": pid, "started": started(pid), "boot_id": boot_id()}


def is_alive(identity: dict[str, Any]) -> bool:
    """Whether the process with that `identity` runs on this boot of this machine."""
    pid, since = identity.get("pid"), identity.get("started")
    if not isinstance(pid, int) or not isinstance(since, int) or identity.get("boot_id") != boot_id():
        return False
    return started(pid) == since


def give_large_memory_back() -> None:
    """Let freed arrays of `LARGE` and more go back at once; glibc keeps up to 32 MB of each kind for later use.

    Up to `FREE` of smaller ones stay: getting pages anew took 1 % of a generation (population 500, pellets).
    """
    with suppress(AttributeError, OSError):  # another C library
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_MMAP_THRESHOLD, LARGE)
        allocator.mallopt(_TRIM_THRESHOLD, FREE)


def keep_large_memory() -> None:
    """Keep what large arrays were in for the next ones: getting pages anew is two thirds of copying into them.

    For a process that makes arrays of the same hundreds of megabytes again and again.
    """
    with suppress(AttributeError, OSError):  # another C library
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_MMAP_MAX, 0)
        allocator.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def compute_in_batch() -> None:
    """Tell the kernel that this process computes: it then interrupts nobody by waking up, as whoever looks on does.

    Among more islands than cores a generation takes some 3 % less CPU: an island that holds a lock is left to finish.
    A policy that somebody has chosen stays.
    """
    with suppress(OSError):  # a sandbox may forbid it
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def die_with(parent: int) -> None:
    """Have the kernel end this process as soon as its parent, process `parent`, has ended."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def resident_mb() -> float:
    """Resident memory of this process, MB (10^6 bytes)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def allow_open_files(count: int) -> None:
    """Let this process hold `count` files open besides those of its libraries, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256 if hard == resource.RLIM_INFINITY else min(count + 256, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
