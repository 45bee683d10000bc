"""Two hosts on one NFS export: NFS-Ganesha here, two guests of user-mode Linux that mount it, and `evolab` in them.

make test-nfs        # about five minutes; needs root and Debian's packages, and says so

All of it happens in namespaces of its own (network, mounts, processes): no port, mount or process is left, whatever
happens. Exits with 0 if all went well, 1 if something did not (the logs stay), 2 if something is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.nfs import guest, server

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("islands", "launcher", "configs", "scripts")
NEEDED = {
    guest.KERNEL: "user-mode-linux", server.PROGRAM: "nfs-ganesha", "mount.nfs": "nfs-common", "modprobe": "kmod",
    "ip": "iproute2", "unshare": "util-linux", "flock": "util-linux",
}  # fmt: skip
"""Programs, and Debian's packages of them."""
_PLACES = {"/usr/lib/x86_64-linux-gnu/ganesha/libfsalvfs.so": "nfs-ganesha-vfs", str(guest.MODULES): "user-mode-linux"}
_TUN = Path("/dev/net/tun")
_COMPILE = """
import shutil, sys
from islands.compiling import one_compiles_for_all
from islands.kernel import FOLDER
from islands.tasks import make
from launcher import presets
from scripts.nfs.scenario import SETTINGS
config = presets.resolve("quick", list(SETTINGS))
one_compiles_for_all(config, make(config))
shutil.copytree(FOLDER, f"{sys.argv[1]}/{FOLDER.name}", copy_function=shutil.copy2)
"""


def main() -> int:
    if len(sys.argv) > 1:
        return inside(Path(sys.argv[1]))
    if lack := missing():
        print(f"test-nfs: {lack}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = Path(tempfile.mkdtemp(prefix="evolab-nfs-"))
    code = 130  # of an interruption
    try:
        prepare(work)
        code = subprocess.run([*_APART, sys.executable, "-m", "scripts.nfs", str(work)], cwd=CHECKOUT).returncode
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(work / "kernels", ignore_errors=True)
        if code == 1:
            print(
                f"test-nfs: it did not go well; consoles, the server's log and the export are in {work}",
                file=sys.stderr,
            )
        else:
            shutil.rmtree(work, ignore_errors=True)
    return code


_APART = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def missing() -> str:
    """What cannot be done without, in one line; "": nothing is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    packages = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    packages += [package for place, package in _PLACES.items() if not Path(place).exists()]
    if packages:
        return f"programs are missing: apt-get install {' '.join(dict.fromkeys(packages))}"
    if os.geteuid() != 0:
        return "expected root, for an NFS server and a network of its own; do: sudo make test-nfs"
    if not _TUN.exists():
        return f"{_TUN} is missing: modprobe tun"
    return subprocess.run([CHECKOUT / "scripts/uml/check.sh"], stderr=subprocess.PIPE, text=True).stderr.strip()


def prepare(work: Path) -> None:
    """Kernels, compiled here, where it is fast; sources as they are now, whatever is edited meanwhile."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", _COMPILE, work / "kernels"], cwd=CHECKOUT, env=environment, check=True)
    for name in SOURCES:
        shutil.copytree(CHECKOUT / name, work / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (work / "lib").mkdir()
    (work / "lib/modules").symlink_to(guest.MODULES)
    (work / "export").mkdir(mode=0o777)


def inside(work: Path) -> int:
    """In the namespaces: the server, two guests, and what they do."""
    from scripts.nfs.checks import Checks
    from scripts.nfs.scenario import play

    checks, export = Checks(), work / "export"
    guests: list[guest.Guest] = []
    try:
        with server.Server(export, work) as export_server, checks.part("boot"):
            for number, name in enumerate(("alpha", "beta"), 1):
                guests.append(guest.Guest(number, name, CHECKOUT, work, Path(sys.executable).parent))
            for one in guests:
                one.ready()
            play(checks, export, export_server, *guests)
    finally:
        for one in guests:
            one.kill()
    if checks.failed:
        checks.tell(f"{checks.failed} of {checks.count} did not go well")
        return 1
    checks.tell(f"all {checks.count} went well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
