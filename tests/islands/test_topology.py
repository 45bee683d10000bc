from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.errors import ConfigError
from islands.topology import check, neighbours

A, B, C, D, E = "a", "b", "c", "d", "e"


def graph(spec, names, key=0):
    return {name: neighbours(spec, names, name, key) for name in sorted(names)}


def named(n):
    return [f"island-{i:03d}" for i in range(n)]


SPECS = ["full", "ring", "torus", "star", "random-1", "random-3", "isolated", "1>0", "0>1"]


@pytest.mark.parametrize("spec", SPECS)
def test_one_island_takes_from_nobody(spec):
    assert neighbours(spec, [A], A, 0) == neighbours(spec, [], A, 0) == []


@pytest.mark.parametrize("spec", ["full", "ring", "torus", "star", "random-1", "random-3", "a>b,b>a"])
def test_two_islands_take_from_each_other(spec):
    assert graph(spec, [A, B]) == {A: [B], B: [A]}


def test_three_islands():
    assert graph("full", [A, B, C]) == {A: [B, C], B: [A, C], C: [A, B]}
    assert graph("ring", [A, B, C]) == {A: [C], B: [A], C: [B]}
    assert graph("torus", [A, B, C]) == {A: [B, C], B: [A], C: [A]}
    assert graph("star", [A, B, C]) == {A: [B, C], B: [A], C: [A]}
    assert graph("random-2", [A, B, C]) == {A: [B, C], B: [A, C], C: [A, B]}
    assert graph("isolated", [A, B, C]) == {A: [], B: [], C: []}


def test_a_torus_of_nine_has_four_neighbours_each():
    names = named(9)
    assert neighbours("torus", names, names[4], 0) == [names[i] for i in (1, 3, 5, 7)]
    assert neighbours("torus", names, names[0], 0) == [names[i] for i in (1, 2, 3, 6)]


def test_a_torus_of_five_has_a_short_last_row():
    assert graph("torus", [A, B, C, D, E]) == {A: [B, C, D], B: [A, C, E], C: [A, B], D: [A, E], E: [B, D]}


def reached(edges, start):
    found, front = {start}, [start]
    while front:
        new = {target for target, sources in edges.items() if found & set(sources)} - found
        found |= new
        front = list(new)
    return found


@given(st.integers(1, 60))
def test_a_torus_is_symmetric_connected_and_has_at_most_four_neighbours(n):
    edges = graph("torus", named(n))
    assert all(target in edges[source] for target, sources in edges.items() for source in sources)
    assert all(len(sources) <= 4 for sources in edges.values())
    assert reached(edges, named(n)[0]) == set(named(n))


@given(st.integers(1, 60), st.sampled_from(["full", "ring", "torus", "star"]))
def test_genes_can_get_from_every_island_to_every_other(n, spec):
    edges = graph(spec, named(n))
    assert reached(edges, named(n)[-1]) == set(named(n))


@given(st.sets(st.text("abc123-", min_size=1, max_size=8), min_size=1, max_size=20), st.sampled_from(SPECS))
def test_sources_are_sorted_distinct_known_and_never_oneself(names, spec):
    for own in names:
        sources = neighbours(spec, list(names), own, 7)
        assert sources == sorted(set(sources)) and own not in sources
        assert set(sources) <= names


@given(st.permutations(named(7)), st.sampled_from(SPECS))
def test_the_order_of_the_names_does_not_matter(names, spec):
    assert graph(spec, names) == graph(spec, named(7))


@given(st.integers(2, 40), st.integers(1, 50), st.integers(0, 2**63))
def test_random_k_has_k_sources_each_and_never_changes(n, k, key):
    edges = graph(f"random-{k}", named(n), key)
    assert edges == graph(f"random-{k}", named(n), key)
    assert {len(sources) for sources in edges.values()} == {min(k, n - 1)}


def test_random_k_follows_the_key_and_serves_everybody_about_equally():
    names = named(64)
    assert graph("random-3", names, 1) != graph("random-3", names, 2)
    served = Counter(
        source for key in range(8) for sources in graph("random-3", names, key).values() for source in sources
    )
    assert served.total() == 8 * 64 * 3 and set(served) == set(names)
    assert min(served.values()) >= 8 and max(served.values()) <= 45  # expected 24, sd about 5


def test_an_island_that_joins_moves_few_edges_of_random_k():
    before, after = graph("random-3", named(40), 5), graph("random-3", named(41), 5)
    assert sum(len(set(after[name]) - set(before[name])) for name in before) <= 12  # expected 3 of 120


def test_an_edge_list_goes_from_source_to_target_by_name_or_index():
    assert graph("a>b, b>c", [A, B, C]) == {A: [], B: [A], C: [B]}
    assert graph("0>1,1>2,c>0", [A, B, C]) == {A: [C], B: [A], C: [B]}
    assert graph("a>c,b>c,a>c", [A, B, C]) == {A: [], B: [], C: [A, B]}


def test_a_name_made_of_digits_is_a_name_first():
    assert neighbours("1>x", ["0", "1", "2", "x"], "x", 0) == ["1"]
    assert neighbours("1>x", ["2", "3", "x"], "x", 0) == ["3"]


def test_an_edge_may_name_an_island_that_has_not_come_yet():
    assert neighbours("late>a,7>a", [A, B], A, 0) == ["late"]


@pytest.mark.parametrize(
    "spec", ["", "fully", "random-0", "random-", "random--1", "a>", ">a", "a>b>c", "a-b", "a>a", "a>b,"]
)
def test_a_wrong_spec_is_told_with_the_valid_ones(spec):
    for attempt in (lambda: neighbours(spec, [A, B], A, 0), lambda: check(spec), lambda: check(spec, [A, B])):
        with pytest.raises(ConfigError, match="full, ring, torus, star, random-K, isolated, or an edge list"):
            attempt()


def test_where_all_names_are_known_an_edge_to_nowhere_is_an_error():
    for spec in ("a>zebra", "0>2", "zebra>a"):
        check(spec)
        with pytest.raises(ConfigError, match="islands of this run"):
            check(spec, [A, B])
    for spec in (*SPECS, "a>b", "0>1"):
        check(spec, [B, A])
