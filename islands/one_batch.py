"""One batch of several processes: workers breed and write, and the process that has the device plays for all of them.

A worker is forked for each share of the islands, and evolves it by the usual loop. What is to be played it hands over
in shared memory; then it waits. When every worker waits, all that they wait for is played at once: the islands go in
step, with the results, bit for bit, that they would have in one process, whose interpreter would breed one at a time.

Workers wait for one of three things: that something is played, that the emigrants of all are published (nobody looks
for immigrants before), and that the islands of all have finished (nobody concludes before). The second is granted when
nobody wants the first, the third when nobody wants anything else. A worker of finished islands goes no further where
others were stopped: there is more to come for them.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NamedTuple

import numpy as np

from islands import notify, process
from islands.errors import STOPPED
from islands.genome.population import Array, Genomes, as_one, take
from islands.loop import FINISHED, PUBLISHED, Island, Meet
from islands.tasks import Played, Task, Verdict, Worth

PLAY, WORTH = "play", "worth"
_ALIGNED = 64
"""Bytes at whose multiples arrays lie in shared memory."""
_ROOM = 1.25
"""Shared memory grows to so many times what is needed, so that it seldom grows."""

Work = Callable[[Sequence[Island], Task, Callable[[], bool], Meet], int]
"""Evolves islands on a task, asking whether to halt and meeting the others; the exit code."""


class Wish(NamedTuple):
    """What a worker waits for: PLAY, WORTH (of a task, or of its `part`, as `Task` has them), PUBLISHED or FINISHED.

    `arrays`: for PLAY the columns of the genomes, items and keys; for WORTH those of the one genome, and the key.
    """

    kind: str
    part: str = ""
    arrays: Sequence[Array] = ()


class Answer(NamedTuple):
    """What comes of a wish: whether to go on from where others were waited for, what was played, a worth."""

    go_on: bool = True
    played: Sequence[Array] = ()
    worth: tuple[float, float, float, int] | None = None


class Line:
    """Between a worker and whoever plays, at either end: words through a pipe, arrays in shared memory."""

    def __init__(self, connection: Connection, memory: int, pid: int = 0, names: str = "") -> None:
        """`memory`: the file (memfd) that both ends map. `names`: of the worker's islands."""
        self.connection, self.pid, self.names = connection, pid, names
        self._memory, self._map = memory, mmap.mmap(memory, mmap.PAGESIZE)
        self.halt = False  # as of the last answer

    def ask(self, wish: Wish) -> Answer:
        """Have a wish granted. Ends this process if there is nobody any more who could."""
        try:
            self._say([wish.kind, wish.part], wish.arrays)
            (self.halt, go_on, worth), played = self._hear()
        except (EOFError, ConnectionError):
            os._exit(STOPPED)
        return Answer(go_on, [array.copy() for array in played], worth)

    def wish(self) -> Wish:
        """What the worker waits for; the arrays are where it has put them. EOFError when it has ended."""
        (kind, part), arrays = self._hear()
        return Wish(kind, part, arrays)

    def grant(self, answer: Answer, halt: bool) -> None:
        """Answer; a worker that has died meanwhile is noticed later."""
        with suppress(ConnectionError):
            self._say([halt, answer.go_on, answer.worth], answer.played)

    def _say(self, words: list[Any], arrays: Sequence[Array]) -> None:
        places, end = [], 0
        for array in arrays:
            places.append((array.shape, array.dtype.str, end))
            end += -(-array.nbytes // _ALIGNED) * _ALIGNED
        if end > len(self._map):
            size = -(-int(end * _ROOM) // mmap.PAGESIZE) * mmap.PAGESIZE
            os.ftruncate(self._memory, size)
            self._map = mmap.mmap(self._memory, size)
        for array, place in zip(arrays, places, strict=True):
            self._array(*place)[...] = array
        self.connection.send_bytes(json.dumps([words, places, len(self._map)]).encode())

    def _hear(self) -> tuple[list[Any], list[Array]]:
        words, places, size = json.loads(self.connection.recv_bytes())
        if size > len(self._map):
            self._map = mmap.mmap(self._memory, size)
        return words, [self._array(*place) for place in places]

    def _array(self, shape: Sequence[int], kind: str, first: int) -> Array:
        return np.ndarray(tuple(shape), kind, self._map, first)


class Elsewhere:
    """A task that another process plays, where the device is; what it is made of is known here."""

    def __init__(self, line: Line, task: Task, part: str = "") -> None:
        self._line, self._task, self._part = line, task, part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    @property
    def parts(self) -> Mapping[str, Task]:
        """See `Task`."""
        return {name: Elsewhere(self._line, part, name) for name, part in self._task.parts.items()}

    @property
    def worth(self) -> Callable[[Genomes, int, np.uint64], Worth] | None:
        """See `Task`."""
        return self._worth if self._task.worth is not None else None

    def _worth(self, genomes: Genomes, row: int, key: np.uint64) -> Worth:
        found = self._line.ask(Wish(WORTH, self._part, [*take(genomes, [row]), np.array(key)])).worth
        assert found is not None
        return Worth(*found)

    def play(self, genomes: Genomes, items: Array, keys: Array) -> Played:
        """See `Task`."""
        return Played(*self._line.ask(Wish(PLAY, self._part, [*genomes, items, keys])).played)

    def examine(self, genomes: Genomes, row: int, key: np.uint64) -> Verdict:
        """See `Task`: done here, in the task's own way; but what that has `play`ed is played there."""
        in_its_own_way: Callable[..., Verdict] = self._task.examine.__func__  # type: ignore[attr-defined]
        return in_its_own_way(self, genomes, row, key)


def evolve(islands: Sequence[Island], workers: int, task: Task, work: Work, halt: Callable[[], bool]) -> int:
    """Have so many workers evolve the islands while this process plays for them; the exit code.

    A worker that fails ends them all, as it would in one process: the code is its own, -N if signal N has ended it.
    """
    process.keep_large_memory()
    gc.collect()
    gc.freeze()  # a collection in a worker would touch, and so copy, every page
    lines: list[Line] = []
    try:
        ends = [len(islands) * number // workers for number in range(workers + 1)]
        for first, last in pairwise(ends):  # in their order, so that the batch is that of one process
            lines.append(_begin(islands[first:last], task, work, lines))
        with _stacks_of(lines):
            return _serve(list(lines), task, halt)
    finally:
        for line in lines:
            if line.pid:
                os.kill(line.pid, signal.SIGKILL)
                os.waitpid(line.pid, 0)


def _begin(share: Sequence[Island], task: Task, work: Work, others: Sequence[Line]) -> Line:
    """Fork a worker; the line to it."""
    here, there = Pipe()
    memory = os.memfd_create("evolab")
    os.ftruncate(memory, mmap.PAGESIZE)
    me = os.getpid()
    pid = os.fork()
    if pid:
        there.close()
        return Line(here, memory, pid, " ".join(island.name for island in share))
    try:
        process.die_with(me)
        here.close()
        for other in others:
            other.connection.close()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):  # whoever plays decides when to stop
            signal.signal(number, signal.SIG_IGN)
        log = os.open(share[0].place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        faulthandler.register(signal.SIGUSR1, file=log, all_threads=True)  # in one log they would be mixed
        for name in notify.VARIABLES:
            os.environ.pop(name, None)
        line = Line(there, memory)
        code = work(share, Elsewhere(line, task), lambda: line.halt, lambda what: line.ask(Wish(what)).go_on)
    except BaseException:
        code = 70
        traceback.print_exc()
    finally:
        os._exit(code)


@contextmanager
def _stacks_of(lines: Sequence[Line]) -> Iterator[None]:
    """SIGUSR1 asks for this process's stacks and, since the stall may be theirs, for the workers', each in the log of
    its first island."""

    def pass_on(*_: Any) -> None:
        for line in lines:
            if line.pid:
                os.kill(line.pid, signal.SIGUSR1)

    faulthandler.unregister(signal.SIGUSR1)
    before = signal.signal(signal.SIGUSR1, pass_on)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True, chain=True)
    try:
        yield
    finally:
        faulthandler.unregister(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, before)
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


def _serve(lines: list[Line], task: Task, halt: Callable[[], bool]) -> int:
    """Grant what workers wait for whenever all of them do, until all have ended; the exit code."""
    wishes: dict[Line, Wish] = {}
    notifier, began, ended, rounds = notify.Notifier(), time.monotonic(), 0, 0
    while lines:
        silent = {line.connection: line for line in lines if line not in wishes}
        for ready in wait(list(silent)):
            line = silent[ready]  # type: ignore[index]
            try:
                wishes[line] = line.wish()
            except (EOFError, ConnectionError):
                code = _end_of(line)
                if code not in (0, STOPPED):
                    return code
                ended = code or ended
                lines.remove(line)
        if not lines or len(wishes) < len(lines):
            continue
        wanted = {wish.kind for wish in wishes.values()}
        kinds = next(kinds for kinds in ({PLAY, WORTH}, {PUBLISHED}, {FINISHED}) if kinds & wanted)
        granted = {line: wishes[line] for line in lines if wishes[line].kind in kinds}
        if PLAY in kinds:
            answers, stop = _played(task, list(granted.values())), halt()
        else:
            answers, stop = [Answer(PUBLISHED in kinds or not ended)] * len(granted), False
        wishes = {line: wish for line, wish in wishes.items() if line not in granted}
        for line, answer in zip(granted, answers, strict=True):
            line.grant(answer, stop)
        if PLAY in kinds:
            rounds, now = rounds + 1, time.monotonic()
            notifier.turned(f"{len(lines)} workers, {rounds} batches", now - began)
            began = now
    return ended


def _end_of(line: Line) -> int:
    """The exit code of a worker that has ended; where a signal has ended it, told on stderr, -N."""
    _, status = os.waitpid(line.pid, 0)
    line.pid = 0
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        print(f"the worker of {line.names} was ended by {signal.Signals(-code).name}", file=sys.stderr, flush=True)
    return code


def _played(task: Task, wishes: Sequence[Wish]) -> list[Answer]:
    """The answers to wishes: all of what is to be played of a task, or of a part of it, is one batch."""
    answers: dict[int, Answer] = {}
    together: dict[str, list[int]] = {}
    for index, wish in enumerate(wishes):
        if wish.kind == PLAY:
            together.setdefault(wish.part, []).append(index)
            continue
        *columns, key = wish.arrays
        worth = (task.parts[wish.part] if wish.part else task).worth
        assert worth is not None
        found = worth(Genomes(*columns), 0, np.uint64(key))
        answers[index] = Answer(worth=(float(found.mean), float(found.low), float(found.high), int(found.episodes)))
    for name, indices in together.items():
        batches = [wishes[index].arrays for index in indices]
        for index, played in zip(indices, _as_one_batch(task.parts[name] if name else task, batches), strict=True):
            answers[index] = Answer(played=played)
    return [answers[index] for index in range(len(wishes))]


def _as_one_batch(task: Task, batches: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """What each of these batches (columns of genomes, items, keys) would give alone: the columns of `Played`."""
    genomes = [Genomes(*columns) for *columns, _, _ in batches]
    first = np.cumsum([0, *(some.count for some in genomes)])
    items = [some[-2] + before for some, before in zip(batches, first, strict=False)]
    played = task.play(as_one(genomes), np.concatenate(items), np.concatenate([some[-1] for some in batches]))
    columns = [column for column in vars(played).values() if column is not None]
    ends = np.cumsum([len(some) for some in items])
    return [[column[end - len(some) : end] for column in columns] for some, end in zip(items, ends, strict=True)]
