"""Islands on a terminal: one line each, as wide as the terminal, as many as it has rows for.

A colour says nothing that a word does not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from launcher.rows import Row, counted
from launcher.sparks import WIDTH
from launcher.states import BACKOFF, DONE, FAILED, HELD, PENDING, RUNNING, STALLED, STOPPED
from launcher.tables import number
from launcher.utilisation import clock

STYLES = {
    RUNNING: "green", "starting": "blue", PENDING: "dim", DONE: "cyan", STOPPED: "magenta", BACKOFF: "yellow",
    STALLED: "bold yellow", HELD: "bold red", FAILED: "bold red",
}  # fmt: skip
_ORDER = (HELD, FAILED, STALLED, BACKOFF, STOPPED, "starting", RUNNING, PENDING, DONE)
"""What somebody should look at comes first."""
TROUBLE = frozenset(_ORDER[:4])
_REASONS = 3
"""Lines with reasons at most."""
_QUIET = 10.0
"""Seconds of silence after which their number is shown in place of the pace, unless a generation takes longer."""
_GAP = "  "


class _Column(NamedTuple):
    """A column: its title, its cells. `usual`: its width, unless a cell is wider; `least`: how narrow it may be made;
    `needed`: or it may be left out."""

    title: str
    cells: list[str]
    usual: int = 0
    least: int = 0
    right: bool = True
    needed: bool = True

    @property
    def width(self) -> int:
        """What it takes; it does not change with every redraw."""
        return max(self.usual, *map(cell_len, (self.title, *self.cells)))


def lines(rows: Sequence[Row], width: int, height: int | None = None) -> list[Text]:
    """A title, a line an island, one that counts those without a line of their own, and reasons.

    None of them is wider than `width`, and there are at most `height` (None: as many as it takes).
    """
    urgent = sorted(rows, key=lambda row: _ORDER.index(row.shown_state))
    reasons = [f"{row.name}: {row.reason}" for row in urgent if row.reason and row.state in TROUBLE][:_REASONS]
    room = len(rows) if height is None else max(2, height - 1 - len(reasons))
    shown, rest = list(rows), []
    if len(rows) > room:
        shown, rest = urgent[: room - 1], urgent[room - 1 :]
    table = _table(shown, width)
    if rest:
        table.append(Text(f"… and {len(rest)} more: {counted(rest)}", style="dim"))
    table += [Text(reason, style="yellow") for reason in reasons]
    for line in table:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return table


def _table(rows: Sequence[Row], width: int) -> list[Text]:
    columns, widths = _fitted(_columns(rows), width)
    titles = [_cell(column, column.title, wide) for column, wide in zip(columns, widths, strict=True)]
    table = [Text(_GAP.join(titles).rstrip(), style="bold")]
    for index, row in enumerate(rows):
        line = Text()
        for column, wide in zip(columns, widths, strict=True):
            style = STYLES.get(row.shown_state, "") if column.title == "state" else ""
            line.append(_cell(column, column.cells[index], wide), style)
            line.append(_GAP)
        line.rstrip()
        table.append(line)
    return table


def _columns(rows: Sequence[Row]) -> list[_Column]:
    return [
        _Column("island", [row.name for row in rows], least=8, right=False),
        _Column("state", [row.shown_state for row in rows], 8, 8, right=False),
        _Column("generations", [f"{row.done}/{row.generations}" if row.generations else "–" for row in rows], least=9),
        _Column("best", [number(row.best) for row in rows], 9, 6),
        _Column("trend", [row.trend for row in rows], WIDTH, 4, right=False),
        _Column("s/gen", [_pace(row) for row in rows], 8, 5),
        _Column("restarts", [number(row.restarts) for row in rows], least=3, needed=False),
        _Column("CPU s", [number(row.cpu_seconds) for row in rows], needed=False),
        _Column("MB", [number(row.rss_mb) for row in rows], needed=False),
    ]


def _fitted(columns: list[_Column], width: int) -> tuple[list[_Column], list[int]]:
    """The columns that find room, and their widths: the last that nobody needs go first, then the widest shrink."""
    columns = [column for column in columns if column.needed or any(cell != "–" for cell in column.cells)]
    while sum(column.width + len(_GAP) for column in columns) - len(_GAP) > width:
        spare = next((column for column in reversed(columns) if not column.needed), None)
        if spare is None:
            break
        columns.remove(spare)
    widths = [column.width for column in columns]
    over = sum(widths) + len(_GAP) * (len(columns) - 1) - width
    for place in (4, 0, 5, 3, 2):  # trends give way first, then names
        less = max(0, min(over, widths[place] - columns[place].least))
        widths[place] -= less
        over -= less
    return columns, widths


def _cell(column: _Column, text: str, width: int) -> str:
    if cell_len(text) > width:
        text = set_cell_size(text, max(0, width - 1)) + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if column.right else text + padding


def _pace(row: Row) -> str:
    """Seconds a generation; of an island that has been silent for long, for how long."""
    pace = row.seconds_per_generation
    if row.state == PENDING:
        return "–"
    if row.state != DONE and row.quiet_seconds > max(_QUIET, 3 * (pace or 0.0)):
        return f"{_age(row.quiet_seconds)} ago"
    return "–" if pace is None else f"{pace:.2g}"


def _age(seconds: float) -> str:
    if seconds < 3600:
        return clock(seconds)
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"
