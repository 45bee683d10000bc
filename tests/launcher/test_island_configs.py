"""Islands of one archipelago that differ: what --island-config understands, refuses, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import start
from launcher.island_configs import FORM, overrides_of
from launcher.replaying import replay
from tests.islands.evolving import history

BASE = loading.override(Config(), ["population=20", "generations=3", "task.duration=0.5", "migration.every=2"])


def test_values_are_for_the_islands_that_are_named_and_later_ones_come_on_top() -> None:
    specs = ["0-1,3:population=30,selection.elites=1", "1:population=40"]
    one = {"population": 30, "selection.elites": 1}
    assert overrides_of(specs, BASE, 4) == [one, {**one, "population": 40}, {}, one]


def test_a_preset_counts_by_what_sets_it_apart_and_the_length_and_seed_stay_the_runs() -> None:
    own = overrides_of(["all:neat_aggressive"], loading.override(BASE, ["task.duration=30", "migration.every=10"]), 2)
    assert own[0] == own[1] and own[0]["population"] == 500
    assert not {"generations", "seed", "device", "migration.islands"} & set(own[0])


def test_values_from_a_space_are_each_islands_own_and_the_same_for_the_same_seed() -> None:
    first, again, other = (
        overrides_of(["all:space=neat"], base, 3) for base in (BASE, BASE, loading.override(BASE, ["seed=7"]))
    )
    assert first == again != other
    assert first[0] != first[1] != first[2]
    assert not any(key.startswith("task.") or key in FORM for own in first for key in own)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("population=30", "ISLANDS:WHAT"),
        ("7:population=30", "islands from 0 to 3"),
        ("0;1:population=30", "all, or indices"),
        ("1:popultion=30", "population"),
        ("1:population=few", "whole number"),
        ("1:no_such_preset", "unknown preset"),
        ("1:xor", "the run's task, pellets"),
        ("1:mode=pure", "genomes of the form"),
        ("1:network.bias=input", "genomes of the form"),
        ("1:task.duration=3", "task.duration=3"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_what_was_expected(spec: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        overrides_of([spec], BASE, 4)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_islands_that_never_meet_may_have_genomes_of_any_form() -> None:
    alone = loading.override(BASE, ["migration.every=0"])
    assert overrides_of(["1:mode=pure"], alone, 2) == [{}, {"mode": "pure"}]


def test_a_launch_of_islands_that_differ_evolves_each_by_its_own_and_they_exchange_genomes(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(loading.dump(loading.override(BASE, ["migration.islands=2"])))
    request = start.Request(str(tmp_path / "base.yaml"), out=tmp_path / "run")
    run, outcome = start.launch(request, differing=["1:population=10,mutation.add_node=0.9"])
    assert outcome.exit_code == 0
    sizes = [history(run, name)[-1]["evaluations"] for name in ("island-000", "island-001")]
    assert sizes == [20, 10]
    plan = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "overrides" not in plan["islands"][0]
    assert plan["islands"][1]["overrides"] == {"population": 10, "mutation.add_node": 0.9}
    prints = [{line["config"] for line in history(run, name)} for name in ("island-000", "island-001")]
    assert prints[0] != prints[1]
    assert replay(run, "1", None, "best", None)["same"]


def test_an_override_in_a_plan_that_no_configuration_has_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"overrides of ant: populatoin: unknown key"):
        loading.of_island(BASE, {"name": "ant", "overrides": {"populatoin": 3}})
    assert RunDir(tmp_path).config.name == "config.yaml"
