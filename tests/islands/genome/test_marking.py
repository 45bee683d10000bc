"""Historical markings: equal innovations are equal everywhere, others differ, and depth tells which came later."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.genome import marking
from islands.genome.marking import connection_mark, depth, is_output, mark, muscle_mark, output_mark
from tests.islands.evolving import REPOSITORY
from tests.islands.genome.breeding import Parts, Stock, hidden_of, parts
from tests.islands.tasks.creatures import MODES, configured

MARKS = st.integers(0, 2**64 - 1).map(np.uint64)
KINDS = [value for name, value in vars(marking).items() if name.isupper() and name[0] != "_"]


def two_islands(mode: str = "neat", count: int = 80, **rates: float) -> list[list[Parts]]:
    """The same first draws, bred on two islands that share no randomness: one list of genomes an island."""
    stock = Stock(configured(mode), count)
    islands = []
    for key in (1, 2):
        genomes, _ = stock.bred(key=key, **rates)
        islands.append([parts(genomes, p) for p in range(count)])
    return islands


def split_of(one: Parts) -> tuple[int, int]:
    """The hidden neuron of a genome that was split once, and the connection it came from."""
    (neuron,) = hidden_of(one)
    (off,) = [mark for mark, (_, _, _, on) in one.connections.items() if not on]
    return neuron, off


def test_the_same_split_on_two_islands_gets_the_same_marking_and_another_split_another() -> None:
    splits = [split_of(one) for island in two_islands(add_node=1.0) for one in island]
    by_connection: dict[int, set[int]] = {}
    for neuron, connection in splits:
        by_connection.setdefault(connection, set()).add(neuron)
    assert len(splits) > len(by_connection) > 20
    assert all(len(neurons) == 1 for neurons in by_connection.values())
    assert len(set.union(*by_connection.values())) == len(by_connection)


def test_the_connections_of_the_same_split_are_the_same_on_every_island() -> None:
    found: dict[int, set[frozenset[int]]] = {}
    for island in two_islands(add_node=1.0):
        for one in island:
            neuron, _ = split_of(one)
            new = frozenset(m for m, (source, target, _, _) in one.connections.items() if neuron in (source, target))
            assert len(new) == 2
            found.setdefault(neuron, set()).add(new)
    assert all(len(pairs) == 1 for pairs in found.values())


def test_splitting_a_connection_again_makes_another_neuron() -> None:
    stock = Stock(configured("neat"), 200)
    stock.genomes, _ = stock.bred(key=1, add_node=1.0)
    stock.genomes, _ = stock.bred(key=2, enable=1.0)
    twice, _ = stock.bred(key=3, add_node=1.0)
    again = [
        parts(twice, p)
        for p in range(200)
        if {mark for mark, gene in parts(twice, p).connections.items() if not gene[3]} == {split_of_before(stock, p)}
    ]
    assert again
    assert all(len(hidden_of(one)) == 2 for one in again)


def split_of_before(stock: Stock, p: int) -> int:
    """The connection that genome `p` has split: from the source of its neuron to the target."""
    one = parts(stock.genomes, p)
    (neuron,) = hidden_of(one)
    (source,) = [s for s, target, _, _ in one.connections.values() if target == neuron]
    (target,) = [t for source_, t, _, _ in one.connections.values() if source_ == neuron]
    return int(connection_mark(np.uint64(source), np.uint64(target)))


@pytest.mark.parametrize("mode", MODES)
def test_muscles_between_the_same_nodes_are_the_same_on_every_island(mode: str) -> None:
    ends: dict[int, set[frozenset[int]]] = {}
    for island in two_islands(mode, add_muscle=1.0, add_body_node=1.0):
        for one in island:
            for muscle, (nodes, _) in one.muscles.items():
                assert (
                    muscle == int(muscle_mark(*map(np.uint64, nodes))) == int(muscle_mark(*map(np.uint64, nodes[::-1])))
                )
                ends.setdefault(muscle, set()).add(frozenset(nodes))
    assert all(len(pairs) == 1 for pairs in ends.values())
    assert len({next(iter(pairs)) for pairs in ends.values()}) == len(ends)


def test_every_kind_of_thing_has_markings_of_its_own() -> None:
    assert len(KINDS) == 11
    own = [
        mark(kind, np.uint64(first), np.uint64(second), 0)
        for kind in KINDS
        for first in range(40)
        for second in range(3)
    ]
    assert len(set(own)) == len(own)


@given(MARKS, MARKS, st.integers(0, 300))
def test_a_marking_carries_its_depth_and_no_more_than_the_deepest(
    first: np.uint64, second: np.uint64, deep: int
) -> None:
    assert depth(np.uint64(mark(marking.SPLIT, first, second, deep))) == min(deep, 255)


@given(MARKS, MARKS)
def test_order_and_kind_matter_except_for_a_muscle(one: np.uint64, two: np.uint64) -> None:
    connection, muscle = int(connection_mark(one, two)), int(muscle_mark(one, two))
    assert connection != muscle
    assert int(muscle_mark(two, one)) == muscle
    assert (int(connection_mark(two, one)) == connection) == (one == two)
    assert depth(np.uint64(connection)) == depth(np.uint64(muscle)) == max(one >> np.uint64(56), two >> np.uint64(56))
    assert is_output(np.uint64(output_mark(one)))


def test_markings_sort_by_depth_so_later_innovations_come_last() -> None:
    stock = Stock(configured("neat"), 30)
    stock.age(8, add_node=1.0, add_connection=0.5, add_body_node=0.5, enable=0.5)
    deepest = 0
    for p in range(30):
        one = parts(stock.genomes, p)
        for table in (one.body, one.muscles, one.neurons, one.connections):
            depths = [mark >> 56 for mark in table]
            assert depths == sorted(depths)
            deepest = max(deepest, *depths)
        for found, (source, target, _, _) in one.connections.items():
            assert found >> 56 == max(source >> 56, target >> 56)
        for neuron in hidden_of(one):
            sources = [s for s, target, _, _ in one.connections.values() if target == neuron]
            assert neuron >> 56 > min(source >> 56 for source in sources)
    assert deepest >= 3


def test_what_the_first_draw_makes_has_depth_0_and_what_grew_is_one_deeper_than_its_parent() -> None:
    stock = Stock(configured("pure"), 60)
    for p in range(60):
        one = parts(stock.genomes, p)
        assert all(found >> 56 == 0 for found in (*one.body, *one.muscles))
    for generation in (1, 2, 3):
        before = [parts(stock.genomes, p).body.keys() for p in range(60)]
        stock.genomes, _ = stock.bred(key=generation, add_body_node=1.0)
        for p in range(60):
            for grown in parts(stock.genomes, p).body.keys() - before[p]:
                parents = [
                    parent
                    for parent in before[p]
                    for number in range(9)
                    if int(mark(marking.GROWN, np.uint64(parent), np.uint64(number), (parent >> 56) + 1)) == grown
                ]
                assert len(parents) == 1


@pytest.mark.parametrize("deep", [0, 1, 7])
def test_a_hundred_thousand_innovations_of_one_depth_do_not_collide(deep: int) -> None:
    near = [int(mark(marking.SPLIT, np.uint64(first), np.uint64(0), deep)) for first in range(100_000)]
    assert len(set(near)) == len(near)
    bits = np.array([[one ^ other] for one, other in combinations(near[:200], 2)], np.uint64) << np.uint64(8)
    assert np.unpackbits(bits.view(np.uint8)).mean() * 64 / 56 == pytest.approx(0.5, abs=0.005)


def test_another_process_marks_alike() -> None:
    code = (
        "import numpy as np; from islands.genome.marking import *; "
        "print(mark(SPLIT, np.uint64(3), np.uint64(4), 5), connection_mark(np.uint64(1), np.uint64(2)))"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    here = mark(marking.SPLIT, np.uint64(3), np.uint64(4), 5), connection_mark(np.uint64(1), np.uint64(2))
    assert other.stdout.split() == [str(int(value)) for value in here]
