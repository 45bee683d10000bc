"""The NFS server: NFS-Ganesha, in the network namespace that this process is in."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

ADDRESS = "10.77.0.1"
EXPORT = "/export"
LEASE = 20
"""Seconds after which the server forgets a host that is silent. Ganesha's default is 60, the Linux server's 90."""
PROGRAM = "ganesha.nfsd"
_START = 30.0
_STARTS = 6
_CONFIG = """
NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = 2049; Enable_NLM = false; Enable_RQUOTA = false; }}
NFSv4 {{ RecoveryBackend = fs; Lease_Lifetime = {lease}; Grace_Period = {lease}; }}
EXPORT {{
    Export_Id = 1; Path = "{folder}"; Pseudo = "{export}"; FSAL {{ Name = VFS; }}
    Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Protocols = 4; Transports = TCP;
}}
LOG {{ Default_Log_Level = EVENT; }}
"""


class Server:
    """Within, `folder` is exported; configuration, log and process number lie in `work`.

    It is started again when it ends, as systemd would: Ganesha 4.3 sometimes dies when it forgets a dead host's locks
    (SIGSEGV in the release of a state). Hosts that mounted it `hard` wait, and get their locks back from it.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self._config = work / "ganesha.conf"
        self._config.write_text(_CONFIG.format(folder=folder, export=EXPORT, lease=LEASE))
        self._command = [PROGRAM, "-F", "-f", self._config, "-L", work / "ganesha.log", "-p", work / "ganesha.pid"]
        self.ends: list[int] = []
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        for place in ("/var/lib/nfs", "/run"):  # of this mount namespace alone
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        for place in ("/var/lib/nfs/ganesha", "/run/ganesha"):
            Path(place).mkdir()
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self._keeper.start()
        self.answers()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._process.kill()
        self._keeper.join()

    def crash(self) -> None:
        """Kill it; it is started again."""
        self._process.kill()

    def answers(self) -> None:
        """Wait until it does."""
        deadline = time.monotonic() + _START
        while True:
            try:
                socket.create_connection((ADDRESS, 2049), timeout=1.0).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{PROGRAM} does not answer (ended with {self.ends}): see its log") from None
                time.sleep(0.1)

    def _keep(self) -> None:
        while not self._over.is_set() and len(self.ends) < _STARTS:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
            code = self._process.wait()
            if not self._over.is_set():
                self.ends.append(code)
                print(f"# the server has ended with {code} and is started again", flush=True)
                time.sleep(1.0)
