"""What the doctor finds on a machine: this one, and machines made of files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import doctor_machine
from tests.launcher.test_cli import ROOT
from tests.launcher.test_cores import V2, tree
from tests.launcher.test_host import GROUP, MEMINFO


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def test_this_machine_can_be_examined() -> None:
    found = [check() for _, check in doctor_machine.CHECKS]
    assert [finding.name for finding in found] == [name for name, _ in doctor_machine.CHECKS]
    assert all(finding.verdict in ("ok", "note", "warning") and finding.found for finding in found)


def test_all_cores_usable_are_fine(tmp_path: Path, eight: None) -> None:
    found = doctor_machine.processor(tmp_path)
    assert found.verdict == "ok" and "8 usable of 8" in found.found


def test_a_smaller_mask_is_a_note(tmp_path: Path, eight: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    found = doctor_machine.processor(tmp_path)
    assert found.verdict == "note" and "8 usable of 128" in found.found and "taskset" in found.do


@pytest.mark.parametrize(("quota", "verdict", "do"), [("250000", "note", "not pinned"), ("50000", "warning", "raise")])
def test_a_quota_is_told_and_one_below_a_core_is_a_warning(
    tmp_path: Path, eight: None, quota: str, verdict: str, do: str
) -> None:
    found = doctor_machine.processor(tree(tmp_path, {**V2, f"{GROUP}/cpu.max": f"{quota} 100000\n"}))
    assert found.verdict == verdict and do in found.do and f"quota {int(quota) / 1e5:g}" in found.found


def test_hyperthreads_are_told(tmp_path: Path, eight: None) -> None:
    siblings = {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 4},{cpu % 4 + 4}\n"
        for cpu in range(8)
    }
    assert "on 4 physical cores" in doctor_machine.processor(tree(tmp_path, siblings)).found


def test_others_who_want_the_cores_are_a_note(tmp_path: Path, eight: None) -> None:
    assert doctor_machine.load(tree(tmp_path, {"proc/loadavg": "0.50 0.1 0.1 1/99 7\n"})).verdict == "ok"
    assert doctor_machine.load(tree(tmp_path, {"proc/loadavg": "7.50 0.1 0.1 1/99 7\n"})).verdict == "note"


def test_memory_is_judged_by_the_islands_that_fit_within_the_groups_limit(tmp_path: Path, eight: None) -> None:
    roomy = doctor_machine.memory(tree(tmp_path, {**V2, **MEMINFO}))
    assert roomy.verdict == "ok" and "for 8 cores" in roomy.found
    limit = {f"{GROUP}/memory.max": "860000000\n", f"{GROUP}/memory.current": "100000000\n"}
    tight = doctor_machine.memory(tree(tmp_path, limit))
    assert tight.verdict == "warning" and "limited by a control group" in tight.found
    assert "3 islands of population 500 fit" in tight.found


def test_few_open_files_are_a_warning_with_the_command_that_raises_them() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        found = doctor_machine.open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.verdict == "warning" and found.do.startswith("ulimit -n ")


def test_a_groups_limit_of_processes_is_a_warning_when_little_is_left(tmp_path: Path, eight: None) -> None:
    files = {**V2, f"{GROUP}/pids.max": "100\n", f"{GROUP}/pids.current": "90\n"}
    found = doctor_machine.processes(tree(tmp_path, files))
    assert found.verdict == "warning" and "room for 10 processes" in found.found


def test_a_slow_clock_source_is_a_note_and_a_wall_clock_that_jumps_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "sys/devices/system/clocksource/clocksource0/current_clocksource"
    assert doctor_machine.clock(tree(tmp_path, {source: "tsc\n"})).verdict == "ok"
    assert doctor_machine.clock(tree(tmp_path, {source: "hpet\n"})).verdict == "note"
    jumps = iter([1000.0, 1005.0])
    monkeypatch.setattr(doctor_machine.time, "time", lambda: next(jumps))
    found = doctor_machine.clock(tmp_path)
    assert found.verdict == "warning" and "time daemon" in found.do


def test_the_kernels_cache_is_where_the_kernels_think_it_is(tmp_path: Path) -> None:
    code = (
        "from islands.kernel import FOLDER\nfrom launcher.doctor_machine import kernel_cache, kernels\n"
        "assert FOLDER.parent == kernel_cache(), (FOLDER, kernel_cache())\nprint(kernels())"
    )
    kept = {key: value for key, value in os.environ.items() if key not in ("EVOLAB_KERNEL_CACHE", "NUMBA_CACHE_DIR")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert f"{tmp_path}/evolab/kernels: writable, 1 version kept" in done.stdout


def test_a_cache_is_not_made_by_looking_and_one_that_cannot_be_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOLAB_KERNEL_CACHE", str(tmp_path / "a" / "b"))
    found = doctor_machine.kernels()
    assert found.verdict == "note" and "compiles" in found.do
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("EVOLAB_KERNEL_CACHE", "/proc/none")
    found = doctor_machine.kernels()
    assert found.verdict == "warning" and "EVOLAB_KERNEL_CACHE" in found.do


def test_a_package_that_is_missing_is_an_error_and_an_optional_one_only_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "OPTIONAL", {"no-such-package": "--backend none"})
    found = doctor_machine.packages()
    assert found.verdict == "ok" and "not installed: no-such-package (for --backend none)" in found.found
    monkeypatch.setattr(doctor_machine, "NEEDED", ("numpy", "no-such-package"))
    found = doctor_machine.packages()
    assert found.verdict == "error" and "missing: no-such-package" in found.found
