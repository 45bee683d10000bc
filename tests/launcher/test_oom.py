"""Naming the kernel's out-of-memory kills, from a tree of files like the kernel's."""

from pathlib import Path

import pytest

from launcher.oom import Kills

MEMINFO = "MemTotal:       24000000 kB\nMemAvailable:   20000000 kB\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with the new cgroups, this process in /box."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/box\n")
    (tmp_path / "proc/self/mountinfo").write_text("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 1\noom_kill 3\n")
    group = tmp_path / "sys/fs/cgroup/box"
    group.mkdir(parents=True)
    (group / "memory.events").write_text("low 0\noom 0\noom_kill 2\noom_group_kill 0\n")
    (group / "memory.max").write_text("1000000000\n")
    return tmp_path


def counted(root: Path, kills: int) -> None:
    (root / "sys/fs/cgroup/box/memory.events").write_text(f"oom {kills}\noom_kill {kills}\n")


def test_a_kill_that_the_group_counts_is_named_once(root: Path) -> None:
    kills = Kills(root)
    counted(root, 3)
    assert kills.verdict(77, 412.0) == "out of memory: the kernel killed it, when it had 412 MB"
    assert kills.verdict(78, 10.0) == ""


def test_two_kills_at_once_are_two(root: Path) -> None:
    kills = Kills(root)
    counted(root, 4)
    assert [bool(kills.verdict(pid, None)) for pid in (77, 78, 79)] == [True, True, False]


def test_without_counters_a_process_near_the_limit_is_only_suspected(root: Path) -> None:
    assert Kills(root).verdict(77, 900.0) == "perhaps out of memory: it had 900 of 1000 MB"
    assert Kills(root).verdict(77, 700.0) == ""


def test_the_machines_own_counter_serves_the_outermost_group(root: Path) -> None:
    (root / "sys/fs/cgroup/box/memory.events").unlink()
    kills = Kills(root)
    (root / "proc/vmstat").write_text("oom_kill 4\n")
    assert kills.verdict(77, None) == "out of memory: the kernel killed it"


def test_the_old_cgroups_count_too(root: Path) -> None:
    (root / "proc/self/cgroup").write_text("4:memory:/box\n")
    mount = "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    (root / "proc/self/mountinfo").write_text(mount)
    group = root / "sys/fs/cgroup/memory/box"
    group.mkdir(parents=True)
    control = group / "memory.oom_control"
    control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    kills = Kills(root)
    control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert kills.verdict(77, None).startswith("out of memory")


def test_the_kernels_log_names_the_process_for_sure(root: Path) -> None:
    (root / "dev").mkdir()
    line = "6,1,2,-;Memory cgroup out of memory: Killed process 77 (python) total-vm:1kB\n"
    (root / "dev/kmsg").write_text(line)
    assert Kills(root).verdict(77, None).startswith("out of memory")
    assert Kills(root).verdict(7, None) == ""


def test_a_machine_that_tells_nothing_is_no_reason_to_fail(tmp_path: Path) -> None:
    assert Kills(tmp_path).verdict(77, 100.0) == ""
