"""`kernel`: how the project compiles a function, and where compiled code is kept.

Numba notices a change in a function's own file only, not in the functions it
calls. So the cache lies in a folder named after the content of every source
file that compiled code can depend on: other sources, other folder, and a kernel
never runs code that is no longer there. The processor and Numba's version are
Numba's own keys.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from islands.parts import whole_with_part

F = TypeVar("F", bound=Callable[..., Any])
KEPT = 8
"""Folders of other versions that stay when a new one is made; the least recently used go first."""
_IS_VERSION = re.compile(r"[0-9a-f]{16}")
_DEFINES = re.compile(
    rb"^from islands\.(?:kernel import .*kernel|lanes import|tasks\.rules import|gpu import lane)", re.MULTILINE
)
_IMPORTS = re.compile(rb"^from (islands[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


def sources() -> dict[str, bytes]:
    """The modules that compiled code can depend on, by name: those that define kernels or a task's rules, and all that
    these import."""
    home = Path(__file__).parent
    texts = {_module(path.relative_to(home.parent)): path.read_bytes() for path in home.rglob("*.py")}
    waiting = [name for name, text in texts.items() if _DEFINES.search(text)]
    found: dict[str, bytes] = {}
    while waiting:
        name = waiting.pop()
        if name in texts and name not in found:
            found[name] = texts[name]
            for package, names in _IMPORTS.findall(texts[name]):
                waiting += [
                    package.decode(),
                    *(f"{package.decode()}.{each}" for each in re.findall(r"\w+", names.decode())),
                ]
    return dict(sorted(found.items()))


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _version() -> str:
    state = hashlib.sha256(numba.__version__.encode())
    for name, text in sources().items():
        state.update(name.encode() + text)
    return state.hexdigest()[:16]


def _folder() -> Path | None:
    """The folder of this version's kernels, or None where none can be written: then they are compiled every time."""
    chosen = os.environ.get("EVOLAB_KERNEL_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(chosen) if chosen else Path(cache).expanduser() / "evolab" / "kernels"
    folder = root / _version()
    try:
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)  # another process may have come between
        os.utime(folder)
    except OSError:
        return None
    if new:
        _forget_old_versions(root)
    return folder if os.access(folder, os.W_OK) else None


def _forget_old_versions(root: Path) -> None:
    """Remove all but the `KEPT` versions used last; what else lies in `root` is somebody else's."""
    with suppress(OSError):  # another process may be doing the same
        versions = [path for path in root.iterdir() if _IS_VERSION.fullmatch(path.name)]
        for old in sorted(versions, key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


FOLDER = _folder()
"""Where compiled kernels are kept; None: nowhere."""
if FOLDER is not None:
    numba.config.CACHE_DIR = str(FOLDER)


def kernel(function: F) -> F:
    """Compile `function` on its first call, or load it from the cache; division by zero gives inf, as in NumPy.

    An index counts from the front. While it runs, other threads of Python run, too.
    """
    return cast(F, whole_with_part(function, FOLDER is not None))


def hot_kernel(function: F) -> F:
    """`kernel` for what a run spends its time in, where it was measured to be faster so; longer to compile."""
    return cast(F, whole_with_part(function, FOLDER is not None, hot=True))


def kernel_as(signature: str) -> Callable[[F], F]:
    """`kernel` for one signature, so that small functions are not compiled anew for every literal they are given."""

    def compiled(function: F) -> F:
        return cast(F, whole_with_part(function, FOLDER is not None, signature))

    return compiled
