"""The text of the systemd units: a run by name, an island by RUN:INDEX, and the slice that both lie in.

Only keys that systemd 252 knows. Units of a user's own manager leave out what an unprivileged manager cannot do:
changing user, mount and network namespaces, dropping capabilities, cpusets. `scripts/systemd/` holds what this module
makes of `EXAMPLE`; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from islands.rundir import RunDir
from launcher.run import RUNS
from launcher.start import SHARED

RUN, ISLAND, SLICE = "evolab-run@.service", "evolab-island@.service", "evolab.slice"


@dataclass(frozen=True)
class Installation:
    """What the units have to know: the command, the folder that holds runs/ and shared/, whose units they are.

    `user`: whom system units run as; "" makes units of a user's own manager. `memory`: MemoryMax of each unit and of
    everything together. `cpus`: a list such as 1-127; "" for all of them.
    """

    command: tuple[str, ...]
    directory: Path
    user: str = ""
    memory: str = "90%"
    cpus: str = ""


EXAMPLE = Installation(("/opt/evolution-lab/.venv/bin/evolab",), Path("/srv/evolab"), "evolab", cpus="1-127")
"""What the files in `scripts/systemd/` are made for."""


class _Kind(NamedTuple):
    """What tells the two services apart. Texts are lines of the unit, comments among them."""

    head: str
    description: str
    arguments: str
    window: str
    times: str
    restart: str
    oom: str
    tasks: int
    pins: bool


_RUN = _Kind(
    head="One archipelago, by the name of its run: evolab-run@mine goes on with runs/mine.",
    description="Evolution Lab run %i",
    arguments="launch --resume=%i",
    window="30min",
    times="""\
# The launcher keeps its islands alive, and the watchdog hears from the loop that does it. Islands of a launcher that
# died checkpoint first, which may take a minute; its own have 30 s for that when it is stopped.
TimeoutStartSec=3min
WatchdogSec=2min
TimeoutStopSec=1min""",
    restart="""\
# 85, 129, 130, 143: stopped, with checkpoints. 124: a limit was reached. 2, 78: a configuration that cannot work.
# 3: another launcher has the run. 4: islands are held, with a reason. The rest is worth another try.
SuccessExitStatus=85 124 129 130 143
RestartPreventExitStatus=2 3 4 78""",
    oom="""\
# An island that the kernel kills for its memory is the launcher's to restart; the others go on.
OOMPolicy=continue""",
    tasks=16384,
    pins=True,
)

_ISLAND = _Kind(
    head="One island, by run and index: evolab-island@mine:3 is island 3 of runs/mine, with systemd for a launcher.",
    description="Evolution Lab island %i",
    arguments="island %i",
    window="10min",
    times="""\
# Ready when the first generation is evaluated or resumed, which may follow a compilation of the kernels. The watchdog
# hears of every generation; long ones lengthen its patience to ten of them.
TimeoutStartSec=15min
WatchdogSec=10min
TimeoutStopSec=90s""",
    restart="""\
# 85: stopped on request, with a checkpoint. 2, 78: a configuration that cannot work. 70 (internal), 74 (disk) and 75
# (try again, such as while a launcher has the island) are worth another try, from the newest checkpoint.
SuccessExitStatus=85
RestartPreventExitStatus=2 78 85""",
    oom="OOMPolicy=stop",
    tasks=256,
    pins=False,
)

_UNIT = """\
# {head}
# Written by `evolab install-unit`; change it with `systemctl edit`.
[Unit]
Description={description}
RequiresMountsFor={folder}
{condition}
StartLimitIntervalSec={window}
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
{user}
WorkingDirectory={directory}
ExecStart={command} {arguments}
Environment=PYTHONFAULTHANDLER=1 EVOLAB_KERNEL_CACHE=%C/evolab/kernels
CacheDirectory=evolab
{claims}
{times}
TimeoutAbortSec=30s

{restart}
Restart=on-failure
RestartSec=10s
KillMode=mixed
KillSignal=SIGTERM

Slice=evolab.slice
MemoryMax={memory}
{oom}
{affinity}
TasksMax={tasks}
LimitNOFILE=65536
LimitCORE=0
UMask=0027

# No MemoryDenyWriteExecute: the kernels are compiled at run time.
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=sched_setscheduler{pinning}
{sandbox}

[Install]
WantedBy={target}
"""
"""Lines of which nothing is left are left out."""

_CLAIMS = """\
# Where launchers note which cores they have pinned islands to: a folder for all of them, as each has a /tmp of its own.
Environment=TMPDIR=%t/evolab
RuntimeDirectory=evolab
RuntimeDirectoryPreserve=yes"""

_CONDITION = """\
# What `evolab stop` has stopped stays stopped, also after a reboot, until that file is gone.
ConditionPathExists=!{stop}"""

_SANDBOX = """
# What may be written: runs, migration directories and the caches. A GPU needs PrivateDevices=no.
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
PrivateNetwork=yes
IPAddressDeny=any
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RemoveIPC=yes
CapabilityBoundingSet="""

_SLICE = """\
# Everything that Evolution Lab runs here. Written by `evolab install-unit`; change it with `systemctl edit`.
[Unit]
Description=Evolution Lab
Before=slices.target

[Slice]
MemoryMax={memory}
# A login is answered at once, whatever the islands do.
CPUWeight=20
{cpus}
"""


def texts(to: Installation) -> dict[str, str]:
    """The units' texts by file name."""
    allowed = f"AllowedCPUs={to.cpus}" if to.cpus and to.user else ""
    return {
        RUN: _service(_RUN, to),
        ISLAND: _service(_ISLAND, to),
        SLICE: _filled(_SLICE, {"memory": to.memory, "cpus": allowed}),
    }


def _service(kind: _Kind, to: Installation) -> str:
    system, (program, *options) = bool(to.user), to.command
    stop = f"{_percent(str(to.directory / RUNS))}/%i/{RunDir(to.directory).stop.name}"
    writable = " ".join(_word(f"-{to.directory / name}") for name in (RUNS, SHARED))
    values = {
        **{name: str(value) for name, value in kind._asdict().items()},
        "folder": _word(str(to.directory)),
        "directory": _percent(str(to.directory)),
        "command": " ".join([_word(program), *(_word(part).replace("$", "$$") for part in options)]),
        "condition": _CONDITION.replace("{stop}", stop) if kind is _RUN else "",
        "user": f"User={_percent(to.user)}" if system else "",
        "claims": _CLAIMS if system and kind.pins else "",
        "memory": to.memory,
        "affinity": f"CPUAffinity={to.cpus}" if to.cpus and not system else "",
        "pinning": " sched_setaffinity" if kind.pins else "",
        "sandbox": _SANDBOX.replace("{writable}", writable) if system else "",
        "target": "multi-user.target" if system else "default.target",
    }
    return _filled(_UNIT, values)


def _filled(template: str, values: dict[str, str]) -> str:
    """`template` with each `{name}` replaced; a line that a value leaves empty goes."""
    lines = []
    for line in template.splitlines():
        filled = line.format_map(values)
        if filled or not line:
            lines.append(filled)
    return "\n".join(lines) + "\n"


def _word(text: str) -> str:
    """`text`, which has neither quotes nor backslashes, as one word of a line that systemd splits."""
    return f'"{_percent(text)}"' if set(text) & set(" ;") else _percent(text)


def _percent(text: str) -> str:
    """`text` without specifiers."""
    return text.replace("%", "%%")
