"""The rules of restarting, on a clock of our own."""

from hypothesis import given
from hypothesis import strategies as st

from launcher.restarts import Death, Policy, Verdict, after

POLICY = Policy()


def deaths(*times: float, lived: float = 3.0, generations: object = None, luck: float = 0.0) -> list[Verdict]:
    """The verdicts on deaths at `times`; each farther than the one before, unless `generations` says otherwise."""
    history: tuple[Death, ...] = ()
    found = []
    for count, time in enumerate(times):
        generation = count if generations is None else generations
        advanced = generations is None or count == 0
        verdict, history = after(history, Death(time, lived, generation, advanced), POLICY, luck)  # type: ignore[arg-type]
        found.append(verdict)
    return found


def test_restarts_wait_1_2_4_8_16_seconds_and_the_sixth_death_in_ten_minutes_is_the_last() -> None:
    found = deaths(1000, 1010, 1020, 1030, 1050, 1070)
    assert [verdict.wait for verdict in found] == [1.0, 2.0, 4.0, 8.0, 16.0, None]


def test_an_island_that_dies_every_three_minutes_is_never_given_up_and_waits_a_minute_at_most() -> None:
    waits = [verdict.wait for verdict in deaths(*range(1000, 10_000, 180))]
    assert waits[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert set(waits[6:]) == {60.0}


def test_ten_minutes_of_progress_make_up_for_earlier_deaths() -> None:
    assert [verdict.wait for verdict in deaths(1000, 1700, 2400, lived=650)] == [1.0, 1.0, 1.0]


def test_a_long_life_without_progress_makes_up_for_nothing() -> None:
    assert [verdict.wait for verdict in deaths(1000, 1700, 2400, lived=650, generations=5)] == [1.0, 2.0, 4.0]


def test_the_third_death_at_one_generation_in_a_row_is_not_put_down_to_chance() -> None:
    assert [verdict.fall_back for verdict in deaths(1, 2, 3, 4, 5, generations=7)] == [False, False, True, False, False]
    assert not any(verdict.fall_back for verdict in deaths(1, 2, 3, 4, 5))


def test_deaths_before_the_first_generation_blame_no_checkpoint() -> None:
    history: tuple[Death, ...] = ()
    for time in (1.0, 2.0, 3.0):
        verdict, history = after(history, Death(time, 1.0, None, False), POLICY, 0.0)
        assert not verdict.fall_back


@given(
    st.lists(st.tuples(st.floats(0, 400), st.floats(0, 900), st.one_of(st.none(), st.integers(0, 4)), st.booleans())),
    st.floats(0, 1),
)
def test_whatever_happens_no_window_has_more_restarts_than_allowed_and_every_wait_is_in_its_bounds(
    lives: list[tuple[float, float, int | None, bool]], luck: float
) -> None:
    history: tuple[Death, ...] = ()
    now, restarts = 0.0, []
    for gap, lived, generation, advanced in lives:
        now += gap + lived
        verdict, history = after(history, Death(now, lived, generation, advanced), POLICY, luck)
        assert len(history) <= 64
        if verdict.wait is None:
            break
        assert POLICY.first * (1 - POLICY.jitter) <= verdict.wait <= POLICY.longest
        restarts.append(now)
        assert sum(moment > now - POLICY.window for moment in restarts) <= POLICY.most
        now += verdict.wait


def test_jitter_only_shortens_a_wait() -> None:
    assert deaths(1, luck=1.0)[0].wait == 0.75
