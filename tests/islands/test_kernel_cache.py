"""Compiled kernels: made once, loaded by every later process, and never worse than slow where they cannot be kept."""

from __future__ import annotations

import ctypes
import importlib
import json
import multiprocessing
import os
import pkgutil
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numba.core.registry import CPUDispatcher

import islands
from islands import kernel
from tests.islands.evolving import REPOSITORY

FORK = multiprocessing.get_context("fork")
TINY = "from islands.kernel import kernel\n@kernel\ndef twice(x):\n    return 2 * x\n"
REPORT = """
import json, tiny
from islands.kernel import FOLDER
result = tiny.twice(21)
hits, misses = (sum(counts.values()) for counts in (tiny.twice.stats.cache_hits, tiny.twice.stats.cache_misses))
print(json.dumps({"result": result, "hits": hits, "misses": misses, "folder": FOLDER and str(FOLDER)}))
"""
DROP_BOUND, DAC_OVERRIDE = 24, 1


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a module of one small kernel."""
    (tmp_path / "tiny.py").write_text(TINY)
    return tmp_path


def begin(home: Path, cache: Path, package: Path = REPOSITORY, **options: Any) -> subprocess.Popen[str]:
    """A process that compiles the small kernel, or loads it from `cache`."""
    environment = {**os.environ, "EVOLAB_KERNEL_CACHE": str(cache), "PYTHONPATH": f"{package}:{home}"}
    command = [sys.executable, "-P", "-c", REPORT]
    return subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True, **options)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(out)
    assert report["result"] == 42
    return report


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below `folder` with its size and the time of its last change."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_a_second_process_loads_what_the_first_compiled(home: Path) -> None:
    first = told(begin(home, home / "cache"))
    assert (first["hits"], first["misses"]) == (0, 1)
    assert Path(first["folder"]).parent == home / "cache"
    kept = contents(home / "cache")
    assert {Path(path).suffix for path in kept} == {".nbi", ".nbc"}
    second = told(begin(home, home / "cache"))
    assert (second["hits"], second["misses"]) == (1, 0) and second["folder"] == first["folder"]
    assert contents(home / "cache") == kept


def test_processes_that_start_together_on_an_empty_cache_all_work_and_fill_it(home: Path) -> None:
    together = [begin(home, home / "cache") for _ in range(2)]
    reports = [told(process) for process in together]
    assert {report["folder"] for report in reports} != {None} and len({report["folder"] for report in reports}) == 1
    assert told(begin(home, home / "cache"))["hits"] == 1


def choose_folders(root: Path, rounds: int, barrier: Any, found: Any) -> None:
    folders = []
    for number in range(rounds):
        os.environ["EVOLAB_KERNEL_CACHE"] = str(root / str(number))
        barrier.wait()
        folders.append(kernel._folder())
    found.put(folders)


def test_nobody_goes_without_a_cache_because_another_process_made_it_first(memory_folder: Path) -> None:
    barrier, found = FORK.Barrier(3), FORK.Queue()
    racers = [FORK.Process(target=choose_folders, args=(memory_folder, 60, barrier, found)) for _ in range(3)]
    for racer in racers:
        racer.start()
    chosen = [found.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(60)
    assert chosen == [[memory_folder / str(number) / kernel._version() for number in range(60)]] * 3


def test_a_cache_that_cannot_be_made_only_costs_time(home: Path) -> None:
    (home / "in-the-way").touch()
    for _ in range(2):
        report = told(begin(home, home / "in-the-way" / "cache"))
        assert report["folder"] is None
    assert sorted(path.name for path in home.iterdir() if path.name != "__pycache__") == ["in-the-way", "tiny.py"]


def unprivileged() -> None:
    """Before the program starts: let file permissions hold for root too."""
    ctypes.CDLL(None).prctl(DROP_BOUND, DAC_OVERRIDE, 0, 0, 0)


@pytest.fixture
def read_only_cache(home: Path) -> Iterator[Path]:
    cache = home / "cache"
    told(begin(home, cache))
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield cache
    for folder in folders:
        folder.chmod(stat.S_IRWXU)


def test_a_cache_that_cannot_be_written_only_costs_time(home: Path, read_only_cache: Path) -> None:
    probe = subprocess.run(["touch", read_only_cache / "probe"], preexec_fn=unprivileged, stderr=subprocess.DEVNULL)
    if probe.returncode == 0:
        pytest.skip("this process may write where nobody may")
    kept = contents(read_only_cache)
    report = told(begin(home, read_only_cache, preexec_fn=unprivileged))
    assert report["folder"] is None and contents(read_only_cache) == kept


def test_versions_used_last_are_kept_and_what_belongs_to_others_is_left_alone(home: Path) -> None:
    cache = home / "cache"
    versions = [f"{number:016x}" for number in range(12)]
    strangers = ["photographs", "another_project_1f2e", "0123456789abcdef.py"]
    for age, name in enumerate([*strangers, *versions]):
        (cache / name).mkdir(parents=True)
        (cache / name / "kernel.nbc").touch()
        os.utime(cache / name, (1000 + age, 1000 + age))
    own = Path(told(begin(home, cache))["folder"]).name
    assert sorted(path.name for path in cache.iterdir()) == sorted([*strangers, *versions[-kernel.KEPT + 1 :], own])


def test_other_sources_have_another_folder_if_compiled_code_can_depend_on_them(home: Path) -> None:
    package = home / "elsewhere"
    shutil.copytree(REPOSITORY / "islands", package / "islands", ignore=shutil.ignore_patterns("__pycache__"))

    def folder() -> str:
        return str(told(begin(home, home / "cache", package))["folder"])

    before = folder()
    assert Path(before).name == kernel._version()
    with open(package / "islands" / "record.py", "a") as stream:
        stream.write("# another remark\n")
    assert folder() == before
    for changed in ("genome/marking.py", "tasks/xor.py"):
        with open(package / "islands" / changed, "a") as stream:
            stream.write("# another remark\n")
        assert folder() != before
        before = folder()


def dispatchers() -> Iterator[CPUDispatcher]:
    """Every compiled function of the package."""
    for module in pkgutil.walk_packages(islands.__path__, "islands."):
        if module.name != "islands.__main__":
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, CPUDispatcher):
                    yield value


def test_every_module_that_compiled_code_comes_from_or_calls_is_part_of_a_version() -> None:
    known = kernel.sources()
    found = list(dispatchers())
    assert len(found) > 50
    for function in found:
        python = function.py_func
        called = [python.__globals__.get(name) for name in python.__code__.co_names]
        modules = {each.py_func.__module__ for each in called if isinstance(each, CPUDispatcher)} | {python.__module__}
        modules |= {each.__name__ for each in called if type(each) is type(islands) and "islands" in each.__name__}
        assert modules <= set(known), python.__qualname__
    assert {"islands.rng", "islands.lanes", "islands.genome.population", "islands.networks"} <= set(known)
    assert not {"islands.record", "islands.loop", "islands.files", "islands.pool"} & set(known)


MODES = """
import sys
from pathlib import Path
from tests.islands.evolving import evolve, make_run, tiny
from tests.islands.test_kernel_cache import dispatchers
from islands.compiling import one_compiles_for_all
from islands.tasks import make

def loaded():
    return {function.py_func.__qualname__: len(function.signatures) for function in dispatchers()}

folder = Path(sys.argv[1])
for mode in ("neat", "pure", "hybrid"):
    config = tiny(f"mode={mode}", *sys.argv[2:])
    one_compiles_for_all(config, make(config))
    ready = loaded()
    evolve(make_run(folder / mode, config, shared=folder / f"{mode}-shared"))
    assert loaded() == ready, mode
"""


def test_a_run_needs_no_kernel_beyond_those_that_were_made_ready(memory_folder: Path) -> None:
    choices = ("migration.every=2", "migration.migrants=3", "migration.select=different", "task.proprioception=all")
    command = [sys.executable, "-c", MODES, str(memory_folder), *choices]
    subprocess.run(command, cwd=REPOSITORY, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


READY = """
from tests.islands.evolving import tiny
from tests.islands.test_kernel_cache import dispatchers
from islands.compiling import one_compiles_for_all
from islands.tasks import make

def misses():
    return sum(sum(function.stats.cache_misses.values()) for function in dispatchers())

config, before = tiny(), misses()
one_compiles_for_all(config, make(config))
print(misses() - before)
"""


@pytest.mark.soak
def test_of_islands_that_start_together_on_an_empty_cache_one_compiles_for_all(tmp_path: Path) -> None:
    environment = {**os.environ, "EVOLAB_KERNEL_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", READY]
    together = [
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    compiled = sorted(int(process.communicate(timeout=500)[0]) for process in together)
    assert compiled[0] == 0 < compiled[1]
