"""Whether a process that died by SIGKILL died for lack of memory: what the kernel counts, and what it says.

Three witnesses, the surest first: the kernel's log names the process; this group's counter of out-of-memory kills has
risen (in a machine's outermost group, the machine's own). Without any, a process that was near the limit is suspected
and no more.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from launcher import host
from launcher.cores import groups

NEAR = 0.8
"""A process that used more than this share of the memory limit is suspected."""
_KILLED = re.compile(r"Killed process (\d+)\b")


class Kills:
    """The kernel's counters, read when it is made and after each kill. `root` holds proc, sys and dev."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._counted = self._count()
        self._unclaimed = 0

    def verdict(self, pid: int, resident_mb: float | None) -> str:
        """Why process `pid` may have got SIGKILL, in words; "" where memory is no explanation."""
        before, self._counted = self._counted, self._count()
        self._unclaimed += max(0, self._counted - before)
        if self._unclaimed or pid in self._named():
            self._unclaimed = max(0, self._unclaimed - 1)
            used = f", when it had {resident_mb:.0f} MB" if resident_mb else ""
            return f"out of memory: the kernel killed it{used}"
        limit = host.memory(self._root).usable * 1000
        if resident_mb and limit and resident_mb > NEAR * limit:
            return f"perhaps out of memory: it had {resident_mb:.0f} of {limit:.0f} MB"
        return ""

    def _count(self) -> int:
        for folder in groups(self._root, "memory"):
            for name in ("memory.events", "memory.oom_control"):
                if (found := _counter(folder / name)) is not None:
                    return found
        return _counter(self._root / "proc/vmstat") or 0

    def _named(self) -> set[int]:
        """The processes that the kernel's log names as killed; empty where it may not be read."""
        found: set[int] = set()
        with contextlib.suppress(OSError):
            log = os.open(self._root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                while record := os.read(log, 8192):
                    found.update(int(pid) for pid in _KILLED.findall(record.decode(errors="replace")))
            finally:
                os.close(log)
        return found


def _counter(path: Path) -> int | None:
    """The number after `oom_kill` in a file of counters."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
    return None
