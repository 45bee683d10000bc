"""The table of machines: strict, with one line for every mistake; and this machine as the planner sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from islands.errors import ConfigError
from launcher import cores, machines, presets
from launcher.cores import Cores

LINE = "A: {vcpus: 4, memory_gb: 16, dollars_per_hour: 0.2, threads_per_core: 2}\n"


def test_the_table_holds_the_older_projects_machines_in_its_order() -> None:
    offers = machines.read()
    assert [offer.name for offer in offers] == [f"D{size}as_v7" for size in (2, 4, 8, 16, 32, 64, 128)]
    assert [offer.dollars_per_hour for offer in offers] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.5]
    assert all(offer.memory_gb == 4 * offer.vcpus and offer.threads_per_core == 2 for offer in offers)


def test_every_line_of_the_table_gives_a_reason_and_the_table_is_no_preset() -> None:
    lines = [line for line in machines.table().read_text().splitlines() if not line.startswith("#")]
    assert lines and all("  # " in line for line in lines)
    assert "machines" not in presets.names()
    with pytest.raises(ConfigError, match="unknown preset"):
        presets.resolve("machines")


def test_a_vcpu_of_a_cloud_is_half_a_core_unless_the_table_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(LINE + LINE.replace("A:", "B:").replace("core: 2", "core: 1"))
    half, whole = (offer.machine(0.6, 0.1) for offer in machines.read(path))
    assert (half.at_full_speed, half.speed(2), half.speed(3)) == (2, 1.0, 0.6)
    assert (whole.at_full_speed, whole.speed(4)) == (4, 1.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LINE + LINE, "duplicate key 'A'"),
        ("", "a machine a line"),
        ("[1, 2]", "a machine a line"),
        ("A: 4", "A: expected a mapping"),
        (LINE.replace("vcpus: 4", "vcpus: 4.5"), "A.vcpus: expected a whole number from 1 to 4096, got 4.5"),
        (LINE.replace("vcpus: 4", "vcpus: yes"), "A.vcpus: expected a whole number"),
        (LINE.replace("vcpus: 4", "vcpus: 0"), "A.vcpus: expected a whole number from 1"),
        (LINE.replace("memory_gb: 16", "memory_gb: .inf"), "A.memory_gb: expected a number"),
        (LINE.replace("memory_gb", "memory"), "A.memory: unknown key; did you mean memory_gb"),
        (LINE.replace("threads_per_core: 2", "threads_per_core: 8"), "A.threads_per_core: expected a whole number"),
        (LINE.replace(", threads_per_core: 2", ""), "A.threads_per_core: expected a value, got none"),
        (LINE.replace("0.2", "twenty cents"), "A.dollars_per_hour: expected a number"),
        ("A: {vcpus: 4", "not YAML"),
    ],
)
def test_a_mistake_in_a_table_is_one_line_that_names_it(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        machines.read(path)
    line = str(error.value)
    assert told in line and line.startswith(str(path)) and "\n" not in line


def test_an_unknown_machine_is_answered_with_the_nearest() -> None:
    offers = machines.read()
    assert [offer.name for offer in machines.chosen(offers, ["D8as_v7", "D2as_v7"])] == ["D2as_v7", "D8as_v7"]
    assert machines.chosen(offers, []) == offers
    with pytest.raises(ConfigError, match="did you mean D128as_v7"):
        machines.chosen(offers, ["D128as_v6"])


def test_this_machine_has_its_usable_cores_and_no_time_to_set_up() -> None:
    found = machines.here(0.9, 1.5, 0.6)
    assert (found.vcpus, found.setup, found.dollars_per_hour) == (cores.usable().count, 0.0, 1.5)
    assert 0 < found.memory_gb < 1e5


@pytest.mark.parametrize(("seen", "full"), [(4, 4), (8, 1)])
def test_islands_run_at_full_speed_here_as_far_as_the_kernel_shows_whole_cores(
    monkeypatch: pytest.MonkeyPatch, seen: int, full: int
) -> None:
    """Eight vCPUs on four cores that the kernel shows; and eight of which nobody can say what they share."""
    monkeypatch.setattr(cores, "usable", lambda: Cores(tuple(range(8))))
    monkeypatch.setattr(cores, "physical", lambda _cpus: seen)
    measured, assumed = machines.here(0.7, None, 0.6), machines.here(None, None, 0.6)
    assert (measured.at_full_speed, measured.crowded) == (full, 0.7)
    assert (assumed.at_full_speed, assumed.crowded) == (seen, 0.6 if seen == 4 else 1.0)


def test_a_machine_under_a_quota_has_what_the_quota_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable", lambda: Cores(tuple(range(os.cpu_count() or 1)) * 8, quota=1.5))
    assert machines.here(None, None, 0.6).vcpus == 1
