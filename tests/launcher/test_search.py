"""`evolab search` as a user meets it: refusals in one line before anything is written, and real runs end to end."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from islands import files
from islands.errors import ConfigError
from launcher import claims, cores, identity, search
from launcher.trials import StudyDir
from tests.launcher.study_parts import (
    QUICK,
    ROOT,
    SPACE,
    Search,
    known,
    populations,
    sitting,
    storage_trials,
    write_space,
)

Evolab = Callable[..., tuple[int, str, str]]
TINY = ("-c", "quick", "-p", "30", "-g", "4", "--set", "task.duration=1", "--json")
USABLE = len(os.sched_getaffinity(0))


def written(folder: Path) -> dict[Path, float]:
    """Every file, the claims' aside."""
    return {path: path.stat().st_mtime for path in folder.rglob("*") if "evolab-cores" not in str(path)}


def refused(evolab: Evolab, folder: Path, arguments: tuple[object, ...]) -> str:
    """The line with which this is refused, with nothing written."""
    before = written(folder)
    code, out, err = evolab(*arguments)
    assert (code, out) == (2, ""), err
    assert len(err.splitlines()) == 1 and err.startswith("evolab: "), err
    assert written(folder) == before
    return err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-w", 0), "--n-jobs or --workers: expected at least 1, got 0"),
        (("-w", 1000), f"1000 trials at a time × 1 threads: expected at most {USABLE} usable cores, got 1000"),
        (("--threads-per-worker", 1000), f"expected at most {USABLE} usable cores, got 1000"),
        (("--threads-per-worker", 0), "--threads-per-worker: expected at least 1, got 0"),
        (("--limit-threads", "--threads-per-worker", 2), "--limit-threads: expected one thread"),
        (("-n", 0), "--trials: expected at least 1, got 0"),
        (("--islands", 0), "--islands: expected a number from 1, auto or search, got '0'"),
        (("--islands", "many"), "--islands: expected a number from 1, auto or search, got 'many'"),
        (("--islands", "search"), "expected migration.islands in the space space.yaml, got none"),
        (("--backend", "threads"), "--backend: expected one of sequential, processes, ray, pool, got 'threads'"),
        (("--backend", "sequential", "-w", 2), "--backend sequential: expected one trial at a time, got 2"),
        (("--backend", "pool", "--pruner", "median"), "--backend pool: expected no sampler but random, no pruner"),
        (("--backend", "pool", "--sampler", "tpe"), "--backend pool: expected no sampler but random"),
        (("--backend", "pool", "--storage", "sqlite:///x.db"), "--backend pool: expected no sampler but random"),
        (("--sampler", "grid"), "--sampler: expected one of tpe, gp, cmaes, nsga2, random, got 'grid'"),
        (("--sampler", "cmaes", "--multi-objective"), "--sampler cmaes: expected one objective"),
        (("--pruner", "wilcoxon"), "--pruner wilcoxon: expected at least 5 seeds to compare, got 1"),
        (("--pruner", "hyperband", "--multi-objective"), "--pruner with several objectives: expected median or none"),
        (("--pruner", "best"), "'best' is not one of 'median', 'hyperband', 'wilcoxon', 'none'"),
        (("--max-cost", 5), "--max-cost: expected --cost-per-hour with it"),
        (("--timeout", "soon"), "--timeout: expected a duration such as 90, 30m or 2h, got 'soon'"),
        (("--timeout", "0"), "--timeout: expected a duration such as 90, 30m or 2h, got '0'"),
        (("--address", "auto"), "--address: expected --backend ray, got sequential"),
        (("--revive", 1), "--revive 1: expected a study that exists"),
        (("--mode", "pure"), "--mode pure: expected the mode of quick (neat)"),
        (("--set", "migration.islands=2"), "--set migration.islands: expected --islands to say how many"),
        (("--set", "device=cuda"), "device: expected cpu: trials share the cores, got cuda"),
        (("--set", "mutation.add_nodes=1"), "did you mean mutation.add_node"),
        (("--space", "bad.yaml"), "bad.yaml: mutation.weight_rat: unknown key; did you mean mutation.weight_rate"),
        (("--space", "none.yaml"), "none.yaml"),
        (("--storage", "sqlite:////none/here/x.db"), "--storage sqlite:////none/here/x.db: expected an Optuna storage"),
        (("--storage", "nonsense"), "--storage nonsense: expected an Optuna storage that can be reached"),
        (("--out", "space.yaml"), "space.yaml: expected a folder, got a file; choose another --out"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_exit_code_2_and_nothing_is_written(
    evolab: Evolab, folder: Path, arguments: tuple[object, ...], told: str
) -> None:
    write_space(folder / "bad.yaml", {"mutation.weight_rat": SPACE["mutation.weight_rate"]})
    assert told in refused(evolab, folder, ("search", "it", *QUICK, *arguments))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("search",), "expected the name of a STUDY, or --list"),
        (("search", "../up", *QUICK), "study name: expected"),
        (("search", "it", "-c", "quikc"), "quick"),
        (("search", "it", "-s", 0, "-c", "quick"), "--seeds: expected at least 1, got 0"),
        (("best", "it"), "no study 'it'"),
        (("importance", "it"), "no study 'it'"),
        (("best", "it", "--export", "x.yaml"), "no study 'it'"),
    ],
)
def test_what_is_not_there_is_one_line_too(
    evolab: Evolab, folder: Path, arguments: tuple[object, ...], told: str
) -> None:
    assert told in refused(evolab, folder, arguments)


def test_a_sampler_whose_package_is_not_installed_is_refused_with_what_to_install(
    evolab: Evolab, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    told = refused(evolab, folder, ("search", "it", *QUICK, "--sampler", "cmaes"))
    assert "--sampler cmaes: expected the package cmaes, got none; pip install cmaes" in told


@pytest.mark.usefixtures("at_once")
def test_a_study_that_is_continued_as_another_one_is_refused_with_the_difference(evolab: Evolab, folder: Path) -> None:
    sitting(folder, known(), 2).run()
    same = ("search", "it", "--out", "study", "-c", "quick", "-g", 4, "--islands", 1, "-s", 1, "--stagnation-limit", 0)
    assert evolab(*same, "-n", 2)[0] == 0
    space = write_space(folder / "other.yaml", {
        **SPACE, "mutation.weight_rate": {"type": "float", "low": 0.2, "high": 0.9},
        "selection.cull": {"type": "float", "low": 0.3, "high": 0.8},
    })  # fmt: skip
    told = refused(evolab, folder, (*same, "--space", space))
    assert f"{folder / 'study'} is another study (space, mutation.weight_rate: 0.1–0.9 → 0.2–0.9; " in told
    assert "space, selection.cull: not searched → 0.3–0.8)" in told
    for more, difference in (
        (("-s", 2), "seeds: [42] → [42, 123]"), (("--seed", 7), "seed: 42 → 7"), (("-g", 5), "generations: 4 → 5"),
        (("--multi-objective",), "objectives: ['fitness'] → ['fitness', 'diversity']"),
        (("--set", "crossover.enabled=false"), "space, crossover.enabled: one of True, False → not searched"),
    ):  # fmt: skip
        assert difference in refused(evolab, folder, (*same, *more))
    assert "--revive 2: expected a trial that was pruned, got COMPLETE" in refused(
        evolab, folder, (*same, "--revive", 2)
    )
    assert "got no such trial" in refused(evolab, folder, (*same, "--revive", 3))
    told = refused(evolab, folder, (*same[:2], "--out", folder, *same[4:]))
    assert f"{folder} is not empty and no study" in told


@pytest.mark.usefixtures("at_once")
def test_a_storage_that_has_another_study_of_that_name_is_refused_before_anything_is_written(
    evolab: Evolab, folder: Path
) -> None:
    import optuna

    url = f"sqlite:///{folder / 'mine.db'}"
    optuna.create_study(study_name="it", storage=url).add_trial(optuna.create_trial(value=1.0))
    told = refused(evolab, folder, ("search", "it", *QUICK, "--storage", url))
    assert f"the storage {url} holds another study called 'it'" in told


def test_a_start_that_was_killed_while_the_study_was_made_is_no_hindrance(folder: Path) -> None:
    place = StudyDir(folder / "study")
    place.path.mkdir()
    (place.path / ".study.json.0123.tmp").write_text("{")
    assert identity.make_or_compare(place, known()) == known()


def test_cores_that_another_study_holds_are_left_to_it_and_the_refusal_says_how_many_there_are(
    evolab: Evolab, folder: Path
) -> None:
    usable = cores.usable()
    with claims.claimed(usable.cpus, len(usable.cpus)):
        told = refused(evolab, folder, ("search", "it", *QUICK))
    assert f"expected at most 0 cores left ({USABLE} of {USABLE} are held by other launchers), got 1" in told


@pytest.mark.usefixtures("at_once")
def test_a_second_search_on_one_study_exits_with_3_whatever_cores_are_left(evolab: Evolab, folder: Path) -> None:
    sitting(folder, known(), 1).run()
    usable = cores.usable()
    same = ("search", "it", "--out", "study", "-c", "quick", "-g", 4, "-s", 1, "--stagnation-limit", 0, "-n", 5)
    for taken in (0, len(usable.cpus)):
        with identity.held(StudyDir(folder / "study")), claims.claimed(usable.cpus, taken):
            before = written(folder)
            code, out, err = evolab(*same)
            assert (code, out, len(err.splitlines())) == (3, "", 1)
            assert "another search works on" in err and "live.json" in err
            assert written(folder) == before


@pytest.mark.parametrize(
    ("asked", "slots"),
    [
        ({}, [range(8)]),  # an archipelago over all cores
        ({"islands": "1"}, [range(1)]),
        ({"islands": "3", "threads": 2}, [range(6)]),
        ({"jobs": 3}, [range(2), range(2, 4), range(4, 6)]),
        ({"jobs": 3, "islands": "1"}, [range(1), range(1, 2), range(2, 3)]),
        ({"jobs": 2, "islands": "2", "threads": 2}, [range(4), range(4, 8)]),
        ({"jobs": 2, "islands": "8"}, [range(4), range(4, 8)]),
        ({"jobs": 3, "islands": "4", "oversubscribe": True}, [range(4), range(4, 8), range(4)]),
        ({"jobs": 16, "islands": "1", "oversubscribe": True}, [range(k % 8, k % 8 + 1) for k in range(16)]),
    ],
)
def test_trials_share_the_cores_out_among_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], slots: list[range]
) -> None:
    monkeypatch.setattr(cores, "usable", lambda: cores.Cores(tuple(range(8))))
    with search.claimed(search.Request("it", **asked), None) as granted:
        assert [slot.cpus for slot in granted] == [tuple(each) for each in slots]
        assert [slot.cores for slot in granted] == [len(each) for each in slots]


def test_two_studies_side_by_side_get_cores_of_their_own_and_a_third_is_told_how_many_are_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable", lambda: cores.Cores(tuple(range(5))))
    pair = search.Request("it", jobs=2, islands="1")
    with search.claimed(pair, None) as one, search.claimed(pair, None) as two:
        assert [slot.cpus for slot in (*one, *two)] == [(0,), (1,), (2,), (3,)]
        line = r"expected at most 1 cores left \(4 of 5 are held by other launchers\), got 2"
        with pytest.raises(ConfigError, match=line), search.claimed(pair, None):
            pass
    with search.claimed(pair, None) as later:
        assert [slot.cpus for slot in later] == [(0,), (1,)]


def test_where_a_quota_and_not_the_mask_limits_the_cores_nothing_is_pinned(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable", lambda: cores.Cores(tuple(range(8)), quota=4.0))
    with search.claimed(search.Request("it", jobs=2), None) as granted:
        assert [(slot.cpus, slot.cores) for slot in granted] == [(None, 2), (None, 2)]
    with pytest.raises(ConfigError, match="at most 4 usable cores"), search.claimed(search.Request("it", jobs=5), None):
        pass


def test_durations_are_read_as_people_write_them() -> None:
    assert [search.seconds_of(text) for text in ("90", "90s", "1.5m", "2h", " 1 d ")] == [90, 90, 90, 7200, 86400]


def test_each_of_the_seeds_short_flags_is_understood(evolab: Evolab, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[search.Request] = []

    def note(request: search.Request) -> Any:
        seen.append(request)
        raise SystemExit(0)

    monkeypatch.setattr(search, "search", note)
    evolab("search", "it", "-m", "pure", "-n", 5, "-g", 7, "-s", 2, "-p", 60, "--n-jobs", 5, "--limit-threads")
    evolab("search", "it", "-w", 2, "--backend", "ray", "--timeout", "2h")
    first, second = seen
    assert (first.mode, first.trials, first.seeds, first.jobs, first.threads) == ("pure", 5, 2, 5, 1)
    assert first.overrides == ("generations=7", "population=60", "evaluation.stagnation_limit=50")
    assert (first.chosen_backend, second.chosen_backend) == ("processes", "ray")
    assert (second.trials, second.seeds, second.timeout, second.pruner) == (50, 3, 7200.0, "none")


def test_a_real_study_from_the_command_to_its_files(search: Callable[..., Search], folder: Path) -> None:
    summary = search("it", *TINY, "-n", 2, "-s", 2, "--islands", 1, "--multi-objective", real=True).summary()
    place = StudyDir(folder / "studies" / "it")
    assert summary == files.read_json(place.summary)
    assert (summary["mode"], summary["states"]["COMPLETE"], summary["seeds"]) == ("neat", 2, [42, 123])
    for trial in place.trials():
        results = [files.read_json(island.result) for island in populations(place, trial)]
        means = [result["champion"]["mean"] for result in results]
        assert trial.values == pytest.approx(
            [statistics.fmean(means), statistics.fmean(r["diversity"] for r in results)]
        )
        assert trial.standard_error == pytest.approx(statistics.stdev(means) / math.sqrt(2))
        assert [seed["digests"] for seed in trial.seeds] == [[result["digest"]] for result in results]
        assert [result["generations"] for result in results] == [4, 4]
        (worker,) = trial.workers
        assert worker["exit_code"] == 0 and worker["pid"] not in worker["islands"] and worker["threads"] == 1
        assert trial.cpu_seconds > 0
    assert [frozen.values for frozen in storage_trials(place, "it")] == [trial.values for trial in place.trials()]
    live = files.read_json(place.live)
    assert (live["state"], live["trials"]["complete"], live["trials_running"], live["seconds_left"]) == (
        "done",
        2,
        0,
        0,
    )


def test_a_trial_may_be_a_real_archipelago_whose_number_of_islands_is_searched(
    search: Callable[..., Search], folder: Path
) -> None:
    space = write_space(folder / "mine.yaml", {
        "migration.islands": {"type": "int", "low": 2, "high": 3},
        "migration.every": {"type": "int", "low": 1, "high": 2, "when": {"migration.islands": {"above": 1}}},
    })  # fmt: skip
    summary = search(
        "it", *TINY, "-n", 1, "-s", 1, "--islands", "search", "--space", space, "--sampler", "random", real=True
    ).summary()
    place = StudyDir(folder / "studies" / "it")
    (trial,) = place.trials()
    assert summary["islands"] == "search" and set(trial.params) == {"migration.islands", "migration.every"}
    results = [files.read_json(island.result) for island in populations(place, trial)]
    assert len(results) == trial.params["migration.islands"]
    assert sum(result["received"] for result in results) > 0
    best = max(results, key=lambda result: result["champion"]["validation"])
    assert trial.values == [best["champion"]["mean"]]


def test_help_and_the_list_of_studies_import_neither_torch_nor_optuna(folder: Path) -> None:
    code = (
        "import sys\nfrom launcher import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'optuna', 'numpy', 'scipy', 'ray') if name in sys.modules], file=sys.stderr)"
    )
    identity.make_or_compare(StudyDir(folder / "studies" / "study"), known())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in (["search", "--help"], ["best", "--help"], ["search", "--list", "--json"]):
        line = [sys.executable, "-c", code, *command]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        assert done.stderr.strip() == "[]"
    (listed,) = json.loads(done.stdout)
    assert (listed["study"], listed["trials"], listed["best"], listed["state"]) == ("study", 0, None, None)
