"""What live.json says of a study, and when it warns."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from launcher import board, study_show
from launcher.board import Board
from launcher.flight import Running, Slot
from launcher.objective import Progress
from launcher.trials import Trial
from tests.launcher.study_parts import complete, known, trial_of

LISTED = {
    "study", "state", "seconds", "trials", "running", "trials_running", "trials_asked_for", "cores_granted",
    "cores_busy", "utilisation", "best", "seconds_left", "cost", "cost_in_all", "warnings", "backend", "time", "format",
}  # fmt: skip
SLOTS = (Slot((0,), 1), Slot((1,), 1))


class Scene:
    """A board with flights that the test makes up, and a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rate: float | None = None) -> None:
        self.now = 0.0
        monkeypatch.setattr(board.time, "monotonic", lambda: self.now)
        self.board = Board(known(), SLOTS, "processes", rate)
        self.finished: list[Trial] = []
        self.flights: dict[int, Running] = {}

    def fly(self, number: int, slot: int = 0, generations: int = 0, running: int = 1, **cpu: float) -> None:
        """Trial `number` has come so far; `cpu`: the CPU seconds of its processes, p1=…"""
        if number not in self.flights:
            trial = trial_of(known(), number, generations_wanted=100)
            self.flights[number] = Running(trial, SLOTS[slot], self.now, alive=True)
        flight = self.flights[number]
        used = {int(name[1:]): seconds for name, seconds in cpu.items()}
        flight.progress = Progress(generations, used, running, 1)

    def land(self, number: int, value: float, seconds: float) -> None:
        trial = complete(self.flights.pop(number).trial, value)
        trial.seconds = seconds
        self.finished.append(trial)
        self.board.finished(trial)

    def look(self, seconds: float, wanted: int = 10) -> dict[str, Any]:
        """What is seen so many seconds later."""
        self.now += seconds
        trials = [*self.finished, *(flight.trial for flight in self.flights.values())]
        return self.board.look(self.flights.values(), trials, wanted)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_the_live_view_has_everything_that_a_watcher_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, rate=36.0)
    scene.fly(1, p10=0.0)
    scene.look(0)
    scene.fly(1, generations=100, p10=9.0)
    scene.look(10)
    scene.land(1, 4.5, seconds=10.0)
    scene.fly(2, p11=0.5)
    scene.fly(3, slot=1, p12=0.5)
    scene.look(1)
    scene.fly(2, generations=25, p11=4.5)
    scene.fly(3, slot=1, generations=25, p12=4.5)
    state = scene.look(4, wanted=5)
    assert set(state) | {"state"} == LISTED
    assert state["trials"] == {"wanted": 5, "complete": 1, "pruned": 0, "fail": 0}
    assert (state["trials_running"], state["trials_asked_for"], state["cores_granted"]) == (2, 2, 2)
    assert state["cores_busy"] == pytest.approx((9 + 4 + 4) / 15, abs=0.01)
    assert state["utilisation"] == pytest.approx((9 + 4 + 4) / 15 / 2, abs=0.001)
    assert state["best"]["trial"] == 1 and state["best"]["ci95"][0] < 4.5 < state["best"]["ci95"][1]
    assert state["seconds_left"] == pytest.approx((4 - 0.5) * 10 / 2)
    assert state["cost"] == pytest.approx(36 * 15 / 3600)
    assert state["cost_in_all"] == pytest.approx(36 * (15 + 17.5) / 3600)
    flight = state["running"][0]
    assert (flight["trial"], flight["generations"], flight["pids"], flight["threads"]) == (2, 25, [11], 1)
    assert (flight["cpus"], flight["seconds"], flight["populations_running"]) == ([0], 5.0, 1)
    line = study_show.line(state)
    assert line.startswith("2 trials running · 1/5 done · 1.1 of 2 cores busy · best 4.5 ± ")
    assert line.endswith("(trial 1) · 0:18 left · cost 0.15 of 0.33")


def test_cores_busy_are_measured_within_the_last_half_minute(scene: Scene) -> None:
    scene.fly(1, p10=0.0)
    assert scene.look(0)["cores_busy"] is None
    for second in range(1, 101):
        scene.fly(1, p10=min(second, 50) * 1.0)
        busy = scene.look(1)["cores_busy"]
        if second in (2, 49):
            assert busy == pytest.approx(1.0, abs=0.05)
    assert busy == 0.0


def test_a_process_that_joins_or_is_replaced_does_not_make_the_others_count_twice(scene: Scene) -> None:
    scene.fly(1, p10=0.0)
    scene.look(0)
    scene.fly(1, p10=4.0)
    scene.look(4)
    scene.fly(1, p10=5.0, p11=0.5)  # a second island has written its first heartbeat
    scene.look(1)
    scene.fly(1, p10=9.0, p12=3.0)  # … and was replaced by another after a crash
    state = scene.look(5)
    assert state["cores_busy"] == pytest.approx((9.0 + 0.5 + 3.0) / 10)
    assert scene.board.cpu_seconds(1) == pytest.approx(12.5)


def test_what_an_earlier_sitting_used_is_the_trials_but_was_not_used_now(scene: Scene) -> None:
    scene.fly(1, running=0, p10=500.0)  # the heartbeat of a process that is long dead
    scene.look(0)
    scene.fly(1, p10=500.0, p20=8.0)
    state = scene.look(10)
    assert state["cores_busy"] == pytest.approx(0.8)
    assert scene.board.cpu_seconds(1) == pytest.approx(508.0)


def test_time_left_is_told_from_the_pace_of_the_first_trials_before_any_has_ended(scene: Scene) -> None:
    scene.fly(1, p10=0.0)
    assert scene.look(0)["seconds_left"] is None
    scene.fly(1, generations=20, p10=1.0)
    assert scene.look(10, wanted=4)["seconds_left"] == pytest.approx((4 - 0.2) * 50 / 2)
    scene.finished = [complete(trial_of(known(), number), 1.0) for number in range(1, 5)]
    scene.flights.clear()
    assert scene.look(1, wanted=4)["seconds_left"] == 0.0


def test_no_warning_while_the_study_settles_or_while_all_is_well(scene: Scene) -> None:
    scene.fly(1, running=0)
    for second in range(29):
        assert scene.look(1)["warnings"] == [], second
    scene.fly(1, p10=0.0)
    scene.fly(2, slot=1, p11=0.0)
    for second in range(60):
        scene.fly(1, p10=second * 1.0)
        scene.fly(2, slot=1, p11=second * 0.9)
        state = scene.look(1)
    assert state["warnings"] == [] and state["utilisation"] > 0.9


def test_fewer_trials_at_once_than_asked_for_are_a_warning_with_the_reason(scene: Scene) -> None:
    scene.fly(1, p10=0.0)
    scene.fly(2, slot=1, running=0)
    for second in range(40):
        scene.fly(1, p10=second * 1.0)
        state = scene.look(1)
    overlap, use = state["warnings"]
    assert overlap.startswith("1 of 2 trials run at this moment: trial 2 is starting, between runs, or being judged")
    assert use.startswith("50% of 2 cores used: trial 2 is starting") or use.startswith("51% of 2 cores used")
    del scene.flights[2]
    assert scene.look(1)["warnings"][0] == "1 of 2 trials run at this moment: only 1 trials have been started"


def test_the_last_trial_alone_is_no_lack_of_trials_but_idle_cores_are_named(scene: Scene) -> None:
    scene.finished = [complete(trial_of(known(), number), 1.0) for number in range(1, 10)]
    scene.fly(10, p10=0.0)
    for second in range(40):
        scene.fly(10, p10=second * 1.0)
        state = scene.look(1)
    assert state["trials_asked_for"] == 1
    (warning,) = state["warnings"]
    assert "cores used: the last trials are running: 1 of 2 places are empty" in warning


def test_islands_that_wait_are_a_warning_even_where_all_trials_run(scene: Scene) -> None:
    for second in range(45):
        scene.fly(1, p10=second * 0.3)
        scene.fly(2, slot=1, p11=second * 0.3)
        state = scene.look(1)
    (warning,) = state["warnings"]
    assert warning.startswith("30% of 2 cores used: islands wait: ")


def test_a_person_reads_events_at_once_and_figures_and_warnings_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scene: Scene
) -> None:
    scene.fly(1, running=0)
    with study_show.showing() as show:
        assert isinstance(show, study_show.PlainShow)
        show.event("hello")
        for _ in range(80):
            show.update(scene.look(1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("s  hello")
    assert [line.split()[0] for line in lines] == ["0.0", "10.0", "70.0", "70.0", "70.0"]
    assert "warning: 0 of 2 trials run at this moment" in lines[-2] and "warning: 0% of 2 cores" in lines[-1]


def test_on_a_terminal_every_trial_in_flight_has_a_live_line_above_the_figures(
    monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    scene.fly(1, generations=25, p10=0.0)
    scene.fly(2, slot=1, running=0)
    with study_show.showing() as show:
        assert isinstance(show, study_show.LiveShow)
        show.event("trial 7: FAIL, it broke")
        show.update(scene.look(40))
    seen = terminal.getvalue()
    assert "trial 7: FAIL, it broke" in seen and "trial 1    generation 25/100  0:40" in seen
    assert "trial 2    generation 0/100  0:40  starting or being judged" in seen
    assert "1 trials running" in seen and "warning: 1 of 2 trials run at this moment" in seen
