"""Starts island processes, watches them, restarts the dead from their checkpoints, stops them on request.

One process an island (`run` puts all its populations into one). Launcher and island meet in the run directory and
an exit code, nothing else: this module knows no genome and no generation beyond how far the files say it has come.
Each island's trouble is its own: whatever becomes of one, the others go on.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence

from islands import files
from islands.errors import STOPPED as STOPPED_CODE
from islands.errors import ConfigError, DiskError, EvolabError, TryAgain
from islands.rundir import RunDir
from launcher import poison, restarts, signals, verdicts, workers
from launcher.disk import Disk, probe
from launcher.oom import Kills
from launcher.restarts import Death
from launcher.rules import GRACE, Asked, Rules, Tell
from launcher.states import BACKOFF, DONE, FAILED, HELD, PENDING, RUNNING, STALLED, STOPPED
from launcher.workers import PROGRAM, Ended, Job, Process, Worker, environment

__all__ = ["GRACE", "PROGRAM", "Asked", "Job", "Rules", "Supervisor", "Worker", "environment"]

TICK, LOOK = 0.1, 1.0
"""Seconds between two looks at processes and signals; at heartbeats."""
ANOTHER = 5.0
"""Seconds between two questions whether an island's process elsewhere has ended."""
LONGEST_WAIT = 8.0
"""Seconds at most between two starts of an island whose disk is full although a probe has worked."""


class Supervisor:
    """Keeps `jobs` of one run alive until each is over (see `launcher.states`).

    `tell` hears what happens; `tick` is called about ten times a second, and so is `ask`, whose answer stops all.
    """

    def __init__(
        self,
        run: RunDir,
        jobs: Sequence[Job],
        tell: Tell,
        rules: Rules | None = None,
        tick: Callable[[], None] = lambda: None,
        ask: Callable[[], Asked | None] = lambda: None,
    ) -> None:
        self.run_dir, self.rules = run, rules or Rules()
        self.workers = [Worker(job, self.rules.patience) for job in jobs]
        self.signal: int | None = None
        self.ending = ""
        self._tell, self._tick, self._ask = tell, tick, ask
        self._signals = 0
        self._kill_at = float("inf")
        self._next_look = 0.0
        self._leaves = False
        self._jitter = random.Random()
        self._kills = Kills()
        self._disk = Disk(verdicts.folders_of(run), self.rules.low_water)
        self._starter = self.rules.place.starter(run, jobs, self.rules.program, self.rules.detach)

    def run(self) -> None:
        """Supervise to the end; `ending` and `signal` say what ended it, where that was not the islands' own end."""
        with self._listening():
            while True:
                self._start_due(time.monotonic())
                if self._leaves or all(worker.over for worker in self.workers):
                    return
                self._reap()
                self._act(time.monotonic())
                self._tick()
                time.sleep(TICK)

    def stop(self, why: str) -> None:
        """Ask every island to checkpoint and stop; SIGKILL follows after the grace period."""
        self._kill_at = min(self._kill_at, time.monotonic() + self.rules.grace)
        self.ending = self.ending or why
        for worker in self.workers:
            worker.send(signal.SIGTERM)
            if worker.process is None and not worker.over:
                self._end(worker, STOPPED, "stopped before it was started again")

    def _act(self, now: float) -> None:
        """Signals and requests that came, the end of the grace period, silent islands, the disk."""
        asked = None if self.ending else self._ask()
        if self.signal is not None and not self.ending:
            name = signal.Signals(self.signal).name
            asked = Asked("signal", f"{name}: islands checkpoint and stop (again: kill them)")
        if asked:
            self._tell("stopping", "", asked.text, why=asked.why)
            self.stop(asked.why)
        if self._signals > 1 or now > self._kill_at:
            for worker in self.workers:
                worker.send(signal.SIGKILL)
        if now >= self._next_look:
            self._next_look = now + LOOK
            for worker in self.workers:
                self._look(worker, now)
            self._look_at_disk(now)

    def _start_due(self, now: float) -> None:
        begun = []
        for worker in self.workers:
            due = worker.state == PENDING or (worker.state == BACKOFF and now >= worker.due)
            if due and worker.process is None and self.signal is None and not self._disk.refused:
                if not self._starter.ready():
                    break
                begun += self._start(worker)
        self._starter.flush()
        for worker, process in begun:
            text = f"{'queued' if process.queued else 'started'}, {workers.called(process)}"
            self._tell("start", worker.name, text, pid=process.pid, where=process.where or None)

    def _start(self, worker: Worker) -> list[tuple[Worker, Process]]:
        """Start an island that is due; it and its process, if there is a new one."""
        if self.ending or worker.job.asked_to_stop:
            self._end(worker, STOPPED, "a stop file is there")
            return []
        try:
            if alive := self._starter.find(worker.job):
                self._adopt(worker, alive)
                return []
            if why := self._starter.blocked(worker.job):
                self._wait_for_another(worker, why)
                return []
            worker.begin(self._starter.start(worker.job))
        except OSError as error:
            if files.is_of_the_disk(error):
                self._wait_for_disk(worker, f"cannot start: {error}")
            else:
                self._retry(worker, f"cannot start: {error}")
            return []
        return [(worker, worker.process)] if worker.process else []

    def _wait_for_another(self, worker: Worker, why: str) -> None:
        """Somewhere else a process may still have the island: that is nobody's death, and it takes what it takes."""
        if worker.reason != why:
            self._tell("waits", worker.name, f"waits: {why}", reason=why)
        worker.state, worker.reason, worker.due = BACKOFF, why, time.monotonic() + ANOTHER

    def _adopt(self, worker: Worker, found: Process) -> None:
        """Look after a process that lives already; one whose own launcher has died is about to end, and goes first."""
        worker.begin(found)
        worker.leaving = found.stops_by_itself or self.rules.renew
        if worker.leaving:
            worker.reason = "it checkpoints and stops first, and is then started again"
            found.send(signal.SIGTERM)
        what = "it stops first" if worker.leaving else "adopted"
        text = f"{workers.called(found)} of an earlier launcher is still there: {what}"
        self._tell("adopt", worker.name, text, pid=found.pid, leaving=worker.leaving)

    def _reap(self) -> None:
        for worker in self.workers:
            ended = worker.process.poll() if worker.process else None
            if ended is None or worker.process is None:
                continue
            gone, worker.process = worker.process, None
            worker.code = verdicts.inferred(worker.job, gone) if ended.code is None else ended.code
            worker.spent += ended.cpu_seconds
            worker.ended = time.monotonic()
            self._tell(
                "exit", worker.name, "", pid=gone.pid, code=worker.code, seconds=worker.ended - worker.started,
                began=worker.started_at, command=gone.command,
            )  # fmt: skip
            self._judge(worker, gone, ended)

    def _judge(self, worker: Worker, gone: Process, ended: Ended) -> None:
        """What the end of a process means."""
        code, job = worker.code, worker.job
        if worker.leaving and not self.ending:
            worker.state, worker.reason = PENDING, ""
        elif code == 0 and job.finished:
            self._end(worker, DONE, "finished")
        elif code == ConfigError.exit_code:
            self._end(worker, FAILED, "failed: a configuration that cannot work is not tried again")
        elif self.ending or job.asked_to_stop:
            worker.waits_for_disk = code == DiskError.exit_code
            self._end(worker, STOPPED, f"stopped ({workers.ending(code)})")
        elif code == STOPPED_CODE and worker.stalled_at is None:
            self._end(worker, STOPPED, "stopped by someone's request, with a checkpoint")
        elif code == DiskError.exit_code:
            self._wait_for_disk(worker, verdicts.complaint_of(job))
        elif code is None and any(map(probe, self._disk.folders)):
            self._wait_for_disk(worker, "ended without a word")
        elif code == TryAgain.exit_code and gone.where and not ended.why:
            self._wait_for_another(worker, verdicts.complaint_of(job))
        else:
            self._retry(worker, verdicts.why(worker, gone, ended, self._kills))

    def _retry(self, worker: Worker, why: str) -> None:
        """Start it again after a while, or hold it when that has not helped."""
        now, reached = time.monotonic(), verdicts.reached(worker.job)
        advanced = reached is not None and reached > (-1 if worker.reached is None else worker.reached)
        death = Death(now, now - worker.started, reached, advanced)
        verdict, worker.deaths = restarts.after(worker.deaths, death, self.rules.policy, self._jitter.random())
        worker.reached = reached if advanced else worker.reached
        if verdict.wait is None:
            minutes = self.rules.policy.window / 60
            self._hold(worker, f"died ({why}); {self.rules.policy.most} restarts in {minutes:g} minutes are enough")
            return
        if verdict.fall_back:
            self._fall_back(worker)
        worker.restarts += 1
        worker.state, worker.reason, worker.due = BACKOFF, why, now + verdict.wait
        text = f"died ({why}); restart {worker.restarts} from its checkpoint in {verdict.wait:.2g} s"
        self._tell("restart", worker.name, text, reason=why, restart=worker.restarts, wait=round(verdict.wait, 2))

    def _fall_back(self, worker: Worker) -> None:
        """It dies again and again at one generation: the newest checkpoint or the last migrants may be why."""
        for island in worker.job.islands:
            with contextlib.suppress(EvolabError, OSError):
                done = poison.fall_back(island)
                text = f"{self.rules.policy.same} deaths at generation {worker.deaths[-1].generation}: it goes back to "
                text += "the checkpoint before" if done["set_aside"] else "its only checkpoint"
                if done["quarantined"]:
                    text += f", and refuses the {len(done['quarantined'])} migrants that came last"
                self._tell("fall-back", island.name, text, **done)

    def _hold(self, worker: Worker, why: str) -> None:
        worker.state, worker.reason = HELD, why
        verdicts.note_held(worker)
        self._tell("held", worker.name, f"held: {why}", reason=why)

    def _wait_for_disk(self, worker: Worker, why: str) -> None:
        """The disk does not take what an island writes: start it again when a probe says that it does."""
        now, known = time.monotonic(), self._disk.refused is not None
        works = not known and self._disk.try_all(now, verdicts.probe_size(self.workers))
        worker.full = worker.full + 1 if now - worker.started < 60 else 1
        worker.waits_for_disk, worker.state, worker.reason = True, BACKOFF, f"disk: {why}"
        worker.due = now + min(LONGEST_WAIT, 2.0**worker.full) if works else now
        self._tell("disk", worker.name, f"waits for the disk ({why})", reason=why)
        if not works and not known:
            text = f"paused, because the disk takes nothing ({self._disk.refused}); it goes on by itself when it does"
            self._tell("disk-full", "", text, reason=self._disk.refused)

    def _look_at_disk(self, now: float) -> None:
        if self._disk.refused:
            if self._disk.try_again(now, verdicts.probe_size(self.workers)):
                self._tell("disk-back", "", "the disk works again: the islands go on")
        elif warning := self._disk.warning(now):
            self._tell("disk-low", "", f"warning: little disk space: {warning}", reason=warning)

    def _look(self, worker: Worker, now: float) -> None:
        """See whether an island gets on: its heartbeat comes from its work and stands still when that does."""
        if worker.state == HELD:
            verdicts.note_held(worker)
        if worker.process is None or self.ending:
            return
        worker.turn(now)
        worker.pulse.look(worker.beat, now)
        if worker.leaving:
            if now > worker.started + self.rules.grace:
                worker.send(signal.SIGKILL)
        elif worker.state == RUNNING and worker.pulse.stalled:
            worker.state, worker.stalled_at, worker.reason = STALLED, now, verdicts.silence(worker)
            self._tell("stall", worker.name, f"stalled: {worker.reason}", reason=worker.reason)
            worker.send(signal.SIGUSR1)
        elif worker.state == STALLED:
            self._end_silence(worker, now)

    def _end_silence(self, worker: Worker, now: float) -> None:
        """A stalled island that goes on is left alone; otherwise SIGTERM after the stack dump, then SIGKILL."""
        assert worker.stalled_at is not None
        patience = self.rules.patience
        if not worker.pulse.stalled and not worker.terminated:
            worker.state, worker.reason, worker.stalled_at = RUNNING, "", None
            self._tell("recovered", worker.name, "goes on again")
        elif now > worker.stalled_at + patience.dump + patience.grace:
            worker.send(signal.SIGKILL)
        elif now > worker.stalled_at + patience.dump and not worker.terminated:
            worker.terminated = True
            worker.send(signal.SIGTERM)

    def _end(self, worker: Worker, state: str, text: str) -> None:
        worker.state, worker.reason = state, "" if state == DONE else text
        self._tell(state.lower(), worker.name, text)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Within, SIGINT, SIGTERM and SIGHUP ask for a clean stop (unless ignored when this process started).

        The end of the terminal (SIGHUP) ends a launcher with `detach` alone: its islands go on.
        """

        def note(number: int) -> None:
            self._leaves = self._leaves or (number == signal.SIGHUP and self.rules.detach)
            self.signal = self.signal or number
            self._signals += 1

        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by some parents; then nobody could be waited for
        try:
            with signals.heard(note):
                yield
        finally:
            if not self.rules.detach:
                self._leave_none()
            self._starter.close()

    def _leave_none(self) -> None:
        """No island outlives its launcher, whatever ended the loop: checkpoint and stop, or be killed."""
        left = [worker for worker in self.workers if worker.process]
        for worker in left:
            worker.send(signal.SIGTERM)
        deadline = time.monotonic() + self.rules.grace
        while any(worker.process for worker in left) and time.monotonic() < deadline:
            self._reap()
            time.sleep(TICK)
        for worker in left:
            worker.send(signal.SIGKILL)
