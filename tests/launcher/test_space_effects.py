"""Every parameter of every space reaches the run: two of its values give two configurations and two results.

Real evolution, tiny and in this process; how a key shows is what `tests/islands/test_config_effects.py` looks at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from islands import loading
from islands.config import Config
from launcher import presets, run
from launcher.space import MODES, Parameter, Value, load, path_of
from launcher.trials import RunSpec, config_of
from tests.islands.test_config_effects import BASE, EFFECTS, STRICT

PARAMETERS = [
    (mode, parameter)
    for mode in MODES
    for parameter in load(path_of(mode), presets.resolve(f"{mode}_baseline")).parameters
]
GIVEN = {
    "network.max_hidden": ("mutation.add_node=0.99", "mutation.add_connection=0.5", "generations=14", "population=12"),
    "speciation.excess": ("mutation.add_body_node=0.9", "mutation.add_muscle=0.9", *STRICT),
}
"""What makes a key matter within its range, where it is more than the effect of any two values needs."""
VALUES: dict[str, tuple[Value, Value]] = {"migration.islands": (2, 3), "migration.topology": ("full", "ring")}
"""Values to try, where both ends of the range would be too dear or alike among three islands."""


@pytest.mark.parametrize(("mode", "parameter"), PARAMETERS, ids=[f"{mode}-{each.name}" for mode, each in PARAMETERS])
def test_two_values_of_a_parameter_give_two_configurations_and_two_results(
    mode: str, parameter: Parameter, folder: Path
) -> None:
    name, effect = parameter.name, EFFECTS[parameter.name]
    base = loading.override(Config(), [*BASE, *effect.given, *GIVEN.get(name, ()), f"mode={mode}"])
    spec = RunSpec("it", "launch" if name.startswith("migration.") else "run", (("it", 42),))
    found = []
    for index, value in enumerate(VALUES.get(name, (parameter.ends()[0], parameter.ends()[-1]))):
        config = config_of(base, {name: value}, spec)
        (folder / str(index)).mkdir()
        found.append((config, effect.seen(config, folder / str(index))))
    (one, first), (two, second) = found
    assert [line.partition(":")[0] for line in run.difference(one, two)] == [name]
    assert first != second
