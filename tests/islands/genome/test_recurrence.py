"""Connections that close a cycle: as often as asked for, and never where taking a muscle out would change others."""

from __future__ import annotations

import numpy as np
import pytest

from islands.config import Config
from islands.genome.marking import depth
from islands.genome.population import Genomes
from tests.islands.tasks.creatures import evolved
from tests.islands.tasks.plain_parts import configured, grown

GROWTH = ("mutation.add_node=0.5", "mutation.add_connection=1", "mutation.weights=0")


def edges(genomes: Genomes, p: int) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in genomes.conn_ends[genomes.conn_start[p] : genomes.conn_start[p + 1]].tolist()]


def cyclic(pairs: list[tuple[int, int]]) -> bool:
    """Whether nodes without a source can no longer be taken out, and some are left."""
    while pairs:
        targets = {target for _, target in pairs}
        left = [pair for pair in pairs if pair[0] in targets]
        if len(left) == len(pairs):
            return True
        pairs = left
    return False


def test_without_recurrence_no_cycle_ever_arises() -> None:
    _, genomes = grown(configured("double_pole", *GROWTH), 60, rounds=20)
    assert not any(cyclic(edges(genomes, p)) for p in range(60))
    outputs = {int(node) for node in genomes.node_id if depth(node) == 0}
    assert not any(int(source) in outputs for source in genomes.conn_ends[:, 0])


def test_with_recurrence_networks_remember_and_connections_may_start_at_an_output() -> None:
    _, genomes = grown(configured("double_pole", *GROWTH, "mutation.recurrent=1"), 60, rounds=6)
    assert np.mean([cyclic(edges(genomes, p)) for p in range(60)]) > 0.9
    outputs = {int(node) for node in genomes.node_id if depth(node) == 0}
    assert any(int(source) in outputs for source in genomes.conn_ends[:, 0])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_creatures_connections_never_start_at_an_output(share: float) -> None:
    from dataclasses import replace

    config = Config()
    _, genomes = evolved(replace(config, mutation=replace(config.mutation, recurrent=share)), 30, rounds=10)
    assert not any(
        depth(source) == 0 for source in genomes.conn_ends[:, 0] if int(source) in set(genomes.node_id.tolist())
    )
    assert any(cyclic(edges(genomes, p)) for p in range(30)) == (share > 0)


def test_with_weights_0_no_offspring_changes_a_weight() -> None:
    _, before = grown(configured("cartpole", "mutation.weights=0", "mutation.add_node=0"), 20)
    _, later = grown(configured("cartpole", "mutation.weights=0", "mutation.add_node=0"), 20, rounds=5)
    for p in range(20):
        old = before.conn_weight[before.conn_start[p] : before.conn_start[p + 1]]
        assert set(old.tolist()) <= set(later.conn_weight[later.conn_start[p] : later.conn_start[p + 1]].tolist())
