"""Kernels that other kernels call are compiled as *parts* of these: translated once, optimised only with the whole.

Numba makes a library of every function that it compiles: optimised, with machine code, and with a wrapper that takes
Python's arguments apart. For a function that compiled ones call all of that is thrown away, since its caller takes its
intermediate code in and optimises it again, and so on up to the top; with a hundred small functions that call each
other it was half of a first start. A part stops at the intermediate code, and only what Python calls becomes machine
code. Nor does a part count references: whoever calls it holds its arrays, and LLVM finds few of the counts that cancel
out once a function has dozens of them. Results are the same bit for bit, as floating point is not reordered.

Four things that Numba does while it compiles are done better here: an argument that is not None is known not to be, as
well as one that is (`_Prune`), numbers of arrays and fields of tuples are reached without detours (`islands.lowering`),
flags are compared by what was set of them (`_same`), and passes for what kernels do not contain are left out
(`UNNEEDED`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numba
from llvmlite.binding import Linkage
from numba.core import types
from numba.core.analysis import dead_branch_prune
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.environment import lookup_environment
from numba.core.targetconfig import TargetConfig
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import DeadBranchPrune

from islands.lowering import KernelLowering

ALLOCATING = frozenset(("empty", "zeros", "ones", "full", "copy", "array"))
"""What a function that makes arrays calls: it has to count references."""
UNNEEDED = frozenset((
    "with_lifting", "inline_closure_likes", "make_function_op_code_to_jit_function", "inline_inlinables",
    "find_literally", "literal_unroll", "LiteralPropagation", "inline_overloads", "nopython_rewrites",
))  # fmt: skip
"""Passes for what kernels do not contain: contexts, closures, loops over tuples of several types, arithmetic of whole
arrays."""
_ENVIRONMENT = "_ZN08NumbaEnv"


class _Nowhere:
    """Stands for the engine of a part, which has no machine code to know an environment."""

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing: the whole with this part in it will know it."""


class _Library(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types
    """A library that takes modules in as they were written."""

    def add_llvm_module(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout
        self._final_module.link_in(module)


class _Part(_Library):
    """A library of intermediate code, as it was written, without that of what it calls."""

    @property
    def codegen(self) -> Any:
        return _Nowhere()

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    def finalize(self) -> None:
        self._finalized = True

    def own_module(self) -> Any:
        """Its code alone."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        """With what it calls: so it is taken in by what Numba compiles in its own way."""
        module = self.own_module().clone()
        _take_in(module, self._linking_libraries)
        return module


class _Whole(_Library):
    """A library of a function that Python calls, with its parts.

    Numba optimises twice, since the second time it finds more counts of references that cancel out; parts have none.
    """

    def finalize(self) -> None:
        for library in _take_in(self._final_module, self._linking_libraries):
            self._reload_init.update(library._reload_init)
        self._linking_libraries: list[JITCodeLibrary] = []
        super().finalize()

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        super()._finalize_final_module()
        for name in [each.name for each in self._final_module.global_variables]:
            environment = lookup_environment(name) if name.startswith(_ENVIRONMENT) else None
            if environment is not None:
                self.codegen.set_env(name, environment)


class _Hot(_Whole):
    """A library of a function whose parts nobody else calls, as far as LLVM is told: it makes more of them one.

    Pellets are a sixth faster so by NEAT, and as fast in the other modes; CartPole would be an eighth slower. LLVM may
    give such a function other arguments, and its loader resolves names without asking whose they are: so it has a name
    of its own.
    """

    def _optimize_final_module(self) -> None:
        for function in list(self._final_module.functions):
            if function.linkage == Linkage.linkonce_odr and not function.is_declaration:
                function.linkage, function.name = "internal", f"{self.name}.{function.name}"
        super()._optimize_final_module()


def _take_in(module: Any, libraries: Iterable[JITCodeLibrary]) -> list[JITCodeLibrary]:
    """Link these libraries into a module, and what the parts among them call, each once; returns all of them."""
    found = dict.fromkeys(libraries)
    waiting = list(found)
    while waiting:
        library = waiting.pop()
        is_part = isinstance(library, _Part)
        module.link_in(library.own_module() if is_part else library._get_module_for_linking(), preserve=True)
        new = [each for each in library._linking_libraries if each not in found] if is_part else []
        found |= dict.fromkeys(new)
        waiting += dict.fromkeys(new)
    return list(found)


class _Known:
    """Stands for the type of an argument that cannot be None, so that a branch on that is pruned."""

    def __init__(self, kind: types.Type) -> None:
        self.literal_type = kind


@register_pass(mutates_CFG=True, analysis_only=False)
class _Prune(DeadBranchPrune):  # type: ignore[misc]
    """Numba's pruning, which leaves a branch on `is None` in where an argument of that name is something else."""

    _name = "prune_by_what_is_not_none"

    def run_pass(self, state: Any) -> bool:
        """Prune the function that is compiled."""
        open_ = tuple(getattr(types, name) for name in ("NoneType", "Omitted", "Optional", "Literal"))
        dead_branch_prune(state.func_ir, [kind if isinstance(kind, open_) else _Known(kind) for kind in state.args])
        return True


_equal = TargetConfig.__eq__


def _same(flags: Any, others: Any) -> Any:
    """Whether flags of the compiler are equal; what was set of them tells that in nearly every case.

    Numba reads all thirty of both, twenty thousand times in a first start.
    """
    return (type(flags) is type(others) and flags._values == others._values) or _equal(flags, others)


TargetConfig.__eq__ = _same
TargetConfig.__hash__ = lambda flags: hash(type(flags))  # Numba's is one of their names, and as constant


class WholeCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, making a library of a kind of its own."""

    library: type[JITCodeLibrary] = _Whole

    def define_pipelines(self) -> Any:
        """Numba's, with passes of its own, and without what kernels have no use for."""
        (whole,) = super().define_pipelines()
        needed = [(each, why) for each, why in whole.passes if each.name() not in UNNEEDED]
        own = {DeadBranchPrune: _Prune, NativeLowering: KernelLowering}
        whole.passes = [(own.get(each, each), why) for each, why in needed]
        whole.finalize()
        return [whole]

    def _compile_core(self) -> Any:
        state = self.state
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super()._compile_core()


class HotCompiler(WholeCompiler):
    """The compiler of what a run spends its time in."""

    library = _Hot


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


def whole_with_part(function: Callable[..., Any], cache: bool, signature: str | None = None, hot: bool = False) -> Any:
    """`function` compiled for Python to call; other compiled functions get it as a part.

    Each is made when it is needed. Division by zero gives inf, as in NumPy. `hot`: a run spends its time in it.
    """
    options = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
    whole = numba.njit(cache=cache, pipeline_class=HotCompiler if hot else WholeCompiler, **options)(function)
    if signature is not None:
        whole._compile_for_args = lambda *_, **__: _made(whole, signature)  # Numba calls what this returns
    part: Any = None

    def as_part() -> Any:
        nonlocal part
        if part is None:
            counts = bool(ALLOCATING & set(function.__code__.co_names))
            options.update(no_cpython_wrapper=True, _nrt=counts)
            given = () if signature is None else (signature,)
            part = numba.njit(*given, pipeline_class=PartCompiler, **options)(function)
        return part

    whole.get_call_template = lambda *arguments: as_part().get_call_template(*arguments)
    whole.get_overload = lambda *arguments: as_part().get_overload(*arguments)
    return whole


def _made(whole: Any, signature: str) -> Any:
    """The function compiled for its signature and no other, as Numba does where it is given one."""
    with global_compiler_lock:
        if not whole.signatures:  # no other thread was here before
            whole.compile(signature)
            whole.disable_compile()
    return whole
