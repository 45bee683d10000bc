"""Where the islands of a run are born: `python -m islands.nursery RUN_DIR` imports and compiles once, and forks.

Each island is a process of its own that does what `python -m islands RUN_DIR …` does, but shares the memory of what it
has not changed, and starts at once. Spoken over pipes, one JSON object a line:

    it says     {"ready": true}
    it is told  {"arguments": ["--island", "3"], "log": PATH, "cpus": [3] or null, "detach": false}
    it says     {"pid": N}, and later {"pid": N, "status": as of wait4, "cpu_seconds": S}

When nobody holds its stdin any more it ends, and islands that are not detached see that their parent is gone.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import setproctitle

from islands import loading
from islands.__main__ import main as island
from islands.compiling import one_compiles_for_all
from islands.loop import Evolution
from islands.migration import Migrator
from islands.rundir import RunDir
from islands.tasks import make

NEEDED = (Evolution, Migrator)
"""Imported for the islands, which import them when they begin."""


def main() -> int:
    """Serve until stdin ends."""
    run = RunDir(sys.argv[1])
    with suppress(Exception):  # an island says itself what is wrong with its configuration
        config, plan = loading.load(run.config), run.read_plan()
        for each in {loading.of_island(config, entry) for entry in plan["islands"]}:
            one_compiles_for_all(each, make(each))
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the launcher decides when it ends
    _say({"ready": True})
    _serve(run, wake)
    return 0


def _serve(run: RunDir, wake: int) -> None:
    import select

    asked = b""
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            with suppress(BlockingIOError):
                os.read(wake, 4096)
            _reap()
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, asked = (asked + data).split(b"\n")
            for line in lines:
                _say({"pid": _fork(run, json.loads(line))})


def _reap() -> None:
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _say({"pid": pid, "status": status, "cpu_seconds": used.ru_utime + used.ru_stime})


def _fork(run: RunDir, wanted: dict[str, Any]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = _live(run, wanted, parent)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 78
    except BaseException:
        traceback.print_exc()  # into the island's log, or into ours where that cannot be opened
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


def _live(run: RunDir, wanted: dict[str, Any], parent: int) -> int:
    """In the child: become an island's process, and be it."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    if wanted["cpus"]:
        with suppress(OSError):  # no longer ours: then wherever the kernel puts it
            os.sched_setaffinity(0, wanted["cpus"])
    sys.argv = ["islands", str(run.path), *wanted["arguments"]]
    sys.argv += [] if wanted["detach"] else ["--parent", str(parent)]
    title = " ".join([Path(sys.executable).name, "-m", *sys.argv])
    setproctitle.setproctitle(title.encode(errors="replace").decode())  # a path may hold any bytes
    return island()


def _say(record: dict[str, Any]) -> None:
    os.write(1, (json.dumps(record) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
