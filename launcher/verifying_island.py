"""One island's files for `evolab verify`: the digest chain, every checkpoint, the log of migrations, the result."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from islands import chain, checkpoint, files
from islands.errors import EvolabError
from islands.migration_log import segments
from islands.rundir import IslandDir, checkpoints_in

WHOLE, RECOVERABLE, DAMAGED = "whole", "recoverable", "damaged"
Finding = tuple[str, str, str]
"""Which of an island's files, in which state, and in words."""


@dataclass
class IslandFiles:
    """The files of one island. `owner`: whose its checkpoints say they are; `migrates`: whether it has a log."""

    place: IslandDir
    owner: dict[str, Any]
    migrates: bool

    def findings(self) -> Iterator[Finding]:
        """Everything, in the order in which it depends on each other."""
        looks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
            ("metrics", lambda: [self._metrics_found()]),
            ("checkpoints", self._checkpoints_found),
        ]
        looks += [("migrations", lambda: [self._log_found()])] if self.migrates else []
        looks += [("result", lambda: [self._result_found()])] if self.place.result.exists() else []
        for what, look in looks:
            try:
                yield from list(look())
            except (EvolabError, OSError, ValueError, KeyError, TypeError) as error:
                yield what, DAMAGED, f"not what this version writes ({error!r})"

    @cached_property
    def _metrics(self) -> list[tuple[int, dict[str, Any] | None]]:
        """The metrics, by line number; None for a line that is none."""
        return list(_lines(self.place.metrics))

    def _metrics_found(self) -> Finding:
        lines = self._metrics
        bad = [number for number, line in lines if line is None]
        if bad:
            text = f"{len(bad)} of {len(lines)} lines unreadable, the first is line {bad[0]}; "
            return "metrics", DAMAGED, text + "the island itself can go on, and a replay tells the digests"
        told = [line for _, line in lines if line is not None]
        if files.is_torn(self.place.metrics):
            text = f"{len(told)} generations whole, the last line is torn: it is written again when the island goes on"
            return "metrics", RECOVERABLE, text
        if broken := self._broken_link(told):
            return "metrics", DAMAGED, broken
        linked = sum("chain" in line for line in told)
        rest = f", {len(told) - linked} of an earlier version are not linked" if linked < len(told) else ""
        return "metrics", WHOLE, f"{len(told)} generations, digests chained{rest}"

    def _broken_link(self, told: list[dict[str, Any]]) -> str | None:
        previous = chain.beginning(int(self.owner["seed"]), self.place.name)
        for number, line in enumerate(told):
            if line.get("generation") != number:
                return f"generation {number} is missing; replay tells its digest"
            if "chain" in line:
                made = chain.link(previous, number, line["digest"], line["admitted"])
                if made != line["chain"]:
                    return f"the chain of digests is broken at generation {number}: that line or one before was altered"
            previous = line.get("chain", "")
        return None

    def _checkpoints_found(self) -> Iterator[Finding]:
        if not self.place.checkpoints.is_dir():
            yield "checkpoints", DAMAGED, "the folder is gone; the island starts afresh and repeats what its log tells"
            return
        good, bad = [], []
        for path in checkpoints_in(self.place.checkpoints):
            if wrong := self._wrong_with(path):
                bad.append((path, wrong))
            else:
                good.append(path)
        newest = f"the island goes on from generation {int(good[0].stem)}" if good else "nothing to go on from"
        for path, wrong in bad:
            yield f"checkpoints/{path.name}", RECOVERABLE if good else DAMAGED, f"{wrong}; {newest}"
        if good:
            yield "checkpoints", WHOLE, f"{len(good)}, the newest of generation {int(good[0].stem)}"
        elif not bad and self._metrics:
            yield "checkpoints", DAMAGED, "there is none; the island starts afresh and repeats what its log tells"

    def _wrong_with(self, path: Path) -> str | None:
        try:
            state = checkpoint.read(path, self.owner)
        except FileNotFoundError:
            return None  # pruned by the island while we looked
        except (EvolabError, ValueError) as error:
            return str(error)
        line = self._told.get(state.generation)
        if state.generation != int(path.stem):
            return f"it holds generation {state.generation}"
        if state.population.digest() != state.record["digest"]:
            return "its population has not the digest that it recorded"
        if line and any(line.get(key) != state.record.get(key) for key in ("digest", "chain")):
            return "the metrics tell another digest of that generation"
        return None

    @cached_property
    def _told(self) -> dict[int, dict[str, Any]]:
        return {line["generation"]: line for _, line in self._metrics if line is not None and "generation" in line}

    def _log_found(self) -> Finding:
        admitted: dict[int, list[str]] = {}
        complete: set[int] = set()
        taken: set[tuple[Any, ...]] = set()
        count = 0
        log = self.place.migrations
        for path in segments(log):
            for number, line in _lines(path):
                count += 1
                if wrong := _wrong_line(line, taken):
                    text = f"{path.name}, line {number}: {wrong}; a replay beyond it cannot be had"
                    return "migrations", DAMAGED, f"{text}, the island goes on from its newest checkpoint"
                assert line is not None
                if line.get("event") == "complete":
                    complete.add(line["generation"])
                if line.get("admitted"):
                    admitted.setdefault(line["generation"], []).append(line["digest"])
        if differs := self._not_as_told(admitted, complete):
            return "migrations", DAMAGED, differs
        if files.is_torn(log):
            return (
                "migrations",
                RECOVERABLE,
                f"{count} lines whole; the last is torn, was not acted on, and is cut off",
            )
        return "migrations", WHOLE, f"{count} lines, {len(complete)} migrations complete"

    def _not_as_told(self, admitted: dict[int, list[str]], complete: set[int]) -> str | None:
        """Whether the metrics tell of other migrants than the log, where it still reaches back."""
        for generation, line in self._told.items():
            before = generation - 1
            told = line.get("admitted")
            reaches = before in complete or (told and before > min(complete, default=-1))
            if told is not None and reaches and admitted.get(before, []) != told:
                return f"the log and the metrics tell of other migrants in generation {before}; it cannot be replayed"
        return None

    def _result_found(self) -> Finding:
        remedy = "remove result.json and resume the run: it is made again"
        try:
            result = files.read_json(self.place.result)
            blob = self.place.champion.read_bytes()
        except (EvolabError, OSError) as error:
            return "result", RECOVERABLE, f"{error}; {remedy}"
        if hashlib.sha256(blob).hexdigest() != result.get("champion", {}).get("digest"):
            return "result", RECOVERABLE, f"the champion's file is not the one that was judged; {remedy}"
        generations = result.get("generations")
        if self._told and generations != max(self._told) + 1:
            return "result", RECOVERABLE, f"it tells of {generations} generations, the metrics of others; {remedy}"
        return "result", WHOLE, f"champion {result['champion']['mean']:.4g}, as it was judged"


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The records in a file by line number; None for a line that is none of a generation."""
    for number, text in files.each_line(path):
        line = files.record_in(text)
        yield number, line if line and isinstance(line.get("generation"), int) else None


def _wrong_line(line: dict[str, Any] | None, taken: set[tuple[Any, ...]]) -> str | None:
    """What is wrong with a line of the log; `taken`: the admissions seen before."""
    if line is None:
        return "unreadable"
    if not line.get("admitted"):
        return None
    try:
        blob = base64.b64decode(line["genome"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return "an admitted migrant without its genome"
    if hashlib.sha256(blob).hexdigest() != line.get("digest"):
        return "an admitted genome has not the digest that was recorded"
    key = (line.get("source"), line.get("epoch"), line.get("sequence"), line["digest"], line["generation"])
    if key in taken:
        return "a migrant admitted twice"
    taken.add(key)
    return None
