"""`evolab doctor --run`: what two looks at a live run say, each with the cause and the cure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import states, status, utilisation
from launcher.findings import Check, Finding, Verdict
from launcher.observed import Observed, Seen, observe
from launcher.places import Place, asking
from launcher.run import find

IDLE = 0.1
"""An island that uses less of a core than this is idle."""
MANY_THREADS = 8
"""Threads that an island of one thread may have: the libraries' own helpers."""
STORM, BAD_STORM = 5_000.0, 20_000.0
"""Context switches a second of one island. A healthy one has hundreds; threads that fight for a lock 50,000."""


def checks(name: str) -> Sequence[Check]:
    """The checks of the run called `name`; a ConfigError where there is none. All of them share the same two looks."""
    run = find(name)
    run.read_plan()
    seen: list[Observed] = []

    def about(check: Callable[[Observed], Finding]) -> Callable[[], Finding]:
        def told() -> Finding:
            if not seen:
                seen.append(observe(run))
            return check(seen[0])

        return told

    asked = asking.asked(run)
    elsewhere: list[Check] = [("place", lambda: place(run, asked))] if asked.elsewhere else []
    return [*((title, about(check)) for title, check in CHECKS), *elsewhere]


def place(run: RunDir, asked: Place) -> Finding:
    """What Slurm or Ray says of the islands, and those that it does not have although their files say so."""
    try:
        has = asking.under_way(run, asked)
    except ConfigError as error:
        return Finding("place", "warning", str(error), "islands go on meanwhile; ask again when it answers")
    counts = ", ".join(f"{count} {what}" for what, count in sorted(Counter(has.values()).items())) or "none of them"
    found = f"{asked.title}: {counts}"
    known = {str(island["island"]): str(island["state"]) for island in status.run_status(run)["islands"]}
    lost = [name for name, state in known.items() if state in (states.RUNNING, states.STALLED) and name not in has]
    if lost:
        do = f"wait until its heartbeat is a minute old; if it is not started again: `evolab resume {run.path}`"
        return Finding("place", "warning", f"{found}; {_names(lost)}: at work by its files, and not there", do)
    over = [name for name in has if known.get(name) in states.OVER]
    if over:
        do = f"`evolab stop {run.path} --now` ends what is there, `evolab resume {run.path}` goes on"
        return Finding("place", "note", f"{found}; {_names(over)}: {known[over[0]]} by its files, and still there", do)
    return Finding("place", "ok", found)


def islands(seen: Observed) -> Finding:
    """How many islands are in which state, and those that do not run although they should."""
    counts = Counter(island.state for island in seen.islands)
    found = ", ".join(f"{counts[state]} {state}" for state in states.ALL if counts[state])
    broken = [island for island in seen.islands if island.state in (states.HELD, states.FAILED)]
    if broken:
        first = broken[0]
        do = f"mend the cause (see {first.name}/island.log), then `evolab resume {seen.path}`"
        return Finding("islands", "warning", f"{found}; {first.name}: {first.message or 'no reason given'}", do)
    dead = [island for island in seen.islands if island.state == states.BACKOFF]
    if dead:
        do = f"its launcher starts it again; if none lives: `evolab resume {seen.path}`"
        return Finding("islands", "warning", f"{found}; {dead[0].name}: {dead[0].message or 'it died'}", do)
    if not seen.living:
        do = "" if set(counts) == {states.DONE} else f"`evolab resume {seen.path}`, if it should go on"
        return Finding("islands", "note", f"{found}; none runs on this machine, so nothing below is measured", do)
    return Finding("islands", "ok", found)


def stalled(seen: Observed) -> Finding:
    """Islands whose heartbeat is older than a minute and than ten of their generations."""
    found = [island for island in seen.living if island.state == states.STALLED]
    if not found:
        ages = [island.age for island in seen.living if island.age is not None]
        return Finding("stalled islands", "ok", f"none; oldest heartbeat {max(ages):.1f} s" if ages else "none")
    found.sort(key=lambda island: island.age or 0.0, reverse=True)
    return _by_cause("stalled islands", "error", found, lambda island: island.message or "no heartbeat")


def idle(seen: Observed) -> Finding:
    """Islands that live, and hardly use their core, by what keeps each from it."""
    found = [island for island in seen.living if island.busy < IDLE]
    if not found:
        return Finding("idle islands", "ok", "none")
    found.sort(key=lambda island: island.busy)
    return _by_cause("idle islands", "warning", found, lambda island: f"{island.busy:.0%} of a core")


def threads(seen: Observed) -> Finding:
    """Islands with more threads than they compute with, as the kernel counts them."""
    allowed = MANY_THREADS + 2 * (seen.threads - 1)
    found = [island for island in seen.living if island.looks[-1].threads > allowed]
    most = max((island.looks[-1].threads for island in seen.living), default=0)
    if not found:
        return Finding("threads", "ok", f"at most {most} in an island" if most else "none")
    cause = "a library made a pool for all cores before it was limited (nested parallelism)"
    do = "stop and resume with evolab, which sets OMP_NUM_THREADS and its kin before an island's process begins"
    return Finding(
        "threads", "error", f"{_names([island.name for island in found])}: up to {most} threads; {cause}", do
    )


def switches(seen: Observed) -> Finding:
    """Islands that are thrown off their core, or give it up, thousands of times a second."""
    found = [island for island in seen.living if island.switches > STORM]
    most = max((island.switches for island in seen.living), default=0.0)
    if not found:
        return Finding("context switches", "ok", f"at most {most:.0f} a second and island" if most else "none")
    cause = "its threads or processes fight for a lock or for too few cores"
    do = "fewer islands than cores, and --threads 1: see `threads` and `load`"
    verdict: Verdict = "error" if most > BAD_STORM else "warning"
    return Finding(
        "context switches",
        verdict,
        f"{_names([island.name for island in found])}: up to {most:,.0f} a second; {cause}",
        do,
    )


def use(seen: Observed) -> Finding:
    """The share of the granted cores that the run used between the looks."""
    if not seen.living:
        return Finding("utilisation", "ok", "nothing runs")
    meter = utilisation.Meter(seen.granted)
    meter.take(utilisation.Sample(0.0, 0.0, 0.0, 0))
    meter.take(utilisation.Sample(seen.seconds, seen.used, seen.busy, 0))
    found = f"{meter.recent:.0%} of {seen.granted:g} cores"
    together = len({island.pid for island in seen.living}) < len(seen.living)
    reasons = utilisation.causes(meter, [island.account() for island in seen.islands], seen.threads, together)
    if not reasons:
        return Finding("utilisation", "ok", found)
    cures = [cure for words, cure in CURES[:-1] if any(words in reason for reason in reasons)]
    return Finding("utilisation", "warning", f"{found}: {'; '.join(reasons)}", "; ".join(cures) or CURES[-1][1])


CURES = (
    ("too few islands", "more islands (resume --islands +N), or a smaller machine: see `evolab plan`"),
    ("have ended", "extend the run (resume --generations +N), or give the machine back"),
    ("other processes", "end what else runs here (`top`)"),
    ("more islands than cores", "fewer islands"),
    ("still starting", "look again in a minute"),
    ("migration", "keep the migration directory on a faster disk, or migrate less often (--migrate-every)"),
    ("checkpoints", "keep runs on a faster disk, or write fewer checkpoints (record.checkpoint_seconds)"),
    ("", "see `stalled islands` and `idle islands`"),
)
"""What a cause says, and its cure; the last one is for all others."""

CHECKS: Sequence[tuple[str, Callable[[Observed], Finding]]] = [
    ("islands", islands),
    ("stalled islands", stalled),
    ("idle islands", idle),
    ("threads", threads),
    ("context switches", switches),
    ("utilisation", use),
]


def _by_cause(title: str, verdict: Verdict, found: Sequence[Seen], what: Callable[[Seen], str]) -> Finding:
    """What is wrong with islands that do nothing: those that a cause is common to together, told of the first."""
    alike: dict[tuple[str, bool], list[Seen]] = {}
    for island in found:
        state = island.looks[-1].state
        alike.setdefault((state, state == "R" and island.busy < IDLE), []).append(island)
    told = {f"{_names([i.name for i in some])}: {what(some[0])}": _cause(some[0]) for some in alike.values()}
    said = "; ".join(f"{words}; {cause}" for words, (cause, _) in told.items())
    return Finding(title, verdict, said, "; ".join(dict.fromkeys(cure for _, cure in told.values())))


def _cause(island: Seen) -> tuple[str, str]:
    """Why a process does nothing, and the cure, from the state that the kernel gives it."""
    look = island.looks[-1]
    where = f" (in {look.where})" if look.where else ""
    if look.state in "Tt":
        return "somebody has stopped its process (SIGSTOP, a debugger)", f"kill -CONT {island.pid}"
    if look.state == "D":
        return f"it waits for a disk{where}", "see the disk's checks, `dmesg`, and the network disk's server"
    if look.state == "R" and island.busy < IDLE:
        return "it is ready to run, and others have the cores", "end what else runs here (`top`), or use fewer islands"
    if look.state == "R":
        return (
            "it computes: one evaluation takes very long",
            "a smaller population or fewer episodes; see its island.log",
        )
    return f"it waits, most likely for a lock or a file{where}", "see its island.log, and the disk's checks"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
