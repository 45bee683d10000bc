"""Whether an island gets on: heartbeats on a clock of our own."""

from typing import Any

import pytest

from launcher.stall import Patience, Pulse
from launcher.workers import Local


def beat(generation: int | None, time: float, state: str = "running", pid: int = 7, **more: Any) -> dict[str, Any]:
    return {"pid": pid, "state": state, "generation": generation, "time": time, **more}


@pytest.fixture
def pulse() -> Pulse:
    begun = Pulse(Patience())
    begun.begin(0.0)
    return begun


def silent(pulse: Pulse, last: dict[str, Any], since: float, until: float) -> None:
    """Look every second, and see the same heartbeat every time."""
    for second in range(int(since) + 1, int(until) + 1):
        pulse.look(last, float(second))


def test_a_minute_of_silence_is_a_stall(pulse: Pulse) -> None:
    last = beat(3, 1.0)
    pulse.look(last, 1.0)
    silent(pulse, last, 1, 61)
    assert not pulse.stalled
    silent(pulse, last, 61, 62)
    assert pulse.stalled and pulse.quiet == 61


def test_long_generations_are_given_ten_of_them(pulse: Pulse) -> None:
    for generation in range(5):
        pulse.look(beat(generation, 20.0 * generation), 20.0 * generation)
    assert pulse.limit == 200.0
    for generation in range(5, 20):
        pulse.look(beat(generation, 80.0 + generation), 80.0 + generation)
    assert pulse.limit == 60.0


def test_a_step_within_a_generation_is_a_sign_of_life(pulse: Pulse) -> None:
    for second in range(0, 300, 30):
        pulse.look(beat(3, 0.0, step=[second, 300]), float(second))
        assert not pulse.stalled


def test_compiling_may_take_a_quarter_of_an_hour(pulse: Pulse) -> None:
    first = beat(None, 0.0, "starting")
    silent(pulse, first, 0, 800)
    assert pulse.starting and not pulse.stalled
    silent(pulse, first, 800, 1000)
    assert pulse.stalled


def test_the_heartbeat_of_the_process_before_is_no_sign_of_life(pulse: Pulse) -> None:
    assert Local(7, ()).wrote(beat(3, 1.0)) and not Local(7, ()).wrote(beat(3, 1.0, pid=6))
    silent(pulse, {}, 0, 800)
    assert pulse.starting
    silent(pulse, {}, 800, 1000)
    assert pulse.stalled


def test_a_launcher_that_was_stopped_itself_blames_nobody(pulse: Pulse) -> None:
    last = beat(3, 1.0)
    pulse.look(last, 1.0)
    pulse.look(last, 3600.0)
    assert not pulse.stalled


def test_a_heartbeat_that_comes_after_all_ends_a_stall(pulse: Pulse) -> None:
    last = beat(3, 1.0)
    pulse.look(last, 1.0)
    silent(pulse, last, 1, 90)
    assert pulse.stalled
    pulse.look(beat(3, 90.0, step=[1, 2]), 91.0)
    assert not pulse.stalled
