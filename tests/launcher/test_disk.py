"""A disk that is full, and a run that waits for it: a small tmpfs where this may be mounted."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from islands import files
from islands.rundir import RunDir
from launcher import disk, events
from launcher.disk import Disk, low, probe
from launcher.status import living
from tests.launcher.launches import ROOT, evolab, told, wait_for

TINY = ["-c", "quick", "-p", 30, "--set", "task.duration=1", "--migrate-every", 0, "--islands", 2, "--json"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte that is left."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue
    return path


def test_a_probe_writes_and_leaves_nothing(tmp_path: Path) -> None:
    assert probe(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert probe(tmp_path / "nowhere") == "no such file or directory"


def test_a_probe_of_a_full_disk_says_so(small: Path) -> None:
    filler = fill(small)
    assert probe(small) == "no space left on device"
    assert [path.name for path in small.iterdir()] == ["filler"]
    filler.unlink()
    assert probe(small) is None


def test_a_disk_that_refuses_is_probed_every_two_seconds_until_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["full", "full", None])
    probed = []
    monkeypatch.setattr(disk, "probe", lambda folder, size: probed.append(size) or next(answers))
    watched = Disk([tmp_path])
    assert not watched.try_all(100.0, 7) and watched.refused == f"{tmp_path}: full"
    assert [watched.try_again(now, 7) for now in (100.5, 101.9, 102.0, 103.0, 104.0, 110.0)] == [
        False, False, False, False, True, False,
    ]  # fmt: skip
    assert probed == [7, 7, 7] and watched.refused is None


def test_little_space_is_told_once_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scarce: list[str | None] = ["3 MB left", "2 MB left", None, "1 MB left"]
    monkeypatch.setattr(disk, "low", lambda folder, mark: scarce.pop(0))
    watched = Disk([tmp_path])
    told_ = [watched.warning(now) for now in (0.0, 5.0, 10.0, 20.0, 30.0)]
    assert told_ == [f"{tmp_path}: 3 MB left", None, None, None, f"{tmp_path}: 1 MB left"]


def test_the_low_water_mark_is_a_gigabyte_or_two_percent_unless_told(tmp_path: Path) -> None:
    assert low(tmp_path, 0) is None
    assert "less than" in str(low(tmp_path, 1e18))


def test_a_full_disk_pauses_a_run_which_goes_on_by_itself_with_the_same_digests(small: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launcher", "launch", *map(str, TINY), "-g", "600", "--low-water", "0"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path))
    run = RunDir(small / "mine")
    said = tmp_path / "said"
    with (
        said.open("w") as err,
        subprocess.Popen(
            [*command, "--out", str(run.path)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        ) as launched,
    ):
        try:
            islands = wait_for(lambda: run.plan.exists() and run.islands())
            for island in islands:
                wait_for(lambda island=island: len(_digests(run, island.name)) > 5, within=60)
            filler = fill(small)
            wait_for(lambda: not any(map(living, islands)), within=30)
            wait_for(lambda: "the disk takes nothing" in said.read_text(), within=10)
            assert launched.poll() is None
            filler.unlink()
            wait_for(lambda: told(run, "disk-back"), within=12)
            out, _ = launched.communicate(timeout=90)
        finally:
            launched.kill()
    err_text = said.read_text()
    assert launched.returncode == 0, err_text
    assert err_text.count("paused, because the disk takes nothing") == 1
    assert [event["event"] for event in events.read(run)].count("disk-full") == 1
    assert {event.get("code") for event in told(run, "exit")} == {74, 0}
    summary = json.loads(out)
    assert [island["restarts"] for island in summary["islands"]] == [0, 0]  # a full disk is nobody's fault
    undisturbed = evolab(tmp_path, "launch", *TINY, "-g", 600, "--out", "whole", within=120)
    whole = json.loads(undisturbed.stdout)
    assert [i["digest"] for i in summary["islands"]] == [i["digest"] for i in whole["islands"]]
    for island in islands:
        assert _digests(run, island.name) == _digests(RunDir(tmp_path / "whole"), island.name)


def _digests(run: RunDir, name: str) -> list[str]:
    path = run.island(name).metrics
    return [line["digest"] for line in files.read_jsonl(path)] if path.exists() else []
