"""Finds the genome that somebody means: a run's or a study's champion, or one that was written into a file."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from islands import files, loading
from islands.config import Config
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import best, presets, run, summary
from launcher.trials import STUDIES, StudyDir

GENOME, EXPORT = ".safetensors", ".json"
"""Endings of a genome's file (`evolab replay --export`) and of an exported description (`evolab export`)."""
EXPORT_FORMAT = 1


@dataclass(frozen=True)
class Champion:
    """A genome with its configuration. `about`: where it comes from and what it was found to be worth."""

    config: Config
    genome: bytes
    about: dict[str, Any]


def find(target: str, island: str | None, preset: str | None, sets: Sequence[str]) -> Champion:
    """The champion of the run or study `target`, or the genome in the file of that name.

    `island`: that of a run (index or name) instead of the one with the best champion. `preset`, `sets`: the
    configuration of a genome's file, which does not hold one.
    """
    path = Path(target)
    if path.suffix in (GENOME, EXPORT) and path.is_file():
        if island is not None:
            raise ConfigError("--island", expected="a run to choose it from", got=target)
        if path.suffix == GENOME:
            return _of_genome(path, preset, sets)
        _refuse_configuration(target, preset, sets)
        return _of_export(path)
    _refuse_configuration(target, preset, sets)
    if run.exists(target):
        return _on_the_cpu(_of_runs([run.find(target)], island, f"run {target}"))
    if any(StudyDir(place).identity.is_file() for place in (path, STUDIES / target)):
        if island is not None:
            raise ConfigError("--island", expected="a run to choose it from", got=f"the study {target}")
        return _on_the_cpu(_of_study(target))
    expected = f"a run, a study, or a file that ends in {GENOME} or {EXPORT}"
    raise ConfigError(f"nothing called {target!r}", expected=expected, do="see `evolab results`")


def _refuse_configuration(target: str, preset: str | None, sets: Sequence[str]) -> None:
    if preset is not None or sets:
        option = "--config" if preset is not None else "--set"
        raise ConfigError(option, expected=f"a genome's file that ends in {GENOME}", got=target, do="leave it out")


def _on_the_cpu(champion: Champion) -> Champion:
    return replace(champion, config=replace(champion.config, device="cpu"))


def _of_study(name: str) -> Champion:
    """The champion of the best trial's runs."""
    found = best.best(name, 1)["trials"]
    if not found:
        raise ConfigError(f"study {name}", expected="a complete trial", got="none yet", do="wait, or continue it")
    trial = found[0]
    champion = _of_runs([run.find(path) for path in trial["runs"]], None, f"trial {trial['trial']} of study {name}")
    return replace(champion, about={"study": name, "trial": trial["trial"], **champion.about})


def _of_runs(runs: Sequence[RunDir], island: str | None, what: str) -> Champion:
    """The best champion of whole runs, by validation, so that its held-out mean stays unbiased."""
    entries = []
    for directory in runs:
        for entry in _islands(directory, island):
            place = directory.island(entry["name"])
            result = files.read_json(place.result) if place.result.exists() else {}
            entries.append({"island": (directory, entry["name"]), "champion": result.get("champion")})
    chosen = summary.best_champion(entries)
    if chosen is None:
        do = "wait for it, or take a genome out with `evolab replay RUN --island K --export genome.safetensors`"
        which = "a finished island" if island is None else f"island {island} finished"
        raise ConfigError(what, expected=f"{which}, with its champion", got="none yet", do=do)
    directory, name = chosen.pop("island")
    path = directory.island(name).champion
    genome = files.read(path)
    if hashlib.sha256(genome).hexdigest() != chosen["digest"]:
        do = f"evolab verify {directory.path}"
        raise ConfigError(str(path), expected=f"digest {chosen['digest'][:16]}…", got="another genome", do=do)
    plan, config = run.read(directory)
    about = {"run": str(directory.path), "island": name, "config": plan.get("config"), **_named(config), **chosen}
    return Champion(config, genome, about)


def _islands(directory: RunDir, island: str | None) -> list[dict[str, Any]]:
    return list(directory.read_plan()["islands"]) if island is None else [directory.entry(island)]


def _of_genome(path: Path, preset: str | None, sets: Sequence[str]) -> Champion:
    if preset is None:
        do = f"give the run's: -c RUN/{RunDir('RUN').config.name}"
        raise ConfigError(f"{path}", expected="the configuration that the genome belongs to", got="none", do=do)
    config = presets.resolve(preset, sets)
    return _on_the_cpu(Champion(config, files.read(path), {"file": str(path), **_named(config)}))


def _of_export(path: Path) -> Champion:
    record = files.read_json(path)
    if record.get("format") != EXPORT_FORMAT or "genome" not in record:
        what = f"format {EXPORT_FORMAT}, as `evolab export --format json` writes it"
        raise ConfigError(str(path), expected=what, got=f"format {record.get('format')!r}")
    try:
        genome = base64.b64decode(record["genome"], validate=True)
    except (TypeError, binascii.Error) as error:
        raise ConfigError(f"genome in {path}", expected="base64", got=str(error)) from error
    config = loading.from_dict(record.get("config"), str(path))
    about = record.get("about")
    known = {key: value for key, value in about.items() if key != "file"} if isinstance(about, dict) else {}
    return _on_the_cpu(Champion(config, genome, {"file": str(path), **known}))


def _named(config: Config) -> dict[str, Any]:
    return {"task": config.task.name, "mode": config.mode}


def title(about: dict[str, Any]) -> str:
    """What a champion is, in one line."""
    parts = [f"{about.get('task', 'a task')}, {about.get('mode', 'some network')}"]
    if "run" in about:
        parts.append(f"island {about['island']} of {about['run']}")
    elif "file" in about:
        parts.append(f"genome in {about['file']}")
    if about.get("ci95"):
        parts.append(f"held-out mean {about['mean']:.4g} ± {(about['ci95'][1] - about['ci95'][0]) / 2:.4g}")
    return "; ".join(parts)
