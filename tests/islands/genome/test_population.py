"""Populations as ragged arrays: every genome comes through whole, and what is not a whole genome is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace as with_fields
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.numpy import save

from islands.config import Config
from islands.genome import population
from islands.genome.population import (
    Genomes,
    Population,
    concatenate,
    decode,
    encode,
    equal,
    flaw,
    replace,
    rows_equal_to,
    take,
    written,
)
from tests.islands.genome.breeding import Stock, configurations, examples, parts
from tests.islands.tasks.creatures import MODES, configured

KEYS = st.integers(0, 2**32)
COUNT = 6


def stocked(config: Config, key: int = 1, age: int = 3) -> Stock:
    """A few genomes, bred for some generations."""
    stock = Stock(config, COUNT, key)
    stock.age(age, key)
    return stock


def same_bits(one: Genomes, two: Genomes) -> bool:
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True)
    )


@given(configurations(), KEYS, st.lists(st.integers(0, COUNT - 1), max_size=9))
@examples(25)
def test_taken_genomes_are_those_asked_for_in_the_order_asked_for(config: Config, key: int, rows: list[int]) -> None:
    genomes = stocked(config, key).genomes
    taken = take(genomes, rows)
    assert taken.count == len(rows)
    assert [parts(taken, p) for p in range(len(rows))] == [parts(genomes, row) for row in rows]
    assert not any(np.shares_memory(a, b) for a, b in zip(taken, genomes, strict=True))


@given(configurations(), KEYS, st.lists(st.integers(0, COUNT), max_size=3))
@examples(25)
def test_batches_joined_in_order_are_the_batch_they_came_from(config: Config, key: int, cuts: list[int]) -> None:
    genomes = stocked(config, key).genomes
    ends = [0, *sorted(cuts), COUNT]
    pieces = [take(genomes, range(a, b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    assert same_bits(concatenate(pieces), genomes)
    assert same_bits(take(genomes, range(COUNT)), genomes)


@given(configurations(), KEYS, st.lists(st.integers(0, COUNT - 1), unique=True, max_size=COUNT))
@examples(25)
def test_newcomers_take_their_slots_and_nobody_else_changes(config: Config, key: int, slots: list[int]) -> None:
    genomes, others = stocked(config, key).genomes, stocked(config, key + 1).genomes
    newcomers = take(others, range(len(slots)))
    mixed = replace(genomes, slots, newcomers)
    for row in range(COUNT):
        source = take(newcomers, [slots.index(row)]) if row in slots else take(genomes, [row])
        assert same_bits(take(mixed, [row]), source)


@given(configurations(), KEYS)
@examples(25)
def test_a_genome_comes_back_from_its_bytes_bit_for_bit(config: Config, key: int) -> None:
    stock = stocked(config, key)
    blobs = [encode(stock.genomes, row) for row in range(COUNT)]
    assert same_bits(decode(blobs, stock.layout), stock.genomes)
    assert flaw(stock.genomes, stock.layout) == ""
    assert all(blob == save(written(take(stock.genomes, [row]))) for row, blob in enumerate(blobs))
    again = take(stock.genomes, [3, 3, 0])
    assert [encode(again, row) for row in range(3)] == [blobs[3], blobs[3], blobs[0]]


@given(configurations(), KEYS)
@examples(15)
def test_equality_is_found_among_copies_and_only_there(config: Config, key: int) -> None:
    genomes = stocked(config, key).genomes
    doubled = take(genomes, [*range(COUNT), 2, 0])
    blobs = [encode(doubled, row) for row in range(COUNT + 2)]
    for row in range(COUNT + 2):
        same = [other for other in range(COUNT + 2) if blobs[other] == blobs[row]]
        assert rows_equal_to(doubled, doubled, row) == same
        assert [other for other in range(COUNT + 2) if equal(doubled, row, doubled, other)] == same


def changed(genomes: Genomes, column: str, place: int, bit: int) -> Genomes:
    """A copy with one bit of one column another."""
    array = getattr(genomes, column).copy()
    raw = array.reshape(-1).view(np.uint8)
    raw[place % len(raw)] ^= np.uint8(1 << bit)
    return genomes._replace(**{column: array})


@given(st.sampled_from(MODES), st.sampled_from(Genomes._fields), st.integers(0, 2**20), st.integers(0, 7))
@examples(60)
def test_a_digest_changes_with_any_bit_of_any_genome(mode: str, column: str, place: int, bit: int) -> None:
    genomes = STOCKS[mode].genomes
    fitness = np.arange(COUNT, dtype=np.float32)
    assume(getattr(genomes, column).size)
    other = changed(genomes, column, place, bit)
    assert Population(other, fitness).digest() != Population(genomes, fitness).digest()


@given(st.integers(0, 4 * COUNT - 1), st.integers(0, 7))
@examples(30)
def test_a_digest_changes_with_any_bit_of_the_fitness(place: int, bit: int) -> None:
    genomes, fitness = STOCKS["neat"].genomes, np.arange(COUNT, dtype=np.float32)
    other = fitness.copy()
    other.view(np.uint8)[place] ^= np.uint8(1 << bit)
    assert Population(genomes, other).digest() != Population(genomes, fitness).digest()
    assert Population(genomes, fitness.copy()).digest() == Population(take(genomes, range(COUNT)), fitness).digest()


@given(st.sampled_from(MODES), st.sampled_from([name for name in Genomes._fields if "start" not in name]), KEYS)
@examples(60)
def test_no_change_of_a_value_escapes_equality(mode: str, column: str, place: int) -> None:
    genomes = STOCKS[mode].genomes
    array = getattr(genomes, column).copy()
    assume(array.size)
    spot = np.unravel_index(place % array.size, array.shape)
    array[spot] = (
        np.nextafter(array[spot], np.float32(9.0)) if array.dtype == np.float32 else array[spot] ^ array.dtype.type(1)
    )
    other = genomes._replace(**{column: array})
    start = getattr(genomes, f"{column.split('_')[0]}_start", np.arange(COUNT + 1))
    row = int(np.searchsorted(start, spot[0], side="right")) - 1
    for p in range(COUNT):
        assert equal(genomes, p, other, p) == (p != row)
        assert (p in rows_equal_to(genomes, other, p)) == (p != row)


def without(name: str) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda columns: columns.__delitem__(name)


def setting(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda columns: columns.update({name: np.array(change(columns[name]))})


def poked(value: Any, *place: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[place] = value
        return array

    return change


def emptied(*tables: str) -> Callable[[dict[str, np.ndarray]], None]:
    """Tables without a row."""

    def change(columns: dict[str, np.ndarray]) -> None:
        for name in [name for name in columns if name.split("_")[0] in tables]:
            columns[name] = np.zeros_like(columns[name]) if "start" in name else columns[name][:0]

    return change


def twice(columns: dict[str, np.ndarray]) -> None:
    genomes = Genomes(**columns)
    columns.update(concatenate([genomes, genomes])._asdict())


def one_node(columns: dict[str, np.ndarray]) -> None:
    columns["body_id"], columns["body_gene"] = columns["body_id"][:1], columns["body_gene"][:1]
    columns["body_start"] = np.array([0, 1])
    columns["muscle_ends"] = np.full_like(columns["muscle_ends"], columns["body_id"][0])


def nobody(columns: dict[str, np.ndarray]) -> None:
    columns.update(take(Genomes(**columns), [])._asdict())


FLAWS: dict[str, tuple[Callable[[dict[str, np.ndarray]], None], str]] = {
    "a column is missing": (without("conn_on"), "unreadable"),
    "a column too many": (lambda columns: columns.update(wings=np.zeros(2, np.float32)), "unreadable"),
    "another kind of number": (setting("body_gene", lambda a: a.astype(np.float64)), "shape: body_gene is float64"),
    "signed markings": (setting("node_id", lambda a: a.astype(np.int64)), "shape: node_id is int64"),
    "a gene too many": (setting("body_gene", lambda a: np.pad(a, ((0, 0), (0, 1)))), "shape: body_gene is"),
    "a muscle gene too few": (setting("muscle_gene", lambda a: a[:, :-1]), "shape: muscle_gene is"),
    "one end": (setting("conn_ends", lambda a: a[:, :1]), "shape: conn_ends is"),
    "flat ends": (setting("muscle_ends", lambda a: a.ravel()), "shape: muscle_ends is"),
    "a row too few": (setting("conn_weight", lambda a: a[1:]), "shape: conn_weight is"),
    "shared genes of another width": (setting("shared", lambda a: a[:, :0]), "shape: shared is"),
    "shared genes without rows": (setting("shared", lambda a: a[0, 0]), "shape: shared is"),
    "flat shared genes": (setting("shared", lambda a: a[0]), "shape: shared is"),
    "two genomes": (twice, "shape: 2 genomes"),
    "no genome": (nobody, "shape: 0 genomes"),
    "a start too many": (setting("node_start", lambda a: np.append(a, a[-1])), "shape: node_start"),
    "a start that is none": (setting("body_start", poked(1, 0)), "shape: body_start"),
    "an end before the start": (setting("muscle_start", poked(-1, 1)), "shape: muscle_start"),
    "an end beyond the rows": (setting("conn_start", lambda a: a + [0, 10**9]), "shape: conn_id is"),
    "a weight that is no number": (setting("conn_weight", poked(np.nan, 0)), "not-finite: conn_weight"),
    "an endless bias": (setting("node_bias", poked(np.inf, 0)), "not-finite: node_bias"),
    "an endless body gene": (setting("body_gene", poked(-np.inf, 0, 0)), "not-finite: body_gene"),
    "a muscle gene that is no number": (setting("muscle_gene", poked(np.nan, 0, 0)), "not-finite: muscle_gene"),
    "a shared gene that is no number": (setting("shared", poked(np.nan, 0, 0)), "not-finite: shared"),
    "body nodes out of order": (setting("body_id", lambda a: a[::-1]), "shape: body rows are not sorted"),
    "connections out of order": (setting("conn_id", lambda a: a[::-1]), "shape: conn rows are not sorted"),
    "a muscle twice": (setting("muscle_id", lambda a: np.full_like(a, a[0])), "shape: muscle rows are not sorted"),
    "a muscle in the air": (setting("muscle_ends", poked(7, 0, 1)), "shape: a muscle without its body node"),
    "muscles without a body": (emptied("body"), "shape: a muscle without its body node"),
    "a body without muscles": (emptied("muscle"), "shape: a body without muscles"),
    "no body at all": (emptied("body", "muscle"), "shape: a body without muscles"),
    "a body of one node": (one_node, "shape: a body without muscles"),
    "a connection to nowhere": (setting("conn_ends", poked(7, 0, 1)), "shape: a connection without its target"),
}  # fmt: skip
STOCKS = {mode: stocked(configured(mode, felt="all")) for mode in MODES}


@pytest.mark.parametrize("name", FLAWS)
def test_what_is_not_a_whole_finite_genome_is_refused_with_its_reason(name: str) -> None:
    change, reason = FLAWS[name]
    stock = STOCKS["neat"]
    columns = {name: np.ascontiguousarray(array) for name, array in take(stock.genomes, [1])._asdict().items()}
    assert decode([save(columns)], stock.layout).count == 1
    change(columns)
    with pytest.raises(ValueError, match=f"^{reason}"):
        decode([save(columns)], stock.layout)


def test_a_genome_of_another_configuration_is_refused() -> None:
    layouts = {mode: STOCKS[mode].layout for mode in MODES}
    blob = encode(STOCKS["pure"].genomes, 0)
    with pytest.raises(ValueError, match="^shape: "):
        decode([blob], layouts["neat"])
    narrow = Stock(with_fields(configured("pure", felt="all"), network=with_fields(Config().network, hidden=3)), 2)
    with pytest.raises(ValueError, match="^shape: "):
        decode([blob], narrow.layout)


def test_one_bad_genome_among_good_ones_is_refused() -> None:
    stock = STOCKS["neat"]
    blobs = [encode(stock.genomes, row) for row in range(3)]
    with pytest.raises(ValueError, match="^unreadable"):
        decode([*blobs[:2], blobs[2][:-1]], stock.layout)


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "I16", "BOOL", "no such"])
def test_a_kind_of_number_that_nobody_knows_is_refused(kind: str) -> None:
    stock = STOCKS["neat"]
    blob = encode(stock.genomes, 0)
    end = 8 + int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:end])
    header["conn_on"]["dtype"] = kind
    for _ in range(2):  # as it stands, then with the size that belongs to the kind
        told = json.dumps(header).encode()
        with pytest.raises(ValueError, match="^(unreadable|shape)"):
            decode([len(told).to_bytes(8, "little") + told + blob[end:]], stock.layout)
        header["conn_on"]["shape"] = [header["conn_on"]["shape"][0] // 2]


def spoiled(blob: bytes, data: st.DataObject) -> bytes:
    """`blob` with some bytes of it others, or cut, or with something in between."""
    header = 8 + int.from_bytes(blob[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        end = data.draw(st.sampled_from([9, header, len(blob)]))
        at = data.draw(st.integers(0, min(end, max(1, len(blob))) - 1))
        width = data.draw(st.integers(0, 3))
        blob = blob[:at] + data.draw(st.binary(max_size=3)) + blob[at + width :]
        if not blob:
            break
    return blob


@given(st.sampled_from(MODES), st.data())
@examples(300)
def test_corrupted_bytes_are_refused_in_words_or_are_a_whole_genome(mode: str, data: st.DataObject) -> None:
    stock = STOCKS[mode]
    blob = spoiled(encode(stock.genomes, 2), data)
    try:
        genomes = decode([blob], stock.layout)
    except ValueError as error:
        assert str(error).startswith(("unreadable: ", "shape: ", "not-finite: "))
    else:
        assert genomes.count == 1 and population.flaw(genomes, stock.layout) == ""


@given(st.binary(max_size=200))
def test_bytes_of_nobody_are_unreadable(blob: bytes) -> None:
    with pytest.raises(ValueError, match="^unreadable: "):
        decode([blob], STOCKS["neat"].layout)
