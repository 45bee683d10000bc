"""Islands on a terminal: within its width and height, what is wrong first, every state as a word."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from islands import files, process
from islands.rundir import IslandDir, RunDir
from launcher import island_lines, presets, run
from launcher.rows import Pace, Row
from launcher.states import ALL
from tests.launcher.launches import ROOT

SPARKS = set("▁▂▃▄▅▆▇█")


def rows(count: int, **more: object) -> list[Row]:
    """Islands of every state, after many generations."""
    return [
        Row(f"island-{i:03}", ALL[i % 8], i == 1, 98765 - i, 99999, -1.2345e-5, 12.345, 3.0, "▁▂▃▄▅▆▇█▁▂▃█", i, **more)  # type: ignore[arg-type]
        for i in range(count)
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 6), (60, 24), (132, 40)])
def test_128_islands_with_five_digit_generations_fit(width: int, height: int) -> None:
    found = island_lines.lines(rows(128, reason="it died " * 40), width, height)
    assert len(found) <= height and max(cell_len(line.plain) for line in found) <= width


def test_eighty_columns_have_everything_about_an_island(tmp_path: Path) -> None:
    title, *lines = (line.plain for line in island_lines.lines(rows(128), 80))
    assert title.split() == ["island", "state", "generations", "best", "trend", "s/gen", "restarts"]
    assert len(lines) == 128
    expected = ["island-127", "STOPPED", "98638/99999", "-1.234e-05", "▁▂▃▄▅▆▇█▁▂▃█", "12", "127"]
    assert lines[-1].split() == expected
    assert lines[1].split()[1] == "starting"


def test_wider_terminals_have_more_and_names_are_cut_where_they_do_not_fit() -> None:
    wide = island_lines.lines(rows(3, cpu_seconds=1.5, rss_mb=20.5), 120)[0].plain
    assert wide.split()[-4:] == ["restarts", "CPU", "s", "MB"]
    (line,) = island_lines.lines([Row("a-very-long-name-of-an-island" * 3, "RUNNING", False, 5, 10)], 80)[1:]
    assert "…" in line.plain and "RUNNING" in line.plain and cell_len(line.plain) <= 80


def test_where_not_all_fit_those_in_trouble_come_first_and_the_rest_is_counted() -> None:
    islands = [Row(f"island-{i:03}", "RUNNING", False, 5, 10) for i in range(40)]
    islands[33] = Row("island-033", "HELD", reason="it died five times")
    islands[35] = Row("island-035", "BACKOFF")
    lines = [line.plain for line in island_lines.lines(islands, 80, 12)]
    assert lines[1].startswith("island-033  HELD") and lines[2].startswith("island-035  BACKOFF")
    assert lines[-2] == "… and 31 more: 31 RUNNING"
    assert lines[-1] == "island-033: it died five times"


def test_every_state_is_a_word_and_has_a_colour_of_its_kind() -> None:
    for line in island_lines.lines(rows(8), 80)[1:]:
        state = line.plain.split()[1]
        (span,) = [span for span in line.spans if line.plain[span.start : span.end].strip() == state]
        assert span.style == island_lines.STYLES[state]


def test_a_silent_island_shows_for_how_long_in_place_of_its_pace() -> None:
    def shown(quiet: float, pace: float | None = 0.5, state: str = "RUNNING") -> str:
        return island_lines.lines([Row("a", state, False, 5, 10, 1.0, pace, quiet)], 80)[1].plain[53:].strip()

    assert [shown(2.0), shown(75.0), shown(75.0, 60.0)] == ["0.5", "1:15 ago", "60"]
    assert [shown(7300.0), shown(1e6), shown(1e6, None, "DONE")] == ["2 h ago", "12 d ago", "–"]


def test_a_pace_is_measured_over_the_looks_that_found_new_generations() -> None:
    pace = Pace()
    for now, done in ((0.0, 5), (1.0, 5), (2.0, 9), (3.0, 9)):
        pace.note(now, done)
    assert pace.seconds == 0.5
    pace.note(4.0, 2)  # it fell back to an earlier checkpoint
    assert pace.seconds is None


@pytest.fixture
def made(tmp_path: Path) -> RunDir:
    """A run of 30 islands, one of them held, two playing (this very process), the others not started."""
    plan = run.Plan("launch", "quick", tuple((f"island-{i:03}", 42) for i in range(30)))
    made = run.make(tmp_path / "mine", presets.resolve("quick"), plan)
    for island in made.islands()[:2]:
        lines = [{"generation": g, "best_so_far": g * g, "seconds": 0.25} for g in range(12)]
        files.JsonLines(island.metrics, durable=False).extend(lines)
        beat(island, 11)
    files.write_json(made.islands()[28].held, {"reason": "it died five times"})
    return made


def beat(island: IslandDir, generation: int) -> None:
    record = {**process.identity(), "state": "running", "generation": generation, "generations": 12345}
    files.write_json(island.heartbeat, {**record, "best": 3.5e5, "time": time.time(), "epoch": 1})


@contextlib.contextmanager
def on_a_terminal(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command on a terminal of 80 × 24, and the terminal's other end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "launcher", *arguments]
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave) as started:
        os.close(slave)
        yield started, master
    os.close(master)


def read_all(master: int) -> str:
    seen = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while more := os.read(master, 65536):
            seen += more
    return seen.decode()


def plain(text: str) -> list[str]:
    """Lines without colours and other commands to the terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "").split("\n")


def test_status_fits_a_terminal_of_eighty_columns_and_says_states_in_words_and_colours(made: RunDir) -> None:
    with on_a_terminal(made.path.parent, "status", "mine") as (_, master):
        seen = read_all(master)
    lines = [line for line in plain(seen) if line]
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) == 1 + 1 + 30 + 1
    first = next(line for line in lines if line.startswith("island-000")).split()
    assert first[1:4] == ["RUNNING", "12/12345", "3.5e+05"] and set(first[4]) <= SPARKS and len(first[4]) == 12
    assert first[5] == "0.25"
    assert "\x1b[32mRUNNING" in seen and "\x1b[1;31mHELD" in seen
    assert lines[-1] == "island-028: it died five times"


def test_watching_fits_the_screen_and_what_does_not_fit_is_counted(made: RunDir) -> None:
    with on_a_terminal(made.path.parent, "status", "mine", "--watch") as (watching, master):
        seen = ""
        deadline = time.monotonic() + 30
        while seen.count("island-000") < 2 and time.monotonic() < deadline:
            seen += os.read(master, 65536).decode()
            beat(made.islands()[0], 12 + seen.count("island-000"))
        watching.send_signal(signal.SIGINT)
        read_all(master)
    screen = plain(seen.split("\x1b[H")[2])
    assert len(screen) == 24 and max(map(cell_len, screen)) <= 80
    assert screen[0].startswith("mine: RUNNING · no launcher")
    assert screen[2].startswith("island-028  HELD") and screen[3].startswith("island-000  RUNNING")
    told = [line.strip() for line in screen if line.startswith("… and ")]
    assert told == ["… and 10 more: 10 PENDING"]


def test_piped_status_is_plain_lines_as_ever(made: RunDir) -> None:
    command = [sys.executable, "-m", "launcher", "status", "mine"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=made.path.parent, env=environment, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout and not SPARKS & set(done.stdout)
    assert "CPU s" in done.stdout and done.stdout.count("island-0") == 30


@pytest.mark.parametrize("command", ["status", "top"])
def test_the_list_of_runs_fits_eighty_columns_with_whole_names(tmp_path: Path, command: str) -> None:
    name = "neat_baseline-20261126-012519-" + "x" * 60
    run.make(tmp_path / "runs" / name, presets.resolve("quick"), run.Plan("launch", "quick", (("island-000", 42),)))
    with on_a_terminal(tmp_path, command) as (_, master):
        lines = [line for line in plain(read_all(master)) if line]
    assert max(map(cell_len, lines)) <= 80
    assert {"run", "state", "generations", "best"} <= set(lines[0].split()) and "created" not in lines[0]
    assert f"runs/{name}" in "".join(line.split()[0] for line in lines[2:])  # top lists what else is at work
