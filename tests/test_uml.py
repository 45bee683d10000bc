"""User-mode Linux, in which hosts of their own are tested: on a processor that it does not know whole."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UML = Path(__file__).resolve().parents[1] / "scripts" / "uml"
REFUSED = "userspace - ptrace set fp regs failed, errno = 14"
can_help = shutil.which("cc") is not None and platform.machine() == "x86_64"
needs_a_compiler = pytest.mark.skipif(not can_help, reason="needs a C compiler and a processor of Intel's kind")

SETS_A_PART = """
import ctypes, os, signal, sys

GET, SET, XSTATE, MXCSR = 0x4204, 0x4205, 0x202, 24

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

def registers(request, content, length):
    vector = Vector(ctypes.addressof(content), length)
    done = libc.ptrace(request, ctypes.c_int(child), ctypes.c_void_p(XSTATE), ctypes.byref(vector))
    return (done, vector.length) if done == 0 else (ctypes.get_errno(), 0)

libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)
os.waitpid(child, 0)
content, after = (ctypes.create_string_buffer(1 << 16) for _ in range(2))
_, whole = registers(GET, content, len(content))
content[MXCSR + 1] = bytes([content.raw[MXCSR + 1] ^ 0x20])  # another rounding
code, _ = registers(SET, content, whole - 64)
registers(GET, after, len(after))
os.kill(child, signal.SIGKILL)
print(code, after.raw == content.raw, after.raw[whole - 64 : whole] == content.raw[whole - 64 : whole])
"""


@pytest.mark.parametrize("compiler", [pytest.param("cc", marks=needs_a_compiler), "none"])
@pytest.mark.parametrize(("console", "code"), [(REFUSED, 2), ("", 0)])
def test_a_processor_with_more_registers_than_user_mode_linux_knows_is_said_in_one_line(
    tmp_path: Path, console: str, code: int, compiler: str
) -> None:
    kernel = tmp_path / "linux.uml"
    kernel.write_text(f"#!/bin/sh\necho '{console}'\n")
    kernel.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CC": compiler, "TMPDIR": str(tmp_path)}
    done = subprocess.run([UML / "check.sh"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", code // 2)
    assert code == 0 or {"cc": "use another machine", "none": "apt-get install gcc"}[compiler] in done.stderr
    assert list(tmp_path.iterdir()) == [kernel]


@needs_a_compiler
def test_registers_of_a_traced_process_may_be_set_in_part_and_the_others_stay(tmp_path: Path) -> None:
    helper = tmp_path / "registers.so"
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", helper, UML / "registers.c"], check=True)
    said = []
    for loaded in ({}, {"LD_PRELOAD": str(helper)}):
        script = [sys.executable, "-c", SETS_A_PART]
        said.append(subprocess.run(script, env={**os.environ, **loaded}, capture_output=True, text=True, check=True))
    assert [one.stdout.split() for one in said] == [["14", "False", "True"], ["0", "True", "True"]]
