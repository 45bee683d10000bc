"""Tables of `evolab plan` and `evolab doctor` for people. Each takes the same dictionary that `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.tables import Record, _print, number
from launcher.utilisation import clock


def plan(found: Record) -> None:
    """`evolab plan`: what was measured, one line a machine, which to rent, what is assumed."""
    trials, seeds, islands = found["trials"], found["seeds"], found["islands"]
    what = f"{seeds} seed{'s' * (seeds != 1)}, " + (f"{islands} islands each" if islands > 1 else "single populations")
    print(
        f"{trials} trial{'s' * (trials != 1)} of {what}: {found['config']}, population {found['population']}, "
        f"{found['generations']} generations"
    )
    print(_basis(found["basis"]))
    header = ("machine", "vCPU", "GB", "$/h", "trials at once", "islands at once", "needs GB", "time", "$",
              "$/trial", "utilisation", "idle places at the end")  # fmt: skip
    _print(header, (_machine(row) for row in (*found["machines"], found["here"])))
    for line in _advice(found):
        print(line)
    for note in found["notes"]:
        print(f"note: {note}")
    if found["check"]:
        print(_check(found["check"]))


def doctor(found: Record) -> None:
    """`evolab doctor`: one line a check, then what to do about those that are not fine."""
    rows = ((each["verdict"], each["name"], each["found"]) for each in found["checks"])
    _print(("verdict", "check", "found"), rows)
    for each in found["checks"]:
        if each["do"]:
            print(f"{each['name']}: {each['do']}")
    counts = {verdict: sum(each["verdict"] == verdict for each in found["checks"]) for verdict in _WORST_FIRST}
    told = ", ".join(f"{count} {verdict}{'s' * (count != 1)}" for verdict, count in counts.items() if count)
    print(f"{told or 'nothing to note'} in {len(found['checks'])} checks")


_WORST_FIRST = ("error", "warning", "note")


def _basis(basis: Record) -> str:
    figures = f"{basis['creatures_per_second']:,.0f} creatures/s a core"
    figures += f", {_length(basis['generation_seconds'])} a generation with its files"
    figures += f", {_length(basis['start_seconds'])} to start, {_length(basis['end_seconds'])} for the champion"
    figures += f"; {basis['private_mb']:.0f} MB an island and {basis['shared_mb']:.0f} MB shared"
    if not basis["measured"]:
        return f"given: {figures}"
    rehearsed, crowded = basis["rehearsed"], basis["speed_with_all_cores_busy"]
    islands = "1 island" if rehearsed["islands"] == 1 else f"{rehearsed['islands']} islands at once"
    figures += f"; rehearsed: {islands}, {rehearsed['generations']} generations"
    return f"measured here: {figures}" + ("" if crowded is None else f"; speed with all cores busy {crowded:.0%}")


def _machine(row: Record) -> tuple[str, ...]:
    rate, memory = row["dollars_per_hour"], f"{row['memory_gb']:.0f}"
    head = (row["machine"], str(row["vcpus"]), memory, "–" if rate is None else f"{rate:.2f}")
    if not row["fits"]:
        return (*head, "too little memory", "–", f"{row['memory_needed_gb']:.1f}", "–", "–", "–", "–", "–")
    return (
        *head,
        str(row["trials_at_once"]),
        str(row["trials_at_once"] * row["islands"]),
        f"{row['memory_needed_gb']:.1f}",
        clock(3600 * row["hours"]),
        _dollars(row["dollars"]),
        _dollars(row["dollars_a_trial"]),
        f"{row['utilisation']:.0%}",
        str(row["idle_places_at_the_end"] or "–"),
    )


def _advice(found: Record) -> Sequence[str]:
    rows = {row["machine"]: row for row in found["machines"]}
    wanted = [("cheapest that fits", found["cheapest"]), ("fastest", found["fastest"])]
    if found["max_hours"] is not None:
        wanted.insert(1, (f"cheapest within {found['max_hours']:g} h", found["cheapest_in_time"]))
    lines = []
    for criterion, name in wanted:
        if name is None:
            lines.append(f"{criterion}: none")
        else:
            row = rows[name]
            lines.append(f"{criterion}: {name}, {_dollars(row['dollars'])} $ in {clock(3600 * row['hours'])}")
    commands = {name: found["commands"][name] for _, name in wanted if name}
    commands |= {name: text for name, text in found["commands"].items() if name == found["here"]["machine"]}
    return lines + [f"on {name}: {text}" for name, text in commands.items()]


def _check(check: Record) -> str:
    islands = "1 island" if check["islands"] == 1 else f"{check['islands']} islands"
    line = f"checked: a run of {islands} and {check['generations']} generations was predicted to take"
    line += f" {_length(check['predicted_seconds'])} and took {_length(check['seconds'])}: off by {check['error']:+.0%}"
    if check["others"] > 0.01:
        line += f"; without what other processes took ({check['others']:.0%}) {_length(check['undisturbed_seconds'])}"
        line += f": off by {check['undisturbed_error']:+.0%}"
    return line


def _dollars(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def _length(seconds: float) -> str:
    return clock(seconds) if seconds >= 100 else f"{number(float(f'{seconds:.3g}'))} s"
