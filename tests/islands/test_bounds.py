"""No kernel looks outside its arrays: an index counts from the front, and nothing at run time checks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from islands.kernel import kernel
from islands.parts import whole_with_part

REPOSITORY = Path(__file__).parents[2]
CHECKED = {**os.environ, "NUMBA_BOUNDSCHECK": "1"}


def test_a_kernel_with_an_index_that_counts_from_the_end_is_refused() -> None:
    def last(values: Any) -> Any:
        return values[-1]

    def forget_last(values: Any) -> Any:
        values[-1] = 0.0

    for function in (last, forget_last):
        with pytest.raises(TypeError, match="counts from the front"):
            whole_with_part(function, cache=False)(np.ones(3))


def test_what_is_compiled_elsewhere_still_counts_from_the_end() -> None:
    assert numba.njit(lambda values, i: values[i])(np.arange(3.0), -1) == 2.0


def test_a_function_that_is_compiled_elsewhere_can_call_kernels_that_call_kernels() -> None:
    @kernel
    def inner(x: Any) -> Any:
        return x + 1.0

    @kernel
    def outer(x: Any) -> Any:
        return 2.0 * inner(x)

    assert numba.njit(lambda x: outer(x) + inner(x))(3.0) == 12.0


def test_the_check_of_bounds_finds_an_index_that_comes_out_negative(tmp_path: Path) -> None:
    """So the test below would."""
    script = "import numpy as np\nfrom islands.parts import whole_with_part\n"
    script += "whole_with_part(lambda values, i: values[i - 2], cache=False)(np.ones(3), 1)"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, env=CHECKED, capture_output=True, text=True)
    assert "IndexError: index is out of bounds" in done.stderr


@pytest.mark.soak
def test_nothing_that_the_tests_of_islands_do_is_out_of_bounds(tmp_path: Path) -> None:
    """They all once more, in kernels that check every index: four minutes."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests/islands"]
    environment = {**CHECKED, "EVOLAB_KERNEL_CACHE": str(tmp_path)}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, stdout=sys.stderr)
