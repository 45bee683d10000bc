"""Slurm's commands as far as evolab and submitit use them, for one machine: real processes, and a folder of records.

    python fake_slurm.py COMMAND ARGUMENTS…       with FAKE_SLURM=FOLDER

`install(FOLDER)` makes a `bin` folder with sbatch, squeue, scancel, scontrol and srun to be put on PATH. While there is
a file `jobs/hold`, jobs stay PENDING. `sbatch` refuses partitions called `none`. Signals reach all processes below
srun, as with Slurm's proctrack; a job that is killed or ends is over, one that is requeued runs again.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun")


def install(folder: Path) -> Path:
    """The folder of commands; what they know lies beside it."""
    (folder / "bin").mkdir(parents=True)
    (folder / "jobs").mkdir()
    for name in COMMANDS:
        script = folder / "bin" / name
        here = shlex.join([sys.executable, str(Path(__file__).absolute()), name])
        script.write_text(f'#!/bin/sh\nFAKE_SLURM={shlex.quote(str(folder))} exec {here} "$@"\n')
        script.chmod(0o755)
    return folder / "bin"


def jobs() -> Path:
    return Path(os.environ["FAKE_SLURM"]) / "jobs"


def read(job: str) -> dict[str, str]:
    with suppress(OSError):
        return dict(json.loads((jobs() / job).read_text()))
    return {}


def change(job: str, **values: object) -> None:
    fresh = jobs() / f".{job}-{os.getpid()}"
    fresh.write_text(json.dumps({**read(job), **values}))
    fresh.replace(jobs() / job)


def sbatch(path: str) -> None:
    text = Path(path).read_text()
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", text, re.M))
    if options.get("partition") == "none":
        sys.exit("sbatch: error: invalid partition specified: none")
    number = 1 + sum(1 for _ in jobs().glob("*.sh"))
    (jobs() / f"{number}.sh").write_text(text)
    found = re.match(r"(\d+)-(\d+)", options.get("array", ""))
    tasks = [f"{number}_{k}" for k in range(int(found[1]), int(found[2]) + 1)] if found else [str(number)]
    for task in tasks:
        change(task, state="PENDING", name=options["job-name"])
        output = open(jobs() / f"{task}.out", "ab")  # noqa: SIM115 it is the process's
        subprocess.Popen(
            [sys.executable, __file__, "run", task], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    print(f"Submitted batch job {number}")


def run(task: str) -> None:
    """What slurmd does: run the script, and again when it was requeued meanwhile."""
    number, _, index = task.partition("_")
    environment = {**os.environ, "SLURM_JOB_ID": number, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    if index:
        environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index}
    while True:
        while (jobs() / "hold").exists() and read(task)["state"] == "PENDING":
            time.sleep(0.02)
        if read(task)["state"] != "PENDING":
            return
        process = subprocess.Popen(["bash", str(jobs() / f"{number}.sh")], env=environment)
        change(task, state="RUNNING", pid=process.pid)
        code = process.wait()
        after = read(task)
        if after["state"] == "REQUEUED":
            change(task, state="PENDING")
        elif after["state"] == "RUNNING":
            change(task, state="COMPLETED" if code == 0 else "FAILED")
            return
        else:
            return


def srun(*arguments: str) -> None:
    command = list(arguments)
    while command[0].startswith("--"):
        command = command[2 if command[0] in ("--output", "--error") else 1 :]
    output = arguments[arguments.index("--output") + 1]
    names = {"%A": "SLURM_ARRAY_JOB_ID", "%a": "SLURM_ARRAY_TASK_ID", "%j": "SLURM_JOB_ID", "%t": "SLURM_PROCID"}
    for mark, name in names.items():
        output = output.replace(mark, os.environ.get(name, ""))
    with open(output, "ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.exit(subprocess.call(command))


def squeue(*arguments: str) -> None:
    name = next(word.partition("=")[2] for word in arguments if word.startswith("--name="))
    for path in sorted(jobs().iterdir()):
        if re.fullmatch(r"\d+(_\d+)?", path.name) and read(path.name).get("name") == name:
            print(f"{path.name}|{read(path.name)['state']}")


def scancel(*arguments: str) -> None:
    kind = next((word.partition("=")[2] for word in arguments if word.startswith("--signal=")), "")
    import psutil

    for task in (word for word in arguments if not word.startswith("--")):
        if not kind:
            change(task, state="CANCELLED")
        for process in below_srun(task):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(getattr(signal, f"SIG{kind or 'TERM'}"))


def below_srun(task: str) -> list[psutil.Process]:
    import psutil

    with suppress(psutil.NoSuchProcess, KeyError):
        tree = psutil.Process(int(read(task)["pid"])).children(recursive=True)
        return [one for one in tree if one.is_running() and not set(one.cmdline()) & {"srun"}]
    return []


def scontrol(verb: str, task: str) -> None:
    assert verb == "requeue"
    change(task, state="REQUEUED")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
