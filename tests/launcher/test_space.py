"""What varies: the spaces that come with the project, conditions, draws, and refusals in one line."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from launcher import identity, presets, search
from launcher.flight import Slot
from launcher.space import ISLANDS, MODES, Dice, Params, Space, from_dict, load, path_of
from launcher.trials import StudyDir
from tests.launcher.study_parts import SPACE, known, write_space

BOTH = (True, False)
ALL = "all that the key takes"
COMMON: dict[str, object] = {
    "mutation.weight_rate": (0.1, 0.95), "mutation.weight_scale": (0.1, 0.8), "crossover.enabled": BOTH,
    "crossover.rate": (0.2, 0.8), "adaptive.enabled": BOTH, "adaptive.patience": None, "adaptive.boost": None,
    "selection.cull": (0.3, 0.8), "speciation.threshold": (1, 5), "speciation.excess": None,
    "speciation.disjoint": None, "speciation.weight": None, "speciation.min_size": (1, 5), "body.max_nodes": None,
    "body.max_muscles": None, "mutation.body_rate": None, "mutation.body_scale": None, "task.proprioception": ALL,
    "task.time_encoding": ALL, "task.dead_zone": None, "network.bias": ALL, "network.output_bias": None,
    ISLANDS: None, "migration.every": None, "migration.migrants": None, "migration.topology": None,
    "migration.select": ALL, "migration.replace": ALL,
}  # fmt: skip
NEAT: dict[str, object] = {
    "network.connectivity": ALL, "network.max_hidden": (8, 48), "mutation.add_node": (0.01, 0.3),
    "mutation.add_connection": (0.05, 0.6), "mutation.enable": (0, 0.1), "mutation.disable": (0, 0.1),
}  # fmt: skip
FIXED_TOPOLOGY: dict[str, object] = {
    "network.hidden": (4, 24), "selection.method": ALL, "selection.tournament_size": None
}  # fmt: skip
ISSUE = {"neat": COMMON | NEAT, "pure": COMMON | FIXED_TOPOLOGY, "hybrid": COMMON | FIXED_TOPOLOGY}
"""What the issue asks for: a range where it names one."""


def base_of(mode: str, *sets: str) -> Config:
    return presets.resolve(f"{mode}_baseline", sets)


def shipped(mode: str) -> Space:
    return load(path_of(mode), base_of(mode))


def drawn(space: Space, base: Config, count: int = 200) -> list[Params]:
    return [space.draw(Dice(1, number), base) for number in range(count)]


@pytest.mark.parametrize("mode", MODES)
def test_a_space_that_comes_with_the_project_has_what_was_asked_for_within_the_asked_ranges(mode: str) -> None:
    space = shipped(mode)
    types = {key.name: key.type for key in loading.keys()}
    assert {parameter.name for parameter in space.parameters} >= set(ISSUE[mode])
    for name, wanted in ISSUE[mode].items():
        parameter = space.parameter(name)
        if wanted == ALL:
            assert set(parameter.choices) == set(typing.get_args(types[name])), name
        elif wanted is not None:
            assert parameter.ends() == wanted, name


@pytest.mark.parametrize("mode", MODES)
def test_every_key_of_a_space_gives_its_reason_and_every_draw_is_a_configuration_that_loads(mode: str) -> None:
    lines = [line for line in path_of(mode).read_text().splitlines() if line and not line.startswith("#")]
    assert all("  # " in line for line in lines)
    base = base_of(mode, "migration.islands=4")
    space = shipped(mode)
    for params in drawn(space, base):
        flat = loading.flat(loading.replaced(base, params))
        assert {name: flat[name] for name in params} == params
    seen = {name for params in drawn(space, base) for name in params}
    assert seen == {parameter.name for parameter in space.parameters}


@pytest.mark.parametrize("mode", MODES)
def test_a_conditional_parameter_is_drawn_if_and_only_if_its_condition_holds(mode: str) -> None:
    speciates = {"neat": lambda p: True}.get(mode, lambda p: p["selection.method"] == "speciation")
    conditions = {
        "crossover.rate": lambda p: p["crossover.enabled"], "adaptive.patience": lambda p: p["adaptive.enabled"],
        "adaptive.boost": lambda p: p["adaptive.enabled"], "speciation.excess": speciates,
        "speciation.min_size": speciates, "speciation.dynamic": speciates,
        "speciation.threshold": lambda p: speciates(p) and not p["speciation.dynamic"],
        "selection.tournament_size": lambda p: p.get("selection.method") == "tournament",
        "migration.topology": lambda p: p[ISLANDS] > 1, "selection.cull": lambda p: True,
    }  # fmt: skip
    for params in drawn(shipped(mode), base_of(mode)):
        for name, holds in conditions.items():
            assert (name in params) == holds(params), name


def test_conditions_take_one_value_a_list_or_a_bound_and_look_at_fixed_keys_too() -> None:
    space = {
        "selection.method": {"type": "categorical", "choices": ["rank", "tournament", "truncation"]},
        "selection.cull": {
            "type": "float",
            "low": 0.3,
            "high": 0.8,
            "when": {"selection.method": ["rank", "truncation"]},
        },
        "population": {"type": "int", "low": 10, "high": 20},
        "selection.elites": {"type": "int", "low": 0, "high": 3, "when": {"population": {"above": 15}}},
        "crossover.rate": {"type": "float", "low": 0.2, "high": 0.8, "when": {"crossover.enabled": True}},
        "network.hidden": {"type": "int", "low": 2, "high": 4, "when": {"mode": "pure"}},
    }
    base = Config()
    for params in drawn(from_dict(space, base), base):
        assert ("selection.cull" in params) == (params["selection.method"] != "tournament")
        assert ("selection.elites" in params) == (params["population"] > 15)
        assert "crossover.rate" in params and "network.hidden" not in params
    possible = from_dict(space, base).possible(loading.override(base, ["crossover.enabled=false"]))
    assert [parameter.name for parameter in possible.parameters] == list(space)[:4]


def test_true_is_not_the_number_1_in_a_condition() -> None:
    space = {"network.output_bias": {"type": "float", "low": 0.0, "high": 1.0, "when": {"speciation.min_size": True}}}
    base = loading.override(Config(), ["speciation.min_size=1"])
    assert from_dict(space, base).draw(Dice(1, 1), base) == {}


def made(*sets: str, islands: str | None = None, cores: int = 4, mode: str = "neat") -> Space:
    """The space of a study that was asked for so."""
    request = search.Request("it", mode, overrides=sets, islands=islands)
    return search.identity_of(request, None, [Slot(None, cores)]).space


def test_what_is_fixed_leaves_the_space_and_so_does_what_it_rules_out() -> None:
    names = {parameter.name for parameter in made().parameters}
    assert ISLANDS not in names and {"migration.every", "migration.topology", "crossover.rate"} <= names
    assert ISLANDS in {parameter.name for parameter in made(islands="search").parameters}
    alone = {parameter.name for parameter in made(islands="1").parameters}
    assert names - alone == {name for name in names if name.startswith("migration.")}
    left = {parameter.name for parameter in made("crossover.enabled=false", "selection.cull=0.5").parameters}
    assert names - left == {"crossover.enabled", "crossover.rate", "selection.cull"}
    by_rank = {parameter.name for parameter in made("selection.method=rank", mode="pure").parameters}
    assert not any(name.startswith(("speciation.", "selection.tournament")) for name in by_rank)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ([], "the whole: expected a mapping of keys to ranges"),
        ({}, "the whole: expected a mapping of keys to ranges"),
        ({"mutation.add_nodes": {"type": "float", "low": 0, "high": 1}}, "did you mean mutation.add_node"),
        ({"mutation": {"type": "float", "low": 0, "high": 1}}, "mutation is a section"),
        ({"mutation.add_node": 0.5}, "mutation.add_node: its entry: expected a mapping"),
        ({"mutation.add_node": {"low": 0, "high": 1}}, "type: expected float, int or categorical, got None"),
        ({"mutation.add_node": {"type": "double", "low": 0, "high": 1}}, "got 'double'"),
        ({"mutation.add_node": {"type": "float", "low": 0, "hihg": 1}}, "hihg: unknown key"),
        ({"mutation.add_node": {"type": "float", "low": 0}}, "high: expected a number, got None"),
        ({"mutation.add_node": {"type": "float", "low": "0", "high": 1}}, "low: expected a number, got '0'"),
        ({"mutation.add_node": {"type": "float", "low": 0.5, "high": 0.5}}, "expected less than high (0.5), got 0.5"),
        ({"mutation.add_node": {"type": "float", "low": 0.5, "high": 0.1}}, "expected less than high (0.1), got 0.5"),
        ({"mutation.add_node": {"type": "float", "low": 0, "high": 1, "log": True}}, "more than 0 on a logarithmic"),
        ({"mutation.add_node": {"type": "float", "low": 0.1, "high": 1, "log": 1}}, "log: expected true or false"),
        ({"mutation.add_node": {"type": "float", "low": 0, "high": 2}}, "mutation.add_node: expected a number from"),
        ({"mutation.add_node": {"type": "float", "low": 0, "high": float("inf")}}, "expected less than high (inf)"),
        ({"mutation.add_node": {"type": "float", "low": float("nan"), "high": 1}}, "expected less than high"),
        ({"mutation.add_node": {"type": "float", "choices": [0.1]}}, "choices: unknown key"),
        ({"network.hidden": {"type": "int", "low": 1.5, "high": 4}}, "low: expected a whole number, got 1.5"),
        ({"network.hidden": {"type": "float", "low": 1, "high": 4}}, "network.hidden: expected a whole number"),
        ({"network.hidden": {"type": "int", "low": True, "high": 4}}, "low: expected a whole number, got True"),
        ({"network.bias": {"type": "categorical"}}, "choices: expected a list of different values"),
        ({"network.bias": {"type": "categorical", "choices": []}}, "choices: expected a list of different values"),
        ({"network.bias": {"type": "categorical", "choices": ["node", "node"]}}, "a list of different values"),
        ({"network.bias": {"type": "categorical", "choices": "node"}}, "a list of different values, got 'node'"),
        ({"network.bias": {"type": "categorical", "choices": ["node", None]}}, "a list of different values"),
        ({"network.bias": {"type": "categorical", "choices": ["node", "knot"]}}, "expected one of node, input, none"),
        ({"network.bias": {"type": "categorical", "choices": ["node"], "low": 1}}, "low: unknown key"),
        ({"crossover.rate": {**SPACE["crossover.rate"], "when": "always"}}, "when: expected a mapping"),
        ({"crossover.rate": {**SPACE["crossover.rate"], "when": {"crossover.enbled": True}}}, "crossover.enabled"),
        ({"crossover.rate": {**SPACE["crossover.rate"], "when": {"population": {"over": 3}}}}, "or {above: NUMBER}"),
        ({"crossover.rate": {**SPACE["crossover.rate"], "when": {"population": {"above": True}}}}, "{above: NUMBER}"),
        ({"crossover.rate": SPACE["crossover.rate"], "crossover.enabled": SPACE["crossover.enabled"]},
         "crossover.enabled to stand above crossover.rate"),
        ({"crossover.rate": {**SPACE["crossover.rate"], "when": {"crossover.rate": 0.5}}}, "stand above"),
    ],
)  # fmt: skip
def test_a_malformed_space_is_one_line_with_the_place(folder: Path, space: Any, told: str) -> None:
    path = folder / "mine.yaml"
    write_space(path, space) if isinstance(space, dict) else path.write_text("[]")
    with pytest.raises(ConfigError) as refusal:
        load(path, Config())
    line = str(refusal.value)
    assert line.startswith(f"{path}: ") and told in line and "\n" not in line


def test_a_space_whose_keys_are_all_fixed_and_one_that_is_not_there_are_refused(folder: Path) -> None:
    path = write_space(folder / "mine.yaml", {"crossover.enabled": SPACE["crossover.enabled"]})
    with pytest.raises(ConfigError, match="at least one key to search, got all are fixed"):
        load(path, Config(), ["crossover.enabled"])
    with pytest.raises(ConfigError, match=r"no such file"):
        load(folder / "none.yaml", Config())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("islands", ["3", "search"])
def test_a_study_and_its_space_come_back_from_the_disk_exactly_as_they_were(
    folder: Path, mode: str, islands: str
) -> None:
    request = search.Request("it", mode, overrides=("mutation.add_muscle=0.07",), islands=islands, multi_objective=True)
    wanted = search.identity_of(request, None, [Slot(None, 2)])
    place = StudyDir(folder / "it")
    identity.make_or_compare(place, wanted)
    assert identity.read(place) == wanted
    assert identity.make_or_compare(place, identity.read(place)) == wanted
    ours = known(
        space={
            **SPACE,
            "network.hidden": {
                "type": "int",
                "low": 1,
                "high": 9,
                "log": True,
                "when": {"population": {"above": 3}, "mode": ["pure", "neat"]},
            },
        }
    )
    identity.make_or_compare(StudyDir(folder / "ours"), ours)
    assert identity.read(StudyDir(folder / "ours")) == ours


NUMBERS = st.integers(0, 2**32)


@given(NUMBERS, NUMBERS, st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_a_draw_lies_in_its_range_and_depends_on_seed_and_trial_alone(
    seed: int, trial: int, low: float, width: float
) -> None:
    high = low + width
    value = Dice(seed, trial).suggest_float("x", low, high)
    assert low <= value <= high and value == Dice(seed, trial).suggest_float("x", low, high)
    whole = Dice(seed, trial).suggest_int("x", int(low), int(low) + int(width) + 1)
    assert int(low) <= whole <= int(low) + int(width) + 1
    assert Dice(seed, trial).suggest_categorical("x", "abc") in "abc"


@given(NUMBERS, st.floats(1e-9, 1e6), st.floats(1.001, 1e6), st.integers(1, 1000), st.integers(1, 1000))
def test_a_logarithmic_draw_lies_in_its_range(seed: int, low: float, factor: float, first: int, more: int) -> None:
    assert low <= Dice(seed, 1).suggest_float("x", low, low * factor, log=True) <= low * factor
    assert first <= Dice(seed, 1).suggest_int("x", first, first + more, log=True) <= first + more


@settings(max_examples=10)
@given(NUMBERS, st.integers(1, 20), st.integers(1, 6), st.booleans())
def test_both_ends_of_a_whole_range_are_reached(seed: int, low: int, more: int, log: bool) -> None:
    found = {Dice(seed, trial).suggest_int("x", low, low + more, log=log) for trial in range(1500 if log else 300)}
    assert found == set(range(low, low + more + 1))


def test_a_logarithmic_draw_is_as_often_in_each_power_of_ten() -> None:
    found = [Dice(7, trial).suggest_float("x", 0.001, 1.0, log=True) for trial in range(3000)]
    for low in (0.001, 0.01, 0.1):
        assert 900 < sum(low <= value < 10 * low for value in found) < 1100
    assert min(found) < 0.00102 and max(found) > 0.98


@pytest.mark.parametrize("mode", ["neat", "pure"])
def test_of_a_task_without_bodies_nothing_about_bodies_is_searched(mode: str) -> None:
    base = loading.override(Config(), ["task.name=cartpole", f"mode={mode}"])
    names = [parameter.name for parameter in load(path_of(mode), base).parameters]
    assert len(names) > 15 and not [name for name in names if name.startswith("task.") or "body" in name]


def test_a_parameter_of_the_studys_own_task_may_be_searched_and_anothers_may_not() -> None:
    base = loading.override(Config(), ["task.name=parity"])
    bits = {"task.bits": {"type": "int", "low": 2, "high": 4}}
    assert from_dict(bits, base).parameters[0].name == "task.bits"
    with pytest.raises(ConfigError, match=r"task\.bits: unknown key of the task pellets; parity has it"):
        from_dict(bits, Config())
    conditional = {"task.bits": {**bits["task.bits"], "when": {"task.name": ["parity"]}}}
    assert from_dict(conditional, base) == from_dict(bits, base)
