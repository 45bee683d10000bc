"""Species as streams: their sizes by their lasting numbers, where a run has recorded them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from islands import files
from islands.rundir import RunDir
from launcher.report import run_data, run_figures, species_figures
from launcher.report.figures import Chart
from launcher.report.species_data import SPECIES, read_streams
from tests.launcher.made_reports import HOSTILE, archipelago


def grow(run: RunDir, sizes: list[Any], island: int = 0) -> None:
    """Put `sizes` into the metrics of an island, a generation each."""
    place = run.islands()[island]
    lines = files.read_jsonl(place.metrics)
    place.metrics.unlink()
    lines = [line | {"species_sizes": each} for line, each in zip(lines, sizes, strict=True)]
    files.JsonLines(place.metrics, durable=False).extend(lines)


def chart(run: RunDir) -> Chart:
    data = run_data.gather(run)
    (found,) = [one for one in species_figures.with_streams(data, run_figures.charts(data)) if one.name == "species"]
    return found


def test_each_species_is_a_stream_over_the_generations_in_which_it_lived(tmp_path: Path) -> None:
    run = archipelago(tmp_path / "run", 2, 4)
    grow(run, [{"0": 40}, {"0": 30, "2": 10}, {"2": 25, "0": 15}, {"2": 38, "other": 2}])
    found = chart(run)
    assert [view.label for view in found.views] == ["sizes on island-000", "how many"]
    streams = {trace["name"]: (trace["x"], trace["y"]) for trace in found.views[0].traces}
    assert streams == {
        "species 0": ([0, 1, 2], [40, 30, 15]),
        "species 2": ([1, 2, 3], [10, 25, 38]),
        "the other species": ([3], [2]),
    }
    assert {trace["stackgroup"] for trace in found.views[0].traces} == {"species"}
    assert len({trace["fillcolor"] for trace in found.views[0].traces}) == 3
    assert found.views[0].x and found.views[0].y


def test_a_run_that_recorded_no_sizes_has_the_chart_of_their_number(tmp_path: Path) -> None:
    found = chart(archipelago(tmp_path / "run", 2, 4))
    assert [view.label for view in found.views] == ["species"] and "not recorded" in found.note


def test_species_that_are_not_worth_a_stream_are_drawn_as_one(tmp_path: Path) -> None:
    run = archipelago(tmp_path / "run", 1, 100)
    grow(run, [{str(g): 1 + g, "other": 2} for g in range(100)])
    streams = read_streams(run.islands()[0])
    assert streams is not None and len(streams.sizes) == SPECIES + 1
    assert list(streams.sizes)[:2] == ["20", "21"] and list(streams.sizes)[-1] == "other"
    total = sum(size for sizes in streams.sizes.values() for size in sizes.values())
    assert total == sum(range(1, 101)) + 200


def test_a_long_run_is_read_at_a_bounded_number_of_generations(tmp_path: Path) -> None:
    run = archipelago(tmp_path / "run", 1, 5000)
    grow(run, [{"0": 40 - g % 7, "1": g % 7} for g in range(5000)])
    streams = read_streams(run.islands()[0])
    assert streams is not None and 60 < len(streams.x) <= 100 and streams.x[-1] == 4999
    whole = [sum(sizes.get(place, 0.0) for sizes in streams.sizes.values()) for place in range(len(streams.x))]
    assert whole == pytest.approx([40.0] * len(whole))


def test_of_many_islands_the_best_can_be_chosen(tmp_path: Path) -> None:
    run = archipelago(tmp_path / "run", 20, 3)
    for index in range(20):
        grow(run, [{"0": 40}] * 3, index)
    found = chart(run)
    assert len(found.views) == 8 + 1 and "Of 20 islands, the 8 with the best scores" in found.note


@pytest.mark.parametrize("sizes", [[1], "many", {HOSTILE: 3}, {"-1": 3}, {"0": HOSTILE}, {"9" * 400: 1}, {"0": -4}, {}])
def test_sizes_that_make_no_sense_are_left_out(tmp_path: Path, sizes: object) -> None:
    run = archipelago(tmp_path / "run", 1, 2)
    grow(run, [sizes] * 2)
    assert [view.label for view in chart(run).views] == ["species"]
