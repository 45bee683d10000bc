"""Runs from before there were layers and functions of single neurons go on, bit for bit.

`assets/before_layers` has two runs that were halted after four generations, as that version wrote them, and the digests
of all eight generations that it made of them without a halt.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from islands import loading
from islands.config import Config
from islands.migration import agreement
from islands.rundir import RunDir
from islands.tasks import make
from tests.islands.evolving import digests, evolve, history

OLD = Path(__file__).parent / "assets" / "before_layers"


@pytest.mark.parametrize("mode", ["neat", "pure"])
def test_a_run_goes_on_as_the_version_that_began_it_would_have(mode: str, memory_folder: Path) -> None:
    shutil.copytree(OLD / mode, memory_folder / "run")
    run = RunDir(memory_folder / "run")
    began = {line["config"] for line in history(run)}
    evolve(run)
    assert digests(run) == json.loads((OLD / mode / "digests.json").read_text())
    assert {line["config"] for line in history(run)} == began


def test_a_pool_from_before_is_joined() -> None:
    config = Config()
    assert agreement(config, make(config).layout) == {
        "mode": "neat", "sensors": 7, "constant": 0, "node_bias": 1, "strain": 0, "velocity": 0, "contact": 0,
        "hidden": 0, "body": 1, "outputs": 0, "activation": 0, "task": "pellets",
    }  # fmt: skip
    wider = loading.override(config, ["mode=pure", "network.layers=2"])
    assert agreement(wider, make(wider).layout)["layers"] == 2
