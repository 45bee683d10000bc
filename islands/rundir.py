"""A run directory: which file lies where. Nothing else in the project knows a file's name.

runs/<run>/config.yaml                  the resolved configuration, written once
runs/<run>/config.<fingerprint>.yaml    what it was before a change; a generation's metrics name its own
runs/<run>/run.json                     the plan: command, islands, migration directory; rewritten to add islands
runs/<run>/launcher.lock                held by the launcher that works on the run; never removed
runs/<run>/launcher.json                what that launcher knows: its identity, every island's state, use, cost
runs/<run>/events.jsonl                 one line an event: start, exit, restart, hold, stall, disk …
runs/<run>/joblog.tsv                   one line a process that ended, in GNU parallel's columns
runs/<run>/report.html                  the run's report, if one was written
runs/<run>/stop                         there ⇔ somebody asked the whole run to stop
runs/<run>/logs/                        the log of a process that plays all populations
runs/<run>/logs/slurm/                  what was submitted to Slurm, and what its tasks said (submitit's files)
runs/<run>/<island>/metrics.jsonl       one line a generation
                    migrations.jsonl    one line an arrival or publication
                    heartbeat.json      replaced after every generation
                    checkpoints/
                    champion.safetensors
                    result.json         there ⇔ finished
                    error.json          there ⇔ failed
                    island.log          the process's stderr; island.log.1 and .2 are older
                    lock                held by the island's process, says which it is; never removed
                    stop                there ⇔ somebody asked the island to stop
                    held.json           there ⇔ the launcher has given up restarting it, with the reason
                    avoid.json          migrants that it must not take in
                    place.json          the Slurm job that it was given to last
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from islands.errors import ConfigError
from islands.files import make_folder, read_json, write_json

PLAN_FORMAT = 1
_CHECKPOINT = re.compile(r"\d{8,12}\.safetensors", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def check_name(name: str, kind: str = "island") -> str:
    """`name` itself if it is fit to be a folder's name; a ConfigError otherwise."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{kind} name",
            expected="1–100 letters, digits, '.', '_' or '-', the first a letter or digit",
            got=ascii(name),
            do="rename it",
        )
    return name


def is_name(name: str) -> bool:
    """Whether `name` is fit to be an island's name."""
    return _NAME.fullmatch(name) is not None


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints in a folder of them, the newest first; their stem is the generation."""
    return sorted((path for path in folder.iterdir() if _CHECKPOINT.fullmatch(path.name)), reverse=True)


@dataclass(frozen=True)
class IslandDir:
    """Where one island keeps its files."""

    path: Path
    name: str

    @property
    def metrics(self) -> Path:
        """One JSON line a generation."""
        return self.path / "metrics.jsonl"

    @property
    def migrations(self) -> Path:
        """One JSON line an arrival, publication or skipped migration."""
        return self.path / "migrations.jsonl"

    @property
    def heartbeat(self) -> Path:
        """Replaced after every generation."""
        return self.path / "heartbeat.json"

    @property
    def result(self) -> Path:
        """There if and only if the island has finished."""
        return self.path / "result.json"

    @property
    def error(self) -> Path:
        """There if and only if the island has failed."""
        return self.path / "error.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def champion(self) -> Path:
        """The best genome."""
        return self.path / "champion.safetensors"

    @property
    def log(self) -> Path:
        """The process's stderr."""
        return self.path / "island.log"

    @property
    def stop(self) -> Path:
        """There if and only if somebody asked the island to stop."""
        return self.path / "stop"

    @property
    def held(self) -> Path:
        """There if and only if the launcher has given up restarting it."""
        return self.path / "held.json"

    @property
    def avoid(self) -> Path:
        """Digests of migrants that it must not take in; written by the launcher."""
        return self.path / "avoid.json"

    @property
    def place(self) -> Path:
        """Which job of a cluster has the island; written by the launcher."""
        return self.path / "place.json"

    @property
    def lock(self) -> Path:
        """Held by the island's process."""
        return self.path / "lock"

    def create(self) -> IslandDir:
        """Make the folders; itself."""
        make_folder(self.checkpoints)
        return self


@dataclass(frozen=True)
class RunDir:
    """Where one run keeps its files."""

    path: Path

    def __init__(self, path: Path | str) -> None:
        object.__setattr__(self, "path", Path(path))

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.path.name or self.path.resolve().name

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    def earlier_configs(self) -> list[Path]:
        """All configurations that the run had before."""
        return sorted(self.path.glob("config.*.yaml"))

    def earlier_config(self, fingerprint: str) -> Path:
        """A configuration that the run had before; there if it was changed."""
        return self.path / f"config.{check_name(fingerprint, 'fingerprint')}.yaml"

    @property
    def plan(self) -> Path:
        """The plan (`run.json`)."""
        return self.path / "run.json"

    @property
    def lock(self) -> Path:
        """Held by the launcher that works on the run."""
        return self.path / "launcher.lock"

    @property
    def launcher(self) -> Path:
        """What the run's launcher knows."""
        return self.path / "launcher.json"

    @property
    def events(self) -> Path:
        """One JSON line an event."""
        return self.path / "events.jsonl"

    @property
    def joblog(self) -> Path:
        """One line a process that ended."""
        return self.path / "joblog.tsv"

    @property
    def report(self) -> Path:
        """The run's report, if one was written."""
        return self.path / "report.html"

    @property
    def stop(self) -> Path:
        """There if and only if somebody asked the whole run to stop."""
        return self.path / "stop"

    @property
    def log_dir(self) -> Path:
        """Logs of the run as a whole."""
        return self.path / "logs"

    @property
    def log(self) -> Path:
        """The log of a process that plays all populations."""
        return self.log_dir / "run.log"

    @property
    def slurm(self) -> Path:
        """What was submitted to Slurm."""
        return self.log_dir / "slurm"

    def slurm_end(self, job: str) -> Path:
        """How the island of a Slurm job has ended; there if that was its own end."""
        return self.slurm / f"{check_name(job, 'job')}.json"

    @property
    def nursery_log(self) -> Path:
        """The log of the process that forks islands."""
        return self.log_dir / "nursery.log"

    def refuse_strangers(self) -> None:
        """A ConfigError if everybody on this machine may write into the run's folder."""
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return  # whoever needs it says that it is not there
        if mode & 0o002:
            raise ConfigError(
                f"the run directory {self.path} is world-writable",
                expected="a folder that not everybody may write into",
                got=f"mode {mode & 0o7777:o}",
                do=f"chmod o-w {self.path}, after a look at what lies in it",
            )

    def island(self, name: str) -> IslandDir:
        """The place of the island `name`, there or not."""
        return IslandDir(self.path / check_name(name), name)

    def islands(self) -> list[IslandDir]:
        """Every island of the plan, by index."""
        return [self.island(str(entry["name"])) for entry in self.read_plan()["islands"]]

    def entry(self, wanted: str) -> dict[str, Any]:
        """The plan's entry of the island with this index or name; a ConfigError where there is none."""
        entries: list[dict[str, Any]] = self.read_plan()["islands"]
        for entry in entries:
            if wanted in (entry["name"], str(entry["index"])):
                return entry
        expected = f"0 to {len(entries) - 1}, or an island's name"
        raise ConfigError(f"island of {self.path}", expected=expected, got=ascii(wanted))

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Make the run's folder and write its plan, once."""
        if self.plan.exists():
            raise ConfigError(f"run {self.path}", expected="a new run", got="one that exists", do="choose another name")
        for entry in plan["islands"]:
            check_name(entry["name"])
        make_folder(self.path)
        write_json(self.plan, plan)

    def read_plan(self) -> dict[str, Any]:
        """The plan, checked for what every reader of it relies on: format, islands, names and indices."""
        if not self.plan.is_file():
            raise ConfigError(
                f"no run at {self.path}", expected=f"a folder with {self.plan.name}", do="see evolab status"
            )
        plan = read_json(self.plan)
        if plan.get("format") != PLAN_FORMAT:
            raise ConfigError(f"{self.plan}", expected=f"format {PLAN_FORMAT}", got=f"{plan.get('format')!r}")
        islands = plan.get("islands")
        good = isinstance(islands, list) and all(
            isinstance(entry, dict) and entry.get("index") == index and is_name(str(entry.get("name")))
            for index, entry in enumerate(islands)
        )
        if not good:
            raise ConfigError(f"{self.plan}", expected="islands with index 0, 1, … and a name", got=f"{islands!r:.80}")
        return plan
