"""A log that its own writer keeps small."""

import subprocess
import sys
from pathlib import Path

from islands import log
from tests.islands.evolving import REPOSITORY

WRITER = """
import os, sys
from pathlib import Path
from islands import log
path, lines = Path(sys.argv[1]), int(sys.argv[2])
for number in range(lines):
    print(f"line {number}", file=sys.stderr, flush=True)
    if number % 2:
        print(f"out {number}", flush=True)
    log.rotate([path.with_name("another.log"), path], 1000)
"""


def written(path: Path, lines: int, both: bool = True) -> None:
    """Have a process write so many lines, its stderr (and stdout) in `path`."""
    with open(path, "ab") as stream:
        command = [sys.executable, "-c", WRITER, str(path), str(lines)]
        out = stream if both else subprocess.DEVNULL
        subprocess.run(command, cwd=REPOSITORY, stdout=out, stderr=stream, check=True)


def parts(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}.2"), path.with_name(f"{path.name}.1"), path]


def test_a_log_is_put_aside_without_losing_a_line_and_three_files_of_it_stay(tmp_path: Path) -> None:
    path = tmp_path / "island.log"
    written(path, 1000)
    assert sorted(tmp_path.iterdir()) == sorted(parts(path))
    assert all(part.stat().st_size < 1100 for part in parts(path))
    kept = [line for part in parts(path) for line in part.read_text().splitlines()]
    numbers = [int(line.split()[1]) for line in kept if line.startswith("line")]
    assert numbers == list(range(1000 - len(numbers), 1000)) and len(numbers) > 100
    assert sum(line.startswith("out") for line in kept) in (len(numbers) // 2, len(numbers) // 2 + 1)


def test_a_small_log_and_somebody_elses_file_are_left_alone(tmp_path: Path) -> None:
    small, foreign = tmp_path / "island.log", tmp_path / "mine.txt"
    written(small, 20)
    assert list(tmp_path.iterdir()) == [small]
    with open(foreign, "ab") as stream:
        command = [sys.executable, "-c", WRITER, str(small), "1000"]
        subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=stream, check=True)
    assert sorted(tmp_path.iterdir()) == [small, foreign]
    assert foreign.read_text().count("line ") == 1000


def test_an_output_that_goes_elsewhere_stays_there(tmp_path: Path) -> None:
    path = tmp_path / "island.log"
    written(path, 500, both=False)
    assert not any("out" in part.read_text() for part in parts(path))


def test_no_trouble_with_the_log_is_trouble_for_the_work(tmp_path: Path) -> None:
    assert log.rotate([tmp_path / "nowhere" / "island.log"], 0) is False
