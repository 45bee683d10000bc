"""A host of its own: user-mode Linux on this machine's files, read-only under an overlay, with a network of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from scripts.nfs import server

KERNEL, BOOT = "linux.uml", "scripts/uml/boot.sh"
MODULES = Path("/usr/lib/uml/modules")
MEMORY = "1500M"
SHARED = "/srv/evolab"
OPTIONS = "rw,hard,vers=4.2,actimeo=3"
"""What docs/operating.md says to mount with."""
_BOOT = 60.0
_ANSWER = 150.0
_IN_MEMORY = {"TMPDIR": "/dev/shm"} if os.path.ismount("/dev/shm") else {}
"""Where its memory lies."""
_INIT = """#!/bin/bash
export PATH={bin}:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PYTHONPATH={checkout} EVOLAB_KERNEL_CACHE=/var/cache/evolab
mount -t proc proc /proc
mount -t sysfs sysfs /sys
modprobe -d {work} nfsv4
modprobe -d {work} overlay
mount -t tmpfs -o size=75% memory /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root || echo o >/proc/sysrq-trigger
ip link set lo up
ip address add {own}/24 dev vec0
ip link set vec0 up
ip route add {server} via {other}
hostname {name}
cd /mnt/root
for folder in proc sys; do mount --bind /$folder $folder; done
for folder in {folders}; do mount --bind {work}/source/$folder .{checkout}/$folder; done
mount -t devtmpfs dev dev
ln -s /proc/self/fd dev/fd
mkdir -p dev/shm srv/evolab var/cache/evolab
pivot_root . mnt
for folder in /dev/shm /run; do mount -t tmpfs memory $folder; done
cp -a /mnt{work}/kernels/. /var/cache/evolab/
python {checkout}/scripts/nfs/agent.py {other} {port}
echo o >/proc/sysrq-trigger
sleep 60
"""


class Answer(NamedTuple):
    """What a command in a guest came to."""

    code: int
    out: str
    err: str


class Guest:
    """One host, the `number`th: boots when made, is `ready` to be asked when it has called back."""

    def __init__(self, number: int, name: str, checkout: Path, work: Path, binaries: Path) -> None:
        self.name = name
        own, other, tap = f"10.77.{number}.2", f"10.77.{number}.1", f"tap{number}"
        for command in (
            f"ip tuntap add {tap} mode tap", f"ip address add {other}/24 dev {tap}", f"ip link set {tap} up"
        ):  # fmt: skip
            subprocess.run(command.split(), check=True)
        self._door = socket.create_server((other, 0))
        init = work / f"init-{name}"
        folders = " ".join(sorted(path.name for path in (work / "source").iterdir()))
        init.write_text(_INIT.format(
            bin=shlex.quote(str(binaries)), checkout=shlex.quote(str(checkout)), work=shlex.quote(str(work)), own=own,
            other=other, server=server.ADDRESS, name=name, folders=folders, port=self._door.getsockname()[1],
        ))  # fmt: skip
        init.chmod(0o755)
        command_line = [
            checkout / BOOT, f"mem={MEMORY}", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", "quiet",
            f"umid={name}", "con=null", "con0=null,fd:1", f"vec0:transport=tap,ifname={tap},depth=128,gro=1",
        ]  # fmt: skip
        with open(work / f"console-{name}", "wb") as console:
            self._process = subprocess.Popen(
                command_line, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                env={**os.environ, "HOME": str(work), **_IN_MEMORY},
            )  # fmt: skip

    def ready(self) -> None:
        """Wait until it has booted."""
        self._door.settimeout(0.5)
        deadline = time.monotonic() + _BOOT
        while True:
            try:
                self._line, _ = self._door.accept()
                break
            except TimeoutError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} does not boot: see its console") from None
        self._words = self._line.makefile("r", encoding="utf-8")

    def ask(self, command: str, within: float = _ANSWER) -> Answer:
        """Run a command of the shell there, in the shared folder, and wait for it."""
        self._line.settimeout(within + 10.0)
        self._line.sendall((json.dumps({"command": command, "within": within}) + "\n").encode())
        return Answer(**json.loads(self._words.readline()))

    def evolab(self, *words: object, within: float = _ANSWER) -> Answer:
        """The command `evolab` there."""
        return self.ask(shlex.join(["evolab", *map(str, words)]), within)

    def begin(self, title: str, command: str) -> None:
        """Start a command there; what it says goes to logs/TITLE.log of the shared folder, its code to TITLE.code."""
        told = f"logs/{title}"
        self.ask(f"mkdir -p logs; rm -f {told}.*; ({command}; echo $? >{told}.code) >{told}.log 2>&1 </dev/null &")

    def mount(self, options: str, place: str = SHARED) -> Answer:
        """Mount the export."""
        source = f"{server.ADDRESS}:{server.EXPORT}"
        return self.ask(f"mkdir -p {place} && cd / && mount -t nfs -o {options} {source} {place}")

    def kill(self) -> None:
        """End it as a power cut does."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
