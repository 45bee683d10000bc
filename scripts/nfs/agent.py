"""In a guest: does what it is asked over one connection, until that closes. `agent.py HOST PORT`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from typing import IO


def main() -> None:
    line = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    with line, line.makefile("r", encoding="utf-8") as words:
        for asked in words:
            line.sendall((json.dumps(done(**json.loads(asked))) + "\n").encode())


def done(command: str, within: float) -> dict[str, object]:
    """The command's exit code and words; 124 when it took too long. Files, not pipes: what it leaves may hold them."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            place = "cd /srv/evolab; " + command
            code = subprocess.run(
                ["bash", "-c", place], stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=within
            ).returncode
        except subprocess.TimeoutExpired:
            code = 124
        return {"code": code, "out": said(out), "err": said(err)}


def said(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


if __name__ == "__main__":
    main()
