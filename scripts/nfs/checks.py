"""Lines of what went well and what did not, as they happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Checks:
    """Counts them."""

    count: int = 0
    failed: int = 0
    began: float = field(default_factory=time.monotonic)

    def tell(self, text: str) -> None:
        """A remark."""
        print(f"# {text}", flush=True)

    def that(self, sentence: str, well: object, found: object = "") -> bool:
        """One line; `found` is shown where it is not so."""
        self.count += 1
        if well:
            print(f"ok {self.count} - {sentence} ({time.monotonic() - self.began:.0f} s)", flush=True)
            return True
        self.failed += 1
        print(f"not ok {self.count} - {sentence}", flush=True)
        for line in str(found).strip().splitlines()[-25:]:
            self.tell(line)
        return False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """An error within is a failed check, and ends no more than the part."""
        self.tell(name)
        try:
            yield
        except Exception as error:  # whatever it is: the other parts are to be tried, and the guests to be ended
            self.that(f"{name}: is carried out", False, f"{type(error).__name__}: {error}")


def wait_for(what: str, condition: Callable[[], T], within: float = 120.0) -> T:
    """The first answer that is not empty."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {within:g} s")
