"""Tasks without bodies: the compiled kernel and PyTorch play the same, and nobody's numbers depend on the others."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from islands.genome.population import concatenate, take
from islands.tasks import NAMES, RULES
from islands.tasks.plain import compiled
from islands.tasks.plain_torch import play as play_in_torch
from tests.islands.evolving import REPOSITORY
from tests.islands.tasks.plain_parts import LIVELY, configured, grown, with_steps

CHOICES = {
    "neat": LIVELY,
    "neat sigmoid": (*LIVELY, "network.activation=sigmoid", "network.bias=input"),
    "pure": ("mode=pure", "network.hidden=5"),
    "pure sigmoid": ("mode=pure", "network.activation=sigmoid", "network.bias=input"),
    "double_pole": ("task.velocities=false",),
}
TASKS = [(name, choice) for name in RULES for choice in list(CHOICES)[:4]]
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


def setting(name: str, choice: str) -> tuple[str, ...]:
    turned = CHOICES["double_pole"] if name == "double_pole" and choice == "neat sigmoid" else ()
    return (*CHOICES[choice], *turned)


@pytest.mark.parametrize(("name", "choice"), TASKS)
def test_kernel_and_torch_play_the_same(name: str, choice: str) -> None:
    task, genomes = grown(configured(name, *setting(name, choice)), 48, rounds=12 * ("neat" in choice))
    with_steps(task, min(task.shape.steps, 64))  # float32 and float64 part ways where a task is unstable
    items, keys = np.arange(48), np.arange(48).astype(np.uint64)
    one = task.play(genomes, items, keys)
    two = play_in_torch(task.rules, genomes, task.layout, task.numbers, task.shape, items, keys)
    same = (one.reason == two.reason) & (one.steps == two.steps)
    same &= np.isclose(one.fitness, two.fitness, **CLOSE) & np.isclose(one.behaviour, two.behaviour, **CLOSE).all(
        axis=1
    )
    assert same.mean() > 0.9  # where two outputs are nearly equal, rounding decides
    if task.shown:
        assert one.solved is not None and two.solved is not None
        np.testing.assert_array_equal(one.solved, two.solved)
    assert len(np.unique(one.behaviour, axis=0)) > 5


@pytest.mark.parametrize("name", RULES)
def test_a_genome_scores_alone_what_it_scores_among_others_bit_for_bit(name: str) -> None:
    task, genomes = grown(configured(name, *LIVELY), 40, rounds=10)
    with_steps(task, min(task.shape.steps, 300))
    keys = (np.arange(40) // 2).astype(np.uint64)
    together = task.play(genomes, np.arange(40), keys)
    turned = task.play(genomes, np.arange(40)[::-1], keys[::-1])
    doubled = task.play(concatenate([genomes, genomes]), np.arange(80)[40:], keys)
    alone = [task.play(take(genomes, [p]), np.zeros(1, np.int64), keys[p : p + 1]).fitness[0] for p in (0, 7, 39)]
    assert together.fitness.tobytes() == turned.fitness[::-1].tobytes() == doubled.fitness.tobytes()
    assert together.behaviour.tobytes() == turned.behaviour[::-1].tobytes()
    assert [together.fitness[p] for p in (0, 7, 39)] == alone


@pytest.mark.parametrize("name", [name for name, rules in RULES.items() if rules.shape(rules.parameters()).draws])
def test_a_start_follows_from_its_stream_alone(name: str) -> None:
    task, genomes = grown(configured(name), 1)
    assert task.random
    first = task.play(genomes, np.zeros(8, np.int64), np.array([3, 4, 5, 3, 4, 5, 3, 9], np.uint64)).behaviour
    np.testing.assert_array_equal(first[:3], first[3:6])
    assert len(np.unique(first, axis=0)) == 4


@pytest.mark.parametrize("name", [name for name, rules in RULES.items() if not rules.shape(rules.parameters()).draws])
def test_without_chance_every_episode_is_the_same(name: str) -> None:
    task, genomes = grown(configured(name), 1)
    assert not task.random
    assert len(np.unique(task.play(genomes, np.zeros(5, np.int64), np.arange(5).astype(np.uint64)).fitness)) == 1


@pytest.mark.parametrize("name", [name for name, rules in RULES.items() if len(vars(rules.parameters())) > 1])
def test_every_parameter_of_a_task_has_an_effect(name: str) -> None:
    others = {
        "steps": 40, "force": 3.0, "half_length": 1.5, "bits": 4, "address": 1, "gravity": 3.0, "torque": 9.0,
        "velocities": "false",
    }  # fmt: skip
    seen_by_the_oracle = ("goal_velocity",)  # no first network reaches a goal
    parameters = [key for key in vars(RULES[name].parameters()) if key not in ("name", *seen_by_the_oracle)]
    assert parameters
    task, genomes = grown(configured(name), 200)
    keys = np.zeros(200, np.uint64)
    before = task.play(genomes, np.arange(200), keys)
    for key in parameters:
        task, genomes = grown(configured(name, f"task.{key}={others[key]}"), 200)
        after = task.play(genomes, np.arange(200), keys)
        assert before.fitness.tobytes() != after.fitness.tobytes(), key


def test_a_pellets_run_neither_loads_nor_compiles_the_other_tasks() -> None:
    code = (
        "import sys, numpy as np; from islands.config import Config; from islands.tasks import make; make(Config());"
        "print('islands.tasks.plain' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"


@pytest.mark.parametrize("name", ["xor", "parity"])
def test_a_second_process_compiles_nothing_and_tasks_that_share_rules_do_not_mix(name: str) -> None:
    task, genomes = grown(configured(name), 20)
    here = task.play(genomes, np.arange(20), np.zeros(20, np.uint64)).fitness.tolist()
    code = (
        "import numpy as np; from tests.islands.tasks.plain_parts import configured, grown;"
        "from islands.tasks.plain import compiled;"
        f"task, genomes = grown(configured({name!r}), 20);"
        "print(task.play(genomes, np.arange(20), np.zeros(20, np.uint64)).fitness.tolist());"
        f"print(sum(compiled({name!r}).stats.cache_misses.values()))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout.splitlines() == [str(here), "0"]
    assert len(compiled(name).signatures) <= 2  # type: ignore[attr-defined]  # one a kind of topology


def test_every_task_is_listed_once() -> None:
    assert NAMES[0] == "pellets" and len(set(NAMES)) == len(NAMES) == len(RULES) + 2
