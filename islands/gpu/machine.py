"""Where translated kernels run: what compiles them, starts them, and holds their arrays."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from islands import networks_lanes
from islands.errors import ConfigError
from islands.genome.population import Array
from islands.gpu import lane
from islands.gpu.translation import translated
from islands.kernel import FOLDER

T = TypeVar("T", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Machine:
    """A device. `names`: what its compiler calls `cuda` and `libdevice`, as `lane.names_for` takes them."""

    names: dict[str, Any]
    inner: Callable[[FunctionType], Any]  # compiles a function that others call
    entry: Callable[[FunctionType], Callable[..., None]]  # compiles the outermost one: f(threads, arguments...)
    put: Callable[[Array], Any]  # an array onto the device, in its order
    fetch: Callable[[Any], Array]  # and back
    free: Callable[[], int]  # bytes of memory that nobody uses
    most: int = lane.LANES  # threads at once
    _made: dict[tuple[str, int], Callable[..., None]] = field(default_factory=dict)

    def compiled(self, name: str, lanes: int, function: Any, more: Callable[[], dict[str, Any]]) -> Callable[..., None]:
        """`function` as the outermost one for so many lanes, with all that it calls: once for each `name`.

        `more`: names besides those of `lane`. What comes back is called with the number of threads, then arguments.
        """
        if (name, lanes) not in self._made:
            kernels = {each: getattr(networks_lanes, each) for each in ("load_program", "sum_of", "drive_one")}
            names = lane.names_for(**self.names, LANES=lanes, **kernels, **more())
            digest = hashlib.sha256(f"{name} {lanes}".encode()).hexdigest()[:16]

            def make(made: FunctionType) -> Any:
                if made.__code__ is not function.__code__:
                    return self.inner(made)
                made.__qualname__ += f"_{digest}"  # compiled code is kept by this name
                return self.entry(made)

            self._made[name, lanes] = translated(function, names, make)
        return self._made[name, lanes]

    def put_all(self, arrays: T) -> T:
        """A tuple of arrays, or of such tuples, onto the device; empty arrays get one element, which nobody reads."""
        made = [self.put_all(part) if isinstance(part, tuple) else self.put(_some(part)) for part in arrays]
        return getattr(type(arrays), "_make", type(arrays))(made)

    def lanes_for(self, bytes_of_one: int) -> int:
        """How many threads' worth of memory there is room for: a power of two, at most `most`."""
        lanes = self.most
        while lanes > lane.BLOCK and lanes * bytes_of_one > self.free() // 2:
            lanes //= 2
        return lanes


def _some(array: Array) -> Array:
    return array if array.size else np.zeros([max(1, length) for length in array.shape], array.dtype)


def numba_cuda() -> Any:
    """The module `numba.cuda` where it works; a ConfigError where there is no GPU for it."""
    try:
        from numba import cuda

        if cuda.is_available():
            return cuda
        got = "no GPU that numba-cuda can use"
    except ImportError as error:
        got = f"no numba-cuda ({error})"
    raise ConfigError(
        "device",
        expected="cpu, or a GPU that numba-cuda can use",
        got=got,
        do="run with --device cpu, or pip install 'evolution-lab[cuda]' on a machine with an NVIDIA GPU and its driver",
    )


@functools.cache
def gpu() -> Machine:
    """This machine's first GPU."""
    cuda = numba_cuda()
    from numba.cuda import libdevice
    from numba.cuda.core import config as settings

    if FOLDER is not None:
        settings.CACHE_DIR = str(FOLDER)

    def inner(function: FunctionType) -> Any:
        return cuda.jit(device=True)(function)

    def entry(function: FunctionType) -> Callable[..., None]:
        compiled = cuda.jit(cache=FOLDER is not None)(function)

        def start(threads: int, *arguments: Any) -> None:
            compiled[-(-threads // lane.BLOCK), lane.BLOCK](*arguments)

        return start

    return Machine(
        names={"cuda": cuda, "libdevice": libdevice},
        inner=inner,
        entry=entry,
        put=cuda.to_device,
        fetch=lambda array: np.asarray(array.copy_to_host()),
        free=lambda: int(cuda.current_context().get_memory_info()[0]),
    )
