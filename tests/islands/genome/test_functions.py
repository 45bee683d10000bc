"""Functions of single neurons: drawn, inherited, changed, and nowhere to be seen where nobody asks for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands.genome.population import KINDS, SIN, TANH, Genomes, Population, concatenate, decode, encode, mask_of, take
from islands.threads import torch_module
from tests.islands.genome.breeding import Stock, examples, parts
from tests.islands.tasks.creatures import configured

torch = torch_module()
LISTED = "sin, tanh,gaussian"


def stocked(listed: str = LISTED, age: int = 6, key: int = 1, **network: object) -> Stock:
    """Genomes with hidden neurons."""
    config = configured("neat")
    stock = Stock(replace(config, network=replace(config.network, activations=listed, **network)), 30, key)
    stock.age(age, key, weight_rate=0.5, weight_scale=0.3, add_node=0.9, add_connection=0.3)
    return stock


def hidden(genomes: Genomes) -> np.ndarray:
    return genomes.node_id >> np.uint64(56) > 0


def test_a_new_hidden_neuron_draws_one_of_the_functions_listed_and_outputs_keep_the_networks_own() -> None:
    stock = stocked()
    kinds, wanted = stock.genomes.node_kind, [KINDS.index(name) for name in ("sin", "tanh", "gaussian")]
    assert set(kinds[hidden(stock.genomes)].tolist()) == set(wanted)
    assert (kinds[~hidden(stock.genomes)] == 0).all()
    shares = [np.mean(kinds[hidden(stock.genomes)] == kind) for kind in wanted]
    assert min(shares) > 0.15
    assert stock.layout.activations == mask_of(LISTED) == sum(1 << kind for kind in wanted)


def test_without_a_list_nobody_has_a_function_of_its_own_and_nothing_else_is_another() -> None:
    plain, own = stocked(""), stocked("sin")
    assert not plain.genomes.node_kind.any() and (own.genomes.node_kind[hidden(own.genomes)] == SIN).all()
    for name, array in plain.genomes._asdict().items():
        if name != "node_kind":
            assert array.tobytes() == getattr(own.genomes, name).tobytes(), name


def test_functions_change_at_their_rate_and_nothing_else_does() -> None:
    stock = stocked()
    same, _ = stock.bred(weights=0.0, activation=0.0)
    often, _ = stock.bred(weights=0.0, activation=1.0)
    seldom, _ = stock.bred(weights=0.0, activation=0.2)
    assert same.node_kind.tobytes() == stock.genomes.node_kind.tobytes()
    inner = hidden(stock.genomes)
    changed = [np.mean(other.node_kind[inner] != stock.genomes.node_kind[inner]) for other in (often, seldom)]
    assert changed[0] == pytest.approx(2 / 3, abs=0.12) and changed[1] == pytest.approx(0.2 * 2 / 3, abs=0.08)
    assert not often.node_kind[~inner].any()
    assert [parts(often, p) for p in range(30)] == [parts(same, p) for p in range(30)]


def test_a_child_takes_a_neurons_function_with_its_bias_from_either_parent() -> None:
    stock = stocked()
    other, _ = stock.bred(weight_rate=1.0, weight_scale=0.5, activation=1.0)
    joined = concatenate([stock.genomes, other])
    children, _ = stock.bred(joined, second=[*range(30, 60), *range(30)])
    ones, twos = take(joined, range(30)), take(joined, range(30, 60))
    mine = children.node_bias[: len(ones.node_bias)] == ones.node_bias
    kinds = children.node_kind[: len(ones.node_bias)]
    assert 0.3 < mine[hidden(ones)].mean() < 0.7
    np.testing.assert_array_equal(kinds, np.where(mine, ones.node_kind, twos.node_kind))


@given(st.integers(0, 2**32), st.sampled_from(["", LISTED, "abs"]))
@examples(12)
def test_functions_come_back_from_bytes_and_are_not_written_where_there_are_none(key: int, listed: str) -> None:
    stock = stocked(listed, age=2, key=key)
    for row in range(6):
        blob, one = encode(stock.genomes, row), take(stock.genomes, [row])
        assert (b"node_kind" in blob) == bool(one.node_kind.any())
        back = decode([blob], stock.layout)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(back, one, strict=True))


def test_a_digest_tells_functions_apart_and_does_not_know_of_them_where_there_are_none() -> None:
    stock, fitness = stocked(), np.zeros(30, np.float32)
    genomes = stock.genomes
    other = genomes._replace(node_kind=np.where(genomes.node_kind == SIN, TANH, genomes.node_kind).astype(np.uint8))
    assert Population(genomes, fitness).digest() != Population(other, fitness).digest()


@pytest.mark.parametrize("kind", [KINDS.index("relu"), len(KINDS), 64, 255])
def test_a_function_that_the_configuration_does_not_list_is_refused(kind: int) -> None:
    stock = stocked()
    one = take(stock.genomes, [int(np.argmax(np.diff(stock.genomes.node_start)))])
    for row in (np.flatnonzero(hidden(one))[0], 0):
        bad = one.node_kind.copy()
        bad[row] = kind if row else KINDS.index("sin")  # an output's may not be listed either
        with pytest.raises(ValueError, match="^shape: a neuron with a function that it cannot have"):
            decode([encode(one._replace(node_kind=bad), 0)], stock.layout)
    with pytest.raises(ValueError, match="^shape: a neuron"):
        decode([encode(one, 0)], stocked("", age=0).layout)


def test_each_function_is_what_it_is_called() -> None:
    from islands.networks_torch import activated_by

    x = torch.linspace(-3.0, 3.0, 13, dtype=torch.float64)
    wide = x.numpy()
    expected = {
        "": np.tanh(wide), "tanh": np.tanh(wide), "sigmoid": 1 / (1 + np.exp(-4.9 * wide)),
        "relu": np.maximum(wide, 0.0), "sin": np.sin(wide), "gaussian": np.exp(-(wide**2)), "identity": wide,
        "abs": np.abs(wide),
    }  # fmt: skip
    for number, name in enumerate(KINDS):
        found = activated_by(x, torch.full((13,), number), 0)
        np.testing.assert_allclose(found.numpy(), expected[name], atol=1e-12)
