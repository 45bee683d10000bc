"""What a study costs on a machine: arithmetic alone, nothing is measured or read here.

A trial is `seeds` whole runs: one after another where a run is an archipelago of several islands; in one process where
it is a single population, as `evolab search` does it. Trials run side by side in places, `islands` cores each, and the
last wave may leave places empty. All trials count as equally long: the figures are an upper bound where populations
stop early or trials are pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RESERVED_GB = 1.0
"""Memory left to the system."""
PRIVATE, FORKED, PRIVATE_A_GENOME, SHARED, LAUNCHER, NURSERY = 92.0, 13.0, 0.012, 102.0, 17.0, 75.0
"""Memory in MB where not measured: of an island, of a forked one, of each of its genomes, of all islands together,
of a launcher, of the process that forks several islands.

Measured on the development machine at populations from 100 to 5000, pellets, neat."""
SMT_EFFICIENCY = 0.6
"""Speed of an island whose core has another one on its second hyper-thread; alone on the core it has speed 1.

An assumption where it cannot be measured: both together then do 1.2 times the work of one. Averages over many
multi-threaded programs are given as 1.25 for AMD's Zen 3 and 1.34 for Zen 4 (Hot Chips 2023, cited at second hand);
code that fills the vector units, as the kernels here do, gains less.
"""


def footprint(population: int, islands: int) -> tuple[float, float]:
    """Memory in MB of each of a run's `islands` of so many genomes, and of the run besides its islands."""
    genomes = PRIVATE_A_GENOME * population
    return (PRIVATE + genomes, LAUNCHER) if islands == 1 else (FORKED + genomes, LAUNCHER + NURSERY)


@dataclass(frozen=True)
class Work:
    """What is to be done. `islands` of every run, each one population of the configuration's size.

    `at_most`: trials at a time, where somebody wants a sampler to learn from the first before it chooses the next.
    """

    trials: int
    seeds: int
    islands: int
    generations: int
    at_most: int | None = None


@dataclass(frozen=True)
class Pace:
    """What one island costs that has a core for itself. Seconds of wall time; memory in MB.

    `start`: from a run's command to its first generation. `end`: from the last generation to the end, the champion's
    validation and held-out evaluation. `study`: once, before the first trial and after the last. `private`: of an
    island; `shared`: of all together; `launcher`: of the processes that start and
    supervise a run.
    """

    generation: float
    start: float
    end: float
    private: float
    shared: float
    launcher: float
    study: float = 0.0


@dataclass(frozen=True)
class Machine:
    """A machine as the planner sees it. Up to `at_full_speed` islands run at speed 1, with more all have `crowded`.

    `setup`: hours that are paid before work begins. `dollars_per_hour` None: nobody said.
    """

    name: str
    vcpus: int
    memory_gb: float
    dollars_per_hour: float | None
    at_full_speed: int
    crowded: float
    setup: float = 0.0

    def speed(self, busy: int) -> float:
        """The speed of each of `busy` islands on as many vCPUs."""
        return 1.0 if busy <= self.at_full_speed else self.crowded


@dataclass(frozen=True)
class Estimate:
    """What a study takes on a machine. `at_once`: trials; 0 where it does not fit, and then the figures are None."""

    machine: Machine
    islands: int
    at_once: int
    memory_gb: float
    hours: float | None
    dollars: float | None
    dollars_a_trial: float | None
    utilisation: float | None
    idle_at_the_end: int

    @property
    def fits(self) -> bool:
        """Whether there is memory for one trial."""
        return self.at_once > 0


def rented(
    name: str, vcpus: int, memory_gb: float, rate: float, threads_per_core: int, efficiency: float, setup: float
) -> Machine:
    """A machine of a cloud, whose vCPUs are hyper-threads, `threads_per_core` to a physical core. `rate` in $/hour."""
    return Machine(name, vcpus, memory_gb, rate, max(1, vcpus // threads_per_core), efficiency, setup)


def trial_seconds(work: Work, pace: Pace) -> float:
    """How long a trial takes at speed 1, every island on a core of its own."""
    run = work.generations * pace.generation + pace.end
    if work.islands == 1:
        return pace.start + work.seeds * run
    return work.seeds * (pace.start + run)


def slowdown(machine: Machine, islands: int) -> float:
    """How many times longer `islands` take that start together than one alone; they take turns when they are more
    than the vCPUs."""
    turns, rest = divmod(islands, machine.vcpus)
    return turns / machine.speed(machine.vcpus) + (1.0 / machine.speed(rest) if rest else 0.0)


def seconds(work: Work, pace: Pace, machine: Machine, at_once: int) -> float:
    """How long the study takes with `at_once` trials at a time: full waves, then what is left."""
    waves, rest = divmod(work.trials, at_once)
    lengths = waves * slowdown(machine, at_once * work.islands)
    lengths += slowdown(machine, rest * work.islands) if rest else 0.0
    return pace.study + trial_seconds(work, pace) * lengths


def busy_seconds(work: Work, pace: Pace, machine: Machine, at_once: int) -> float:
    """vCPU seconds in which an island runs."""
    waves, rest = divmod(work.trials, at_once)
    busy = waves * _busy(machine, at_once * work.islands) + _busy(machine, rest * work.islands)
    return trial_seconds(work, pace) * busy


def _busy(machine: Machine, islands: int) -> float:
    turns, rest = divmod(islands, machine.vcpus)
    full = turns * machine.vcpus / machine.speed(machine.vcpus)
    return full + (rest / machine.speed(rest) if rest else 0.0)


def memory_gb(work: Work, pace: Pace, at_once: int) -> float:
    """Memory that so many trials at a time need, the system's share included."""
    return (at_once * (work.islands * pace.private + pace.launcher) + pace.shared) / 1e3 + RESERVED_GB


def places(work: Work, pace: Pace, machine: Machine) -> int:
    """The most trials that run at once: a vCPU an island, memory for all. 0 where even one does not fit.

    One trial may have more islands than the machine has vCPUs: they take turns.
    """
    most = min(work.trials, work.at_most or work.trials, max(1, machine.vcpus // work.islands))
    while most and memory_gb(work, pace, most) > machine.memory_gb:
        most -= 1
    return most


def estimate(work: Work, pace: Pace, machine: Machine) -> Estimate:
    """The study on one machine, with as many trials at once as end it soonest (the fewest of these)."""
    most = places(work, pace, machine)
    if not most:
        return Estimate(machine, work.islands, 0, memory_gb(work, pace, 1), None, None, None, None, 0)
    at_once = min(range(1, most + 1), key=lambda count: (round(seconds(work, pace, machine, count), 6), count))
    took = seconds(work, pace, machine, at_once) + 3600 * machine.setup
    hours = took / 3600
    dollars = None if machine.dollars_per_hour is None else hours * machine.dollars_per_hour
    return Estimate(
        machine=machine,
        islands=work.islands,
        at_once=at_once,
        memory_gb=memory_gb(work, pace, at_once),
        hours=hours,
        dollars=dollars,
        dollars_a_trial=None if dollars is None else dollars / work.trials,
        utilisation=busy_seconds(work, pace, machine, at_once) / (took * machine.vcpus),
        idle_at_the_end=-work.trials % at_once,
    )


def cheapest(estimates: Sequence[Estimate], max_hours: float | None = None) -> Estimate | None:
    """The one that costs least, of those that fit (and end within `max_hours`); of equals the faster."""
    able = [each for each in estimates if each.dollars is not None and each.hours is not None]
    able = [each for each in able if max_hours is None or (each.hours or 0.0) <= max_hours]
    return min(able, key=lambda each: (round(each.dollars or 0.0, 4), each.hours or 0.0), default=None)


def fastest(estimates: Sequence[Estimate]) -> Estimate | None:
    """The one that ends first, of those that fit; of equals the cheaper."""
    able = [each for each in estimates if each.hours is not None]
    return min(able, key=lambda each: (round(each.hours or 0.0, 4), each.dollars or 0.0), default=None)
