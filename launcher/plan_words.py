"""What `evolab plan` was asked, what its figures rest on, and the words that go with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from islands.config import Config
from launcher import cores, machines
from launcher.plan import Estimate, Pace, Work
from launcher.rehearsal import Phases
from launcher.start import PRESET


@dataclass(frozen=True)
class Request:
    """What the user asked for. `islands` None: the configuration's, or single populations where it says auto."""

    preset: str | None = None
    overrides: tuple[str, ...] = ()
    trials: int = 50
    seeds: int = 3
    islands: int | None = None
    at_most: int | None = None
    names: tuple[str, ...] = ()
    table: Path | None = None
    creatures_per_second: float | None = None
    smt_efficiency: float | None = None
    setup_minutes: float = 5.0
    max_hours: float | None = None
    cost_per_hour: float | None = None
    check: bool = False

    @property
    def name(self) -> str:
        """The configuration's name."""
        return self.preset or PRESET


@dataclass(frozen=True)
class Basis:
    """What the estimates rest on. `crowded`: the speed of an island here when all usable cores are busy.

    `creatures_per_second` of one core: as it was given, or that of the rehearsal's generations, files included.
    """

    pace: Pace
    creatures_per_second: float
    crowded: float | None = None
    phases: Phases | None = None


def notes(request: Request, config: Config, work: Work, basis: Basis, efficiency: float) -> list[str]:
    """What the figures assume, a line each."""
    gain = f"two islands on one core do {2 * efficiency:.3g} times the work of one"
    if request.smt_efficiency is not None:
        source = "as you said"
    elif basis.crowded is not None and machines.shows_hyperthreads():
        source = "measured here"
    else:
        source = "an assumption (--smt-efficiency): this machine shows no hyper-threads to measure"
    notes = [
        f"vCPUs are hyper-threads: {gain}, {source}",
        "a core there is as fast as one here: measure on the smallest machine of the family, or --creatures-per-second",
        f"{request.setup_minutes:g} minutes of booting and installing a rented machine are paid for (--setup-minutes)",
        "an upper bound where populations stop early or trials are pruned",
    ]
    if work.trials > 1 and work.at_most is None:
        notes.append("trials that run at once cannot learn from each other: -w limits them, for a sampler's sake")
    if basis.phases is None:
        notes.append("start, end and memory are the development machine's, since nothing was measured here")
        return notes
    found = basis.phases
    if found.generations < config.generations:
        late = "the rest count as the last quarter of them; genomes that grow on take longer"
        notes.append(f"{found.generations} of {config.generations} generations were rehearsed: {late}")
    if found.others > 0.05:
        longer = 1 / (1 - found.others)
        notes.append(
            f"other processes took {found.others:.0%} of the islands' time while this was measured; it is taken out:"
            f" beside them a run here takes {longer:.2g} times as long"
        )
    if work.islands > cores.usable().count:
        notes.append("more islands than usable cores here: they take turns")
    return notes


def command(request: Request, config: Config, work: Work, row: Estimate) -> str:
    """The command that does it there."""
    common = f"-c {quote(request.name)} -g {config.generations} -p {config.population}"
    common += "".join(f" --set {quote(text)}" for text in request.overrides if text.partition("=")[0] not in _OWN)
    if work.trials > 1:
        places = f" --backend processes -w {row.at_once}" if row.at_once > 1 else ""
        return f"evolab search NAME {common} -n {work.trials} -s {work.seeds} --islands {work.islands}{places}"
    if work.islands == 1:
        return f"evolab run {common} -s {work.seeds}"
    return f"evolab launch {common} --islands {work.islands}"


_OWN = ("generations", "population")
"""Keys that have an option of their own."""
