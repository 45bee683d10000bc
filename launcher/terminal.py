"""Stderr as a person reads it: lines with the seconds since the start, or lines that are redrawn in place by rich.

Nobody listening any more is no reason to stop: what cannot be shown is dropped.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text

EVERY = 5.0
"""Seconds between two plain lines that say how far something has come."""


class Lines:
    """Plain lines, for a pipe or a file."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line at once."""
        with contextlib.suppress(OSError):
            print(f"{time.monotonic() - self.began:6.1f} s  {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to take down."""


class Redrawn:
    """A block of lines at the bottom of a terminal; what is said scrolls past above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self.began = time.monotonic()

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self._console.size.width

    @property
    def height(self) -> int:
        """Rows of the terminal."""
        return self._console.size.height

    def say(self, text: str, warns: bool) -> None:
        """Print a line above the block."""
        from rich.text import Text

        line = Text(f"{time.monotonic() - self.began:6.1f} s  {text}", style="yellow" if warns else "")
        with contextlib.suppress(OSError):
            self._console.print(line)

    def draw(self, lines: Sequence[str | Text], *below: Any) -> None:
        """Replace the block: `lines`, each cut at the terminal's width, and what stands below them."""
        from rich.console import Group
        from rich.text import Text

        whole = [Text(line) if isinstance(line, str) else line for line in lines]
        shown = Text("\n", no_wrap=True, overflow="ellipsis").join(whole)
        with contextlib.suppress(OSError):
            self._live.update(Group(shown, *below), refresh=True)

    def close(self) -> None:
        """Take the block down."""
        self._live.stop()


@contextlib.contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` are done, whenever it is told; nothing stays on a terminal afterwards."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(what, total=total)
            yield lambda done: progress.update(bar, completed=done)
        return
    lines, due = Lines(), 0.0

    def tell(done: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + EVERY
            lines.say(f"{what} {done}/{total}")

    yield tell
