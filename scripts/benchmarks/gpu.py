"""A whole archipelago on one GPU, beside one core of the same machine and beside the card's own limits.

Needs a machine with an NVIDIA GPU and the extra `[cuda]`. Elsewhere the page tells of the card in gpu.elsewhere.json.
"""

from __future__ import annotations

from typing import Any

from islands.gpu import lane, machine
from scripts.benchmarks.gpu_arms import GENERATIONS, POPULATION, Timed, evaluation, generations, limits
from scripts.benchmarks.pieces import short, table

TITLE = "An archipelago on a GPU"
ISLANDS = (1, 16, 128, 1024)
PRESETS = ("neat_baseline", "pure_baseline", "cartpole")
LAUNCHED = {"cartpole": (16, 128, 1024), "neat_baseline": (16, 128, 1024)}
CONTROL_TICK = 3
"""Steps from one thought to the next."""


def measure(quick: bool) -> dict[str, Any]:
    """About four minutes of a card."""
    cuda = machine.numba_cuda()
    cards = {most: Timed(cuda, most) for most in (lane.LANES, lane.LANES // 4, lane.LANES * 2)[: 1 if quick else 3]}
    islands = list(ISLANDS[: 2 if quick else 4])
    return {
        "card": str(cuda.get_current_device().name),
        "limits": limits(cuda),
        "evaluation": {preset: evaluation(cards, preset, islands) for preset in PRESETS},
        "generations": {
            preset: [generations(preset, count, 13) for count in counts if count in islands]
            for preset, counts in LAUNCHED.items()
        },
    }


def bytes_of_step(nodes: float, muscles: float, connections: float) -> float:
    """What a thread reads and writes in a physics step of pellets, B; counted in the kernel's own source.

    Per body node 14 numbers read and 10 written (position, velocity, force sums; mass and the like), per muscle 35 (its
    two ends' places and velocities, their force sums twice, its own), 25 for the creature, and every third step three
    numbers a connection. Numbers of 4 bytes; what a cache gives again counts, too.
    """
    return 4.0 * (24.0 * nodes + 35.0 * muscles + 25.0 + 3.0 * connections / CONTROL_TICK)


def section(found: dict[str, Any]) -> str:
    """The Markdown of these figures."""
    copying, tflops = found["limits"]["gb_per_second"], found["limits"]["tflops"]
    return "\n\n".join([
        f"{found['card']}: copies {copying:,.0f} GB/s (read and written) and multiplies and adds {tflops:.0f}"
        " TFLOP/s in float32, both measured in the same run, by a copy of 4 GiB and by eight chains of FMA a thread."
        f" Populations of {POPULATION}, evolved for {GENERATIONS} generations; a thread an episode, all islands'"
        " genomes one batch, every island with its own episodes. Rates are of whole evaluations by the wall, with"
        " sorting, genomes to the card and results back; *kernel* is the card's own time; a core is one of the same"
        " machine, evaluation alone.",
        table(
            (
                "preset", "islands", "genomes/s", "steps/s", "× one core", "kernel steps/s", "GB/s in the kernel",
                "to the card",
            ),
            (row for preset, told in found["evaluation"].items() for row in _rows(preset, told, found["limits"])),
        ),
        _limits(found),
        _agreement(found["evaluation"]),
        _breeding(found),
        table(
            ("preset", "islands", "s a generation", "of it evaluation", "genomes/s", "evaluation alone on one core, s"),
            (row for preset, told in found["generations"].items() for row in _launched(preset, told, found)),
        ),
        _missing(found),
    ])  # fmt: skip


def _rows(preset: str, told: dict[str, Any], limit: dict[str, float]) -> list[tuple[str, ...]]:
    rows = []
    for each in told["islands"]:
        if each["lanes"] != told["islands"][0]["lanes"]:
            continue
        moved = "–"
        if told["body_nodes"]:
            rate = (
                bytes_of_step(told["body_nodes"], told["muscles"], told["connections"])
                * each["kernel_steps_per_second"]
            )
            moved = f"{rate / 1e9:,.0f} ({rate / 1e9 / limit['gb_per_second']:.0%})"
        times = each["creatures_per_second"] / told["core"]["creatures_per_second"]
        rows.append((
            f"`{preset}`", f"{each['islands']:,}", short(each["creatures_per_second"]), short(each["steps_per_second"]),
            f"{times:.1f}", short(each["kernel_steps_per_second"]), moved, f"{each['to_card_mb']:,.0f} MB",
        ))  # fmt: skip
    return rows


def _breeding(found: dict[str, Any]) -> str:
    """Who bred meanwhile."""
    said = "Whole generations, by `evolab launch --device cuda`: "
    workers = {each.get("workers", 1) for told in found["generations"].values() for each in told}
    if max(workers) == 1:
        return (
            f"{said}as measured before there were workers, when one process bred and wrote for all islands, one after"
            " another, and the card waited for it most of the time. What workers change of that is in the next section."
        )
    return (
        f"{said}{max(workers)} workers breed and write, and hand over what is to be played; *of it evaluation* is how"
        " long a worker waits for that, and for the others."
    )


def _limits(found: dict[str, Any]) -> str:
    lines = []
    for preset, told in found["evaluation"].items():
        largest = [each for each in told["islands"] if each["islands"] == told["islands"][-1]["islands"]]
        if len(largest) > 1:
            rates = ", ".join(f"{each['lanes']:,}: {short(each['kernel_steps_per_second'])}" for each in largest)
            lines.append(f"`{preset}` {rates}")
    many = (
        f" Steps/s in the kernel by the number of threads at once, most islands: {'; '.join(lines)}." if lines else ""
    )
    return (
        "Pellets is bound by memory: a creature's state lies in the card's memory, and its arithmetic is little beside"
        " it (caches give some of it again, so that the share can pass 100 %). CartPole is bound by waiting: 32 threads"
        f" of a warp go on until the longest of their episodes is over, and each step is a chain of reads.{many}"
    )


def _agreement(found: dict[str, Any]) -> str:
    parts = []
    for preset, told in found.items():
        near, whole = told["agreement"]["short"], told["agreement"]["whole"]
        parts.append(
            f"`{preset}` {near['largest_difference']:.1g} of {near['largest_fitness']:.0f} at most over short episodes"
            f" (50 steps or 2 s), the median genome {whole['median_difference']:.1g} over whole ones, and the same"
            f" number of steps in {whole['same_steps']:.0%}"
        )
    same = all(each["twice_the_same"] for told in found.values() for each in told["islands"])
    again = "Every batch gave the same bits twice." if same else "NOT every batch gave the same bits twice."
    return (
        f"Difference of fitness from the processor's: {'; '.join(parts)}. Over long episodes rounding grows as chaos"
        f" does. {again}"
    )


def _launched(preset: str, told: list[dict[str, Any]], found: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for each in told:
        if "seconds_a_generation" in each:
            genomes, took = each["islands"] * POPULATION, each["seconds_a_generation"]
            alone = genomes / found["evaluation"][preset]["core"]["creatures_per_second"]
            rows.append((
                f"`{preset}`", f"{each['islands']:,}", f"{took:.2f}", f"{each['evaluate_seconds']:.3f}",
                short(genomes / took), f"{alone:.2f}",
            ))  # fmt: skip
    return rows


def _missing(found: dict[str, Any]) -> str:
    wanted = [(preset, count) for preset, counts in LAUNCHED.items() for count in counts]
    had = {(preset, each["islands"]) for preset, told in found["generations"].items() for each in told}
    gone = ", ".join(f"`{preset}` with {count:,}" for preset, count in wanted if (preset, count) not in had)
    return f"Whole generations not measured on this card: {gone}." if gone else "All of it in one run."
