"""Tells systemd how the work goes: READY, STATUS, WATCHDOG and STOPPING, as sd_notify(3) would.

A datagram to the socket that NOTIFY_SOCKET names; without that variable nothing happens. There is no thread here:
`Notifier.turned` is called from the work itself, so a loop that hangs is silent and the watchdog acts.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What systemd sets for the one process it listens to; not for that process's children."""
EVERY = 1.0
"""Seconds between two datagrams at least, unless the watchdog is more impatient."""
PATIENCE = 10.0
"""A watchdog that allows less than so many times the last lap is asked to allow that much."""


def send(*lines: str) -> bool:
    """Send `KEY=value` lines; whether systemd took them. Never waits, never fails."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):
        return False
    address = "\0" + name[1:] if name.startswith("@") else name
    text = "\n".join(line.replace("\n", " ") for line in lines)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(text.encode(errors="replace"), socket.MSG_DONTWAIT, address)
        return True
    return False


def watchdog_seconds() -> float | None:
    """How long this process may be silent; None where no watchdog is set, or one for another process."""
    allowed, meant = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not allowed.isdecimal() or int(allowed) == 0 or meant not in (None, str(os.getpid())):
        return None
    return int(allowed) / 1e6


class Notifier:
    """The reports of one loop. It is ready with its first turn."""

    def __init__(self) -> None:
        self._allowed = watchdog_seconds()
        self._ready = False
        self._next = 0.0

    def turned(self, status: str, lap: float = 0.0) -> None:
        """The loop has come round, in `lap` seconds: say so, unless it was said a moment ago."""
        now = time.monotonic()
        if self._ready and now < self._next:
            return
        lines = [] if self._ready else ["READY=1"]
        if self._allowed is not None:
            if self._allowed < PATIENCE * lap:
                self._allowed = PATIENCE * lap
                lines.append(f"WATCHDOG_USEC={round(self._allowed * 1e6)}")
            lines.append("WATCHDOG=1")
        self._ready = send(*lines, f"STATUS={status}") or self._ready
        self._next = now + min(EVERY, (self._allowed or EVERY) / 4)

    @staticmethod
    def stopping(status: str) -> None:
        """The loop ends, as somebody asked."""
        send("STOPPING=1", f"STATUS={status}")
