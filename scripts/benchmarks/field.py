"""This project beside neat-python, EvoTorch, evosax and TensorNEAT: CartPole, one thread, the same rules for all.

Each of the others is installed into an environment of its own below runs/benchmarks/venvs and played by its driver
(scripts/benchmarks/drivers/, whose `rounds.py` has the rules). Rounds are interleaved: every library plays round r
before any plays round r + 1, and a ratio compares the same round. A round is a fresh population, figures of CPU time.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benchmarks import plots
from scripts.benchmarks.pieces import FOLDER, ONE_THREAD, ROOT, short, table, times

TITLE = "Beside the field: CartPole on one core"
DRIVERS = Path(__file__).parent / "drivers"
ROUNDS, GENERATIONS, POPULATION = 5, 30, 500
LARGE, LARGE_GENERATIONS = 10_000, 5
INSTALLING = 900.0
"""Seconds that an installation may take."""
THREADS = {**ONE_THREAD, "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


@dataclass(frozen=True)
class Player:
    """A library with its driver. `needs`: what pip installs for it; empty: it is this project."""

    title: str
    driver: str
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    large: bool = False  # whether it also plays a population of `LARGE`
    steps: float = 0.0  # the bar: so many times its live steps per second
    quoted: str = ""  # measured elsewhere, for when it cannot be installed


NEAT = {
    "evolab-neat": Player("this project, NEAT, one species", "evolab", arguments=("neat",), large=True),
    "evolab-preset": Player(
        "this project, NEAT, species as in its preset", "evolab", arguments=("preset",), large=True
    ),
    "neat-python": Player("neat-python, NEAT", "neat_python", ("neat-python",), large=True, steps=20.0),
}
FIXED = {
    "evolab-snes": Player("this project, SNES", "evolab", arguments=("snes",)),
    "evotorch": Player("EvoTorch, SNES", "evotorch_snes", ("evotorch", "torch==2.13.0"), steps=5.0),
    "evosax": Player("evosax, SNES", "evosax_snes", ("evosax",), steps=1.0),
}
PLAYERS = {**NEAT, **FIXED}
QUOTED = (
    ("neat-python 2, NEAT", 305_000, "0.164 s a generation; reproduction 51–69 µs a genome", "evolab-neat"),
    ("TensorNEAT 0.1, NEAT, 50/100 padding", 42_000, "2.35 s a generation; 21 s to compile; 1.2 GB", "evolab-neat"),
    ("TensorNEAT 0.1, NEAT, 12/24 padding", 313_609, "0.321 s a generation; 16.9 s to compile; 1.2 GB", "evolab-neat"),
    ("EvoTorch 0.6, SNES, finished episodes left out", 838_000, "0.0774 s a generation", "evolab-snes"),
    ("evosax 0.3, SNES, jitted", 5_350_000, "15.5 million padded steps/s; 0.0161 s a generation", "evolab-snes"),
)
"""Measured elsewhere, on another machine of the same make, one core, CPU time: live steps/s and what else was noted."""
BREEDING, GROWTH = 5.0, 1.5
"""Bars: µs a genome at the usual population, and how much more at a large one."""
C_LOOP = 30_800_000
"""Steps/s of a loop in C over sparse networks, evaluation only; measured elsewhere too."""


def python_in(name: str) -> Path:
    """The interpreter of the environment `name`."""
    return FOLDER / "venvs" / name / "bin" / "python"


def python_of(name: str) -> Path:
    """The interpreter of a player's environment."""
    return python_in(name) if PLAYERS[name].needs else Path(sys.executable)


def install(name: str) -> str | None:
    """Make the player's environment if it needs one and there is none; why there is none now, or None."""
    return install_into(name, PLAYERS[name].needs) if PLAYERS[name].needs else None


def install_into(name: str, needs: Sequence[str]) -> str | None:
    """Make the environment `name` with what it needs, if there is none; why there is none now, or None."""
    python = python_in(name)
    done = python.parents[1] / ".installed"
    if done.exists() and done.read_text().split() == list(needs):
        return None
    try:
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *needs]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALLING)
    except subprocess.CalledProcessError as error:
        return f"pip: {(str(error.stderr).strip().splitlines() or ['nothing said'])[-1]}"
    except subprocess.TimeoutExpired:
        return f"not installed after {INSTALLING:.0f} s"
    done.write_text(" ".join(needs))
    return None


class Driver:
    """A player's process on the last usable core, with one thread."""

    def __init__(self, name: str, more: Mapping[str, str]) -> None:
        player, self.log = PLAYERS[name], FOLDER / f"{name}.log"
        path = {} if player.needs else {"PYTHONPATH": str(ROOT)}
        with open(self.log, "w") as said:
            self.process = subprocess.Popen(
                [str(python_of(name)), str(DRIVERS / f"{player.driver}.py"), *player.arguments],
                env={**os.environ, **THREADS, **path, **more}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=said, text=True,
            )  # fmt: skip
        os.sched_setaffinity(self.process.pid, {max(os.sched_getaffinity(0))})

    def heard(self) -> dict[str, Any]:
        """The next answer; an EOFError with the driver's last words when there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError((self.log.read_text().strip().splitlines() or ["it ended without a word"])[-1])
        told: dict[str, Any] = json.loads(line)
        return told

    def asked(self, population: int, generations: int, seed: int) -> dict[str, Any]:
        """A round."""
        assert self.process.stdin is not None
        self.process.stdin.write(
            json.dumps({"population": population, "generations": generations, "seed": seed}) + "\n"
        )
        self.process.stdin.flush()
        return self.heard()


@contextlib.contextmanager
def driver(name: str, more: Mapping[str, str] = {}) -> Iterator[Driver]:  # noqa: B006
    """A driver that ends with the block."""
    made = Driver(name, more)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def measure(quick: bool) -> dict[str, Any]:
    """Interleaved rounds of all that can be installed."""
    rounds, generations = (2, 10) if quick else (ROUNDS, GENERATIONS)
    found: dict[str, Any] = {"refused": {}, "ready": {}, "rounds": {}, "small": {}, "large": {}}
    with contextlib.ExitStack() as all_of_them:
        drivers: dict[str, Driver] = {}
        for name in PLAYERS:
            try:
                if why := install(name):
                    raise EOFError(why)
                drivers[name] = all_of_them.enter_context(driver(name))
                found["ready"][name] = drivers[name].heard()
            except EOFError as error:
                drivers.pop(name, None)
                found["refused"][name] = str(error)
        for seed in range(1, rounds + 1):
            for name, each in drivers.items():
                found["rounds"].setdefault(name, []).append(each.asked(POPULATION, generations, seed))
                print(f"{name}, round {seed}: {_live(found['rounds'][name][-1]):,.0f} live steps/s", file=sys.stderr)
        for seed in (1,) if quick else (1, 2, 3):
            for name, each in drivers.items():
                if PLAYERS[name].large:
                    each.asked(POPULATION, LARGE_GENERATIONS, seed)  # its process waited while the others played
                    found["small"].setdefault(name, []).append(each.asked(POPULATION, LARGE_GENERATIONS, seed))
                    found["large"].setdefault(name, []).append(each.asked(LARGE, LARGE_GENERATIONS, seed))
    return {**found, "cold": None if quick else cold()}


def cold() -> float:
    """CPU seconds that this project's driver takes to start where no compiled kernel is kept."""
    with tempfile.TemporaryDirectory() as folder, driver("evolab-neat", {"EVOLAB_KERNEL_CACHE": folder}) as one:
        told = one.heard()
    return float(told["import_cpu"] + told["compile_cpu"])


Round = dict[str, Any]


def _live(one: Round) -> float:
    return float(one["live"] / one["cpu"])


def _breeding(one: Round) -> float:
    """µs a genome of all that is not evaluation."""
    return float((one["cpu"] - one["evaluating"]) / (one["population"] * one["generations"]) * 1e6)


def _ratios(mine: Sequence[Round], theirs: Sequence[Round], figure: Callable[[Round], float]) -> list[float]:
    return [figure(one) / figure(other) for one, other in zip(mine, theirs, strict=True)]


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    count = len(found["rounds"]["evolab-neat"])
    generations, cold = found["rounds"]["evolab-neat"][0]["generations"], found["cold"]
    parts = [
        f"CartPole-v1 (four numbers in, one output, 500 steps), population {POPULATION}, one episode a genome a"
        f" generation from given starts, one thread, {count} interleaved rounds of {generations} generations from a"
        " fresh population. Rates are per CPU second of whole generations, medians over rounds; *live* steps are of"
        " episodes under way, *padded* ones are all that were computed. *Faster*: this project's live steps per second"
        " over theirs, round by round: median (range). neat-python divides the distance of genomes by their genes and"
        " keeps one species here; this project is compared with as many, and shown with its preset's, too.",
        picture(found),
        compared(found, NEAT, "evolab-neat"),
        "A fixed network, 4-16-1 with tanh, by separable NES:",
        compared(found, FIXED, "evolab-snes"),
        "*To compile* is CPU time between the imports and the first measured generation. This project keeps what it"
        f" compiled{f': its first start of all takes {cold:.0f} s, imports included' if cold else ''}.",
        "Everything but evaluation (species, parents, crossover, mutation; in this project statistics and digest, too),"
        f" µs a genome, over the first {LARGE_GENERATIONS} generations:",
        breeding(found),
        *([_not_there(found["refused"])] if found["refused"] else []),
        "Measured elsewhere, on one core of a machine of the same kind, and this project's ratio to it:",
        elsewhere(found),
        versions(found),
    ]
    return "\n\n".join(filter(None, parts))


def picture(found: dict[str, Any]) -> str:
    """Live steps per second of all, those quoted too where they were not measured here."""
    lines = []
    for name, rounds in found["rounds"].items():
        colour = plots.THEIRS if PLAYERS[name].needs else plots.OURS
        lines.append((PLAYERS[name].title, statistics.median(map(_live, rounds)), colour))
    lines += [(f"{title} (quoted)", float(steps), plots.QUOTED) for title, steps, *_ in QUOTED if "TensorNEAT" in title]
    lines.sort(key=lambda line: -line[1])
    about = "Live steps per CPU second of this project, neat-python, EvoTorch, evosax and TensorNEAT"
    return plots.drawn("benchmarks-field", about, plots.bars("live CartPole steps per CPU second", lines))


def compared(found: dict[str, Any], players: Mapping[str, Player], mine: str) -> str:
    """A line a library."""
    header = (
        "library", "live steps/s", "padded steps/s", "evaluation alone, live steps/s", "CPU s a generation", "wall s",
        "mean steps in the last", *(("its species", "its connections") if players is NEAT else ()), "to compile, s",
        "peak MB", "faster", "bar",
    )  # fmt: skip
    rows = []
    for name, player in players.items():
        if name not in found["rounds"]:
            continue
        rounds = found["rounds"][name]

        def middle(figure: Callable[[Round], float], rounds: Sequence[Round] = rounds) -> str:
            return short(statistics.median(map(figure, rounds)))

        rows.append((
            player.title, middle(_live), middle(lambda one: one["padded"] / one["cpu"]),
            middle(lambda one: one["live"] / one["evaluating"]), middle(lambda one: one["cpu"] / one["generations"]),
            middle(lambda one: one["wall"] / one["generations"]), middle(lambda one: one["last_mean"]),
            *((middle(lambda one: one["species"]), middle(lambda one: one["connections"])) if players is NEAT else ()),
            short(found["ready"][name]["compile_cpu"]), f"{max(one['peak_mb'] for one in rounds):.0f}",
            *_judged(found, name, mine),
        ))  # fmt: skip
    return table(header, rows)


def _judged(found: dict[str, Any], name: str, mine: str) -> tuple[str, str]:
    """How much faster `mine` is than another library, or than neat-python this project is with `name`'s settings; and
    whether the bar is met."""
    if name == mine or not PLAYERS[name].needs and "neat-python" not in found["rounds"]:
        return "–", "–"
    fast, slow = (mine, name) if PLAYERS[name].needs else (name, "neat-python")
    ratios = _ratios(found["rounds"][fast], found["rounds"][slow], _live)
    reached, bar = statistics.median(ratios), PLAYERS[slow].steps
    verdict = "met" if reached >= bar else f"missed, {reached / bar:.0%} of it"
    return f"{'' if PLAYERS[name].needs else 'than neat-python: '}{times(ratios)}", f"{bar:.0f} ×: {verdict}"


def breeding(found: dict[str, Any]) -> str:
    """Reproduction by population."""
    rows = []
    for name in found["large"]:
        ways = ("small", "large", "rounds")
        medians = [statistics.median(map(_breeding, found[way][name])) for way in ways]
        growth = medians[1] / medians[0]
        good = medians[0] <= BREEDING and growth <= GROWTH
        bar = "–" if PLAYERS[name].needs else f"{BREEDING:.0f} µs, {GROWTH} ×: {'met' if good else 'missed'}"
        few, many, late = (f"{value:.1f}" for value in medians)
        rows.append((PLAYERS[name].title, few, many, f"{growth:.2f} ×", bar, late))
    header = ("library", f"population {POPULATION}", f"population {LARGE:,}", "growth", "bar")
    return table((*header, f"{POPULATION}, all generations of the rounds above"), rows)


def elsewhere(found: dict[str, Any]) -> str:
    """What others measured."""
    rows = []
    for title, steps, more, mine in QUOTED:
        ratio = statistics.median(map(_live, found["rounds"][mine])) / steps
        rows.append((title, f"{steps:,}", more, f"{short(ratio)} ×"))
    alone = statistics.median(one["live"] / one["evaluating"] for one in found["rounds"]["evolab-neat"])
    more = f"no evolution in it; the bar is half of it: {'met' if alone >= C_LOOP / 2 else 'missed'}"
    rows.append(
        ("a loop in C over sparse networks, evaluation alone", f"{C_LOOP:,}", more, f"{short(alone / C_LOOP)} ×")
    )
    return table(("what", "live steps/s", "also", "this project"), rows)


def _not_there(refused: Mapping[str, str]) -> str:
    lines = "; ".join(f"{PLAYERS[name].title} ({why})" for name, why in refused.items())
    return f"Could not be installed or run here: {lines}."


def versions(found: dict[str, Any]) -> str:
    """Which versions were measured."""
    known: dict[str, str] = {}
    for told in found["ready"].values():
        known |= told["versions"]
    listed = ", ".join(f"{name} {number}" for name, number in known.items())
    return f"Versions: {listed}. TensorNEAT is not on PyPI and was not installed: its figures are those quoted."
