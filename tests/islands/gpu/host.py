"""A machine for translated kernels that is this processor: thread 1 of two, compiled for it alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from islands.gpu.machine import Machine
from islands.parts import whole_with_part


@intrinsic
def fmaf(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), code


def _minmax(operation: str) -> Any:
    @intrinsic
    def of_two(typing: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()] * 2)
            name = f"llvm.{operation}.f32"
            function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            return builder.call(function, args)

        return types.float32(types.float32, types.float32), code

    return of_two


def _module(name: str, **functions: Any) -> ModuleType:
    made = ModuleType(name)
    for key, function in functions.items():
        setattr(made, key, numba.njit(function) if isinstance(function, FunctionType) else function)
    return made


CUDA = _module(
    "cuda",
    grid=lambda dimensions: 1,
    local=_module("local", array=lambda size, kind: np.zeros(size, np.float64)),
)
LIBDEVICE = _module(
    "libdevice",
    fmaf=fmaf,
    fminf=_minmax("minnum"),
    fmaxf=_minmax("maxnum"),
    fabsf=lambda value: abs(value),
    sqrtf=lambda value: np.sqrt(value),
    floorf=lambda value: np.float32(math.floor(value)),
    floor=lambda value: np.float64(math.floor(value)),
)


def _inner(function: FunctionType) -> Any:
    return whole_with_part(function, cache=False)


def _entry(function: FunctionType) -> Callable[..., None]:
    compiled = _inner(function)
    return lambda threads, *arguments: compiled(*arguments)


HOST = Machine(
    names={"cuda": CUDA, "libdevice": LIBDEVICE},
    inner=_inner,
    entry=_entry,
    put=lambda array: array,
    fetch=lambda array: array,
    free=lambda: 1 << 30,
    most=2,
)
"""Thread 1 of 2: it plays every other episode, in the order of sizes."""
WHOLE = dataclasses.replace(
    HOST, names={**HOST.names, "cuda": _module("cuda", grid=lambda dimensions: 0, local=CUDA.local)}, most=1, _made={}
)
"""The one thread there is: it plays them all."""
