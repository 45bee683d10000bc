"""Instructions that the core of a generation executes, counted by callgrind, against scripts/benchmarks/gate.json.

    python -m scripts.benchmarks.gate            # exit code 1 when a subject takes more than the tolerance allows
    python -m scripts.benchmarks.gate --write    # the counts of now become the baseline: commit it, with the reason

Counts do not depend on what else the machine does, seconds do. Valgrind knows no AVX-512, so kernels are compiled for
x86-64-v3 (AVX2) into a cache of their own: what counts is the change, not the number. The process that plays the
subjects tells Valgrind when to count, so that neither imports nor compilation are in it.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import ConfigError, EvolabError
from scripts.benchmarks.pieces import FOLDER, ONE_THREAD, ROOT, table

TITLE = "Regression gate: instructions"
BASELINE = Path(__file__).with_name("gate.json")
TOLERANCE = 0.03
"""Of the baseline."""
POPULATION = 100
TIMES = {"CartPole, evaluate 100 genomes": 50, "pellets, evaluate 100 creatures": 1, "sort and breed 100 genomes": 50}
"""Subjects, and how often each is played while instructions are counted, after once before."""
TARGET = "x86-64-v3"
START, STOP, DUMP = 0x43540004, 0x43540005, 0x43540000
"""Callgrind's client requests: start and stop to count; write the counts and begin anew."""
REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
"""A function, in machine code of x86-64, that hands its argument to Valgrind, and does nothing without: the address of
a request goes to rax, rdi is turned all the way round, and `xchg rbx, rbx` is where Valgrind listens (valgrind.h)."""


def asker() -> Callable[[int], None]:
    """What makes a request of the Valgrind that this process runs in."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(REQUEST)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)

    def ask(request: int) -> None:
        words = (ctypes.c_uint64 * 6)(request)
        call(ctypes.addressof(words))
        assert memory  # lives as long as the function in it

    return ask


def play(times: Mapping[str, int]) -> None:
    """Play each subject once, then so many times counted; imports are here so that the gate itself needs none of it."""
    import numpy as np

    from islands.algorithms import Told, breeder_of
    from islands.genome.population import Population
    from islands.loop import breeding_of
    from islands.tasks import make
    from launcher import presets

    ask = asker()
    for subject, count in times.items():
        preset = "neat_baseline" if subject.startswith("pellets") else "cartpole"
        config = presets.resolve(preset, [f"population={POPULATION}"])
        task = make(config)
        breeder = breeder_of(breeding_of(config, task))
        first = breeder.first((1, 0, 0))
        fitness, keys = np.arange(POPULATION, dtype=np.float32), np.arange(POPULATION, dtype=np.uint64)

        def evaluate(task: Any = task, first: Any = first, keys: Any = keys) -> None:
            task.play(first.genomes, np.arange(POPULATION), keys)

        def breed(breeder: Any = breeder, first: Any = first, fitness: Any = fitness) -> None:
            species = breeder.sort(first.genomes, first.species, 1)
            breeder.breed(Told(Population(first.genomes, fitness), species, first.memory, []), 1.0, (1, 0, 0))

        work: Callable[[], None] = breed if subject.startswith("sort") else evaluate
        work()
        ask(START)
        for _ in range(count):
            work()
        ask(STOP)
        ask(DUMP)


def counts() -> dict[str, float]:
    """Instructions of each subject, played once."""
    if shutil.which("valgrind") is None or platform.machine() != "x86_64":
        got = f"{shutil.which('valgrind') or 'no valgrind on the PATH'}, {platform.machine()}"
        raise ConfigError("the gate", expected="valgrind and x86_64", got=got, do="apt-get install valgrind")
    command = [sys.executable, "-m", "scripts.benchmarks.gate", "--play"]
    environment = {
        **os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "NUMBA_CPU_NAME": TARGET,
        "NUMBA_CPU_FEATURES": "", "EVOLAB_KERNEL_CACHE": str(FOLDER / "gate-kernels"),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--smc-check=all-non-file"]
        tool.append(f"--callgrind-out-file={out}")
        for prefix in ([], tool):  # compile first what is not in the cache: under valgrind that would take an hour
            done = subprocess.run([*prefix, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
                raise EvolabError("the gate", expected="every subject played", got=said)
        totals = [int(_TOTALS.findall(Path(f"{out}.{k}").read_text())[-1]) for k in range(1, len(TIMES) + 1)]
    return {subject: total / TIMES[subject] for subject, total in zip(TIMES, totals, strict=True)}


_TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def measure(quick: bool) -> dict[str, Any]:
    """The counts beside the baseline; `regressed` names the subjects above the tolerance."""
    return judged(counts(), files.read_json(BASELINE))


def judged(found: dict[str, float], baseline: dict[str, Any]) -> dict[str, Any]:
    """See `measure`."""
    before = baseline["instructions"]
    ratios = {subject: found[subject] / before[subject] for subject in found}
    return {
        "instructions": found, "baseline": baseline, "ratios": ratios,
        "regressed": [subject for subject, ratio in ratios.items() if ratio > 1 + TOLERANCE],
    }  # fmt: skip


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    baseline = found["baseline"]
    rows = (
        (subject, f"{count:,.0f}", f"{baseline['instructions'][subject]:,.0f}", f"{found['ratios'][subject]:.4f}",
         "**regressed**" if subject in found["regressed"] else "good")
        for subject, count in found["instructions"].items()
    )  # fmt: skip
    return "\n\n".join([
        f"Counted by callgrind with kernels compiled for {TARGET} (Valgrind knows no AVX-512), Python around them"
        f" included, against `scripts/benchmarks/gate.json` ({baseline['made']}). More than {TOLERANCE:.0%} above it"
        " fails `make bench`; `python -m scripts.benchmarks.gate --write` makes a new baseline, to be committed with"
        " its reason.",
        table(("subject", "instructions", "baseline", "ratio", "verdict"), rows),
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make the counts of now the baseline")
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        play(TIMES)
        return 0
    try:
        if arguments.write:
            files.write_json(BASELINE, {"format": 1, "made": _made(), "instructions": counts()})
            return 0
        verdict = measure(quick=False)
    except EvolabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(section(verdict))
    return 1 if verdict["regressed"] else 0


def _made() -> str:
    from scripts.benchmarks.pieces import machine

    stamp = machine()
    versions = ", ".join(f"{name} {stamp['versions'][name]}" for name in ("Python", "numba", "numpy"))
    return f"{stamp['date']}, commit {stamp['commit']}, {versions}"


if __name__ == "__main__":
    sys.exit(main())
