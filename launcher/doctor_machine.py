"""`evolab doctor` on this machine: cores, memory, limits, clock, the kernels' cache, packages."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from launcher import cores, host, plan
from launcher.findings import Check, Finding
from launcher.mounts import mount_of

POPULATION = 500
"""The population that the number of islands that fit is stated for."""
NEEDED = ("torch", "numpy", "numba", "scipy", "safetensors", "filelock", "watchdog", "psutil", "optuna", "pandas")
OPTIONAL = {"ray": "--backend ray"}
TOLD = ("torch", "numpy", "numba", "optuna", *OPTIONAL)
"""Packages whose versions are told; results depend on the first three."""
STEADY = 0.05
"""Seconds by which wall clock and monotonic clock may drift apart within a fifth of a second."""


def processor(root: Path = Path("/")) -> Finding:
    """Cores by affinity and quota against what the machine has."""
    granted, all_of_them = cores.usable(root), os.cpu_count() or 1
    mask, whole = len(granted.cpus), cores.physical(granted.cpus, root)
    found = f"{granted.granted:g} usable of {all_of_them}"
    found += f" (affinity {mask}, {'no quota' if granted.quota is None else f'quota {granted.quota:g}'})"
    if whole < mask:
        found += f", on {whole} physical cores"
    if granted.granted < 1:
        do = "raise the container's CPU limit: even one island is throttled"
        return Finding("cores", "warning", found, do)
    if granted.limited_by_quota:
        do = "islands are not pinned under a quota; give whole cores (a cpuset) to have them pinned"
        return Finding("cores", "note", found, do)
    if mask < all_of_them:
        do = "evolab keeps to these; for all of them look at taskset, the container's cpuset, or the batch system"
        return Finding("cores", "note", found, do)
    return Finding("cores", "ok", found)


def load(root: Path = Path("/")) -> Finding:
    """Whether others want the cores as well."""
    wanting = float((root / "proc/loadavg").read_text().split()[0])
    usable = cores.usable(root).granted
    found = f"{wanting:g} processes wanted {usable:g} cores over the last minute"
    if wanting > 0.5 * usable:
        return Finding("load", "note", found, "islands share the cores with these: see `top`")
    return Finding("load", "ok", found)


def memory(root: Path = Path("/")) -> Finding:
    """Memory, and how many islands fit."""
    ram, usable = host.memory(root), cores.usable(root).count
    private, launcher = plan.footprint(POPULATION, usable)
    fit = max(0, int((1e3 * (ram.available - plan.RESERVED_GB / 2) - plan.SHARED - launcher) / private))
    found = f"{ram.available:.1f} of {ram.usable:.1f} GB available"
    found += f" (limited by a control group, the machine has {ram.total:.1f})" if ram.limit is not None else ""
    found += f": {fit} islands of population {POPULATION} fit, for {usable} cores"
    if ram.swapped > 0.1 * ram.total:
        found += f"; {ram.swapped:.1f} GB are swapped out"
    if fit < usable:
        do = "fewer islands than cores: --islands, or free memory; `evolab plan` says what a study needs"
        return Finding("memory", "warning", found, do)
    if ram.swapped > 0.1 * ram.total:
        return Finding("memory", "note", found, "islands that are swapped out crawl: end what else needs memory")
    return Finding("memory", "ok", found)


def open_files() -> Finding:
    """The limit of open files of one process; a launcher holds a few an island."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 256 + 4 * cores.usable().count
    found = f"{_limit(soft)} open files a process (at most {_limit(hard)})"
    if soft != resource.RLIM_INFINITY and soft < wanted:
        return Finding("open files", "warning", found, f"ulimit -n {max(wanted, 4096)}")
    return Finding("open files", "ok", found)


def processes(root: Path = Path("/")) -> Finding:
    """The limit of processes and threads, of this user and of the control group."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    texts = [(_word(group / "pids.max"), _word(group / "pids.current")) for group in cores.groups(root, "pids")]
    rooms = [int(most) - int(now or 0) for most, now in texts if most.isdigit()]
    wanted = 64 + 4 * cores.usable(root).count
    room = min([*rooms, *([soft] if soft != resource.RLIM_INFINITY else [])], default=None)
    if room is not None and room < wanted:
        do = "raise the container's pids limit, or ulimit -u"
        return Finding("processes", "warning", f"room for {room} processes and threads, {wanted} may be needed", do)
    return Finding("processes", "ok", "no limit" if room is None else f"room for {room} processes and threads")


def clock(root: Path = Path("/")) -> Finding:
    """Whether time goes forwards, and wall clock and monotonic clock go together."""
    source = _word(root / "sys/devices/system/clocksource/clocksource0/current_clocksource") or "unknown source"
    wall, steady = time.time(), time.monotonic()
    ticks = [time.monotonic() for _ in range(2000)]
    time.sleep(0.2)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    found = f"{source}; wall clock and monotonic clock differ by {drift * 1e3:.1f} ms after 0.2 s"
    if any(after < before for before, after in zip(ticks, ticks[1:], strict=False)):
        return Finding("clock", "error", f"{source}; the monotonic clock went backwards", "choose another clocksource")
    if drift > STEADY:
        do = "the wall clock was set while this looked: see the time daemon; heartbeats of other hosts are judged by it"
        return Finding("clock", "warning", found, do)
    if source in ("hpet", "acpi_pm", "jiffies", "refined-jiffies"):
        return Finding("clock", "note", found, f"{source} is slow to read: prefer tsc or kvm-clock")
    return Finding("clock", "ok", found)


def kernels() -> Finding:
    """Whether compiled kernels can be kept; without, every island compiles its own at every start."""
    folder = kernel_cache()
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"evolab doctor")
    except OSError as error:
        do = "set EVOLAB_KERNEL_CACHE to a writable folder on a local disk: else every start compiles for about 10 s"
        return Finding("kernel cache", "warning", f"{folder}: {error.strerror}", do)
    kept = sum(path.is_dir() for path in folder.iterdir()) if folder.is_dir() else 0
    found = f"{folder}: writable, {kept} version{'s' * (kept != 1)} kept"
    if not kept:
        return Finding("kernel cache", "note", found, "the first run compiles for about 10 s, once")
    if mount_of(there).network:
        do = "set EVOLAB_KERNEL_CACHE to a local folder: a hundred islands read it at once"
        return Finding("kernel cache", "note", f"{found}, on a network disk", do)
    return Finding("kernel cache", "ok", found)


def kernel_cache() -> Path:
    """Where compiled kernels are kept (as `islands.kernel` has it, which cannot be asked without Numba)."""
    chosen = os.environ.get("EVOLAB_KERNEL_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(chosen) if chosen else Path(cache).expanduser() / "evolab" / "kernels").absolute()


def packages() -> Finding:
    """What is installed, and what could be."""
    versions = {name: _version(name) for name in (*NEEDED, *OPTIONAL)}
    missing = [name for name in NEEDED if not versions[name]]
    absent = [f"{name} (for {use})" for name, use in OPTIONAL.items() if not versions[name]]
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version and name in TOLD)
    if missing:
        return Finding("packages", "error", f"missing: {', '.join(missing)}", "pip install evolution-lab")
    if absent:
        found += f"; not installed: {', '.join(absent)}"
    return Finding("packages", "ok", found)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _limit(number: int) -> str:
    return "unlimited" if number == resource.RLIM_INFINITY else str(number)


def _word(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


CHECKS: Sequence[Check] = [
    ("cores", processor),
    ("load", load),
    ("memory", memory),
    ("open files", open_files),
    ("processes", processes),
    ("clock", clock),
    ("packages", packages),
    ("kernel cache", kernels),
]
"""The last one asks a disk, which may not answer."""
