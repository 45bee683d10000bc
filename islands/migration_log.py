"""The log of an island's migrations: what was decided, durably, so that it can be done again from the log alone.

A line an arrival, with its genome where it was admitted; then a line that says that the migration is complete. The log
lies in two segments: when it has grown to `LOG_SEGMENT` it is put aside, and what had been put aside before goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from islands import quarantine
from islands.errors import EvolabError
from islands.files import JsonLines, dumps, each_line, move, record_in, renew, replace_atomically, tail_jsonl
from islands.pool import Reader

LOG_SEGMENT = 256 << 20
"""Bytes at which the log is put aside; one put-aside segment is kept, so it is bounded by twice this."""

Decided = dict[int, list[dict[str, Any]]]
"""By generation the lines of its arrivals, and the line that says that its migration is complete."""


def recall(log: Path, generation: int, avoid: frozenset[str], reader: Reader | None) -> Decided:
    """What was decided from `generation` on, to be repeated; what was not completed is removed from the log.

    A damaged line of an earlier generation does no harm; a later one is an error, since what followed is unknown.
    `avoid`: digests of genomes whose admission becomes a refusal. `reader` hears what was taken.
    """
    renew(log)
    both = segments(log)
    complete = {line["generation"] for segment in both for line in _completed(segment)}
    decided: Decided = {g: [] for g in sorted(complete) if g >= generation}
    damaged: str | None = None

    def kept(line: dict[str, Any] | None) -> dict[str, Any] | None:
        """A line of the log as it stays; None: it goes, because it is of a decision that was not completed."""
        if line is None or not ("event" in line or line["generation"] in complete):
            return None
        return quarantine.corrected(line, generation, avoid)

    for segment in both:
        changed = False
        for number, text in each_line(segment):
            was = record_in(text)
            line = kept(was)
            changed = changed or line != was
            if was is None:
                damaged = f"{segment}, line {number}"
            elif was["generation"] < generation:
                damaged = None
            if line is not None:
                _remember(line, decided, reader)
        if damaged:
            do = "move the log away to go on with migrants that come now; the island can then not be replayed"
            raise EvolabError(damaged, expected="a line of the log of migrations", got="damage", do=do)
        if changed:
            lines = (kept(record_in(text)) for _, text in each_line(segment))
            replace_atomically(segment, b"".join(dumps(line).encode() + b"\n" for line in lines if line))
    return decided


def append(log: Path, lines: list[dict[str, Any]], durable: bool) -> None:
    """Append, and wait for the disk where asked to, or where the log was not there: its name has to last."""
    JsonLines(log, durable or not log.exists()).extend(lines)


def write(log: Path, lines: list[dict[str, Any]], reader: Reader | None, durable: bool) -> None:
    """`append`; put the log aside when it has grown large, with what `reader` has taken so far."""
    append(log, lines, durable)
    if os.path.getsize(log) > LOG_SEGMENT:
        taken = {source: [reader.epochs.get(source), n] for source, n in reader.cursors.items()} if reader else {}
        line = {"generation": lines[-1]["generation"], "event": "put aside", "taken": taken}
        line["number"] = _last_put_aside(log).get("number", 0) + 1  # what had been put aside before is lost
        JsonLines(log, durable=True).append(line)
        move(log, put_aside(log))


def put_aside(log: Path) -> Path:
    """Where the older part of a log lies once it has grown to `LOG_SEGMENT`."""
    return log.with_name(f"{log.stem}.1{log.suffix}")


def segments(log: Path) -> tuple[Path, Path]:
    """Both parts of a log, the older first; either may be missing."""
    return put_aside(log), log


def without_genome(line: bytes) -> bytes:
    """A line of the log; of an arrival without its genome, which is nearly all of it."""
    start = line.find(b', "genome": "')
    end = line.find(b'"', start + 13)
    return line if start < 0 or end < 0 else line[:start] + line[end + 1 :]


def first_repeatable(log: Path) -> int:
    """The generation whose migration is the oldest that the log still tells; 0: it tells all there ever were."""
    last = _last_put_aside(log)
    if last.get("number", 0) < 2:
        return 0
    told = (line["generation"] for segment in (put_aside(log), log) for line in _completed(segment))
    return int(next(told, last["generation"] + 1))


def _last_put_aside(log: Path) -> dict[str, Any]:
    """The line with which the older part of a log ends; {} where there is none."""
    return (tail_jsonl(put_aside(log), 1) or [{}])[0]


def _completed(segment: Path) -> Iterator[dict[str, Any]]:
    lines = (record_in(text) for _, text in each_line(segment) if b'"complete"' in text)
    return (line for line in lines if line and line.get("event") == "complete")


def _remember(line: dict[str, Any], decided: Decided, reader: Reader | None) -> None:
    if line["generation"] in decided and line.get("event", "complete") == "complete":
        decided[line["generation"]].append(line)
    if reader:
        _note_taken(reader, line)


def _note_taken(reader: Reader, line: dict[str, Any]) -> None:
    """Have the reader know again what a line of the log says was taken: each source's newest publication."""
    taken = dict(line.get("taken", {}))
    if line.get("source") and line.get("sequence") and line.get("digest"):
        taken[line["source"]] = [line.get("epoch"), line["sequence"]]
    for source, (epoch, sequence) in taken.items():
        before = (reader.epochs.get(source, 0), reader.cursors.get(source, 0))
        newest = max(before, (epoch or 0, sequence))
        reader.cursors[source] = newest[1]
        if newest[0]:
            reader.epochs[source] = newest[0]
