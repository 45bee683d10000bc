"""What makes the trials of a study comparable: decided when it is made, compared when it is continued."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from islands import files, loading
from islands.config import Config
from islands.errors import ConfigError
from islands.rundir import check_name
from launcher.locks import held_file
from launcher.space import ISLANDS, Params, Space, from_dict
from launcher.trials import FORMAT, StudyDir

SEARCHED = 0
"""`islands` where their number is searched too."""


@dataclass(frozen=True)
class Identity:
    """A study's fixed part. `islands` of a trial, SEARCHED where the space says how many."""

    name: str
    study_id: str
    mode: str
    preset: str
    base: Config
    space: Space
    seeds: tuple[int, ...]
    islands: int
    threads: int
    objectives: tuple[str, ...]
    seed: int

    def islands_of(self, params: Params) -> int:
        """The number of islands of a trial."""
        return int(params[ISLANDS]) if self.islands == SEARCHED else self.islands

    def concurrent(self, params: Params, cores: int) -> int:
        """Threads that a trial on so many cores really runs at once."""
        return min(max(1, cores // self.threads), self.islands_of(params)) * self.threads

    def as_dict(self) -> dict[str, Any]:
        """The JSON of study.json, the moment it was made aside."""
        return {
            "format": FORMAT,
            "study": self.name,
            "study_id": self.study_id,
            "mode": self.mode,
            "config": self.preset,
            "configuration": self.base.as_dict(),
            "space": self.space.as_dict(),
            "seeds": list(self.seeds),
            "islands": self.islands or "search",
            "threads": self.threads,
            "objectives": list(self.objectives),
            "seed": self.seed,
        }


def read(study: StudyDir) -> Identity:
    """The identity of a study that exists."""
    record = files.read_json(study.identity)
    if record.get("format") != FORMAT:
        raise ConfigError(str(study.identity), expected=f"format {FORMAT}", got=f"{record.get('format')!r}")
    with loading.located(str(study.identity)):
        base = loading.from_dict(record["configuration"])
        space = {name: _without_defaults(entry) for name, entry in record["space"].items()}
        return Identity(
            record["study"], record["study_id"], record["mode"], record["config"], base, from_dict(space, base),
            tuple(record["seeds"]), SEARCHED if record["islands"] == "search" else int(record["islands"]),
            int(record["threads"]), tuple(record["objectives"]), int(record["seed"]),
        )  # fmt: skip


def _without_defaults(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if not (key == "when" and not value)}


def make_or_compare(study: StudyDir, wanted: Identity) -> Identity:
    """Write the identity of a new study, or refuse another one's folder with what differs; the one that holds."""
    if not study.identity.exists():
        check_name(wanted.name, "study")
        if study.path.exists() and not study.path.is_dir():
            raise ConfigError(
                f"the study's folder {study.path}", expected="a folder", got="a file", do="choose another --out"
            )
        files.make_folder(study.path)
        if other := sorted(path.name for path in study.path.iterdir() if not path.name.startswith(".")):
            raise ConfigError(f"{study.path} is not empty and no study ({other[0]}, …)", do="choose another --out")
        made = {**wanted.as_dict(), "created": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        files.write_json(study.identity, made)
        return wanted
    known = read(study)
    if changes := difference(known, wanted):
        listed = "; ".join(changes[:6]) + (f"; … ({len(changes)} in all)" if len(changes) > 6 else "")
        raise ConfigError(f"{study.path} is another study ({listed})", do="choose another name, or the old settings")
    return known


def difference(old: Identity, new: Identity) -> list[str]:
    """What differs, as `what: old → new`."""
    before, after = old.as_dict(), new.as_dict()
    fixed = ("mode", "seeds", "islands", "threads", "objectives", "seed")
    plain = [f"{key}: {before[key]} → {after[key]}" for key in fixed if before[key] != after[key]]
    one, two = loading.flat(old.base), loading.flat(new.base)
    ignored = ("seed", "description")
    plain += [f"{key}: {one[key]} → {two[key]}" for key in one if key not in ignored and one[key] != two[key]]
    spaces = (before["space"], after["space"])
    for key in dict.fromkeys([*spaces[0], *spaces[1]]):
        here, there = (_told(side.get(key)) for side in spaces)
        if here != there:
            plain.append(f"space, {key}: {here} → {there}")
    return plain


def _told(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "not searched"
    if entry["type"] == "categorical":
        text = f"one of {', '.join(map(str, entry['choices']))}"
    else:
        text = f"{entry['low']:g}–{entry['high']:g}{' (log)' if entry['log'] else ''}"
    return text + (f" when {entry['when']}" if entry["when"] else "")


def new_id() -> str:
    """An id for a new study."""
    return uuid.uuid4().hex


@contextmanager
def held(study: StudyDir) -> Iterator[None]:
    """Within, this process alone works on the study; a second one is refused."""
    with held_file(study.identity, f"another search works on {study.path}", "watch it in its live.json"):
        yield
