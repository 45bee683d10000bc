"""How many threads the numeric libraries take: in an island's environment, and in the user's as it is.

Each group runs in a process of its own, since a library makes its pool when it is loaded and never again.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from importlib.metadata import version

from islands import threads
from islands.errors import ConfigError
from launcher import cores
from launcher.findings import Check, Finding

ISLAND, YOURS = "threads of an island", "threads of your own programs"


def checks(group: str) -> Sequence[Check]:
    """The checks of group `island` or `yours`."""
    return [(ISLAND, island)] if group == "island" else [(YOURS, yours), ("GPU", gpu)]


def island() -> Finding:
    """An island's environment must hold every library to one thread, whatever the machine."""
    load()
    threads.torch_module()
    try:
        found = threads.refuse_more_than(1)
    except ConfigError as error:
        return Finding(
            ISLAND, "error", error.got, "a site-wide setting overrides the environment: look for sitecustomize"
        )
    return Finding(ISLAND, "ok", f"{_pools(found['pools'])}; {found['os']} in all")


def yours() -> Finding:
    """What a program gets that is started from this shell without evolab: of interest, and no fault."""
    load()
    import torch

    torches = {"torch": torch.get_num_threads(), "torch interop": torch.get_num_interop_threads()}
    pools = {**threads.measure()["pools"], **torches}  # asked first: to ask Numba limits OpenMP to Numba's number
    many = {name: size for name, size in pools.items() if size > 1}
    if not many:
        return Finding(YOURS, "ok", _pools(pools))
    usable = cores.usable().count
    do = "islands are not concerned; for your own parallel programs: export " + " ".join(
        f"{name}=1" for name in threads.VARIABLES
    )
    return Finding(YOURS, "note", f"each takes up to {max(many.values())} on {usable} cores: {_pools(pools)}", do)


def gpu() -> Finding:
    """Whether `--device cuda` would work; nothing needs it."""
    import torch

    driver = os.path.exists("/proc/driver/nvidia/version")
    if torch.cuda.is_available():
        found = f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}"
        if importlib.util.find_spec("numba_cuda") is None:
            do = "pip install 'evolution-lab[cuda]', if you want --device cuda for pellets or tasks without bodies"
            return Finding("GPU", "note", f"{found}, but no numba-cuda", do)
        return Finding("GPU", "ok", f"{found}, numba-cuda {version('numba-cuda')}")
    if driver:
        do = "install a CUDA build of PyTorch, if you want --device cuda"
        return Finding("GPU", "note", f"a driver, but PyTorch {torch.__version__} cannot use it", do)
    return Finding("GPU", "ok", f"none (PyTorch {torch.__version__}); islands run on the processor")


def load() -> None:
    """Import what brings threads along: BLAS in NumPy and SciPy, Numba's own pool."""
    import numba  # noqa: F401
    import numpy as np
    import scipy.linalg

    scipy.linalg.lu_factor(np.eye(2))


def _pools(pools: dict[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sorted(pools.items()))
