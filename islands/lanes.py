"""Sixteen float32 numbers as one value: explicit SIMD for Numba kernels.

A kernel that evaluates sixteen creatures side by side keeps each quantity of a
step in a vector of sixteen lanes, one creature a lane. Numba has no such type,
and leaving the job to the auto-vectoriser makes speed and, at loop tails,
rounding depend on what it finds profitable. Here `f32x16` is a Numba type
backed by LLVM's ``<16 x float>``: every operation is applied lane by lane with
IEEE rounding, so what happens in one lane can never depend on another. LLVM
lowers it to one AVX-512 register, two AVX2 ones or four NEON ones.

    v = vload(array, offset)        sixteen float32 from a flat array
    vstore(array, offset, v)
    fill(x)                         one number in every lane
    fma(a, b, c)                    a * b + c with one rounding
    vmin, vmax, vabs, vsqrt         lane by lane
    select(mask, a, b)              a where mask, else b
    a + b, a - b, a * b, a / b, -a
    a < b, a <= b, a > b, a >= b    masks of the type `m16`; combine with &, |; `any_lane(m)`

All of these exist inside compiled functions only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
_FLOAT = ir.VectorType(ir.FloatType(), LANES)
_MASK = ir.VectorType(ir.IntType(1), LANES)


class Float32x16(types.Type):
    """The Numba type of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="f32x16")


class Mask16(types.Type):
    """The Numba type of sixteen truth values."""

    def __init__(self) -> None:
        super().__init__(name="m16")


f32x16 = Float32x16()
m16 = Mask16()


@register_model(Float32x16)
class _FloatModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOAT)


@register_model(Mask16)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _MASK)


def _lane_pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    pointer = builder.gep(array.data, [args[1]])
    return builder.bitcast(pointer, _FLOAT.as_pointer())


@intrinsic
def vload(typing: Any, array: Any, offset: Any) -> Any:
    """Lanes `array[offset : offset + 16]` of a flat float32 array (no bounds check)."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_lane_pointer(context, builder, signature, args), align=4)

    return f32x16(array, types.intp), code


@intrinsic
def vstore(typing: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write the lanes to `array[offset : offset + 16]` (no bounds check)."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _lane_pointer(context, builder, signature, args), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, f32x16), code


@intrinsic
def fill(typing: Any, value: Any) -> Any:
    """The same float32 in every lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one = builder.insert_element(ir.Constant(_FLOAT, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(_FLOAT, ir.Undefined), zeros)

    return f32x16(types.float32), code


def _llvm(name: str, arguments: int) -> Any:
    """A Numba intrinsic that calls LLVM's `name` on `arguments` vectors."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_FLOAT] * arguments)
        function = cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f32")
        return builder.call(function, args)

    if arguments == 1:

        @intrinsic
        def one(typing: Any, a: Any) -> Any:
            return f32x16(f32x16), code

        return one

    if arguments == 3:

        @intrinsic
        def three(typing: Any, a: Any, b: Any, c: Any) -> Any:
            return f32x16(f32x16, f32x16, f32x16), code

        return three

    @intrinsic
    def two(typing: Any, a: Any, b: Any) -> Any:
        return f32x16(f32x16, f32x16), code

    return two


vsqrt = _llvm("llvm.sqrt", 1)
vabs = _llvm("llvm.fabs", 1)
vfloor = _llvm("llvm.floor", 1)
vmin = _llvm("llvm.minnum", 2)
vmax = _llvm("llvm.maxnum", 2)
fma = _llvm("llvm.fma", 3)


@intrinsic
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """`a` in the lanes where `mask` holds, `b` elsewhere."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return f32x16(m16, f32x16, f32x16), code


@intrinsic
def any_lane(typing: Any, mask: Any) -> Any:
    """Whether the mask holds in at least one lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(m16), code


def _operator(operation: Any, emit: Callable[[Any, Any, Any], Any], operand: Any, result: Any) -> None:
    """Make Python's `operation` on two `operand`s compile to what `emit` builds; typed and lowered directly."""

    class Operation(ConcreteTemplate):
        key = operation
        cases = [signature(result, operand, operand)]

    infer_global(operation)(Operation)

    @lower_builtin(operation, operand, operand)
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit(builder, args[0], args[1])


def _compare(symbol: str) -> Callable[[Any, Any, Any], Any]:
    return lambda b, x, y: b.fcmp_ordered(symbol, x, y)


_operator(operator.add, lambda b, x, y: b.fadd(x, y), f32x16, f32x16)
_operator(operator.sub, lambda b, x, y: b.fsub(x, y), f32x16, f32x16)
_operator(operator.mul, lambda b, x, y: b.fmul(x, y), f32x16, f32x16)
_operator(operator.truediv, lambda b, x, y: b.fdiv(x, y), f32x16, f32x16)
_operator(operator.and_, lambda b, x, y: b.and_(x, y), m16, m16)
_operator(operator.or_, lambda b, x, y: b.or_(x, y), m16, m16)
for _operation, _symbol in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
    _operator(_operation, _compare(_symbol), f32x16, m16)
