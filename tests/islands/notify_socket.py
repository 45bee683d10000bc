"""What listens where systemd would: a datagram socket, under a path or an abstract name."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Listener:
    """Hears what processes with its `environment` send. `folder`: where its socket lies; None: an abstract name."""

    def __init__(self, folder: Path | None, watchdog: float | None = None) -> None:
        self.name = str(folder / "notify") if folder else f"@evolab-test-{uuid.uuid4().hex}"
        self.environment = {"NOTIFY_SOCKET": self.name}
        if watchdog is not None:
            self.environment["WATCHDOG_USEC"] = str(round(watchdog * 1e6))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)
        self.socket.setblocking(False)

    def datagrams(self) -> list[list[str]]:
        """What has come since the last look: each datagram's lines."""
        came = []
        while True:
            try:
                came.append(self.socket.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return came

    def lines(self) -> list[str]:
        """As `datagrams`, all their lines in one list."""
        return [line for datagram in self.datagrams() for line in datagram]

    def until(self, start: str, process: subprocess.Popen[Any] | None = None, within: float = 120.0) -> list[str]:
        """The first datagram with a line that begins with `start`."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            ended = process is not None and process.poll() is not None
            for datagram in self.datagrams():
                if any(line.startswith(start) for line in datagram):
                    return datagram
            if ended and process is not None:
                raise AssertionError(
                    f"it ended with {process.returncode} and without {start}: {process.communicate()[1]}"
                )
            time.sleep(0.01)
        raise AssertionError(f"no {start} came")

    def close(self) -> None:
        """Hear nothing more."""
        self.socket.close()
        if not self.name.startswith("@"):
            os.unlink(self.name)


def is_silent_while(listener: Listener, stopped: Callable[[], bool], seconds: float = 1.0) -> bool:
    """Whether nothing comes for so long after the process is `stopped`."""
    while not stopped():
        time.sleep(0.01)
    listener.datagrams()
    time.sleep(seconds)
    return listener.datagrams() == []


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
