"""One process at a time: kernel locks on a file that is there anyway. The kernel forgets the dead."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from islands.errors import EvolabError
from islands.files import told_in_one_line


class Held(EvolabError):
    """Another process works on this run or study."""

    launcher_code = 3


@contextmanager
def held_file(path: Path, refusal: str, do: str, make: bool = False) -> Iterator[None]:
    """Within, this process alone holds `path`; `Held` with `refusal` and what to `do` when another has it.

    `make`: the file may be new; it is never removed, since a lock on a name that changes hands is none.
    """
    with ExitStack() as stack:
        with told_in_one_line(path, "write"):
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_NOFOLLOW if make else 0)
            stream = stack.enter_context(open(os.open(path, flags, 0o644), "r+b"))
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(refusal, do=do) from None
        yield
