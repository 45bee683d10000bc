"""Runs and studies for the tests of reports: some made by hand, with hostile texts wherever a file can hold one."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import yaml

from islands import files
from islands.rundir import RunDir
from launcher import identity, presets, run
from launcher.trials import PRUNED, StudyDir
from tests.launcher.study_parts import complete, known, trial_of

HOSTILE = "<img src=x onerror=alert(1)>"


def archipelago(path: Path, islands: int, generations: int, unfinished: bool = False) -> RunDir:
    """A run of so many islands that migrated every ten generations; `unfinished`: killed before any result."""
    names = tuple((f"island-{index:03}", 42) for index in range(islands))
    made = run.make(path, presets.resolve("quick"), run.Plan("launch", "quick", names, migration_dir=path / "shared"))
    for index, island in enumerate(made.islands()):
        lines = [_generation(index, generation, islands) for generation in range(generations)]
        files.JsonLines(island.metrics, durable=False).extend(lines)
        log = [line for generation in range(10, generations, 10) for line in _migration(index, generation, islands)]
        files.JsonLines(island.migrations, durable=False).extend(log)
        if not unfinished:
            files.write_json(island.result, _result(island.name, index, generations))
    return made


def _generation(index: int, generation: int, islands: int) -> dict[str, Any]:
    level = 3.0 * math.log1p(generation) + index / 7 + math.sin(generation * (index + 2)) / 3
    line = {"generation": generation, "best": level + 5, "mean": level, "std": 1.2345678, "species": 3 + generation % 7}
    line |= {"nodes": 5 + generation / 9, "connections": 12 + generation / 3, "body_nodes": 4.5, "muscles": 5.1}
    line |= {"diversity": 1 / (1 + generation), "evaluations": 40, "seconds": 0.02, "evaluate_seconds": 0.012}
    line |= {"reproduce_seconds": 0.003, "checkpoint_seconds": 0.002, "digest": "e" * 64}
    return line | {"hyperparameters": {"mutation.add_node": 0.1 * 1.25 ** (generation // 40 % (islands + index))}}


def _migration(index: int, generation: int, islands: int) -> list[dict[str, Any]]:
    source = f"island-{(index - 1) % islands:03}"
    sent = {"generation": generation, "event": "published", "sequence": generation // 10, "digests": [f"{index:064}"]}
    came = {"generation": generation, "slot": 7, "source": source, "sequence": generation // 10}
    came |= {"digest": f"{(index - 1) % islands:064}", "fitness": 100.0}
    refusal = {**came, "slot": None, "admitted": False, "reason": "duplicate"}
    complete_ = {"generation": generation, "event": "complete"}
    return [sent, {**came, "admitted": True, "reason": "", "genome": "A" * 400, "epoch": 1}, refusal, complete_]


def _result(name: str, index: int, generations: int) -> dict[str, Any]:
    mean = 10.0 + index
    champion = {
        "mean": mean,
        "ci95": [mean - 1, mean + 1],
        "episodes": 64,
        "validation": mean,
        "digest": f"{index:064}",
    }
    counts = {"sent": 5, "received": 4, "admitted": 2, "refused": 2, "stopped": None}
    known_ = {"format": 1, "island": name, "index": index, "seed": 42, "generations": generations, "champion": champion}
    return known_ | counts | {"best_fitness": 30.0, "digest": "d" * 64, "seconds": 2.0, "cpu_seconds": 1.9}


def hostile(made: RunDir) -> RunDir:
    """The same run in a folder that is called like an attack, with attacks in every text that its files can hold."""
    moved = RunDir(made.path.parent / HOSTILE)
    shutil.move(made.path, moved.path)
    plan = files.read_json(moved.plan)
    plan["config"] = plan["created"] = HOSTILE
    plan["islands"][0]["overrides"] = {"mutation.add_node": 0.2}
    files.write_json(moved.plan, plan)
    config = yaml.safe_load(moved.config.read_text())
    config["description"] = f"</script>{HOSTILE}"
    moved.config.write_text(yaml.safe_dump(config))
    events = [
        {"time": 1.0, "event": HOSTILE, "island": HOSTILE, "text": f"</script><script>alert(2)</script>{HOSTILE}"}
    ]
    files.JsonLines(moved.events, durable=False).extend(events)
    first = moved.islands()[0]
    lines = [
        {"generation": 9, "source": HOSTILE, "sequence": 1, "admitted": True, "digest": "a", "fitness": 3.0},
        {"generation": 9, "source": "</script>", "sequence": 2, "admitted": False, "reason": f"<!--<script>{HOSTILE}"},
    ]
    files.JsonLines(first.migrations, durable=False).extend(lines)
    line = {"generation": 10_000, "best": 1e6, "hyperparameters": {HOSTILE: 1.0, "</script>": 2.0}}
    files.JsonLines(first.metrics, durable=False).extend([line, {**line, "generation": 10_001}])
    return moved


def searched(folder: Path, trials: int = 12, objectives: tuple[str, ...] = ("fitness",), attack: str = "") -> StudyDir:
    """A study with complete, pruned and failed trials, two at a time on two cores. `attack`: the reason of failures."""
    who = known(objectives=objectives)
    study = StudyDir(folder)
    identity.make_or_compare(study, who)
    for number in range(1, trials + 1):
        begin = 1000.0 + 10 * (number // 2) + 4 * (number % 2)
        trial = trial_of(who, number, started=begin, cpus=[number % 2], seconds=9.0, cpu_seconds=8.0, cost=0.25)
        trial.workers = [{"started": begin, "ended": begin + 9.0, "cpus": [number % 2]}]
        if number % 5 == 0:
            trial.state, trial.reason, trial.intermediate = PRUNED, "pruned by median", {2: [1.0, 0.5]}
        elif number == 4:
            trial.state, trial.reason = "FAIL", f"it failed {attack}"
        else:
            complete(trial, *(number + 3 * math.cos(number), number % 4)[: len(objectives)])
            run.make_or_continue(study.run(number, trial.runs[0]).path, who.base, _plan(trial))
        study.write(trial)
    return study


def _plan(trial: Any) -> run.Plan:
    return run.Plan("run", "study", trial.runs[0].islands)
