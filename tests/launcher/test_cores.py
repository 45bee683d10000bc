import os
from pathlib import Path

import pytest

from launcher import cores
from launcher.cores import Cores


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {
    "proc/self/cgroup": "0::/user.slice/job\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
}
V1 = {
    "proc/self/cgroup": "3:cpuset:/\n2:cpu,cpuacct:/docker/abc\n0::/\n",
    "proc/self/mountinfo": "31 30 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
}


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


def test_without_a_quota_the_affinity_mask_alone_counts(tmp_path: Path) -> None:
    assert cores.usable(tmp_path).cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert cores.usable(tmp_path).quota is None


def test_a_quota_of_this_group_limits_the_cores(tmp_path: Path, eight: None) -> None:
    root = tree(tmp_path, {**V2, "sys/fs/cgroup/user.slice/job/cpu.max": "250000 100000\n"})
    found = cores.usable(root)
    assert (found.quota, found.count, found.granted) == (2.5, 2, 2.5)


def test_a_quota_of_a_group_above_limits_the_cores(tmp_path: Path, eight: None) -> None:
    limits = {
        "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
        "sys/fs/cgroup/user.slice/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/cpu.max": "700000 100000\n",
    }
    assert cores.usable(tree(tmp_path, {**V2, **limits})).quota == 3.0


def test_a_quota_of_the_old_cgroups_is_found_inside_a_container(tmp_path: Path, eight: None) -> None:
    limits = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    assert cores.usable(tree(tmp_path, {**V1, **limits})).quota == 1.5


def test_no_limit_of_the_old_cgroups_is_no_quota(tmp_path: Path, eight: None) -> None:
    limits = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    assert cores.usable(tree(tmp_path, {**V1, **limits})).quota is None


def test_a_quota_below_one_core_still_gives_one_island() -> None:
    assert Cores((0, 1), 0.4).count == 1


def test_physical_cores_come_before_their_second_threads(tmp_path: Path, eight: None) -> None:
    siblings = {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 4},{cpu % 4 + 4}\n"
        for cpu in range(8)
    }
    assert cores.usable(tree(tmp_path, siblings)).cpus == (0, 1, 2, 3, 4, 5, 6, 7)
    neighbours = {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}\n"
        for cpu in range(8)
    }
    assert cores.usable(tree(tmp_path, neighbours)).cpus == (0, 2, 4, 6, 1, 3, 5, 7)


def test_the_cores_of_all_numa_nodes_come_before_second_threads_and_those_of_a_node_side_by_side(
    tmp_path: Path, eight: None
) -> None:
    siblings = {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 4},{cpu % 4 + 4}\n"
        for cpu in range(8)
    }
    halves = {
        "sys/devices/system/node/node0/cpulist": "0-1,4-5\n",
        "sys/devices/system/node/node1/cpulist": "2-3,6-7\n",
    }
    assert cores.usable(tree(tmp_path / "halves", {**siblings, **halves})).cpus == (0, 1, 2, 3, 4, 5, 6, 7)
    turns = {"sys/devices/system/node/node0/cpulist": "0,2,4,6\n", "sys/devices/system/node/node1/cpulist": "1,3,5,7\n"}
    found = cores.usable(tree(tmp_path / "turns", {**siblings, **turns}))
    assert found.cpus == (0, 2, 1, 3, 4, 6, 5, 7)
    assert cores.share(found, 3, 2, pin=True) == [{0, 2}, {1, 3}, {4, 6}]


def test_every_island_gets_its_own_cores_and_more_islands_go_round() -> None:
    four = Cores((0, 2, 1, 3))
    assert cores.share(four, 5, 1, pin=True) == [{0}, {2}, {1}, {3}, {0}]
    assert cores.share(four, 3, 2, pin=True) == [{0, 2}, {1, 3}, {0, 2}]


def test_nothing_is_pinned_when_not_wanted_or_when_a_quota_shares_the_cores() -> None:
    assert cores.share(Cores((0, 1)), 2, 1, pin=False) == [None, None]
    assert cores.share(Cores(tuple(range(64)), quota=2.0), 2, 1, pin=True) == [None, None]
    assert cores.share(Cores((0, 1)), 2, 4, pin=True) == [None, None]


def test_pinning_is_undone_for_the_launcher_itself() -> None:
    before = os.sched_getaffinity(0)
    first = frozenset([min(before)])
    with cores.pinned(first):
        assert os.sched_getaffinity(0) == first
    assert os.sched_getaffinity(0) == before


def test_hyperthreads_of_one_physical_core_count_as_one(tmp_path: Path) -> None:
    siblings = {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 4},{cpu % 4 + 4}\n"
        for cpu in range(8)
    }
    root = tree(tmp_path, siblings)
    assert cores.physical(range(8), root) == 4
    assert cores.physical([0, 1, 4], root) == 2
    assert cores.physical([1, 2], root) == 2
    assert cores.physical(range(8), tmp_path / "nothing") == 8
