"""The threads an island has: how many it may have, and how many it has.

Numeric libraries make their pools when they are loaded, from the environment as
it is then; setting a variable afterwards does nothing. So the launcher sets the
variables before an island starts, and the island looks at what came of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from islands.errors import ConfigError

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""What has to be in an island's environment before it starts."""


def cores() -> set[int]:
    """The cores of whoever started this process, which may have pinned it to one of them, and its own."""
    own = os.sched_getaffinity(0)
    try:
        return own | os.sched_getaffinity(os.getppid())
    except OSError:
        return own


def torch_module() -> Any:
    """PyTorch, imported now if it was not, with both of its thread pools held to OMP_NUM_THREADS (1 where unset)."""
    loaded = "torch" in sys.modules
    import torch

    if not loaded:
        allowed = int(os.environ.get("OMP_NUM_THREADS", "1"))
        torch.set_num_threads(allowed)
        torch.set_num_interop_threads(allowed)
    return torch


def device_of(name: str) -> Any:
    """The torch device called `name` ("cpu", "cuda"); a ConfigError where this machine or this PyTorch has none."""
    torch = torch_module()
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            "device",
            expected="cpu, or a GPU that this PyTorch can use",
            got=f"{name} with PyTorch {torch.__version__}, which finds no GPU",
            do="run with --device cpu, or install a CUDA build of PyTorch on a machine with a GPU",
        )
    return torch.device(name)


def measure() -> dict[str, Any]:
    """This process's threads: `os` as the kernel counts them, `pools` the size of each library's pool."""
    import numba
    from threadpoolctl import threadpool_info

    pools = {info["prefix"]: int(info["num_threads"]) for info in threadpool_info()}
    pools["numba"] = int(numba.get_num_threads())
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        pools["torch"] = int(torch.get_num_threads())
        pools["torch interop"] = int(torch.get_num_interop_threads())
    status = Path("/proc/self/status").read_text()
    count = int(status.split("Threads:")[1].split()[0])
    return {"os": count, "pools": pools}


def refuse_more_than(allowed: int) -> dict[str, Any]:
    """What `measure` says; a ConfigError when some pool has more threads than allowed."""
    found = measure()
    too_many = {name: size for name, size in found["pools"].items() if size > allowed}
    if too_many:
        raise ConfigError(
            "threads of this island",
            expected=f"at most {allowed} in each pool",
            got=", ".join(f"{name} {size}" for name, size in too_many.items()),
            do=f"set {', '.join(VARIABLES)} to {allowed} before it starts, or give it --threads",
        )
    return found
