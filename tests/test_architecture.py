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
HEAVY = {
    "gymnasium",
    "sklearn",
    "torch",
    "numpy",
    "numba",
    "scipy",
    "pandas",
    "pyarrow",
    "optuna",
    "safetensors",
    "llvmlite",
}
WRITES_FOR_A_REASON = {
    "islands/durable.py": "the system calls of durable writes, for islands/files.py",
    "islands/files.py": "the one module for durable writes",
    "islands/faults.py": "a write made short on demand",
    "islands/outbox_folder.py": "moves and removes what strangers wrote, in an open folder, behind its own points",
    "islands/pool.py": "prunes an outbox, in an open folder, behind its own point",
    "islands/log.py": "turns the log that this process writes, behind its own points; a log is not waited for",
    "islands/occupied.py": "a kernel lock: what it says is void when its process ends",
    "islands/kernel.py": "a cache, made anew when it is lost",
    "islands/compiling.py": "a mark in that cache",
    "launcher/locks.py": "a kernel lock",
    "launcher/claims.py": "kernel locks in the temporary folder",
    "launcher/starting.py": "opens islands' logs; requests through pipes",
    "islands/one_batch.py": "opens islands' logs; makes room in memory that processes share",
    "islands/nursery.py": "opens an island's log; answers through pipes",
    "islands/replay.py": "a temporary folder",
    "islands/record_episode.py": "a temporary folder",
    "launcher/backends/__init__.py": "opens a trial's log",
    "launcher/backends/ray.py": "a temporary folder",
    "launcher/scalars.py": "appends to TensorBoard's files, outside the run; they are not waited for",
    "launcher/benchmark.py": "a temporary folder",
    "launcher/planning.py": "a temporary folder",
    "launcher/rehearsal.py": "a temporary folder",
    "launcher/report/video.py": "a temporary folder",
    "launcher/disk.py": "tries out whether the disk takes anything",
    "launcher/doctor_disk.py": "tries out what the disk can do",
    "launcher/doctor_trials.py": "tries out what the disk can do",
    "launcher/doctor_machine.py": "tries out what the disk can do",
}
"""Modules that change files themselves, and why that is no durable write."""
COMPUTED_IMPORTS = {"islands/tasks/users.py": "the module that a user's task is in"}
CHANGING = {
    "os": {
        "open", "write", "pwrite", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "makedirs", "rmdir",
        "truncate", "ftruncate", "link", "symlink", "mkfifo",
    },
    "shutil": {"copy", "copyfile", "copytree", "move", "rmtree"},
    "tempfile": {"mkdtemp", "mkstemp", "TemporaryDirectory", "TemporaryFile", "NamedTemporaryFile"},
}  # fmt: skip
METHODS = {"write_text", "write_bytes", "touch", "mkdir", "rmdir", "unlink", "rename", "to_csv", "to_parquet"}
LIGHT_MODULES = [
    "islands.config",
    "islands.errors",
    "islands.files",
    "islands.loading",
    "islands.rundir",
    "islands.strict_yaml",
    "islands.tasks.families",
    "islands.topology",
    "launcher.cli",
    "launcher.dashboard.server",
    "launcher.presets",
    "launcher.recordings",
    "launcher.report.replays",
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
        allowed = str(path.relative_to(REPOSITORY)) in COMPUTED_IMPORTS
        for line, module in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module.startswith(".") or (module == "<computed>" and not allowed):
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


def changes_a_file(call: ast.Call) -> bool:
    """Whether a call looks like one that writes, makes, renames or removes a file or a folder."""
    function, mode = call.func, next((word.value for word in call.keywords if word.arg == "mode"), None)
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    if name in CHANGING.get(owner, ()):
        return name != "open" or not any(word in ast.unparse(call) for word in ("O_RDONLY", "os.devnull"))
    if name == "open" and owner not in ("os", "Pool", "self"):
        mode = mode or next((arg for arg in call.args if isinstance(arg, ast.Constant)), None)
        return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and bool(set(mode.value) & set("wax+"))
    if name in ("to_csv", "to_parquet"):
        return bool(call.args)
    if name == "replace":  # of a path: text takes two arguments, a dataclass takes names
        return bool(owner) and owner != "dataclasses" and len(call.args) == 1 and not call.keywords
    return bool(owner) and name in METHODS


def test_every_durable_write_goes_through_one_module() -> None:
    found: dict[str, list[int]] = {}
    for path in sources("islands", "launcher"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and changes_a_file(node):
                found.setdefault(str(path.relative_to(REPOSITORY)), []).append(node.lineno)
    assert {name: lines for name, lines in found.items() if name not in WRITES_FOR_A_REASON} == {}
    assert set(WRITES_FOR_A_REASON) == set(found), "a reason that nothing needs"


@pytest.mark.parametrize(
    "code",
    ["open(p, 'w')", "open(p, mode='ab')", "p.open('r+b')", "p.write_text('')", "os.replace(a, b)", "a.replace(b)",
     "a.with_name('b').replace(c)", "os.open(p, flags)", "p.unlink(missing_ok=True)", "frame.to_csv(p, index=False)",
     "tempfile.mkdtemp()", "shutil.rmtree(p)"],
)  # fmt: skip
def test_the_search_for_writes_sees_one(code: str) -> None:
    assert changes_a_file(ast.parse(code, mode="eval").body)


@pytest.mark.parametrize(
    "code",
    ["open(p)", "open(p, 'rb')", "p.open('rb')", "os.open(p, os.O_RDONLY)", "text.replace('a', 'b')",
     "dataclasses.replace(a, b=c)", "replace(a, b=c)", "frame.to_csv(index=False)", "self.open(name, 5.0)"],
)  # fmt: skip
def test_the_search_for_writes_is_not_taken_in(code: str) -> None:
    assert not changes_a_file(ast.parse(code, mode="eval").body)


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_what_a_command_needs_to_start_imports_nothing_heavy(module: str) -> None:
    assert {name for name in modules_after_importing(module) if name.split(".")[0] in HEAVY} == set()


def test_the_walk_sees_an_import_inside_a_function_and_one_by_name() -> None:
    code = "def f():\n    from launcher import x\n    import importlib\n    importlib.import_module('ray.data')\n"
    assert list(imports(ast.parse(code))) == [(2, "launcher"), (3, "importlib"), (4, "ray.data")]
