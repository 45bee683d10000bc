"""Faults on demand: every system call of a durable write lies behind a named point, where it can be made to fail.

    EVOLAB_FAULT="replace.written:3:EIO"            the third passage of that point, and no other
    EVOLAB_FAULT="append.opened:2:short:for-ever"   that passage and all that come after it
    EVOLAB_FAULT="*:40:EROFS:for-ever"              from the fortieth system call on, whichever they are

`kill`: the process ends by SIGKILL before the call. `ENOSPC`, `EIO`, `EROFS`, `EDQUOT`: the call fails with that error
and has no effect. `short`: a write takes half of what it is given; for ever: half, and then nothing more (ENOSPC).
Passages count from 1 in each process. What happened is counted, and told on stderr once a point.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from islands.errors import ConfigError

VARIABLE = "EVOLAB_FAULT"
ANY = "*"
FOR_EVER = "for-ever"
KILL, SHORT = "kill", "short"
ERRORS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EROFS", "EDQUOT")}

_PUT = {
    "begun": "open", "created": "write", "half-written": "write", "written": "fsync", "synced": "close",
    "flushed": "rename", "renamed": "fsync", "done": "", "failed": "unlink",
}  # fmt: skip
POINTS: dict[str, str] = {
    **{f"{kind}.{step}": call for kind in ("replace", "publish", "renew") for step, call in _PUT.items()},
    "append.begun": "open", "append.torn": "truncate", "append.opened": "write", "append.written": "fsync",
    "append.synced": "close", "append.named": "fsync", "append.done": "", "append.failed": "truncate",
    "mend.begun": "open", "mend.kept": "truncate", "mend.cut": "fsync",
    "move.begun": "rename", "move.renamed": "fsync",
    "remove.begun": "unlink", "tidy.found": "unlink",
    "folder.missing": "mkdir", "folder.made": "fsync",
    "mark.begun": "open", "mark.made": "fsync",
    "load.begun": "read",
    "outbox.begun": "read", "outbox.opened": "open", "outbox.locked": "", "outbox.tidied": "", "outbox.published": "",
    "outbox.pruning": "unlink", "outbox.pruned": "", "outbox.leaving": "",
    "quarantine.moving": "rename", "quarantine.moved": "", "quarantine.full": "unlink",
    "read.listing": "read", "read.stat": "read", "read.opened": "read", "read.decoded": "", "read.checked": "",
    "log.begun": "open", "log.older": "rename", "log.moving": "rename", "log.moved": "rename",
    "migrate.scoring": "",
}  # fmt: skip
"""Every point and the system call behind it; "" where there is none and only a kill can happen."""

passed: Counter[str] = Counter()
"""How often this process has passed each point; `*`: all points with a system call behind them."""
happened: Counter[str] = Counter()
"""How often the fault has happened to this process, by point."""


@dataclass(frozen=True)
class Fault:
    """What is to happen where: see the module's docstring."""

    point: str
    passage: int
    what: str
    for_ever: bool

    def strikes(self, point: str) -> bool:
        """Whether it happens at this passage of `point`."""
        if self.point != point and (self.point != ANY or not POINTS[point]):
            return False
        number = passed[self.point]
        return number == self.passage or (self.for_ever and number > self.passage)


def possible(point: str) -> tuple[str, ...]:
    """What can happen at a point: reading a full or read-only disk does no harm, and only a write can be short."""
    call = ANY if point == ANY else POINTS[point]
    if not call:
        return (KILL,)
    if call == "read":
        return KILL, "EIO"
    return (KILL, *ERRORS, SHORT) if call == "write" else (KILL, *ERRORS)


@lru_cache
def parse(text: str) -> Fault:
    """The fault that `EVOLAB_FAULT` asks for; a ConfigError where it makes no sense."""
    point, _, rest = text.partition(":")
    passage, _, rest = rest.partition(":")
    what, _, last = rest.partition(":")
    if point != ANY and point not in POINTS:
        raise _refusal(text, f"a point ({', '.join(POINTS)}, {ANY})", ascii(point))
    if not passage.isdecimal() or len(passage) > 9 or int(passage) < 1:
        raise _refusal(text, "a passage from 1 on after the point", ascii(passage))
    if what not in possible(point):
        raise _refusal(text, f"{', '.join(possible(point))} at {point}", ascii(what))
    if rest != what and (last != FOR_EVER or what == KILL):
        raise _refusal(text, f"nothing or {FOR_EVER} after the error, nothing after {KILL}", ascii(last))
    return Fault(point, int(passage), what, last == FOR_EVER)


def check() -> None:
    """Refuse an `EVOLAB_FAULT` that makes no sense before anything is written."""
    if text := os.environ.get(VARIABLE):
        parse(text)


def forget() -> None:
    """Count from the beginning."""
    passed.clear()
    happened.clear()


def fault_point(point: str) -> None:
    """Pass `point`, just before its system call: die here, or have the call fail, if that is asked for."""
    _pass(point)


def write(point: str, descriptor: int, data: bytes | memoryview) -> int:
    """One `os.write` behind `point`, which may take less than it is given; how much it took."""
    return os.write(descriptor, data[: max(1, len(data) // 2)] if _pass(point) else data)


def _pass(point: str) -> bool:
    """Whether the write that follows is to be short."""
    passed[point] += 1
    passed[ANY] += bool(POINTS[point])
    text = os.environ.get(VARIABLE)
    if not text or not (fault := parse(text)).strikes(point):
        return False
    happened[point] += 1
    if happened[point] == 1:
        with suppress(OSError):
            os.write(2, f"fault: {text} at passage {passed[point]} of {point}\n".encode())
    if fault.what == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.what == SHORT and happened[point] == 1:
        return True
    number = ERRORS["ENOSPC" if fault.what == SHORT else fault.what]
    raise OSError(number, os.strerror(number))


def _refusal(text: str, expected: str, got: str) -> ConfigError:
    return ConfigError(f"{VARIABLE}={ascii(text)}", expected=expected, got=got, do="correct it or unset it")
