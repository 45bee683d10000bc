"""Configurations are built strictly: what is not understood is an error that says how to mend it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from islands import loading
from islands.config import MAX_BODY_NODES, MAX_MUSCLES, Config
from islands.errors import ConfigError


def load_text(folder: Path, text: str | bytes) -> Config:
    path = folder / "preset.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return loading.load(path)


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "preset.yaml" in message
    return message


def refusal_of(data: object) -> str:
    with pytest.raises(ConfigError) as caught:
        loading.from_dict(data)
    return str(caught.value)


def nested(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"network": {"layers": 2}}, "network.layers: expected 1 in mode neat, got 2; neat grows its own structure"),
        (
            {"network": {"recurrent": True}},
            "network.recurrent: expected false in mode neat, got true; there, mutation.rec",
        ),
        (
            {"mode": "pure", "network": {"activations": "sin"}},
            "network.activations: expected nothing in mode pure, got sin",
        ),
        ({"mutation": {"activation": 0.1}}, "mutation.activation: expected 0 without network.activations, got 0.1"),
        ({"network": {"activations": "tanh,sine"}}, "network.activations: expected some of tanh, sigmoid, relu"),
        ({"network": {"activations": "tanh,sine"}}, "got 'sine'; did you mean sin?"),
        ({"network": {"activations": "sin, sin"}}, "network.activations: expected each function once, got 'sin, sin'"),
        ({"network": {"activations": "sin,"}}, "got ''"),
    ],
)
def test_what_would_have_no_effect_on_a_network_is_refused(data: dict[str, Any], told: str) -> None:
    assert told in refusal_of(data)


def test_a_key_that_came_later_leaves_the_fingerprint_of_those_before_it() -> None:
    base = loading.override(Config(), ["mode=pure"])
    deeper = loading.override(base, ["network.layers=2"])
    assert loading.fingerprint(base) == "2b8b8073c9adb3ed" != loading.fingerprint(deeper)
    assert set(loading.ADDED) <= {key.name for key in loading.keys()}


def test_an_empty_mapping_is_the_defaults() -> None:
    assert loading.from_dict({}) == Config()


def test_values_arrive_where_the_file_says(tmp_path: Path) -> None:
    config = load_text(tmp_path, "mode: pure\npopulation: 20\nmutation:\n  weight_scale: 1\n  add_node: 1.0e-3\n")
    assert (config.mode, config.population, config.mutation.add_node) == ("pure", 20, 0.001)
    assert config.mutation.weight_scale == 1.0
    assert isinstance(config.mutation.weight_scale, float)
    assert config.body == Config().body


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("mutation:\n  add_nod: 0.1\n", "mutation.add_nod", "did you mean mutation.add_node"),
        ("poulation: 10\n", "poulation", "did you mean population"),
        ("add_node: 0.1\n", "add_node", "mutation.add_node"),
        ("add_nod: 0.1\n", "add_nod", "mutation.add_node"),
        ("mutation.add_node: 0.1\n", "mutation.add_node", "mutation.add_node"),
        ("evaluation:\n  zzz: 1\n", "evaluation.zzz", "valid here: evaluation.episodes"),
    ],
)
def test_an_unknown_key_names_the_nearest_valid_ones(tmp_path: Path, text: str, key: str, nearest: str) -> None:
    message = refusal(tmp_path, text)
    assert f"{key}: unknown key" in message
    assert nearest in message


@pytest.mark.parametrize("text", ["population: 5\npopulation: 6\n", "mutation: {add_node: 0.1, 'add_node': 0.2}\n"])
def test_a_duplicate_key_is_an_error_that_names_the_line(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text)
    assert "duplicate key" in message
    assert "line" in message


@pytest.mark.parametrize(
    ("written", "mended"),
    [("1e-3", "1.0e-3"), ("1E5", "1.0e+5"), ("-2.e3", "-2.0e+3"), ("2.5e3", "2.5e+3"), ("'0.5'", "0.5 without quotes")],
)
def test_a_number_that_yaml_reads_as_text_is_told_how_to_be_written(tmp_path: Path, written: str, mended: str) -> None:
    message = refusal(tmp_path, f"mutation:\n  add_node: {written}\n")
    assert "YAML reads it as text" in message
    assert message.endswith(f"write {mended}")


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "No", "OFF", "true"])
@pytest.mark.parametrize("key", ["task.time_encoding", "task.name", "description", "population", "mutation.add_node"])
def test_a_truth_value_where_something_else_was_meant_is_an_error(tmp_path: Path, word: str, key: str) -> None:
    section, _, leaf = key.rpartition(".")
    message = refusal(tmp_path, f"{section}:\n  {leaf}: {word}\n" if section else f"{leaf}: {word}\n")
    assert "the truth value" in message
    assert key in message
    assert "YAML reads yes, no, on and off" in message


def test_a_key_that_yaml_reads_as_a_truth_value_is_an_error(tmp_path: Path) -> None:
    assert "a key must be a word, got 'on'" in refusal(tmp_path, "on: 3\n")


@pytest.mark.parametrize("written", ["010", "0x10", "0b11", "1:30", "1:30.5"])
def test_a_number_in_another_base_is_an_error(tmp_path: Path, written: str) -> None:
    assert "plain decimal" in refusal(tmp_path, f"population: {written}\n")


@pytest.mark.parametrize("text", ["a: &x {b: 1}\nc: *x\n", "a: &a [*a]\n", "<<: &x {population: 5}\nbody: *x\n"])
def test_an_alias_is_an_error(tmp_path: Path, text: str) -> None:
    assert "alias" in refusal(tmp_path, text)


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "population: !!python/name:os.system 5"])
def test_a_tag_that_would_run_code_is_an_error(tmp_path: Path, text: str) -> None:
    assert "not YAML" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "- 1\n", "word\n", "a: 1\n---\nb: 2\n", "a: [1\n", "[" * 5000]
)
def test_a_file_that_is_not_one_mapping_is_an_error(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith(str(tmp_path))


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    assert "UTF-8" in refusal(tmp_path, b"\xff\xfe\x00")
    refusal(tmp_path, b"description: a\x00b\n")


def test_a_file_over_the_size_limit_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    assert "too large" in refusal(tmp_path, "#" * (loading.SIZE_LIMIT + 1))


def test_a_missing_file_or_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot read the configuration"):
            loading.load(path)


def test_a_whole_number_with_an_exponent_is_told_to_be_written_in_digits(tmp_path: Path) -> None:
    assert refusal(tmp_path, "population: 1e3\n").endswith("write it in plain digits")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused_for_every_number(value: float) -> None:
    for key in loading.keys():
        if key.type in (int, float):
            assert key.name in refusal_of(nested(key.name, value))


def test_every_number_has_bounds_and_they_are_kept() -> None:
    for key in loading.keys():
        if key.type not in (int, float):
            continue
        for value in (-1e30, 1e30) if key.type is float else (-(10**30), 10**30):
            assert f"{key.name}: expected a" in refusal_of(nested(key.name, value)), value


def test_every_key_refuses_a_value_of_another_type() -> None:
    for key in loading.keys():
        for value in (None, [], {}, b"x", object(), "" if key.type in (int, float, bool) else 1.5):
            assert key.name in refusal_of(nested(key.name, value)), value
        if key.type is int:
            assert "a whole number" in refusal_of(nested(key.name, 100.0))


def test_a_choice_names_the_valid_ones_and_the_nearest() -> None:
    message = refusal_of({"task": {"time_encoding": "cycle"}})
    assert "task.time_encoding: expected one of none, sin, raw, cyclic, sin_raw" in message
    assert "did you mean cyclic?" in message


def test_a_description_is_one_line() -> None:
    assert "one line" in refusal_of({"description": "a\nb"})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"body": {"min_nodes": 9}}, "body.min_nodes: expected at most body.max_nodes (8), got 9"),
        ({"population": 10, "migration": {"migrants": 11}}, "more migrants than population"),
        ({"population": 10, "selection": {"elites": 11}}, "selection.elites: expected at most the population (10)"),
        ({"population": 10, "selection": {"tournament_size": 11}}, "selection.tournament_size: expected at most"),
        ({"population": 10, "speciation": {"min_size": 11}}, "speciation.min_size: expected at most"),
        ({"evaluation": {"held_out": 63}}, "evaluation.held_out: expected a whole number from 64"),
        (
            {"body": {"max_nodes": MAX_BODY_NODES + 1}},
            f"body.max_nodes: expected a whole number from 2 to {MAX_BODY_NODES}",
        ),
        (
            {"body": {"max_muscles": MAX_MUSCLES + 1}},
            f"body.max_muscles: expected a whole number from 1 to {MAX_MUSCLES}",
        ),
        ({"body": {"max_muscles": 0}}, "body.max_muscles: expected a whole number from 1"),
        ({"task": {"name": "pellet"}}, "got 'pellet'; did you mean pellets?"),
        ({"migration": {"topology": "rign"}}, "migration: topology: expected full, ring, torus, star, random-K"),
        ({"population": -5}, "population: expected a whole number from 2"),
    ],
)
def test_what_cannot_be_is_refused(data: dict[str, Any], says: str) -> None:
    assert says in refusal_of(data)


def test_the_documented_ceilings_themselves_are_valid() -> None:
    config = loading.from_dict({"body": {"max_nodes": MAX_BODY_NODES, "max_muscles": MAX_MUSCLES}})
    assert (config.body.max_nodes, config.body.max_muscles) == (MAX_BODY_NODES, MAX_MUSCLES)


def test_fewer_muscles_than_a_spanning_tree_needs_are_a_limit_not_an_error() -> None:
    assert loading.from_dict({"body": {"max_muscles": 1}}).body.max_muscles == 1


def test_migrants_may_exceed_the_population_when_nobody_migrates() -> None:
    assert loading.from_dict({"population": 4, "migration": {"every": 0}}).population == 4


def test_an_error_opens_with_where_it_comes_from() -> None:
    with pytest.raises(ConfigError, match=r"^run\.yaml: population: expected a whole number"):
        loading.from_dict({"population": 0}, "run.yaml")


def test_a_dumped_configuration_loads_as_itself(tmp_path: Path) -> None:
    config = loading.override(Config(), ["mutation.add_node=1e-7", "description='no'", "seed=9223372036854775807"])
    assert load_text(tmp_path, loading.dump(config)) == config
    assert yaml.safe_load(loading.dump(config)) == config.as_dict()


@st.composite
def some_config(draw: st.DrawFn) -> Config:
    """Any valid configuration, drawn from the dataclasses' own bounds."""

    def build(cls: Any) -> Any:
        values = {}
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING:
                values[field.name] = build(field.default_factory)
        return dataclasses.replace(cls(), **values)

    data = build(Config).as_dict()
    bound = ("task.name", "migration.topology", "network.activations", "diversity.descriptors", "algorithm")
    free = [key for key in loading.keys() if key.name not in bound]
    for key in draw(st.lists(st.sampled_from(free), max_size=8)):
        *sections, leaf = key.name.split(".")
        section, cls = data, Config()
        for name in sections:
            section, cls = section[name], getattr(cls, name)
        bounds = next(field.metadata for field in dataclasses.fields(cls) if field.name == leaf)
        section[leaf] = draw(values_of(key.type, bounds))
    data["population"] = max(data["population"], 100_000)
    data["body"]["min_nodes"] = min(data["body"]["min_nodes"], data["body"]["max_nodes"])
    if data["mode"] == "neat":
        data["network"] |= {"layers": 1, "recurrent": False, "activations": "sin,abs"}
    else:
        data["mutation"]["activation"] = 0.0
    if data["diversity"]["method"] != "none":
        data["strategy"]["patience"] = 0
    return loading.from_dict(data)


def values_of(kind: Any, bounds: Any) -> st.SearchStrategy[Any]:
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is str:
        return st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
    return (st.integers if kind is int else st.floats)(bounds["min"], bounds["max"])


@given(config=some_config())
def test_any_configuration_survives_the_round_trip_through_yaml(config: Config) -> None:
    assert loading.from_dict(yaml.safe_load(loading.dump(config))) == config


@given(data=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_hostile_data_is_refused_in_one_line_or_accepted_but_never_crashes(data: Any) -> None:
    try:
        loading.from_dict(data)
    except ConfigError as error:
        assert "\n" not in str(error)


def test_overrides_are_read_by_the_type_of_their_key() -> None:
    config = loading.override(
        Config(),
        [
            "mutation.add_node=1e-3",
            "population=20",
            "population=30",
            "speciation.dynamic=false",
            "migration.topology=a>b",
        ],
    )
    assert (config.mutation.add_node, config.population, config.speciation.dynamic) == (0.001, 30, False)
    assert config.migration.topology == "a>b"


def test_text_on_the_command_line_stays_text() -> None:
    config = loading.override(Config(), ["description=no", "migration.topology='ring'"])
    assert (config.description, config.migration.topology) == ("no", "ring")
    assert loading.override(config, ["description=007"]).description == "007"
    assert loading.override(Config(), ["description=a: [b = c"]).description == "a: [b = c"


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("population", "expected KEY=VALUE"),
        ("mutation.add_nod=1", "did you mean mutation.add_node"),
        ("add_node=1", "mutation.add_node"),
        ("mutation=1", "mutation is a section"),
        ("mutation.add_node.x=1", "unknown key"),
        ("=1", "unknown key"),
        ("population=1e3", "population: expected a whole number"),
        ("population=", "population: expected a whole number from 2 to 10000000, got nothing"),
        ("population=[", "population: line 1: not YAML"),
        ("population=-5", "population: expected a whole number"),
        ("mutation.add_node=1.5", "mutation.add_node: expected a number from 0.0 to 1.0, got 1.5"),
        ("mutation.add_node=nan", "mutation.add_node: expected a number"),
        ("mutation.add_node=.nan", "mutation.add_node: expected a number"),
        ("task.time_encoding=no", "task.time_encoding: expected one of none, sin"),
        ("migration.migrants=600", "more migrants than population"),
    ],
)
def test_a_bad_override_is_one_clear_line(assignment: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loading.override(Config(), [assignment])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_override_leaves_the_configuration_it_was_given_alone() -> None:
    config = Config()
    loading.override(config, ["population=30"])
    assert config == Config()


def test_keys_lists_every_value_once_with_its_type_and_default() -> None:
    table = {key.name: key for key in loading.keys()}
    assert len(table) == len(loading.keys())
    assert table["population"] == ("population", int, 500)
    assert table["mutation.add_node"].default == 0.05
    assert get_args(table["mode"].type) == ("neat", "pure", "hybrid")
    flat = {key.name: key.default for key in loading.keys()}
    rebuilt: dict[str, Any] = {}
    for name, value in flat.items():
        section, _, leaf = name.rpartition(".")
        (rebuilt.setdefault(section, {}) if section else rebuilt)[leaf] = value
    assert rebuilt == Config().as_dict()
