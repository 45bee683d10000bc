"""What `evolab doctor` makes of an NFS mount's options."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import nfs
from launcher.doctor_disk import nfs_checks
from launcher.mounts import Mount

GOOD = "rw,hard,vers=4.2,local_lock=none,acregmin=3,acregmax=3,acdirmin=3,acdirmax=3"


def mount(options: str, kind: str = "nfs4") -> Mount:
    return Mount(kind, "server:/export", "/mnt/evolab", frozenset(options.split(",")))


def test_the_documented_options_are_all_right() -> None:
    assert nfs.options(mount(GOOD)).verdict == "ok"


@pytest.mark.parametrize(
    ("options", "verdict", "cause", "cure"),
    [
        (GOOD + ",nolock", "error", "two hosts may play one island", "without nolock"),
        (GOOD.replace("local_lock=none", "local_lock=all"), "error", "two hosts may play one island", "local_lock"),
        (GOOD.replace("4.2", "3"), "warning", "rpc.statd", "vers=4.2"),
        (GOOD.replace("4.2", "2"), "error", "no safe locks", "vers=4.2"),
        (GOOD.replace("hard", "soft"), "warning", "islands end with 74", "mount hard"),
        (GOOD + ",noac", "note", "every look asks the server", "actimeo=3"),
        ("rw,hard,vers=4.2,local_lock=none", "note", "60 s late", "actimeo=3"),
        (GOOD.replace("acdirmax=3", "acdirmax=30"), "note", "30 s late", "actimeo=3"),
    ],
)
def test_options_that_do_harm_are_told_with_cause_and_cure(options: str, verdict: str, cause: str, cure: str) -> None:
    found = nfs.options(mount(options))
    assert found.verdict == verdict and cause in found.found and cure in found.do


def test_several_troubles_are_all_told_under_the_worst_verdict() -> None:
    found = nfs.options(mount("rw,soft,vers=3,nolock"))
    assert found.verdict == "error"
    assert all(word in found.found for word in ("two hosts", "rpc.statd", "74", "60 s late"))


def test_other_file_systems_have_no_such_check(tmp_path: Path) -> None:
    assert nfs_checks(tmp_path, mount("rw", "ext4")) == []
    assert [name for name, _ in nfs_checks(tmp_path, mount(GOOD))] == ["mount options"]
