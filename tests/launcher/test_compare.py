import math
from pathlib import Path

import pytest
from scipy import stats

from islands.errors import ConfigError
from launcher.compare import compare, holm, sample_of
from tests.launcher.made_runs import finished

GOOD, BAD = (10.0, 11.0, 10.5, 9.5, 10.2), (5.0, 6.0, 5.5, 4.5, 5.2)


def test_a_clear_difference_is_more_than_noise(tmp_path: Path) -> None:
    names = [str(finished(tmp_path / name, means).path) for name, means in (("bad", BAD), ("good", GOOD))]
    report = compare(names)
    first, second = report["ranking"]
    assert [first["name"], second["name"]] == [names[1], names[0]]
    assert first["mean"] == pytest.approx(10.24)
    assert second["verdict"] == "worse, more than noise"
    assert second["p"] == pytest.approx(stats.ttest_ind(GOOD, BAD, equal_var=False).pvalue)
    assert second["p_mann_whitney"] == pytest.approx(stats.mannwhitneyu(GOOD, BAD).pvalue)
    assert "better than" in report["conclusion"]


def test_intervals_are_students(tmp_path: Path) -> None:
    sample = sample_of("good", finished(tmp_path / "good", GOOD))
    expected = stats.t.interval(0.95, 4, sample.mean, stats.sem(GOOD))
    assert sample.interval == pytest.approx(expected)
    assert sample.basis == "5 populations"


def test_noise_is_called_noise(tmp_path: Path) -> None:
    names = [str(finished(tmp_path / "a", GOOD).path), str(finished(tmp_path / "b", [9, 12, 10, 11, 9]).path)]
    report = compare(names)
    assert report["ranking"][1]["verdict"] == "no difference shown"
    assert "not shown to be better" in report["conclusion"]


def test_an_archipelago_is_one_champion_judged_by_its_episodes(tmp_path: Path) -> None:
    sample = sample_of("a", finished(tmp_path / "a", [3.0, 8.0], migrates=True, half=0.5))
    assert (sample.mean, sample.size, sample.basis) == (8.0, 64, "64 episodes of one champion")
    assert sample.interval == pytest.approx((7.5, 8.5))


def test_several_tests_are_corrected_by_holm(tmp_path: Path) -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert math.isnan(holm([math.nan, 0.02])[0]) and holm([math.nan, 0.02])[1] == pytest.approx(0.02)


def test_equal_values_without_any_spread_allow_no_test(tmp_path: Path) -> None:
    names = [str(finished(tmp_path / name, [4.0, 4.0, 4.0]).path) for name in ("a", "b")]
    assert compare(names)["ranking"][1]["verdict"] == "no test possible"


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    made = finished(tmp_path / "a", [1.0])
    made.islands()[0].result.unlink()
    with pytest.raises(ConfigError, match="expected a finished run"):
        compare([str(made.path)])
