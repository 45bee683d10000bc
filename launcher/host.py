"""The memory that this process may really use, and what of it a process has for itself.

The machine's memory says nothing in a container: what counts is the smallest limit of all control groups above this
process. 1 MB is 10^6 bytes, 1 GB 10^9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from launcher import cores

_KB = re.compile(r"^(\w+):\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True)
class Memory:
    """In GB. `limit` is the control group's, None without one; `available` what can be had now without swapping."""

    total: float
    available: float
    limit: float | None = None
    swapped: float = 0.0

    @property
    def usable(self) -> float:
        """All that this process and its children could ever have."""
        return self.total if self.limit is None else min(self.total, self.limit)


@dataclass(frozen=True)
class Share:
    """Memory of one process in MB. `private`: what it has written, nobody else's; `inherited`: what it has from the
    process that forked it, and has in common with the others that this has forked; `shared`: libraries and files, whose
    pages it has in common with others that have them open, however many."""

    private: float
    inherited: float
    shared: float


def memory(root: Path = Path("/")) -> Memory:
    """The memory of this machine as its cgroups allow it. `root` holds `proc` and `sys`."""
    found = {key: value / 1e6 * 1.024 for key, value in _kilobytes(root / "proc/meminfo").items()}
    total, available = found.get("MemTotal", 0.0), found.get("MemAvailable", 0.0)
    limits = [(limit, used) for limit, used in map(_limit, cores.groups(root, "memory")) if limit < total]
    rooms = [available, *(max(0.0, limit - used) for limit, used in limits)]
    swapped = max(0.0, found.get("SwapTotal", 0.0) - found.get("SwapFree", 0.0))
    return Memory(total, min(rooms), min((limit for limit, _ in limits), default=None), swapped)


def share_of(pid: int, root: Path = Path("/")) -> Share | None:
    """What the process `pid` takes; None when it is gone or somebody else's.

    Written pages count as private, and pages of files as shared even while nobody else has them open: the next island
    will.
    """
    found = _kilobytes(root / f"proc/{pid}/smaps_rollup")
    if "Rss" not in found:
        return None
    written = found.get("Private_Dirty", 0)
    written = min(written, found.get("Anonymous", written))  # a file's page that waits for the disk is dirty as well
    private = written + found.get("Private_Hugetlb", 0) + found.get("SwapPss", 0)
    inherited = max(0, found.get("Anonymous", written) - written)
    shared = max(0, found["Rss"] - written - inherited)
    return Share(private * 1.024e-3, inherited * 1.024e-3, shared * 1.024e-3)


def waiting_seconds(pid: int) -> float | None:
    """Seconds that the process's main thread was ready to run and had no core; None where the kernel does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return None


def _limit(group: Path) -> tuple[float, float]:
    """A control group's limit and what is used of it (files that can be dropped aside), GB."""
    for limit, used, dropped in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        text = _read(group / limit).strip()
        if text.isdigit():
            match = re.search(rf"^{dropped} (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
            held = int(_read(group / used).strip() or 0) - (int(match[1]) if match else 0)
            return int(text) / 1e9, max(0, held) / 1e9
    return float("inf"), 0.0


def _kilobytes(path: Path) -> dict[str, int]:
    return {key: int(value) for key, value in _KB.findall(_read(path))}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
