"""End to end, on real islands: tiny populations, short episodes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from islands import files
from islands.rundir import IslandDir, RunDir
from launcher.status import alive
from tests.launcher.launches import beat, saved, wait_for

ROOT = Path(__file__).parents[2]
TINY = ["-c", "quick", "-p", "40", "--set", "task.duration=4"]
ISLAND_KEYS = {
    "island", "generations", "best_fitness", "champion", "sent", "received", "admitted", "refused", "restarts",
    "cpu_utilisation", "digest",
}  # fmt: skip


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `evolab` in the test's folder."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "launcher", *map(str, arguments)]
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def end(process: subprocess.Popen[str]) -> tuple[int, Any, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out) if out else None, err


def going(island: IslandDir, generation: int = 10) -> Callable[[], Any]:
    """A living island's heartbeat, once it has come so far."""

    def look() -> dict[str, Any] | None:
        found = beat(island)
        far = found.get("state") == "running" and (found["generation"] or 0) >= generation
        return found if far and alive(found) else None

    return look


def digests(island: IslandDir) -> list[str]:
    return [record["digest"] for record in files.read_jsonl(island.metrics)]


def test_run_prints_what_scripts_rely_on_and_repeats_itself(start: Callable[..., subprocess.Popen[str]]) -> None:
    summaries = []
    for options in (["-s", 2], ["-s", 2, "--no-batched"], ["--seed", 123], ["--seed", 7]):
        code, summary, _ = end(start("run", *TINY, "-g", 4, *options, "--json"))
        assert code == 0
        summaries.append(summary)
    both, apart, alone, other = summaries
    assert set(both) == {"run", "config", "seeds"}
    first = both["seeds"][0]
    solving = {"solved", "evaluations_to_solve", "generalisation", "hidden_nodes"}
    assert set(first) == {"seed", "generations", "best_fitness", "champion", "history", "digest", "seconds", *solving}
    assert {first[key] for key in solving} == {None}  # pellets have no end
    assert {"mean", "ci95", "episodes"} <= set(first["champion"])
    assert [set(line) for line in first["history"]] == [{"generation", "best", "mean", "median", "species"}] * 4
    assert [seed["seed"] for seed in both["seeds"]] == [42, 123]
    assert [seed["digest"] for seed in both["seeds"]] == [seed["digest"] for seed in apart["seeds"]]
    assert both["seeds"][1]["digest"] == alone["seeds"][0]["digest"] != other["seeds"][0]["digest"]


def test_launch_migrates_and_prints_what_scripts_rely_on(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    code, summary, progress = end(start("launch", *TINY, "--islands", 3, "-g", 60, "--out", "mine", "--json"))
    assert code == 0
    assert set(summary) == {"run", "islands", "champion", "utilisation", "seconds"}
    assert all(set(island) >= ISLAND_KEYS for island in summary["islands"])
    assert all(island["generations"] == 60 and island["sent"] for island in summary["islands"])
    assert sum(island["admitted"] for island in summary["islands"]) > 0
    assert 0 < summary["utilisation"] <= 1.05
    assert "3 islands" in progress.splitlines()[0]
    assert len(list((tmp_path / "shared" / "mine" / "migration_pool").iterdir())) == 3


def test_a_killed_island_is_back_within_ten_seconds_and_nothing_published_is_lost(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    launched = start("launch", *TINY, "--islands", 4, "-g", 4000, "--out", "mine")
    islands = [RunDir(tmp_path / "mine").island(f"island-{k:03}") for k in range(4)]
    before = [wait_for(going(island)) for island in islands]
    wait_for(lambda: saved(islands[0]) >= before[0]["generation"])  # a heartbeat may be ahead of the checkpoint
    outbox = tmp_path / "shared" / "mine" / "migration_pool" / "island-000"
    published = wait_for(lambda: [path for path in outbox.iterdir() if path.suffix == ".safetensors"])
    os.kill(before[0]["pid"], signal.SIGKILL)
    killed = time.monotonic()
    assert all(path.exists() for path in published)
    back = wait_for(lambda: (found := beat(islands[0]))["pid"] != before[0]["pid"] and going(islands[0])() and found)
    assert time.monotonic() - killed < 10
    assert back["generation"] >= before[0]["generation"]
    others = [beat(island) for island in islands[1:]]
    for now, then in zip(others, before[1:], strict=True):
        assert now["pid"] == then["pid"] and now["generation"] > then["generation"]
    launched.send_signal(signal.SIGTERM)
    assert end_code(launched) == 143
    lines = files.read_jsonl(islands[0].metrics)
    assert [line["generation"] for line in lines] == list(range(len(lines)))


def test_a_big_and_a_slow_island_hold_no_other_back(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    uneven = ["--island-config", "0:population=4000", "--island-config", "1:evaluation.episodes=100"]
    launched = start("launch", *TINY, "--islands", 4, "-g", 60, "--out", "mine", "--set", "migration.every=2", *uneven)
    big, slow, *others = (RunDir(tmp_path / "mine").island(f"island-{k:03}") for k in range(4))
    wait_for(lambda: all(island.result.exists() for island in others), 60)
    assert not big.result.exists() and not slow.result.exists()
    assert all(len(digests(island)) == 60 > len(digests(behind)) for island in others for behind in (big, slow))
    launched.send_signal(signal.SIGTERM)
    assert end_code(launched) == 143


def end_code(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


def test_ctrl_c_then_resume_equals_a_run_that_was_never_interrupted(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    alone = [*TINY, "--islands", 2, "--migrate-every", 0]
    launched = start("launch", *alone, "-g", 5000, "--out", "stopped")
    islands = [RunDir(tmp_path / "stopped").island(f"island-{k:03}") for k in (0, 1)]
    for island in islands:
        wait_for(going(island))
    launched.send_signal(signal.SIGINT)
    assert end_code(launched) == 130
    reached = max(len(digests(island)) for island in islands)
    assert reached < 5000
    assert not any(alive(beat(island)) for island in islands)
    shutil.copytree(tmp_path / "stopped", tmp_path / "copy")
    config = tmp_path / "copy" / "config.yaml"
    config.write_text(config.read_text().replace("generations: 5000", f"generations: {reached}"))
    code, summary, _ = end(start("launch", "--resume", "copy", "-g", reached + 5, "--json"))
    assert code == 0
    assert {island["generations"] for island in summary["islands"]} == {reached + 5}
    _, whole, _ = end(start("launch", *alone, "-g", reached + 5, "--out", "whole", "--json"))
    for resumed, never in zip(summary["islands"], whole["islands"], strict=True):
        assert resumed["digest"] == never["digest"]


def test_the_shells_loop_makes_an_archipelago(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    commands = [
        start("evolve", f"island-{i}", *TINY, "-g", 40, "--migration-dir", "shared/", "--json") for i in (1, 2, 3)
    ]
    summaries = []
    for command in commands:
        code, summary, told = end(command)
        assert code == 0, told
        summaries.append(summary)
    assert len({summary["islands"][0]["digest"] for summary in summaries}) == 3
    assert sum(summary["islands"][0]["received"] for summary in summaries) > 0
    code, summary, _ = end(start("evolve", "island-1", *TINY, "-g", 45, "--migration-dir", "shared/", "--json"))
    assert (code, summary["islands"][0]["generations"]) == (0, 45)
    code, _, told = end(start("evolve", "island-1", *TINY, "-p", 50, "-g", 45, "--migration-dir", "shared/"))
    assert code == 2
    assert "population: 40 → 50" in told


def test_a_migration_directory_of_another_task_is_refused_with_the_difference(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    assert end(start("evolve", "a", *TINY, "-g", 2, "--migration-dir", "shared", "--json"))[0] == 0
    other = [*TINY, "--set", "mode=pure"]
    code, _, told = end(start("evolve", "b", *other, "-g", 2, "--migration-dir", "shared"))
    assert code == 2
    assert "theirs / yours" in told.splitlines()[-1] and "mode: " in told.splitlines()[-1]


def test_configurations_are_run_and_then_compared(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    config = tmp_path / "smaller.yaml"
    config.write_text("description: fewer\npopulation: 20\ntask:\n  duration: 2.0\n")
    code, report, _ = end(start("compare", "quick", config, "-g", 2, "-s", 2, "-p", 20, "--json"))
    assert code == 0
    assert {entry["name"] for entry in report["ranking"]} == {"quick", str(config)}
    assert all(entry["basis"] == "2 populations" for entry in report["ranking"])


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset comes with util-linux")
def test_the_script_launches_waits_and_says_what_failed(tmp_path: Path) -> None:
    script = [str(ROOT / "scripts" / "launch_islands.sh"), "-n", "2", "-d", "shared/mine", "--", *TINY, "-g", "20"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), EVOLAB=f"{sys.executable} -m launcher")
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "logs" / "pids").read_text().splitlines()) == 2
    assert "run: runs/island-2" in (tmp_path / "logs" / "island-2.log").read_text()
    changed = subprocess.run(
        [*script, "-p", "50"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert changed.returncode == 1
    assert "island-1 ended with 2: evolab: " in changed.stderr


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset comes with util-linux")
def test_the_script_stops_its_islands_with_checkpoints_and_goes_on_later(tmp_path: Path) -> None:
    script = [str(ROOT / "scripts" / "launch_islands.sh"), "-n", "2", "-d", "shared/mine", "--", *TINY, "-g", "100000"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), EVOLAB=f"{sys.executable} -m launcher")
    islands = [RunDir(tmp_path / "runs" / f"island-{k}").island(f"island-{k}") for k in (1, 2)]
    for _ in range(2):
        with subprocess.Popen(script, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as launched:
            before = [len(digests(island)) for island in islands]
            for island, count in zip(islands, before, strict=True):
                wait_for(going(island, count + 3))
            launched.send_signal(signal.SIGTERM)
            assert end_code(launched) == 143
        assert not any(alive(beat(island)) for island in islands)
        assert all(len(digests(island)) > count for island, count in zip(islands, before, strict=True))


def test_benchmark_prints_what_scripts_rely_on(start: Callable[..., subprocess.Popen[str]]) -> None:
    code, figures, _ = end(start("benchmark", "-c", "quick", "-p", 50, "-g", 2, "--json"))
    assert code == 0
    assert set(figures) == {
        "config", "population", "generations", "threads", "creatures_per_second", "steps_per_second",
        "steps_per_cpu_second", "seconds_per_generation", "cpu_seconds_per_generation", "evaluate_seconds",
        "reproduce_seconds", "compile_seconds", "peak_rss_mb",
    }  # fmt: skip
    assert (figures["config"], figures["population"], figures["generations"]) == ("quick", 50, 2)


def test_the_phases_of_a_benchmark_add_up_to_whole_generations_with_their_checkpoints(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    code, figures, _ = end(start("benchmark", "-c", "quick", "-p", 50, "-g", 2, "--profile", "--json"))
    told = figures["profile"]
    phases = {each["phase"]: each["seconds"] for each in told["phases"]}
    assert code == 0
    assert sum(phases.values()) == pytest.approx(told["seconds_per_generation"])
    assert sum(each["share"] for each in told["phases"]) == pytest.approx(1.0)
    assert all(phases[name] > 0 for name in ("evaluate", "speciate", "reproduce: cross and mutate", "checkpoint"))
    assert list(tmp_path.iterdir()) == []
