"""One process at a time: kernel locks on a file that is there anyway. The kernel forgets the dead."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from islands.errors import EvolabError
from islands.files import told_in_one_line


class Held(EvolabError):
    """Another process works on this run or study."""

    launcher_code = 3


@contextmanager
def held_file(path: Path, refusal: str, do: str) -> Iterator[None]:
    """Within, this process alone holds `path`; `Held` with `refusal` and what to `do` when another has it."""
    with ExitStack() as stack:
        with told_in_one_line(path, "write"):
            stream = stack.enter_context(open(path, "r+b"))
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(refusal, do=do) from None
        yield
