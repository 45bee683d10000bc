"""`pool`: a plain process pool. With random search and no Optuna it is the diagnostic baseline.

A worker that is killed breaks a `ProcessPoolExecutor` and every trial in it: those trials are said to be lost, which
makes the study start them again from their checkpoints, in a new pool.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path

from launcher.backends import LOST, end_worker, wait_for
from launcher.trials import StudyDir


class Pool:
    """See `launcher.backends.Backend`."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._futures: dict[int, Future[int]] = {}
        self._studies: dict[int, StudyDir] = {}

    def start(self, study: Path, number: int, threads: int) -> None:
        """Give the trial to the pool."""
        self._studies[number] = StudyDir(study)
        try:
            self._futures[number] = self._submit(study, number)
        except BrokenProcessPool:  # a worker died that had nothing to do
            self._pool = None
            self._futures[number] = self._submit(study, number)

    def _submit(self, study: Path, number: int) -> Future[int]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_belong)
        return self._pool.submit(wait_for, str(study), number, str(StudyDir(study).log(number)))

    def ended(self) -> dict[int, int]:
        """The exit codes of those that have ended."""
        over = {number: future for number, future in self._futures.items() if future.done()}
        codes = {}
        for number, future in over.items():
            del self._futures[number]
            broken = future.exception() is not None
            codes[number] = LOST if broken else future.result()
            if broken and self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None
        return codes

    def kill(self, number: int) -> None:
        """End a trial's process at once."""
        end_worker(self._studies[number], number)

    def close(self) -> None:
        """Kill what is left, and wait for the pool to end."""
        for number in self._futures:
            self.kill(number)
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _belong() -> None:
    """A worker ends with the study's process, even a killed one, which stops its trial; Ctrl-C is for the study."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    study = multiprocessing.parent_process()

    def follow() -> None:
        if study is not None:
            wait([study.sentinel])
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
