"""Which processor cores this process may really use, and which island gets which.

The machine's core count says nothing in a container: what counts is the affinity
mask and the cgroup's quota, the smallest of all groups above this process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """Usable cores. `cpus` come in the order in which islands get them: one of every physical core of all NUMA nodes
    before any second hyper-thread, and those of one node side by side, so that several threads keep to one memory.

    `quota` is the cgroup's limit in cores, None without one.
    """

    cpus: tuple[int, ...]
    quota: float | None = None

    @property
    def granted(self) -> float:
        """How many cores' worth of time there is: the smaller of mask and quota."""
        return float(len(self.cpus)) if self.quota is None else min(float(len(self.cpus)), self.quota)

    @property
    def count(self) -> int:
        """Whole cores to plan with; at least 1."""
        return max(1, int(self.granted + 1e-9))

    @property
    def limited_by_quota(self) -> bool:
        """Whether the quota, not the mask, sets the limit: then the mask's cores are shared and not ours to pin to."""
        return self.granted < len(self.cpus)


def usable(root: Path = Path("/")) -> Cores:
    """The cores this process may use. `root` holds `proc` and `sys` (tests give a directory of their own)."""
    mask = sorted(os.sched_getaffinity(0))
    return Cores(cpus=_physical_first(mask, root), quota=_quota(root))


def share(cores: Cores, islands: int, threads: int, pin: bool) -> list[frozenset[int] | None]:
    """The cores of each island, None for "anywhere": one each per thread, round-robin when islands outnumber them."""
    if not pin or cores.limited_by_quota or threads >= len(cores.cpus):
        return [None] * islands
    rooms = len(cores.cpus) // threads
    starts = [(index % rooms) * threads for index in range(islands)]
    return [frozenset(cores.cpus[start : start + threads]) for start in starts]


@contextlib.contextmanager
def pinned(cpus: frozenset[int] | None) -> Iterator[None]:
    """Run the body with this thread on `cpus`. A process started in it inherits them from its first instruction on."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def physical(cpus: Iterable[int], root: Path = Path("/")) -> int:
    """On how many physical cores `cpus` lie, as far as the kernel says; where it does not, each is one."""
    return len({min(siblings(cpu, root), default=cpu) for cpu in cpus})


def siblings(cpu: int, root: Path = Path("/")) -> list[int]:
    """The hyper-threads of the physical core that `cpu` is one of; empty where the kernel does not say."""
    return _list(_read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"))


def _physical_first(cpus: list[int], root: Path) -> tuple[int, ...]:
    """`cpus` with the first hyper-thread of every physical core before all the second ones, each time node by node."""
    ranks: dict[int, int] = {}
    for cpu in cpus:
        present = [sibling for sibling in siblings(cpu, root) if sibling in cpus]
        ranks[cpu] = present.index(cpu) if cpu in present else 0
    nodes = _nodes(root)
    return tuple(sorted(cpus, key=lambda cpu: (ranks[cpu], nodes.get(cpu, 0), cpu)))


def _nodes(root: Path) -> dict[int, int]:
    """The NUMA node of each core, as far as the kernel says."""
    folders = (root / "sys/devices/system/node").glob("node[0-9]*")
    return {cpu: int(folder.name[4:]) for folder in folders for cpu in _list(_read(folder / "cpulist"))}


def _list(text: str) -> list[int]:
    """The numbers of a kernel list such as `0-3,8`."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        if low.isdigit():
            numbers.extend(range(int(low), int(high or low) + 1))
    return numbers


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _quota(root: Path) -> float | None:
    """The smallest CPU quota, in cores, of this process's cgroup and all above it; None without one."""
    quotas: list[float] = []
    for group in groups(root):
        quotas += [quota for quota in (_quota_v2(group), _quota_v1(group)) if quota is not None]
    return min(quotas, default=None)


def _quota_v2(group: Path) -> float | None:
    quota, _, period = _read(group / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _quota_v1(group: Path) -> float | None:
    quota, period = _read(group / "cpu.cfs_quota_us").strip(), _read(group / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def groups(root: Path = Path("/"), controller: str = "cpu") -> Iterator[Path]:
    """The folders of this process's cgroups for `controller`, each followed by its parents up to the mount point."""
    paths: dict[str, str] = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controllers == "" or controller in controllers.split(","):
            paths["v1" if controllers else "v2"] = path
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        version = {"cgroup2": "v2", "cgroup": "v1"}.get(kind[0], "")
        if version not in paths or (version == "v1" and controller not in kind[-1].split(",")):
            continue
        mount = root / fields[4].lstrip("/")
        inside = paths[version].removeprefix(fields[3].rstrip("/")).strip("/")
        group = mount / inside if ".." not in inside else mount
        yield group
        while group != mount and mount in group.parents:
            group = group.parent
            yield group
