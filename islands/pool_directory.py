"""The migration directory of one archipelago: its identity, its outboxes by name, its quarantine."""

from __future__ import annotations

import json
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import ConfigError, DiskError, EvolabError
from islands.outbox_folder import OpenOutbox, is_good, locked, newest_first, opened
from islands.rundir import check_name, is_name

POOL_FORMAT = 1
_IDENTITY_LARGEST = 1 << 20


@dataclass(frozen=True)
class Pool:
    """A migration directory that belongs to this archipelago. Made by `Pool.open`."""

    directory: Path
    identity: dict[str, Any]

    @classmethod
    def open(cls, directory: Path | str, agree: dict[str, Any], pool_id: str | None = None) -> Pool:
        """Join the pool in `directory`, or found it. A ConfigError says what differs, and nothing is written then.

        `agree` is what must be equal for genomes to be exchanged (JSON values; "task" among them names the task).
        `pool_id`: the id to insist on, or to found with; None takes whatever is there, or a new one.
        """
        directory = Path(directory)
        wanted = _identity(agree, pool_id or uuid.uuid4().hex)
        if not os.path.lexists(directory / "pool.json"):
            _found(directory, wanted)
        pool = cls(directory, _read_identity(directory))
        _compare(directory, pool.identity, wanted if pool_id else {**wanted, "pool_id": pool.pool_id})
        pool.restore()
        return pool

    @property
    def pool_id(self) -> str:
        """The pool's id, 32 hexadecimal digits."""
        return str(self.identity["pool_id"])

    @property
    def outboxes(self) -> Path:
        """The folder of outboxes."""
        return self.directory / "migration_pool"

    @property
    def quarantine(self) -> Path:
        """The folder of refused files."""
        return self.directory / "quarantine"

    def islands(self) -> list[str]:
        """The names of the islands that have an outbox, sorted. One listing, which also shows new ones on NFS."""
        with files.told_in_one_line(self.outboxes, "list"), suppress(FileNotFoundError):
            return sorted(name for name in os.listdir(self.outboxes) if is_name(name))
        return []

    def restore(self) -> None:
        """Make again what somebody has removed while islands use it."""
        if not os.path.lexists(self.directory / "pool.json"):
            _found(self.directory, self.identity)
        files.make_folder(self.outboxes)
        files.make_folder(self.quarantine)

    def next_epoch(self, name: str, timeout: float = 5.0) -> int:
        """One more than the newest epoch in the outbox of `name`; 1 where there is none. O(publications kept)."""
        with files.told_in_one_line(self.outboxes / name, "open"):
            try:
                with self.opened(name, timeout) as outbox:
                    by_epoch = sorted(newest_first(outbox.names()), key=lambda entry: entry.epoch, reverse=True)
                    newest = next((entry for entry in by_epoch if is_good(outbox, entry)), None)
            except FileNotFoundError:
                return 1
        return newest.epoch + 1 if newest else 1

    @contextmanager
    def opened(self, name: str, timeout: float) -> Iterator[OpenOutbox]:
        """The outbox of `name`, open and locked; OSError where there is none, LockTimeout where it stays locked."""
        with opened(self.outboxes / check_name(name), self.pool_id, self.quarantine, timeout) as outbox:
            yield outbox


def _identity(agree: dict[str, Any], pool_id: str) -> dict[str, Any]:
    identity = {"format": POOL_FORMAT, "pool_id": pool_id, "task": agree.get("task"), "agree": agree}
    found: dict[str, Any] = json.loads(files.dumps(identity))  # tuples become lists, as they do in the file
    return found


def _found(directory: Path, identity: dict[str, Any]) -> None:
    """Write the identity, unless another process comes first."""
    files.make_folder(directory)
    with files.told_in_one_line(directory, "use"), locked(directory / ".pool.lock", timeout=10.0):
        if not os.path.lexists(directory / "pool.json"):
            files.remove_temporaries(directory)
            files.write_json(directory / "pool.json", identity)


def _read_identity(directory: Path) -> dict[str, Any]:
    path = directory / "pool.json"
    advice = f"remove {directory} if no island uses it, or choose another directory"
    try:
        status = path.lstat()
        good = stat.S_ISREG(status.st_mode) and status.st_size <= _IDENTITY_LARGEST
        identity = files.read_json(path) if good else {}
    except DiskError:
        raise
    except (OSError, EvolabError) as error:
        if isinstance(error, OSError) and files.is_of_the_disk(error):
            raise DiskError(f"{path}", expected="a healthy disk", got=str(error.strerror)) from error
        raise ConfigError(f"{path}", expected="a pool's identity", got=str(error), do=advice) from error
    if identity.get("format") != POOL_FORMAT:
        raise ConfigError(f"{path}", expected=f"format {POOL_FORMAT}", got=f"{identity.get('format')!r}", do=advice)
    if not isinstance(identity.get("agree"), dict) or not isinstance(identity.get("pool_id"), str):
        raise ConfigError(f"{path}", expected="pool_id and agree", got=f"{identity!r:.80}", do=advice)
    return identity


def _compare(directory: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    flat = [{"pool_id": side["pool_id"], **side["agree"]} for side in (theirs, ours)]
    keys = [key for key in {**flat[0], **flat[1]} if flat[0].get(key) != flat[1].get(key)]
    if keys:
        differences = ", ".join(f"{key}: {flat[0].get(key)!r} / {flat[1].get(key)!r}" for key in keys)
        raise ConfigError(
            f"migration directory {directory} belongs to another archipelago (theirs / yours): {differences}",
            do="choose another directory or the same configuration",
        )
