"""What was done, what was required, what was measured: a line a check, as Markdown and as JSON."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from islands import files


@dataclass(frozen=True)
class Line:
    """One check. `passed` is None where it could not be made; `measured` then says why."""

    scenario: str
    did: str
    required: str
    measured: str
    passed: bool | None


@dataclass
class Report:
    """Grows a line at a time and is written after each, so that an interrupted run leaves what it had found."""

    folder: Path
    quick: bool
    lines: list[Line] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    scenario: str = ""

    def tell(self, text: str) -> None:
        """A plain line of progress."""
        print(f"[{time.time() - self.started:6.0f} s] {self.scenario}: {text}", flush=True)

    def check(self, did: str, required: str, measured: str, passed: bool | None) -> None:
        """Note one check."""
        self.lines.append(Line(self.scenario, did, required, measured, passed))
        self.tell(f"{verdict(passed)}: {did}: {measured}")
        self.write()

    def table(self, title: str, rows: Sequence[dict[str, Any]]) -> None:
        """Note figures that belong together; every row has the same keys."""
        self.tables[title] = list(rows)
        self.write()

    @property
    def failed(self) -> bool:
        """Whether any check has failed, or none was made."""
        return not self.lines or any(line.passed is False for line in self.lines)

    def write(self) -> None:
        """Write both files."""
        record = {
            "format": 1,
            **self._about(),
            "lines": [asdict(line) for line in self.lines],
            "tables": self.tables,
        }
        files.write_json(self.folder / "report.json", record)
        files.replace_atomically(self.folder / "report.md", self._markdown().encode())

    def _about(self) -> dict[str, Any]:
        return {
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self.started)),
            "minutes": round((time.time() - self.started) / 60, 1),
            "quick": self.quick,
            "cores": len(os.sched_getaffinity(0)),
            "machine": f"{platform.system()} {platform.release()}, Python {sys.version.split()[0]}",
        }

    def _markdown(self) -> str:
        about = self._about()
        counts = [sum(line.passed is value for line in self.lines) for value in (True, False, None)]
        text = ["# Chaos", ""]
        text += [f"{about['started']}, {about['minutes']} minutes{' (--quick)' if self.quick else ''}, "]
        text[-1] += f"{about['cores']} cores, {about['machine']}: "
        text[-1] += f"{counts[0]} passed, {counts[1]} failed, {counts[2]} could not be made."
        columns = ("scenario", "what was done", "required", "measured", "")
        rows = [[x.scenario, x.did, x.required, x.measured, verdict(x.passed)] for x in self.lines]
        text += ["", *_table(columns, rows)]
        for title, cells in self.tables.items():
            text += ["", f"## {title}", "", *_table(tuple(cells[0]), [list(row.values()) for row in cells])]
        return "\n".join(text) + "\n"


def verdict(passed: bool | None) -> str:
    """A check's outcome in a word."""
    return {True: "pass", False: "FAIL", None: "skipped"}[passed]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    def line(cells: Sequence[object]) -> str:
        return "| " + " | ".join(_cell(cell) for cell in cells) + " |"

    return [line(columns), "|" + "---|" * len(columns), *map(line, rows)]


def _cell(value: object) -> str:
    text = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
