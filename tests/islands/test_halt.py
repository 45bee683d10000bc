"""A request to stop while an island still starts: there is nothing to save, so it does not wait."""

import os
import signal
import time

import pytest

from islands import files, process
from islands.occupied import holder
from tests.islands.evolving import make_run, start, tiny

SLOW = """
import time, sys
import islands.compiling
islands.compiling.one_compiles_for_all = lambda config, task: time.sleep(600)
sys.argv = ["islands", *sys.argv[1:]]
from islands.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def compiling(memory_folder, monkeypatch):
    """An island that compiles for ten minutes, and its run."""
    monkeypatch.setattr("tests.islands.evolving.sys.executable", str(wrapper(memory_folder)))
    run = make_run(memory_folder / "run", tiny())
    begun = start(run, "--parent", str(os.getpid()))
    island = run.island("island-000")
    deadline = time.monotonic() + 120
    while not island.heartbeat.exists():
        assert begun.poll() is None, begun.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert files.read_json(island.heartbeat)["state"] == "starting"
    yield run, begun
    begun.kill()
    begun.communicate()


def wrapper(folder):
    """A Python that is called as `python -m islands …` and never ends to compile."""
    import sys

    script, program = folder / "slow.py", folder / "python"
    script.write_text(SLOW)
    program.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {script} "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("asked", ["SIGTERM", "SIGUSR2", "stop file", "the run's stop file"])
def test_a_request_ends_an_island_that_compiles_with_85(compiling, asked):
    run, begun = compiling
    island = run.island("island-000")
    assert process.is_alive(holder(island))
    if asked.startswith("SIG"):  # Slurm sends SIGUSR2 before the time limit
        begun.send_signal(signal.Signals[asked])
    else:
        (island.stop if asked == "stop file" else run.stop).touch()
    assert begun.wait(timeout=30) == 85
    assert not island.error.exists() and not island.result.exists()


def test_a_stack_dump_on_request_goes_to_the_log(compiling):
    _, begun = compiling
    begun.send_signal(signal.SIGUSR1)
    time.sleep(0.5)
    begun.send_signal(signal.SIGTERM)
    _, told = begun.communicate(timeout=30)
    assert begun.returncode == 85
    assert "most recent call first" in told and "slow.py" in told
