from pathlib import Path

import pytest

from islands import files, loading
from islands.config import Config
from islands.errors import ConfigError, EvolabError
from launcher import presets, run
from launcher.locks import Held
from launcher.run import Plan

PLAN = Plan("run", "quick", (("seed-42", 42), ("seed-123", 123)))


@pytest.fixture
def config() -> Config:
    return presets.resolve("quick")


def changed(config: Config, *assignments: str) -> Config:
    return loading.override(config, assignments)


def test_seeds_are_the_five_then_1338_and_on_or_count_from_a_given_one() -> None:
    assert run.seeds(7) == [42, 123, 456, 789, 1337, 1338, 1339]
    assert run.seeds(3, 42) == [42, 43, 44]


def test_a_run_directory_says_what_it_is(tmp_path: Path, config: Config) -> None:
    made = run.make(tmp_path / "here", config, PLAN)
    plan, read = run.read(made)
    assert read == config
    assert (plan["run"], plan["command"], plan["config"], plan["batched"]) == ("here", "run", "quick", True)
    assert [island.name for island in made.islands()] == ["seed-42", "seed-123"]
    assert (made.path / "seed-42").is_dir()


def test_a_second_run_in_the_same_directory_is_refused(tmp_path: Path, config: Config) -> None:
    run.make(tmp_path / "here", config, PLAN)
    with pytest.raises(ConfigError, match="holds the run 'here'"):
        run.make(tmp_path / "here", config, PLAN)


def test_the_same_run_is_continued_and_extended(tmp_path: Path, config: Config) -> None:
    made = run.make_or_continue(tmp_path / "here", config, PLAN)
    result = made.islands()[0].result
    files.write_json(result, {"generations": config.generations, "stopped": None})
    assert run.make_or_continue(tmp_path / "here", config, PLAN) == made
    assert result.exists()
    longer = changed(config, f"generations={config.generations + 5}")
    run.make_or_continue(tmp_path / "here", longer, PLAN)
    assert run.read(made)[1] == longer
    assert not result.exists()


def test_fewer_generations_than_before_are_refused(tmp_path: Path, config: Config) -> None:
    run.make(tmp_path / "here", config, PLAN)
    with pytest.raises(ConfigError, match=r"at least the run's 12, got 3"):
        run.make_or_continue(tmp_path / "here", changed(config, "generations=3"), PLAN)


def test_a_changed_config_is_refused_with_the_difference(tmp_path: Path, config: Config) -> None:
    run.make(tmp_path / "here", config, PLAN)
    with pytest.raises(ConfigError, match=r"another run \(population: 60 → 80\)"):
        run.make_or_continue(tmp_path / "here", changed(config, "population=80"), PLAN)
    with pytest.raises(ConfigError, match="islands: seed-42, seed-123 → seed-7"):
        run.make_or_continue(tmp_path / "here", config, Plan("run", "quick", (("seed-7", 7),)))


def test_a_directory_with_something_else_in_it_is_refused(tmp_path: Path, config: Config) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match=r"not empty and no run of evolab \(thesis.tex\)"):
        run.make(tmp_path, config, PLAN)


def test_a_half_made_run_directory_is_made_again(tmp_path: Path, config: Config) -> None:
    (tmp_path / "config.yaml").write_text("population: 3\n")
    (tmp_path / ".run.json.123.tmp").write_text("{")
    assert run.read(run.make(tmp_path, config, PLAN))[1] == config


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path, config: Config) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvolabError) as told:
        run.make(tmp_path / "file" / "run", config, PLAN)
    assert "\n" not in str(told.value)
    assert "(not a directory); choose another with --out" in str(told.value)


def test_two_launchers_never_hold_one_run(tmp_path: Path, config: Config) -> None:
    made = run.make(tmp_path / "here", config, PLAN)
    with run.held(made), pytest.raises(Held, match="another launcher"), run.held(made):
        pass
    with run.held(made):
        pass


def test_an_error_while_a_run_is_held_is_not_blamed_on_its_directory(tmp_path: Path, config: Config) -> None:
    made = run.make(tmp_path / "here", config, PLAN)
    with pytest.raises(OSError, match="something else"), run.held(made):
        raise OSError("something else")


def test_fresh_directories_differ_though_made_in_the_same_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len({run.fresh_directory("configs/quick.yaml") for _ in range(4)}) == 4


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run.make(run.RUNS / "mine", config, PLAN)
    assert run.find("mine") == run.find("runs/mine") == run.every()[0]
    with pytest.raises(ConfigError, match="no run 'yours'"):
        run.find("yours")
