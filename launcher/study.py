"""A study: many trials, each one or more whole runs, asked and told by one parent process.

The loop reads aloud: reap what has ended → prune what is behind → fill free places → say how it goes. All it knows of a
trial it reads from the trial's files, so it can die at any moment and be started again: finished trials are never lost,
interrupted ones go on from their islands' checkpoints.
"""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Any

from islands import files
from islands.config import Config
from islands.errors import STOPPED, ConfigError, EvolabError
from launcher import board, signals, study_show, study_summary
from launcher.backends import Backend
from launcher.flight import Options, Running
from launcher.identity import Identity
from launcher.locks import Held
from launcher.memory import Memory
from launcher.objective import complaint_of, end_workers, progress_of, seed_results, values_of
from launcher.pruning import Pruner, milestones
from launcher.trials import COMPLETE, FAIL, PRUNED, RUNNING, StudyDir, Trial, runs_of

TICK = 0.2
"""Seconds between two looks at the backend."""
LOOK = 1.0
"""Seconds between two looks at the trials' files."""
GRACE = 60.0
"""Seconds from asking a trial to stop to killing its process."""
FRUITLESS = 3
"""So many times a trial is started again without having come any further."""
HELD_RETRY = 1.0
"""Seconds until a trial is tried again whose last process has not ended yet."""


def revivable(place: StudyDir, number: int) -> Trial:
    """The trial `number` if it was pruned (or was, and is going on already); refused otherwise."""
    trial = place.read(number) if number in place.numbers() else None
    if trial is None or not (trial.state == PRUNED or (trial.state == RUNNING and trial.revived)):
        got = trial.state if trial else "no such trial"
        raise ConfigError(f"--revive {number}", expected="a trial that was pruned", got=got)
    return trial


class Study:
    """One sitting: runs trials until enough have finished, or somebody stops it."""

    def __init__(
        self, place: StudyDir, identity: Identity, options: Options, memory: Memory, pruner: Pruner, backend: Backend,
        show: study_show.Show,
    ) -> None:  # fmt: skip
        self.place, self.identity, self.options = place, identity, options
        self.memory, self.pruner, self.backend, self.show = memory, pruner, backend, show
        self.trials: dict[int, Trial] = {}
        self.running: dict[int, Running] = {}
        self.waiting: list[Trial] = []
        self.signal: int | None = None
        self.limit = ""
        self.board = board.Board(identity, options.slots, options.backend, options.cost_per_hour)
        self._began = time.monotonic()
        self._looked = 0.0

    @property
    def base(self) -> Config:
        """What all trials share."""
        return self.identity.base

    def run(self) -> int:
        """Sit until done. 0: all trials finished, 1: some failed, 124: a limit was reached, 128 + signal."""
        with signals.heard(self._note_signal), contextlib.closing(self.backend):
            self.recover()
            self.summarise()
            while True:
                self.reap()
                self.look()
                if self.over():
                    break
                self.fill()
                time.sleep(TICK)
            self.look(force=True)
            self.summarise()
        if self.signal is not None:
            return 128 + self.signal
        if self.limit:
            return 124
        return 1 if any(trial.state == FAIL for trial in self.trials.values()) else 0

    def recover(self) -> None:
        """Take up a study where it was left."""
        files.remove_temporaries(self.place.path)
        self.trials = {trial.number: trial for trial in self.place.trials()}
        before = {number: trial.optuna for number, trial in self.trials.items()}
        self.memory.recover(list(self.trials.values()))
        for number, trial in self.trials.items():
            if trial.optuna != before[number]:
                self.place.write(trial)
            self.pruner.note(trial)
        self.waiting = [trial for trial in self.trials.values() if not trial.finished]
        for trial in self.waiting:
            end_workers(self.place, trial)
        if self.trials:
            left = len(self.waiting)
            self.show.event(f"continued: {len(self.trials) - left} trials are finished, {left} go on from checkpoints")

    def revive(self, number: int) -> None:
        """Let a pruned trial go on to its end, unpruned this time."""
        trial = revivable(self.place, number)
        trial.state, trial.revived, trial.ended, trial.reason = RUNNING, True, None, ""
        self.place.write(trial)

    def over(self) -> bool:
        """Whether nothing runs any more and nothing is to be started."""
        return not self.running and (self.stopping or not (self.waiting or self._wanted()))

    @property
    def stopping(self) -> bool:
        """Whether no further trial is started and those that run stop with checkpoints."""
        return self.signal is not None or bool(self.limit)

    def _wanted(self) -> int:
        """How many new trials are still to be asked for."""
        return max(0, self.options.trials - len(self.trials))

    def fill(self) -> None:
        """Start trials on free places: interrupted ones first."""
        now = time.monotonic()
        for running in self.running.values():
            if not running.alive and now >= running.not_before and running.asked_to_stop is None:
                self._start(running)
        while not self.stopping and len(self.running) < len(self.options.slots):
            if self.waiting:
                trial = self.waiting.pop(0)
            elif self._wanted():
                trial = self._ask()
            else:
                return
            self._place(trial)

    def _ask(self) -> Trial:
        number = max(self.trials, default=0) + 1
        params, optuna = self.memory.ask(number)
        runs = runs_of(self.identity.seeds, self.identity.islands_of(params), not self.pruner.by_seed)
        trial = Trial(number, params, runs, optuna=optuna, started=time.time())
        trial.generations_wanted = len(runs) * self.base.generations
        self.trials[number] = trial
        return trial

    def _place(self, trial: Trial) -> None:
        taken = [running.slot for running in self.running.values()]
        slot = next(slot for slot in self.options.slots if slot not in taken)
        trial.backend, trial.threads = self.options.backend, self.options.threads
        trial.cores, trial.cpus = slot.cores, list(slot.cpus) if slot.cpus else None
        running = Running(trial, slot, time.monotonic(), spent=trial.seconds_of_workers())
        self.running[trial.number] = running
        self._start(running)

    def _start(self, running: Running) -> None:
        trial = running.trial
        files.remove(self.place.stop(trial.number))
        files.make_folder(self.place.folder(trial.number))
        running.progress = progress_of(self.place, trial, self.base.generations)
        running.before, running.alive = running.progress.generations, True
        trial.workers.append({"started": time.time()})
        self.place.write(trial)
        self.backend.start(self.place.path, trial.number, self.identity.concurrent(trial.params, running.slot.cores))

    def reap(self) -> None:
        """Judge the trials whose process has ended."""
        for number, code in self.backend.ended().items():
            running = self.running[number]
            running.alive = False
            running.progress = progress_of(self.place, running.trial, self.base.generations)
            self.board.measure(running)  # what it used since the last look, or all of it
            self._note_worker(running, code)
            self._judge(running, code)

    def _note_worker(self, running: Running, code: int) -> None:
        said: dict[str, Any] = {}
        with contextlib.suppress(EvolabError):
            said = files.read_json(self.place.worker(running.trial.number))
        keys = ("pid", "host", "cpus")
        running.trial.workers[-1] |= {**{key: said.get(key) for key in keys}, "ended": time.time(), "exit_code": code}
        running.trial.workers[-1]["islands"] = list(running.progress.pids)
        running.trial.workers[-1]["threads"] = running.progress.threads

    def _judge(self, running: Running, code: int) -> None:
        """What the end of a trial's process means for the trial."""
        if code == 0:
            self._complete(running)
        elif running.asked_to_stop is not None and (code in (STOPPED, Held.launcher_code) or code < 0):
            if running.pruned:
                self._end(running, PRUNED, running.pruned)
            else:
                self._suspend(running)
        elif code == STOPPED:
            self._end(running, FAIL, "its islands were stopped by someone's request")
        elif code in (ConfigError.exit_code, 1, 2):
            self._end(running, FAIL, complaint_of(self.place, running.trial))
        else:
            self._again(running, code)

    def _again(self, running: Running, code: int) -> None:
        """Its process died or could not begin: start it again from its islands' checkpoints, if that helps."""
        held = code == Held.launcher_code
        if self.stopping:
            self._suspend(running)
            return
        farther = running.progress.generations > running.before
        running.fruitless = 0 if farther else running.fruitless + (not held)
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        if running.fruitless > FRUITLESS:
            why = complaint_of(self.place, running.trial)
            self._end(running, FAIL, f"{how}, {FRUITLESS} starts without any progress; {why}")
            return
        running.not_before = time.monotonic() + (HELD_RETRY if held else 2.0**running.fruitless)
        if not held:
            self.show.event(f"trial {running.trial.number}: {how}; it goes on from its checkpoints")

    def _complete(self, running: Running) -> None:
        trial = running.trial
        try:
            trial.seeds = seed_results(self.place, trial)
            trial.values, trial.standard_error = values_of(trial.seeds, self.identity.objectives)
        except EvolabError as error:
            self._end(running, FAIL, str(error))
            return
        self._end(running, COMPLETE, "")

    def _end(self, running: Running, state: str, reason: str) -> None:
        """A trial's result: into its file first, then told, then summarised."""
        trial = running.trial
        trial.state, trial.reason, trial.ended = state, reason, time.time()
        self._account(running)
        self.place.write(trial)
        self.memory.tell(trial)
        self.place.write(trial)  # its number in the storage may be new
        self.pruner.note(trial)
        del self.running[trial.number]
        self.board.finished(trial)
        self.show.event(study_show.ending(trial))
        self.summarise()

    def _suspend(self, running: Running) -> None:
        """Leave a trial as it is, to be continued by the next sitting."""
        self._account(running)
        self.place.write(running.trial)
        del self.running[running.trial.number]
        self.show.event(f"trial {running.trial.number}: stopped with checkpoints; the same command again continues it")

    def _account(self, running: Running) -> None:
        trial, rate = running.trial, self.options.cost_per_hour
        trial.generations = running.progress.generations
        trial.seconds = trial.seconds_of_workers()
        trial.cpu_seconds = self.board.cpu_seconds(trial.number)
        if rate is not None:
            granted = sum(slot.cores for slot in self.options.slots)
            trial.cost = rate * trial.seconds / 3600 * running.slot.cores / granted

    def look(self, force: bool = False) -> None:
        """Read how far trials are, prune, mind limits, tell people."""
        now = time.monotonic()
        if now - self._looked < LOOK and not force:
            return
        self._looked = now
        for running in list(self.running.values()):
            if running.alive:
                running.progress = progress_of(self.place, running.trial, self.base.generations)
            self.prune(running)
        self._mind_limits(now)
        self._stop_overdue(now)
        state = self.board.look(self.running.values(), self.trials.values(), self.options.trials)
        files.write_json(self.place.live, {**state, "state": self._state()})
        self.show.update(state)

    def _state(self) -> str:
        if self.over():
            return "stopped" if self.stopping else "done"
        return "stopping" if self.stopping else "running"

    def prune(self, running: Running) -> None:
        """Report the milestones that a trial has passed; stop it where the pruner says so."""
        trial = running.trial
        if running.asked_to_stop is not None or trial.revived:
            return
        done = running.progress.generations
        for step, values in milestones(
            self.pruner, self.place, trial, done, self.base.generations, self.identity.objectives
        ):
            trial.intermediate[step] = values
            self.pruner.note(trial)
            if self.memory.report(trial, step, values):
                unit = "seeds" if self.pruner.by_seed else "generations"
                running.pruned = f"pruned by {self.pruner.kind} after {step} {unit}"
                self.stop(running)
                return

    def stop(self, running: Running) -> None:
        """Ask a trial to stop: its islands finish their generation and write checkpoints."""
        running.asked_to_stop = time.monotonic()
        files.replace_atomically(self.place.stop(running.trial.number), b"")
        if not running.alive:
            self._judge(running, STOPPED)

    def _mind_limits(self, now: float) -> None:
        seconds, options = now - self._began, self.options
        if options.timeout is not None and seconds > options.timeout and not self.limit:
            self.limit = f"the time limit of {options.timeout:g} s"
        cost = self.board.cost
        if options.max_cost is not None and cost is not None and cost > options.max_cost and not self.limit:
            self.limit = f"the cost limit of {options.max_cost:g}"
        if self.limit and any(running.asked_to_stop is None for running in self.running.values()):
            self.show.event(f"{self.limit} is reached: trials stop with checkpoints")
        if self.stopping:
            for running in list(self.running.values()):
                if running.asked_to_stop is None:
                    self.stop(running)

    def _stop_overdue(self, now: float) -> None:
        for number, running in self.running.items():
            if running.asked_to_stop is not None and now - running.asked_to_stop > GRACE:
                self.backend.kill(number)

    def summarise(self) -> None:
        """Rewrite summary.json and trials.csv."""
        study_summary.write_summary(self.place, self.identity, list(self.trials.values()))

    def _note_signal(self, number: int) -> None:
        """The first one stops the study with checkpoints, a second one kills its trials."""
        if self.signal is None:
            self.signal = number
            self.show.event(f"{signal.Signals(number).name}: trials stop with checkpoints (again: kill them)")
            return
        for trial in self.running:
            self.backend.kill(trial)
