"""Writes the systemd units for this installation, and says what to do next."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from islands.errors import ConfigError
from islands.files import make_folder, replace_atomically
from launcher.units import Installation, texts

SYSTEM = Path("/etc/systemd/system")
_SIZE = re.compile(r"infinity|\d+[KMGT]?|\d+(\.\d+)?%")
_CPUS = re.compile(r"\d+(-\d+)?([ ,]\d+(-\d+)?)*")
_HIDDEN = (Path("/tmp"), Path("/var/tmp"))
"""What a unit with PrivateTmp does not see."""


@dataclass(frozen=True)
class Request:
    """What was asked for. `folder`, `directory` None: the usual folder for units, the current folder."""

    user: bool = False
    folder: Path | None = None
    directory: Path | None = None
    memory: str = "90%"
    cpus: str = ""

    @property
    def usual(self) -> Path:
        """Where systemd looks for such units."""
        home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        return Path(home).expanduser() / "systemd" / "user" if self.user else SYSTEM

    @property
    def target(self) -> Path:
        """Where the units go."""
        return (self.folder or self.usual).absolute()


def installation(request: Request) -> Installation:
    """This installation, as the units have to know it; a ConfigError for what a unit could not use."""
    directory, command = (request.directory or Path.cwd()).absolute(), own_command()
    if not directory.is_dir():
        raise ConfigError("--working-directory", expected="a folder, with runs/ in it", got=str(directory))
    for path in (str(directory), *command):
        if not path.isprintable() or set(path) & set("\\\"'"):
            what, expected = "a path in a unit", "printable characters, no quotes and no backslash"
            raise ConfigError(what, expected=expected, got=ascii(path), do="rename it")
    hidden = [path for path in (directory, Path(command[0])) if {path, *path.parents} & set(_HIDDEN)]
    if hidden and not request.user:
        what = f"{hidden[0]} as a system unit's path"
        raise ConfigError(what, expected="one outside /tmp, which such units have of their own", do="move it")
    for option, value, shape, example in (
        ("--memory-max", request.memory, _SIZE, "a size such as 64G or 90%"),
        ("--cpus", request.cpus or "0", _CPUS, "a list of processors such as 1-127"),
    ):
        if not shape.fullmatch(value):
            raise ConfigError(option, expected=example, got=repr(value))
    user = "" if request.user else owner(directory)
    return Installation(command, directory, user, request.memory, request.cpus)


def own_command() -> tuple[str, ...]:
    """How this installation's `evolab` starts, by an absolute path."""
    script = Path(sys.executable).with_name("evolab")
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-P", "-m", "launcher")


def owner(directory: Path) -> str:
    """Whom `directory` belongs to: by name, or by number where nobody of that number has one."""
    number = directory.stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def write(units: dict[str, str], folder: Path, force: bool = False) -> list[str]:
    """Put the units into `folder`, all of them or none; a line for each. A different file stays, unless forced."""
    same = {name: _same(folder / name, text) for name, text in units.items()}
    foreign = [str(folder / name) for name, equal in same.items() if equal is False]
    if foreign and not force:
        what = " and ".join(foreign)
        raise ConfigError(what, expected="no such file, or the same", got="another one", do="replace it with --force")
    make_folder(folder)
    for name, text in units.items():
        if not same[name]:
            replace_atomically(folder / name, text.encode())
            os.chmod(folder / name, 0o644)
    return [f"{'unchanged' if same[name] else 'wrote'} {folder / name}" for name in units]


def install(request: Request, force: bool) -> list[str]:
    """Write the units; what was done and what comes next."""
    to = installation(request)
    return [*write(texts(to), request.target, force), *next_steps(request, to)]


def shown(request: Request) -> list[str]:
    """The units as they would be written, each under a comment with its path."""
    return [f"# {request.target / name}\n{text}" for name, text in texts(installation(request)).items()]


def next_steps(request: Request, to: Installation) -> list[str]:
    """The commands that follow."""
    systemctl = "systemctl --user" if request.user else "systemctl"
    paths = [str(request.target / name) for name in texts(to)]
    linked = [] if request.target == request.usual.absolute() else [f"  {systemctl} link {shlex.join(paths)}"]
    return [
        f"they run as {to.user or 'you'} in {to.directory}; next:",
        *linked,
        f"  {systemctl} daemon-reload",
        f"  {systemctl} enable --now evolab-run@RUN        # a run in {to.directory}/runs; or, one unit an island:",
        f"  {systemctl} enable --now evolab-island@RUN:0 evolab-island@RUN:1 …",
        *(["  loginctl enable-linger                       # so that they outlive your login"] if request.user else []),
    ]


def _same(path: Path, text: str) -> bool | None:
    """Whether `path` holds `text`; None where there is nothing. A link (a masked unit is one) is something else."""
    if not os.path.lexists(path):
        return None
    try:
        return not path.is_symlink() and path.read_bytes() == text.encode()
    except OSError:
        return False


def main(arguments: Sequence[str]) -> None:
    """`python -m launcher.installing FOLDER`: write the example units, for `scripts/systemd/`."""
    from launcher.units import EXAMPLE

    print(*write(texts(EXAMPLE), Path(arguments[0]), force=True), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
