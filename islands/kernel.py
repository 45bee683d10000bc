"""`kernel`: how the project compiles a function, and where compiled code is kept.

Numba notices a change in a function's own file only, not in the functions it
calls. So the cache lies in a folder named after the content of every source
file of the package: other sources, other folder, and a kernel never runs code
that is no longer there. The processor and Numba's version are Numba's own keys.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
KEPT = 8
"""Folders of other versions that stay when a new one is made; the least recently used go first."""


def _sources() -> str:
    state = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()[:16]


def _folder() -> Path | None:
    """The folder of this version's kernels, or None where none can be written: then they are compiled every time."""
    chosen = os.environ.get("EVOLAB_KERNEL_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(chosen) if chosen else Path(cache).expanduser() / "evolab" / "kernels"
    folder = root / _sources()
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            others = sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in others[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        os.utime(folder)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


FOLDER = _folder()
"""Where compiled kernels are kept; None: nowhere."""
if FOLDER is not None:
    numba.config.CACHE_DIR = str(FOLDER)


def kernel(function: F) -> F:
    """Compile `function` on its first call, or load it from the cache; division by zero gives inf, as in NumPy."""
    return cast(F, numba.njit(cache=FOLDER is not None, error_model="numpy")(function))


def kernel_as(signature: str) -> Callable[[F], F]:
    """`kernel` for one signature, so that small functions are not compiled anew for every literal they are given."""

    def compiled(function: F) -> F:
        return cast(F, numba.njit(signature, cache=FOLDER is not None, error_model="numpy")(function))

    return compiled
