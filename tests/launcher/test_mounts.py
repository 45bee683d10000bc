"""Which file system a path lies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.mounts import Mount, mount_of

TABLE = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,resuid=1
30 22 0:26 / /mnt/my\\040disk rw,nosuid - nfs4 server:/export rw,vers=4.2,local_lock=none
31 22 0:27 / /mnt/over rw - tmpfs first rw
32 31 0:28 / /mnt/over rw - ext4 second rw
33 22 0:29 / /mnt/o ro - xfs /dev/vdb ro
not a line of this file
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/mnt/my disk/runs/a", "server:/export"),
        ("/mnt/my disk", "server:/export"),
        ("/mnt/over/b", "second"),
        ("/mnt/overland", "/dev/vda"),
        ("/mnt/o/c", "/dev/vdb"),
        ("/", "/dev/vda"),
    ],
)
def test_the_mount_that_was_made_last_and_lies_deepest_holds_a_path(table: Path, path: str, source: str) -> None:
    assert mount_of(Path(path), table).source == source


def test_options_of_the_mount_and_of_the_file_system_are_both_known(table: Path) -> None:
    assert {"nosuid", "local_lock=none"} <= mount_of(Path("/mnt/my disk"), table).options


@pytest.mark.parametrize(
    ("kind", "network", "object_store"),
    [
        ("nfs", True, False),
        ("nfs4", True, False),
        ("cifs", True, False),
        ("fuse.sshfs", True, False),
        ("lustre", True, False),
        ("9p", True, False),
        ("fuse.blobfuse2", True, True),
        ("fuse.gcsfuse", True, True),
        ("ext4", False, False),
        ("xfs", False, False),
        ("tmpfs", False, False),
        ("overlay", False, False),
    ],
)
def test_network_disks_and_object_stores_are_told_from_local_ones(kind: str, network: bool, object_store: bool) -> None:
    mount = Mount(kind, "x", "/", frozenset())
    assert (mount.network, mount.object_store) == (network, object_store)


def test_the_real_table_knows_where_this_file_lies() -> None:
    assert mount_of(Path(__file__)).kind != "unknown"


def test_without_a_table_nothing_is_known_and_nothing_fails(tmp_path: Path) -> None:
    assert mount_of(tmp_path, tmp_path / "none").kind == "unknown"
