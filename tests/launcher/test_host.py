"""Memory as control groups allow it, and what a process has for itself."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher import host
from tests.launcher.test_cores import V2, tree

MEMINFO = {
    "proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\nSwapTotal: 1000000 kB\nSwapFree: 900000 kB\n"
}
GROUP = "sys/fs/cgroup/user.slice/job"


def test_without_a_limit_the_machines_memory_counts(tmp_path: Path) -> None:
    found = host.memory(tree(tmp_path, {**V2, **MEMINFO, f"{GROUP}/memory.max": "max\n"}))
    assert (found.total, found.available) == (pytest.approx(16.384), pytest.approx(8.192))
    assert found.limit is None and found.usable == found.total
    assert found.swapped == pytest.approx(0.1024)


def test_a_limit_of_a_group_above_bounds_it_and_what_can_be_dropped_is_free(tmp_path: Path) -> None:
    limits = {
        f"{GROUP}/memory.max": "max\n",
        "sys/fs/cgroup/user.slice/memory.max": "4000000000\n",
        "sys/fs/cgroup/user.slice/memory.current": "3000000000\n",
        "sys/fs/cgroup/user.slice/memory.stat": "anon 1\ninactive_file 500000000\n",
    }
    found = host.memory(tree(tmp_path, {**V2, **MEMINFO, **limits}))
    assert (found.limit, found.usable, found.available) == (4.0, 4.0, pytest.approx(1.5))


def test_a_limit_of_the_old_groups_bounds_it(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/job\n",
        "proc/self/mountinfo": "31 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2000000000\n",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "500000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    found = host.memory(tree(tmp_path, {**MEMINFO, **files}))
    assert (found.limit, found.available) == (2.0, pytest.approx(1.5))


def test_what_a_process_has_written_is_its_own_and_what_it_has_only_read_is_not(tmp_path: Path) -> None:
    path = tmp_path / "library"
    path.write_bytes(b"x" * 20_000_000)
    before = host.share_of(os.getpid())
    written = mmap.mmap(-1, 30_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # no memory used before
    for place in range(0, len(written), 4096):
        written[place] = 1
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[place] for place in range(0, len(mapped), 4096))  # every page is looked at
        after = host.share_of(os.getpid())
    assert before is not None and after is not None and written
    assert 25 < after.private - before.private < 45
    assert after.shared - before.shared > 15


def test_what_a_forked_process_has_not_written_is_its_parents() -> None:
    written = bytearray(b"y" * 30_000_000)
    before = host.share_of(os.getpid())
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    try:
        child, parent = host.share_of(pid), host.share_of(os.getpid())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert before is not None and child is not None and parent is not None and written
    assert child.inherited > 30 and child.private < 20 and before.inherited < 5


def test_a_process_that_is_gone_has_no_share_and_has_not_waited() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert host.share_of(process.pid) is None
    assert host.waiting_seconds(process.pid) is None
