"""Tables to learn from: prepared as scikit-learn prepares them, judged on rows that nobody has met."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from islands import loading
from islands.config import Config
from islands.errors import ConfigError
from islands.genome.initial import draw_genomes
from islands.genome.population import Array, Genomes, Population, concatenate
from islands.loop import breeding_of, champion_of
from islands.networks_batch import TorchNetworks, networks_for
from islands.tasks import families, make

pytest.importorskip("sklearn")
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.metrics import accuracy_score, log_loss, r2_score  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402

from islands.tasks import supervised  # noqa: E402
from islands.tasks.supervised import SupervisedTask, bootstrapped, chosen_rows, wilson  # noqa: E402

Row = list[str]


def rows_of(count: int = 120) -> list[Row]:
    """Heights, weights and colours with gaps, what follows from them, and a kind."""
    draw, rows = random.Random(3), []
    for number in range(count):
        height, weight = draw.gauss(170, 10), draw.gauss(70, 12)
        colour = draw.choice(["red", "green", "blue", ""]) if number else "violet"  # once alone
        price = 2 * height - weight + (20 if colour == "red" else 0)
        cells = ["NA" if draw.random() < 0.1 else f"{height:.3f}", f"{weight:.3f}", colour, f"{price:.4f}"]
        rows.append([*cells, "tall" if height > 170 else "short, or not"])
    return rows


HEADER = ["height", "weight", "colour", "price", "kind"]


def written(folder: Path, rows: list[Row], header: Row = HEADER, name: str = "table.csv") -> Path:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def config_of(path: Path, column: str, *assignments: str) -> Config:
    config = loading.override(Config(), [f"task.name=csv:{path}#target={column}", "mode=pure", "population=30"])
    return loading.override(config, assignments)


def made(config: Config, count: int = 40) -> tuple[SupervisedTask, Genomes]:
    task = make(config)
    assert isinstance(task, SupervisedTask)
    return task, draw_genomes(count, np.uint64(1), task.layout, breeding_of(config, task).first)


def outputs_of(task: SupervisedTask, genomes: Genomes, row: int, inputs: Array) -> Array:
    """A network's outputs for each row of inputs, each without a memory of the one before."""
    networks = networks_for(genomes, task.layout, task.outputs, len(inputs), "cpu")
    networks.load(np.arange(len(inputs)), np.full(len(inputs), row))
    return networks.think(inputs).astype(np.float64)


def played(task: Any, genomes: Genomes, row: int) -> Any:
    return task.play(genomes, np.array([row]), np.zeros(1, np.uint64)).fitness[0]


def test_columns_are_prepared_as_scikit_learn_does(tmp_path: Path) -> None:
    rows = rows_of()
    task, _ = made(config_of(written(tmp_path, rows), "kind", "task.split=4"))
    parts = task.data.parts
    table = np.array([[np.nan if cell in ("NA", "") else cell for cell in row[:2]] for row in rows], float)
    price = np.array([[float(row[3])] for row in rows])
    texts = np.array([[row[2] or None] for row in rows], object)
    where = _rows_of_parts(rows, 4)
    for name, chosen in where.items():
        numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        numbers.fit(np.hstack([table, price])[where["training"]])
        texts_made = make_pipeline(
            SimpleImputer(strategy="constant", fill_value="?", missing_values=None),
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        ).fit(texts[where["training"]])
        wanted = np.hstack([numbers.transform(np.hstack([table, price])[chosen]), texts_made.transform(texts[chosen])])
        assert parts[name].inputs.shape == wanted.shape
        np.testing.assert_allclose(_sorted(parts[name].inputs), _sorted(wanted), atol=1e-5)
        right = [float(rows[row][4] == "tall") for row in chosen]
        np.testing.assert_array_equal(parts[name].target, right)


def _sorted(table: Array) -> Array:
    return np.sort(np.round(table.astype(np.float64), 4), axis=1)


def _rows_of_parts(rows: list[Row], seed: int) -> dict[str, Array]:
    kind = np.array([row[4] for row in rows])
    rest, held = train_test_split(np.arange(len(rows)), test_size=0.2, stratify=kind, random_state=seed)
    training, validation = train_test_split(rest, test_size=0.25, stratify=kind[rest], random_state=seed)
    return {"training": training, "validation": validation, "held out": held}


def test_a_category_that_training_lacks_is_all_zeros(tmp_path: Path) -> None:
    met = set()
    for seed in range(12):
        task, _ = made(config_of(written(tmp_path, rows_of()), "price", f"task.split={seed}"), 1)
        texts = [part.inputs[:, 2:].sum(axis=1) for part in task.data.parts.values()]  # colour and kind
        known = task.sensors - 2 == 5 + 2  # three colours, none, and violet
        assert (texts[0] == 2).all() and sum(int((each == 1).sum()) for each in texts[1:]) == (0 if known else 1)
        met.add(known)
    assert met == {True, False}


def test_parts_share_the_rows_and_every_class_is_in_each() -> None:
    task, _ = made(loading.override(Config(), ["task.name=digits", "mode=pure"]), 1)
    sizes = [len(part.target) for part in task.data.parts.values()]
    assert sum(sizes) == 1797 and sizes == [1077, 360, 360]
    for part in task.data.parts.values():
        share = np.bincount(part.target.astype(int), minlength=10) / len(part.target)
        assert (np.abs(share - 0.1) < 0.012).all()
    together = np.concatenate([part.inputs for part in task.data.parts.values()])
    assert abs(len(np.unique(together, axis=0)) - 1797) < 5
    assert together.min() == 0.0 and together.max() == 1.0


@pytest.mark.parametrize("mode", ["pure", "neat"])
def test_fitness_and_accuracy_are_those_that_scikit_learn_computes(mode: str) -> None:
    task, genomes = made(loading.override(Config(), ["task.name=digits", f"mode={mode}"]), 20)
    for row in (0, 11):
        part = task.data.parts["training"]
        outputs = outputs_of(task, genomes, row, part.inputs)
        shares = np.exp(5.0 * outputs) / np.exp(5.0 * outputs).sum(axis=1, keepdims=True)
        fitness = 1.0 - log_loss(part.target, shares) / math.log(10)
        assert played(task, genomes, row) == pytest.approx(fitness, rel=1e-4)
        held_out = task.parts["held out"]
        wanted = accuracy_score(
            task.data.parts["held out"].target,
            outputs_of(task, genomes, row, task.data.parts["held out"].inputs).argmax(1),
        )
        assert played(held_out, genomes, row) == pytest.approx(wanted)
        assert held_out.worth is not None
        worth = held_out.worth(genomes, row, np.uint64(1))
        assert worth.mean == pytest.approx(wanted) and worth.low < worth.mean < worth.high and worth.episodes == 360


def test_regression_is_judged_by_r2(tmp_path: Path) -> None:
    task, genomes = made(config_of(written(tmp_path, rows_of()), "price"))
    assert task.classes == 0 and task.outputs == 1
    for name in ("training", "held out"):
        part = task.data.parts[name]
        one = task.parts.get(name, task)
        answers = task.data.reach * outputs_of(task, genomes, 3, part.inputs)[:, 0]
        assert played(one, genomes, 3) == pytest.approx(r2_score(part.target, answers), rel=1e-4, abs=1e-5)
    worth = task.parts["held out"].worth
    assert worth is not None
    found = worth(genomes, 3, np.uint64(1))
    assert found.low < found.mean < found.high and found == worth(genomes, 3, np.uint64(1))
    assert np.abs(task.data.parts["training"].target).max() == pytest.approx(task.data.reach)


@pytest.mark.parametrize("choice", [(), ("task.rows=50",), ("mode=neat", "mutation.recurrent=0.5")])
def test_a_genome_scores_alone_what_it_scores_among_others_bit_for_bit(choice: tuple[str, ...]) -> None:
    task, genomes = made(loading.override(Config(), ["task.name=digits", "mode=pure", *choice]))
    keys = (np.arange(40) // 7).astype(np.uint64)
    together = task.play(genomes, np.arange(40), keys)
    turned = task.play(concatenate([genomes, genomes]), np.arange(80)[40:][::-1], keys[::-1])
    assert together.fitness.tobytes() == turned.fitness[::-1].tobytes()
    assert together.behaviour.tobytes() == turned.behaviour[::-1].tobytes()
    alone = task.play(genomes, np.array([23]), keys[23:24])
    assert alone.fitness[0] == together.fitness[23] and task.random == ("task.rows=50" in choice)
    assert (together.steps == (50 if task.random else 1077)).all()


def test_rows_are_drawn_anew_for_each_stream_and_are_the_same_for_all_genomes() -> None:
    lists = [chosen_rows(np.uint64(key), 100, 30) for key in (1, 1, 2)]
    assert np.array_equal(lists[0], lists[1]) and not np.array_equal(lists[0], lists[2])
    assert all(len(np.unique(each)) == 30 and each.max() < 100 for each in lists)
    assert len(chosen_rows(np.uint64(1), 20, 0)) == len(chosen_rows(np.uint64(1), 20, 20)) == 20


def test_torch_answers_as_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    task, genomes = made(loading.override(Config(), ["task.name=digits", "mode=pure", "network.weight_scale=0.2"]))
    one = task.play(genomes, np.arange(40), np.zeros(40, np.uint64))
    task.device = "torch on the cpu"
    monkeypatch.setattr(supervised, "networks_for", lambda *given: TorchNetworks(*given[:4], "cpu"))
    two = task.play(genomes, np.arange(40), np.zeros(40, np.uint64))
    np.testing.assert_allclose(one.fitness, two.fitness, atol=1e-4)
    np.testing.assert_allclose(one.behaviour, two.behaviour, atol=0.02)


def test_the_champion_is_chosen_by_validation_and_judged_on_held_out_rows() -> None:
    config = loading.override(Config(), ["task.name=digits", "mode=pure", "population=40"])
    task, genomes = made(config)
    fitness = task.play(genomes, np.arange(40), np.zeros(40, np.uint64)).fitness
    row, validation, worth = champion_of(task, Population(genomes, fitness), config, (1, 0, 0))
    shortlist = np.argsort(-fitness)[:16]
    scores = [played(task.parts["validation"], genomes, each) for each in shortlist]
    assert validation == max(scores) and row in shortlist[np.array(scores) == max(scores)]
    assert worth.mean == pytest.approx(played(task.parts["held out"], genomes, row)) and worth.episodes == 360


def test_intervals_are_wilsons_and_the_bootstraps() -> None:
    found = wilson(81, 263)  # Newcombe (1998), table I: 0.2553 to 0.3662
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert wilson(20, 20).high == 1.0 and 0.8 < wilson(20, 20).low < 0.9 and wilson(0, 20).low == 0.0
    target = np.random.default_rng(1).normal(size=400)
    worth = bootstrapped(np.full(400, 0.25), target, np.uint64(3))
    assert worth.mean == pytest.approx(1 - 0.25 / target.var())
    assert worth.low < worth.mean < worth.high and 0.05 < worth.high - worth.low < 0.15


def cells(column: int, *values: str, count: int = 60) -> list[Row]:
    """Rows whose `column` takes these values in turn."""
    rows = rows_of(count)
    for number, row in enumerate(rows):
        row[column] = values[number % len(values)]
    return rows


REFUSED = {
    "another column": (rows_of(), "size", "expected one of its columns (height, weight, colour, price, kind)"),
    "a constant": (cells(4, "same"), "kind", "expected values that differ, got 'same' in every row"),
    "a missing target": (cells(4, "a", "b", ""), "kind", "expected a value in every row, got none in line 4"),
    "too many classes": (cells(4, *(f"k{i}" for i in range(66)), count=330), "kind", "at most 64 classes, got 66"),
    "a rare class": (cells(4, *"ab" * 28, "c"), "kind", "at least 5 rows of each class, got 1 of 'c'"),
    "too many categories": (cells(2, *(f"k{i}" for i in range(200)), count=300), "kind", "'colour': expected numbers"),
    "too few rows": (rows_of(20), "kind", "at least 30 rows, got 20"),
    "a short row": ([*rows_of(40), ["1", "2"]], "kind", "line 42: expected 5 cells, got 2"),
    "nothing in a column": (cells(2, ""), "kind", "column 'colour': expected a value in some row"),
    "text to predict": (rows_of(), "kind", "expected numbers, got", "task.kind=regression"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learnt_from_is_one_clear_line(case: str, tmp_path: Path) -> None:
    rows, column, says, *assignments = REFUSED[case]
    path = written(tmp_path, rows)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        make(config_of(path, str(column), *map(str, assignments)))
    assert str(caught.value).startswith(f"csv file {path}") and str(says) in str(caught.value), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "a header that names each column"), (b"a,a,b\n1,2,3\n", "got ['a']"), (b"a,b\n\xff,1\n", "text in UTF-8"),
     (b'a,b\n"x"y,1\n', "line 2: expected a row of a csv file")],
)  # fmt: skip
def test_what_is_no_table_is_one_clear_line(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        make(config_of(tmp_path / "odd.csv", "b"))
    assert says in str(caught.value)


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv: expected a file that can be read, got no such file"):
        families.settled(config_of(tmp_path / "absent.csv", "a"))


def test_numbers_are_classes_where_they_are_few_and_whole(tmp_path: Path) -> None:
    for values, kind, classes in (
        (("1", "2", "3"), "auto", 3), (("1.5", "2", "3"), "auto", 0), (("1.5", "2"), "classification", 2),
        (("1", "2", "3"), "regression", 0), (("true", "false"), "auto", 2), (tuple(map(str, range(21))), "auto", 0),
    ):  # fmt: skip
        task, _ = made(config_of(written(tmp_path, cells(3, *values, count=130)), "price", f"task.kind={kind}"), 1)
        assert task.classes == classes, values


def test_a_run_remembers_the_file_and_refuses_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, rows_of())
    monkeypatch.chdir(tmp_path)
    config = families.settled(config_of(Path("table.csv"), "kind"))
    assert config.task.name == f"csv:{path}#target=kind" and len(config.task.sha256) == 64  # type: ignore[attr-defined]
    assert families.settled(config) == config and loading.from_dict(config.as_dict()) == config
    make(config)
    written(tmp_path, rows_of(121))
    with pytest.raises(ConfigError, match="the file that the run began with"):
        make(config)


@pytest.mark.parametrize("key", ["split=1", "held_out=0.3", "validation=0.3", "rows=20"])
def test_every_parameter_has_an_effect(key: str, tmp_path: Path) -> None:
    path = written(tmp_path, rows_of())
    one, genomes = made(config_of(path, "kind"))
    two, _ = made(config_of(path, "kind", f"task.{key}"))
    if one.sensors == two.sensors:
        items, keys = np.arange(40), np.zeros(40, np.uint64)
        assert not np.array_equal(one.play(genomes, items, keys).fitness, two.play(genomes, items, keys).fitness)
