"""The arithmetic of `evolab plan`: what holds for every study, every pace and every machine."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from launcher import plan
from launcher.plan import Machine, Pace, Work, rented

PACE = Pace(generation=0.04, start=1.0, end=0.5, private=100.0, shared=100.0, launcher=15.0, study=2.0)
HOURS = st.floats(1e-4, 1e3)

works = st.builds(
    Work,
    trials=st.integers(1, 300),
    seeds=st.integers(1, 5),
    islands=st.integers(1, 40),
    generations=st.integers(1, 2000),
)
paces = st.builds(
    Pace,
    generation=HOURS,
    start=st.floats(0, 60),
    end=st.floats(0, 60),
    private=st.floats(1, 1000),
    shared=st.floats(0, 500),
    launcher=st.floats(0, 100),
    study=st.floats(0, 10),
)


def machine(vcpus: int, memory_gb: float = 512, rate: float = 1.0, tpc: int = 2, efficiency: float = 0.6) -> Machine:
    return rented(f"{vcpus} vCPUs", vcpus, memory_gb, rate, tpc, efficiency, 0.1)


machines = st.builds(
    machine,
    vcpus=st.integers(1, 200),
    memory_gb=st.floats(2, 600),
    rate=st.floats(0.01, 10),
    tpc=st.sampled_from([1, 2]),
    efficiency=st.floats(0.5, 1.0),
)


@given(works, paces, machines, st.integers(1, 64))
def test_more_cores_are_never_slower(work: Work, pace: Pace, small: Machine, more: int) -> None:
    tpc = 1 if small.at_full_speed == small.vcpus else 2
    large = machine(small.vcpus + more, small.memory_gb, 1.0, tpc, small.crowded)
    before, after = plan.estimate(work, pace, small), plan.estimate(work, pace, large)
    assume(before.fits)
    assert after.hours is not None and before.hours is not None
    assert after.hours <= before.hours * (1 + 1e-9)


@given(works, paces, machines, st.floats(1, 500))
def test_more_memory_is_never_slower(work: Work, pace: Pace, small: Machine, more: float) -> None:
    large = dataclasses.replace(small, memory_gb=small.memory_gb + more)
    before, after = plan.estimate(work, pace, small), plan.estimate(work, pace, large)
    assume(before.fits)
    assert after.hours is not None and before.hours is not None
    assert after.hours <= before.hours * (1 + 1e-9)


@given(works, paces, machines)
def test_a_core_that_is_shared_better_is_never_slower(work: Work, pace: Pace, some: Machine) -> None:
    better = dataclasses.replace(some, crowded=(1 + some.crowded) / 2)
    before, after = plan.estimate(work, pace, some), plan.estimate(work, pace, better)
    assume(before.fits)
    assert (after.hours or 0) <= (before.hours or 0) * (1 + 1e-9)


@given(works, paces, machines)
def test_cost_is_hours_times_rate_and_a_trials_cost_is_its_share(work: Work, pace: Pace, some: Machine) -> None:
    found = plan.estimate(work, pace, some)
    assume(found.fits)
    assert found.hours is not None and found.dollars is not None and some.dollars_per_hour is not None
    assert found.dollars == pytest.approx(found.hours * some.dollars_per_hour)
    assert found.dollars_a_trial == pytest.approx(found.dollars / work.trials)


@given(works, paces, machines)
def test_no_machine_does_more_than_its_cores_can(work: Work, pace: Pace, some: Machine) -> None:
    found = plan.estimate(work, pace, some)
    assume(found.fits)
    assert found.hours is not None and found.utilisation is not None
    assert 0 < found.utilisation <= 1 + 1e-9
    throughput = max(some.at_full_speed, some.vcpus * some.crowded)  # islands' seconds a second
    least = work.trials * work.islands * plan.trial_seconds(work, pace) / throughput
    assert found.hours * 3600 >= least * (1 - 1e-9)


@given(works, paces, machines)
def test_what_fits_has_a_core_an_island_and_memory_for_all(work: Work, pace: Pace, some: Machine) -> None:
    found = plan.estimate(work, pace, some)
    assume(found.fits)
    assert found.memory_gb <= some.memory_gb
    assert found.at_once == 1 or found.at_once * work.islands <= some.vcpus
    assert 0 <= found.idle_at_the_end < found.at_once <= work.trials
    assert (work.trials + found.idle_at_the_end) % found.at_once == 0


@given(works, paces, machines)
def test_what_does_not_fit_has_no_figures_and_is_never_recommended(work: Work, pace: Pace, some: Machine) -> None:
    small = dataclasses.replace(some, memory_gb=0.5)
    found = plan.estimate(work, pace, small)
    assert not found.fits
    assert (found.hours, found.dollars, found.utilisation) == (None, None, None)
    assert found.memory_gb > small.memory_gb
    assert plan.cheapest([found]) is None and plan.fastest([found]) is None


@given(works, paces, machines, st.integers(1, 20))
def test_more_trials_take_longer_and_a_limit_of_trials_at_once_is_kept(
    work: Work, pace: Pace, some: Machine, more: int
) -> None:
    longer = dataclasses.replace(work, trials=work.trials + more)
    before, after = plan.estimate(work, pace, some), plan.estimate(longer, pace, some)
    assume(before.fits)
    assert (after.hours or 0) >= (before.hours or 0) * (1 - 1e-9)
    limited = plan.estimate(dataclasses.replace(longer, at_most=2), pace, some)
    assert limited.at_once <= 2
    assert (limited.hours or 0) >= (after.hours or 0) * (1 - 1e-9)


@settings(max_examples=50)
@given(works, paces, st.lists(machines, min_size=1, max_size=8), st.floats(0.01, 1e4))
def test_the_cheapest_costs_least_and_the_fastest_ends_first(
    work: Work, pace: Pace, some: list[Machine], limit: float
) -> None:
    found = [plan.estimate(work, pace, each) for each in some]
    able = [each for each in found if each.fits]
    assume(able)
    cheapest, fastest, in_time = plan.cheapest(found), plan.fastest(found), plan.cheapest(found, limit)
    assert cheapest is not None and fastest is not None
    assert all((cheapest.dollars or 0) <= (each.dollars or 0) + 1e-4 for each in able)
    assert all((fastest.hours or 0) <= (each.hours or 0) + 1e-4 for each in able)
    if in_time is None:
        assert all((each.hours or 0) > limit for each in able)
    else:
        assert (in_time.hours or 0) <= limit


def test_seeds_are_one_process_where_a_run_is_one_population_and_follow_one_another_otherwise() -> None:
    assert plan.trial_seconds(Work(1, 3, 1, 100), PACE) == pytest.approx(1.0 + 3 * (100 * 0.04 + 0.5))
    assert plan.trial_seconds(Work(1, 3, 4, 100), PACE) == pytest.approx(3 * (1.0 + 100 * 0.04 + 0.5))


def test_the_last_wave_leaves_places_empty_and_has_the_cores_to_itself() -> None:
    pace = dataclasses.replace(PACE, study=0.0)
    work, four = Work(6, 1, 1, 100), machine(4, efficiency=0.75)
    trial = plan.trial_seconds(work, pace)
    found = plan.estimate(work, pace, four)
    assert (found.at_once, found.idle_at_the_end) == (4, 2)
    assert (found.hours or 0) * 3600 == pytest.approx(trial / 0.75 + trial + 360)  # two cores for two: full speed


def test_a_trial_more_than_there_are_places_is_not_worth_a_second_wave() -> None:
    """Five trials at once beside each other end sooner than four and then one."""
    found = plan.estimate(Work(5, 1, 1, 100), PACE, machine(8))
    assert (found.at_once, found.idle_at_the_end) == (5, 0)


def test_hyperthreads_are_left_alone_where_they_save_nothing() -> None:
    found = plan.estimate(Work(4, 1, 1, 100), PACE, machine(8))  # four cores, four trials
    assert found.at_once == 4
    assert (found.hours or 0) * 3600 == pytest.approx(2.0 + plan.trial_seconds(Work(4, 1, 1, 100), PACE) + 360)


def test_more_islands_than_vcpus_take_turns() -> None:
    two = machine(2, efficiency=0.5)
    assert plan.slowdown(two, 5) == pytest.approx(2 / 0.5 + 1)
    assert plan.estimate(Work(3, 1, 5, 10), PACE, two).at_once == 1


def test_memory_limits_how_many_trials_run_at_once() -> None:
    pace = dataclasses.replace(PACE, private=1500.0)  # what the older project needed for population 500
    found = plan.estimate(Work(100, 1, 4, 10), pace, machine(128, memory_gb=64))
    assert found.at_once == 10
    assert found.memory_gb == pytest.approx(10 * (4 * 1.5 + 0.015) + 0.1 + plan.RESERVED_GB)


def test_the_budget_of_the_design_comes_out() -> None:
    """128 vCPUs, 32 islands a trial, four at once, 20 minutes each: 864 trials in 72 hours, $252, $0.29 a trial."""
    pace = Pace(generation=8.0, start=0.0, end=0.0, private=100.0, shared=100.0, launcher=15.0)
    whole = rented("D128", 128, 512, 3.50, 1, 1.0, 0.0)
    found = plan.estimate(Work(864, 1, 32, 150), pace, whole)
    assert (found.at_once, found.hours, found.dollars) == (4, pytest.approx(72.0), pytest.approx(252.0))
    assert found.dollars_a_trial == pytest.approx(0.29, abs=0.005)
    assert found.utilisation == pytest.approx(1.0)


def test_a_machine_whose_price_is_not_known_is_estimated_and_not_recommended() -> None:
    here = dataclasses.replace(machine(4), dollars_per_hour=None)
    found = plan.estimate(Work(4, 1, 1, 10), PACE, here)
    assert found.hours and found.dollars is None and found.dollars_a_trial is None
    assert plan.cheapest([found]) is None and plan.fastest([found]) is found
