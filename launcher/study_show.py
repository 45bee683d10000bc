"""What a person sees of a study while it runs, all of it on stderr: live lines on a terminal, plain ones when piped."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from launcher.study_summary import interval
from launcher.terminal import Lines, Redrawn
from launcher.trials import COMPLETE, Trial
from launcher.utilisation import clock

FIRST_LINE, EVERY_LINE = 10.0, 60.0
"""Seconds until the first plain line about everything, and between two."""


def ending(trial: Trial) -> str:
    """How a trial ended, in one line."""
    text = f"trial {trial.number}: {trial.state}"
    if trial.state == COMPLETE and trial.values:
        bounds = interval(trial)
        half = f" ± {(bounds[1] - bounds[0]) / 2:.3g}" if bounds else ""
        text += f", value {trial.values[0]:.4g}{half}"
        text += "".join(f", diversity {value:.3g}" for value in trial.values[1:])
    elif trial.reason:
        text += f", {trial.reason}"
    return f"{text} ({clock(trial.seconds)})"


def line(state: dict[str, Any]) -> str:
    """Everything in one line."""
    trials = state["trials"]
    over = trials["complete"] + trials["pruned"] + trials["fail"]
    text = f"{state['trials_running']} trials running · {over}/{trials['wanted']} done"
    text += "".join(
        f", {trials[name]} {word}" for name, word in (("pruned", "pruned"), ("fail", "failed")) if trials[name]
    )
    if state["cores_busy"] is not None:
        text += f" · {state['cores_busy']:.1f} of {state['cores_granted']} cores busy"
    if best := state["best"]:
        low, high = best["ci95"] or (best["values"][0],) * 2
        text += f" · best {best['values'][0]:.4g} ± {(high - low) / 2:.3g} (trial {best['trial']})"
    if state["seconds_left"] is not None:
        text += f" · {clock(state['seconds_left'])} left"
    if state["cost"] is not None:
        text += f" · cost {state['cost']:.2f}"
        text += f" of {state['cost_in_all']:.2f}" if state["cost_in_all"] is not None else ""
    return text


class Show(Protocol):
    """Shows a study to a person, on stderr."""

    def event(self, text: str) -> None:
        """Something happened."""

    def update(self, state: dict[str, Any]) -> None:
        """The figures at this moment."""

    def close(self) -> None:
        """The sitting is over."""


class PlainShow(Lines):
    """Lines: every event at once, the figures and warnings now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._next = self.began + FIRST_LINE

    def event(self, text: str) -> None:
        """Print it."""
        self.say(text)

    def update(self, state: dict[str, Any]) -> None:
        """Print the figures when their time has come."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_LINE
        self.event(line(state))
        for warning in state["warnings"]:
            self.event(f"warning: {warning}")


class LiveShow(Redrawn):
    """A line a trial in flight and the figures below, redrawn in place; events scroll past above."""

    def event(self, text: str) -> None:
        """Print it above the live lines."""
        self.say(text, warns="FAIL" in text or text.startswith("warning"))

    def update(self, state: dict[str, Any]) -> None:
        """Redraw."""
        from rich.text import Text

        room = max(3, self.height - 6)
        flights = state["running"]
        lines = [
            f"trial {flight['trial']:<4} generation {flight['generations']}/{flight['generations_wanted']}"
            f"  {clock(flight['seconds'])}" + ("" if flight["populations_running"] else "  starting or being judged")
            for flight in flights[:room]
        ]
        if len(flights) > room:
            lines.append(f"… and {len(flights) - room} more")
        warnings = [Text(f"warning: {warning}", style="yellow") for warning in state["warnings"]]
        self.draw(lines, Text(line(state)), *warnings)


@contextlib.contextmanager
def showing() -> Iterator[Show]:
    """The display that fits stderr."""
    show: Show = LiveShow() if sys.stderr.isatty() else PlainShow()
    try:
        yield show
    finally:
        show.close()
