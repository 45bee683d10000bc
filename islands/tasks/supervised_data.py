"""Tables as numbers: read, split and prepared as scikit-learn does it.

Numbers: missing ones become the median, then all are standardised; text: missing is a category of its own, one input a
category, a category that the training part lacks is all zeros. Medians, categories, means and deviations are those of
the training part.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from islands.errors import ConfigError
from islands.genome.population import Array
from islands.tasks.families import Csv, Digits, Supervised, content_of, table_of

try:
    from sklearn.compose import ColumnTransformer
    from sklearn.datasets import load_digits
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
except ImportError as missing:
    raise ConfigError(
        "supervised tasks", expected="scikit-learn", got=str(missing), do="pip install 'evolution-lab[supervised]'"
    ) from missing

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
"""What a cell without a value says, in small letters."""
FEWEST, MOST_CATEGORIES, MOST_INPUTS, MOST_CLASSES, FEW_NUMBERS = 30, 64, 1024, 64, 20
"""Rows a table has at least; categories of a column, inputs and classes at most; different whole
numbers that count as classes."""
LEAST_OF_A_CLASS = 5
BINS = 8


class Part(NamedTuple):
    """Rows of one part of the data."""

    inputs: Array  # float32 [N, O]
    target: Array  # float32 [N]: class number, or the value standardised by the training part
    bins: Array  # int64 [N]: which number of a genome's behaviour a row adds to


class Data(NamedTuple):
    """What there is to learn. `classes`: their names, () for regression; `reach`: the farthest target, standardised."""

    parts: dict[str, Part]
    classes: tuple[str, ...]
    reach: float


class Table(NamedTuple):
    """A table as it was read: columns of cells by name, None where one is missing."""

    columns: dict[str, list[str | None]]
    lines: list[int]  # the line of the file that each row ends on


def read_table(content: bytes, where: str) -> Table:
    """The table in a csv file's content: a header, then rows of as many cells; a ConfigError where it is none."""

    def wrong(what: str, expected: str, got: str, do: str) -> ConfigError:
        return ConfigError(f"{where}{what}", expected=expected, got=got, do=do)

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise wrong("", "text in UTF-8", f"byte {error.start} outside it", "save it as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise wrong(f", line {reader.line_num}", "a row of a csv file", str(error), "mend the row") from error
    names, body = (rows[0], rows[1:]) if rows else ([], [])
    twice = [name for name, count in Counter(names).items() if count > 1 or not name]
    if not names or twice:
        raise wrong("", "a header that names each column once", f"{twice or 'an empty file'}", "mend the first line")
    for row, line in zip(body, lines[1:], strict=True):
        if len(row) != len(names):
            raise wrong(f", line {line}", f"{len(names)} cells", str(len(row)), "quote cells that hold a comma")
    if len(body) < FEWEST:
        raise wrong("", f"at least {FEWEST} rows", str(len(body)), "there is too little to split into three parts")
    cells = [[None if cell.lower() in MISSING else cell for cell in column] for column in zip(*body, strict=True)]
    return Table(dict(zip(names, cells, strict=True)), lines[1:])


def as_numbers(cells: list[str | None]) -> Array | None:
    """A column as float64 [N], NaN where one is missing; None where some cell is not a finite number."""
    try:
        values = np.array([np.nan if cell is None else float(cell) for cell in cells])
    except ValueError:
        return None
    return None if np.isinf(values).any() else values


def split(target: Array, task: Supervised, stratified: bool) -> dict[str, Array]:
    """The row numbers of each part; every part has its share of every class."""
    rows, again = np.arange(len(target)), {"random_state": task.split}
    rest, held_out = train_test_split(rows, test_size=task.held_out, stratify=target if stratified else None, **again)
    share = task.validation / (1.0 - task.held_out)
    training, validation = train_test_split(
        rest, test_size=share, stratify=target[rest] if stratified else None, **again
    )
    return {"training": training, "validation": validation, "held out": held_out}


def target_of(cells: list[str | None], task: Csv, where: str, lines: list[int]) -> tuple[Array, tuple[str, ...]]:
    """The target as float64 [N] and the names of its classes (() for regression)."""
    if None in cells:
        got = f"none in line {lines[cells.index(None)]}"
        raise ConfigError(where, expected="a value in every row", got=got, do="remove rows without one")
    values, named = as_numbers(cells), sorted({str(cell) for cell in cells})
    if len(named) < 2:
        raise ConfigError(
            where, expected="values that differ", got=f"{named[0]!r} in every row", do="choose another column"
        )
    few = values is not None and len(set(values)) <= FEW_NUMBERS and bool((values == np.floor(values)).all())
    if task.kind == "regression" or (task.kind == "auto" and values is not None and not few):
        if values is None:
            odd = next(str(cell) for cell in cells if as_numbers([cell]) is None)
            raise ConfigError(where, expected="numbers", got=repr(odd), do="or set task.kind: classification")
        if len(set(values)) < 2:
            raise ConfigError(where, expected="values that differ", got="one value", do="choose another column")
        return values, ()
    if len(named) > MOST_CLASSES:
        expected = f"at most {MOST_CLASSES} classes"
        do = "choose another column" if values is None else "set task.kind: regression"
        raise ConfigError(where, expected=expected, got=str(len(named)), do=do)
    name, count = min(Counter(str(cell) for cell in cells).items(), key=lambda pair: pair[1])
    if count < LEAST_OF_A_CLASS:
        expected = f"at least {LEAST_OF_A_CLASS} rows of each class"
        raise ConfigError(where, expected=expected, got=f"{count} of {name!r}", do="remove or join rare classes")
    return np.array([named.index(str(cell)) for cell in cells], np.float64), tuple(named)


def preparation(columns: dict[str, list[str | None]], training: Array, where: str) -> tuple[Any, Array]:
    """What turns a table's columns into inputs, fitted to the training rows, and the columns as object [N, C]."""
    kinds: dict[str, list[int]] = {"number": [], "text": []}
    table = np.empty((len(next(iter(columns.values()))), len(columns)), object)
    for place, (name, cells) in enumerate(columns.items()):
        values = as_numbers(cells)
        known = {cells[row] for row in training} - {None}
        if not known:
            do = "remove the column"
            raise ConfigError(
                f"{where}, column {name!r}", expected="a value in some row", got="none in training", do=do
            )
        if values is None and len(known) > MOST_CATEGORIES:
            expected = f"numbers, or texts of at most {MOST_CATEGORIES} kinds"
            do = "remove the column, or group its values"
            raise ConfigError(f"{where}, column {name!r}", expected=expected, got=f"{len(known)} kinds", do=do)
        kinds["number" if values is not None else "text"].append(place)
        table[:, place] = values if values is not None else cells
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)", missing_values=None),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    made = ColumnTransformer([("numbers", numbers, kinds["number"]), ("texts", texts, kinds["text"])])
    made.fit(table[training])
    return made, table


def data_of(task: Supervised) -> Data:
    """The data of a supervised task; a ConfigError where it cannot be learnt from."""
    if isinstance(task, Digits):
        found = load_digits()
        target, classes = found.target.astype(np.float64), tuple(map(str, range(10)))
        return _data(found.data / found.data.max(), target, classes, split(target, task, stratified=True))
    assert isinstance(task, Csv)
    path, column = table_of(task.name)
    content, where = content_of(path), f"csv file {path}"
    digest = hashlib.sha256(content).hexdigest()
    if task.sha256 and digest != task.sha256:
        expected, do = (
            f"the file that the run began with (sha256 {task.sha256[:12]}…)",
            "put it back, or begin a new run",
        )
        raise ConfigError(where, expected=expected, got=f"another ({digest[:12]}…)", do=do)
    table = read_table(content, where)
    if column not in table.columns or len(table.columns) < 2:
        names = ", ".join(list(table.columns)[:20])
        raise ConfigError(f"{where}, target {column!r}", expected=f"one of its columns ({names})", got="no such column")
    about = f"{where}, target {column!r}"
    target, classes = target_of(table.columns.pop(column), task, about, table.lines)
    try:
        parts = split(target, task, stratified=bool(classes))
    except ValueError as error:  # fewer rows in a part than there are classes
        do = "raise task.validation and task.held_out, or join classes"
        raise ConfigError(about, expected="rows of each class in each part", got=str(error), do=do) from error
    prepare, cells = preparation(table.columns, parts["training"], where)
    inputs = prepare.transform(cells)
    if inputs.shape[1] > MOST_INPUTS:
        expected = f"at most {MOST_INPUTS} inputs"
        raise ConfigError(where, expected=expected, got=str(inputs.shape[1]), do="remove columns")
    return _data(inputs, target, classes, parts)


def _data(inputs: Array, target: Array, classes: tuple[str, ...], parts: dict[str, Array]) -> Data:
    """The parts, with a regression's target standardised by the training part's."""
    reach = 1.0
    if classes:
        bins = target.astype(np.int64) % BINS
    else:
        known = target[parts["training"]]
        if known.std() == 0.0:
            raise ConfigError("the target", expected="values that differ", got="one in training", do="set task.split")
        bins = np.searchsorted(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]), target)
        target = (target - known.mean()) / known.std()
        reach = float(np.abs(target[parts["training"]]).max())
    made = {
        name: Part(inputs[rows].astype(np.float32), target[rows].astype(np.float32), bins[rows].astype(np.int64))
        for name, rows in parts.items()
    }
    return Data(made, classes, reach)
