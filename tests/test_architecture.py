"""The walls of the house: who may import whom, what never appears, and what a command may not wait for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
OUTSIDE = {"launcher", "scripts", "tests", "optuna", "click", "pandas", "rich", "ray", "pyarrow"}
PICKLES = {"pickle", "_pickle", "cPickle", "pickletools", "dill", "joblib", "shelve", "cloudpickle", "marshal"}
PICKLING_CALLS = {"torch.load", "torch.save", "pd.read_pickle", "pandas.read_pickle"}
HEAVY = {"torch", "numpy", "numba", "scipy", "pandas", "pyarrow", "optuna", "safetensors", "llvmlite"}
LIGHT_MODULES = [
    "islands.config",
    "islands.errors",
    "islands.files",
    "islands.loading",
    "islands.rundir",
    "islands.strict_yaml",
    "islands.topology",
    "launcher.cli",
    "launcher.presets",
    "launcher.status",
]


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    assert found, f"no Python below {folders}"
    return found


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module imported, at any depth of nesting, with its line; a relative import as it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            argument = node.args[0] if node.args else None
            yield node.lineno, argument.value if isinstance(argument, ast.Constant) else "<computed>"


def offences(folders: tuple[str, ...], forbidden: set[str]) -> list[str]:
    rows = []
    for path in sources(*folders):
        for line, module in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module.split(".")[0] in forbidden:
                rows.append(f"{path.relative_to(REPOSITORY)}:{line} imports {module}")
    return rows


def modules_after_importing(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_the_inside_never_imports_the_outside() -> None:
    assert offences(("islands",), OUTSIDE) == []


def test_the_launcher_imports_neither_scripts_nor_tests() -> None:
    assert offences(("launcher",), {"scripts", "tests"}) == []


def test_imports_are_absolute_and_stated_so_that_these_walls_can_be_seen() -> None:
    rows = []
    for path in sources("islands", "launcher"):
        for line, module in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module.startswith(".") or module == "<computed>":
                rows.append(f"{path.relative_to(REPOSITORY)}:{line} {module}")
    assert rows == []


def test_nothing_is_pickled_anywhere() -> None:
    assert offences(("islands", "launcher", "scripts"), PICKLES) == []


def test_no_call_pickles_behind_the_scenes() -> None:
    rows = []
    for path in sources("islands", "launcher", "scripts"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in PICKLING_CALLS or name.endswith(".to_pickle") or _allows_pickle(node):
                rows.append(f"{path.relative_to(REPOSITORY)}:{node.lineno} {name}")
    assert rows == []


def _allows_pickle(call: ast.Call) -> bool:
    return any(
        word.arg == "allow_pickle" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
        for word in call.keywords
    )


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_what_a_command_needs_to_start_imports_nothing_heavy(module: str) -> None:
    assert {name for name in modules_after_importing(module) if name.split(".")[0] in HEAVY} == set()


def test_the_walk_sees_an_import_inside_a_function_and_one_by_name() -> None:
    code = "def f():\n    from launcher import x\n    import importlib\n    importlib.import_module('ray.data')\n"
    assert list(imports(ast.parse(code))) == [(2, "launcher"), (3, "importlib"), (4, "ray.data")]
