"""Sparklines: the best fitness of a whole run in twelve characters, from a dozen places of its metrics."""

import json
import math
from pathlib import Path

import pytest

from islands import files
from islands.rundir import IslandDir, RunDir
from launcher import sampling, sparks


@pytest.fixture
def island(tmp_path: Path) -> IslandDir:
    return RunDir(tmp_path).island("island-000").create()


def record(island: IslandDir, first: int, last: int) -> None:
    lines = [
        {"generation": g, "best": -float(g), "best_so_far": float(g), "seconds": g / 1000, "filler": "x" * (g % 90)}
        for g in range(first, last)
    ]
    files.JsonLines(island.metrics, durable=False).extend(lines)


def test_a_sparkline_goes_from_the_lowest_to_the_highest_and_leaves_out_what_is_no_number() -> None:
    assert sparks.sparkline([0.0, None, 0.5, math.nan, "1", math.inf, 1]) == "▁▅█"
    assert sparks.sparkline([-7.0]) == "▁" and sparks.sparkline([3, 3, 3]) == "▁▁▁"
    assert sparks.sparkline([None, math.nan]) == sparks.sparkline([]) == ""
    assert sparks.sparkline(range(100)) == sparks.sparkline(range(88, 100))


@pytest.mark.parametrize("generations", [1, 2, 11, 12, 50, 3000])
def test_a_log_is_read_at_a_few_places_from_its_first_line_to_its_last(island: IslandDir, generations: int) -> None:
    record(island, 0, generations)
    found = [line["generation"] for line in sampling.generations_at(island.metrics, 11)]
    assert found == sorted(set(found)) and found[0] == 0 and found[-1] == generations - 1
    assert min(11, generations) - 1 <= len(found) <= 11
    gaps = [later - earlier for earlier, later in zip(found, found[1:], strict=False)]
    assert max(gaps, default=0) <= 1 + generations // 5


def test_torn_and_damaged_lines_and_lines_longer_than_a_look_cost_themselves_alone(island: IslandDir) -> None:
    record(island, 0, 500)
    with open(island.metrics, "a") as file:
        file.write("damage\n" * 2000 + json.dumps({"generation": 500, "long": "x" * 200_000}) + "\n")
    record(island, 501, 900)
    with open(island.metrics, "a") as file:
        file.write('{"generation": 900, "be')
    found = [line["generation"] for line in sampling.generations_at(island.metrics, 11)]
    assert found[0] == 0 and found[-1] == 899 and len(found) >= 4
    assert sampling.generations_at(island.path / "nothing", 11) == []


def test_a_trend_has_the_whole_run_and_ends_with_the_newest_best(island: IslandDir) -> None:
    record(island, 0, 2000)
    trends = sparks.Trends()
    assert trends.of(island, 2000, 4000.0) == "▁▁▁▂▂▃▃▃▄▄▄█"
    assert trends.seconds(island, 2000) == 1.999


def test_metrics_are_read_again_when_a_tenth_has_been_added_and_not_before(island: IslandDir) -> None:
    record(island, 0, 1000)
    trends = sparks.Trends()
    seen = trends.of(island, 1000, 999.0)
    island.metrics.unlink()
    assert trends.of(island, 1099, 999.0) == seen
    assert trends.of(island, 1101, 999.0) == "▁"


def test_older_metrics_without_the_best_so_far_give_the_best_of_the_lines_that_were_read(island: IslandDir) -> None:
    lines = [{"generation": g, "best": [1.0, 5.0, 3.0, None, 9.0][g]} for g in range(5)]
    files.JsonLines(island.metrics, durable=False).extend(lines)
    assert sparks.Trends().of(island, 5, 9.0) == "▁▅▅██"
