"""Who compiles what: with nothing in the cache and a second core, another process does one half meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from islands import compiling, loading
from islands.config import Config
from islands.tasks import make

CONFIG = Config()
TASK = make(CONFIG)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compiling, "FOLDER", tmp_path)
    if len(os.sched_getaffinity(0)) < 2:  # the second core is about what is decided, not about what it gains
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    return tmp_path


def pid_in(path: Path) -> Any:
    def work(config: Any, task: Any) -> None:
        path.write_text(str(os.getpid()))

    return work


def test_another_process_works_beside_and_is_waited_for(empty: Path) -> None:
    with compiling._meanwhile(pid_in(empty / "pid"), CONFIG, TASK) as shared:
        assert shared
    worker = int((empty / "pid").read_text())
    assert worker != os.getpid() and not Path(f"/proc/{worker}").exists()


@pytest.mark.parametrize("why", ["kernels are there", "one core", "another algorithm", "no cache"])
def test_nobody_is_asked_where_nothing_is_to_be_gained(empty: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    config = (
        loading.override(CONFIG, ["task.name=cartpole", "mode=pure", "algorithm=cmaes"])
        if why == "another algorithm"
        else CONFIG
    )
    if why == "kernels are there":
        with compiling._meanwhile(lambda *_: None, config, TASK):
            pass
    if why == "one core":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    if why == "no cache":
        monkeypatch.setattr(compiling, "FOLDER", None)
    with compiling._meanwhile(pid_in(empty / "pid"), config, TASK) as shared:
        assert not shared
    assert not (empty / "pid").exists()


def test_kernels_of_another_mode_do_not_count(empty: Path) -> None:
    """Those of a first run of neat are of little use to a first run of pure."""
    with compiling._meanwhile(lambda *_: None, CONFIG, TASK):
        pass
    pure = loading.override(CONFIG, ["mode=pure"])
    with compiling._meanwhile(pid_in(empty / "pid"), pure, make(pure)) as shared:
        assert shared


def test_a_helper_that_fails_is_no_loss(empty: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def broken(config: Any, task: Any) -> None:
        raise ValueError

    with compiling._meanwhile(broken, CONFIG, TASK):
        pass
    assert capfd.readouterr() == ("", "")


def test_who_stops_stops_the_helper_too(empty: Path) -> None:
    def endless(config: Any, task: Any) -> None:
        (empty / "pid").write_text(str(os.getpid()))
        time.sleep(600)

    with pytest.raises(KeyboardInterrupt), compiling._meanwhile(endless, CONFIG, TASK):
        while not (empty / "pid").exists() or not (empty / "pid").read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert not Path(f"/proc/{(empty / 'pid').read_text()}").exists()


def test_an_island_that_is_pinned_to_one_core_may_compile_on_those_of_whoever_started_it() -> None:
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from islands.threads import cores; print(sorted(cores()))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(os.sched_getaffinity(0)))
