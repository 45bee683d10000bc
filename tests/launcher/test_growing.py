"""Files that grow are read once, and what is told of them is the same as when they are read whole."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from islands import files
from islands.migration_log import put_aside
from islands.rundir import RunDir
from launcher.growing import Growing
from launcher.report import migration_data, run_data
from tests.launcher.made_reports import archipelago


class Lines:
    def __init__(self, path: Path, older: Path | None = None) -> None:
        self.growing = Growing(path, self.forget, older)
        self.seen: list[bytes] = []

    def forget(self) -> None:
        self.seen = []

    def read(self) -> list[bytes]:
        for line in self.growing.fresh():
            self.seen.append(line)
        return self.seen


def test_every_line_comes_once_and_a_torn_one_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = Lines(path)
    assert lines.read() == []
    path.write_bytes(b"one\ntw")
    assert lines.read() == [b"one\n"]
    assert lines.read() == [b"one\n"]
    with open(path, "ab") as stream:
        stream.write(b"o\nthree\n")
    assert lines.read() == [b"one\n", b"two\n", b"three\n"]
    path.unlink()
    assert len(lines.read()) == 3


def test_another_file_and_a_shorter_one_are_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    lines = Lines(path)
    lines.read()
    files.replace_atomically(path, b"other\nlines\nof it\n")
    assert lines.read() == [b"other\n", b"lines\n", b"of it\n"]
    os.truncate(path, 6)
    assert lines.read() == [b"other\n"]


def test_a_file_that_is_put_aside_is_read_to_its_end(tmp_path: Path) -> None:
    path, older = tmp_path / "log", tmp_path / "log.1"
    older.write_bytes(b"zero\n")
    path.write_bytes(b"one\n")
    lines = Lines(path, older)
    assert lines.read() == [b"zero\n", b"one\n"]
    with open(path, "ab") as stream:
        stream.write(b"two\n")
    os.replace(path, older)
    path.write_bytes(b"three\n")
    assert lines.read() == [b"zero\n", b"one\n", b"two\n", b"three\n"]


@pytest.mark.parametrize("generations", [30, 1700])
def test_a_run_that_is_read_as_it_grows_is_the_run_read_whole(tmp_path: Path, generations: int) -> None:
    whole = archipelago(tmp_path / "whole", 3, generations)
    grown = archipelago(tmp_path / "grown", 3, generations)
    texts = {path: path.read_bytes() for island in grown.islands() for path in (island.metrics, island.migrations)}
    dice, gatherer = random.Random(1), run_data.Gatherer(grown)
    for path in texts:
        path.write_bytes(b"")
    for share in [*sorted(dice.random() for _ in range(7)), 1.0]:
        for path, text in texts.items():
            have = path.stat().st_size
            with open(path, "ab") as stream:
                stream.write(text[have : max(have, round(share * len(text)))])
        found = gatherer.gather()
    wanted = run_data.gather(whole)
    assert found.width == wanted.width == (1 if generations == 30 else 4)
    for one, other in zip(found.islands, wanted.islands, strict=True):
        assert (one.x, one.best_at, one.evaluations) == (other.x, other.best_at, other.evaluations)
        assert one.series.keys() == other.series.keys()
        for key, values in one.series.items():
            assert values == pytest.approx(other.series[key])
    assert found.migrations == wanted.migrations


def test_the_mean_of_a_bucket_is_the_mean_of_its_generations_and_its_best_the_highest(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 1, 1001)
    data = run_data.gather(made)
    (island,), lines = data.islands, files.read_jsonl(made.islands()[0].metrics)
    assert len(island.x) == -(-1001 // data.width)
    first = lines[: data.width]
    assert island.series["mean"][0] == pytest.approx(sum(line["mean"] for line in first) / len(first))
    assert island.series["best"][0] == max(line["best"] for line in first)


def test_a_log_of_migrations_that_was_renewed_counts_nothing_twice(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 3, 35)
    names = [island.name for island in made.islands()]
    logs = migration_data.MigrationLogs(made)
    before = logs.read(names)
    files.renew(made.islands()[0].migrations)
    assert logs.read(names) == before
    log = made.islands()[1].migrations
    os.replace(log, put_aside(log))
    assert logs.read(names) == before


def test_an_island_that_joins_later_is_read_too(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 2, 5)
    gatherer = run_data.Gatherer(made)
    gatherer.gather()
    bigger = archipelago(tmp_path / "b", 3, 5)
    (bigger.path / "island-002").rename(made.path / "island-002")
    files.write_json(made.plan, files.read_json(RunDir(tmp_path / "b").plan))
    assert [island.name for island in gatherer.gather().islands] == ["island-000", "island-001", "island-002"]
