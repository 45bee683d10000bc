"""Kernels that other kernels call are compiled as *parts* of these: translated once, optimised only with the whole.

Numba makes a library of every function that it compiles: optimised, with machine code, and with a wrapper that takes
Python's arguments apart. For a function that compiled ones call all of that is thrown away, since its caller takes its
intermediate code in and optimises it again, and so on up to the top; with a hundred small functions that call each
other it was half of a first start. A part stops at the intermediate code, and only what Python calls becomes machine
code. Nor does a part count references: whoever calls it holds its arrays, and LLVM finds few of the counts that cancel
out once a function has dozens of them. Results are the same bit for bit, as floating point is not reordered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.environment import lookup_environment

ALLOCATING = frozenset(("empty", "zeros", "ones", "full", "copy", "array"))
"""What a function that makes arrays calls: it has to count references."""
_ENVIRONMENT = "_ZN08NumbaEnv"


class _Nowhere:
    """Stands for the engine of a part, which has no machine code to know an environment."""

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing: the whole with this part in it will know it."""


class _Part(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types
    """A library of intermediate code, as it was written, with that of what it calls."""

    @property
    def codegen(self) -> Any:
        return _Nowhere()

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    def add_llvm_module(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout
        self._final_module.link_in(module)

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


class _Whole(JITCodeLibrary):  # type: ignore[misc]
    """A library of a function that Python calls, with its parts."""

    def _finalize_final_module(self) -> None:
        super()._finalize_final_module()
        for name in [each.name for each in self._final_module.global_variables]:
            environment = lookup_environment(name) if name.startswith(_ENVIRONMENT) else None
            if environment is not None:
                self.codegen.set_env(name, environment)


class WholeCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, making a library of a kind of its own."""

    library: type[JITCodeLibrary] = _Whole

    def _compile_core(self) -> Any:
        state = self.state
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super()._compile_core()


class PartCompiler(WholeCompiler):
    """The compiler of parts."""

    library = _Part

    def _compile_core(self) -> Any:
        result = super()._compile_core()
        if not self.state.flags.nrt and _holds_arrays(result.signature.return_type):
            raise TypeError(f"{self.state.func_id.func_qualname}: a kernel that kernels call cannot return arrays")
        return result


def _holds_arrays(kind: types.Type) -> bool:
    return isinstance(kind, types.Array) or any(map(_holds_arrays, getattr(kind, "types", ())))


def whole_with_part(function: Callable[..., Any], signature: str | None, cache: bool) -> Any:
    """`function` compiled for Python to call; other compiled functions get it as a part, made when one needs it.

    Division by zero gives inf, as in NumPy.
    """
    given = () if signature is None else (signature,)
    options = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
    whole = numba.njit(*given, cache=cache, pipeline_class=WholeCompiler, **options)(function)
    part: Any = None

    def as_part() -> Any:
        nonlocal part
        if part is None:
            counts = bool(ALLOCATING & set(function.__code__.co_names))
            options.update(no_cpython_wrapper=True, _nrt=counts)
            part = numba.njit(*given, pipeline_class=PartCompiler, **options)(function)
        return part

    whole.get_call_template = lambda *arguments: as_part().get_call_template(*arguments)
    whole.get_overload = lambda *arguments: as_part().get_overload(*arguments)
    return whole
