"""python -m islands, as a real process: how it ends, what it leaves, and what makes it stop."""

import json
import os
import signal
import subprocess
import sys

import pytest

from islands import files
from tests.islands.evolving import REPOSITORY, evolve, history, make_run, result, tiny, wait_until
from tests.islands.stories import checkpoints, newest, story

FOREVER = tiny("generations=100000000")


def ended(process):
    """(exit code, stderr) of a process that ends by itself."""
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def state_of(run, name="island-000"):
    return files.read_json(run.island(name).heartbeat)["state"]


def test_an_island_that_finishes_exits_with_0_and_equals_one_evolved_elsewhere(memory_folder, begin):
    here, there = (make_run(memory_folder / name, tiny()) for name in ("here", "there"))
    evolve(here)
    assert ended(begin(there, "--parent", str(os.getpid()))) == (0, "")
    assert story(there) == story(here) and state_of(there) == "done"
    threads = files.read_json(there.island("island-000").heartbeat)["threads"]
    assert set(threads["pools"].values()) == {1} and threads["os"] >= 1
    before = result(there)
    assert ended(begin(there)) == (0, "") and result(there) == before


def test_all_populations_of_a_run_evolve_in_one_process_batched_or_not(memory_folder, begin):
    names, seeds = ["seed-1", "seed-2"], [1, 2]
    runs = [make_run(memory_folder / str(b), tiny(), names, seeds, batched=b) for b in (True, False)]
    for process in [begin(run, "--all") for run in runs]:
        assert ended(process) == (0, "")
    for name in names:
        assert story(runs[0], name) == story(runs[1], name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_an_island_with_a_checkpoint_and_exit_code_85(memory_folder, begin, number):
    run = make_run(memory_folder / "run", tiny("generations=100000000", "record.checkpoint_every=1000000"))
    process = begin(run)
    wait_until(lambda: len(history(run)) > 2, while_running=process)
    process.send_signal(number)
    assert ended(process) == (85, "")
    place, lines = run.island("island-000"), history(run)
    assert newest(run)[0].generation == lines[-1]["generation"] > 1
    assert newest(run)[0].population.digest() == lines[-1]["digest"]
    assert state_of(run) == "stopped" and not place.result.exists() and not place.error.exists()


def test_a_stop_file_stops_an_island_with_a_checkpoint_and_exit_code_85(memory_folder, begin):
    run = make_run(memory_folder / "run", FOREVER)
    process = begin(run)
    wait_until(lambda: len(history(run)) > 2, while_running=process)
    run.island("island-000").stop.touch()
    assert ended(process) == (85, "")
    assert newest(run)[0].generation == history(run)[-1]["generation"] and state_of(run) == "stopped"


@pytest.mark.parametrize("chosen", [os.SCHED_OTHER, os.SCHED_IDLE])
def test_an_island_computes_in_batch_unless_another_policy_was_chosen(memory_folder, begin, chosen):
    run = make_run(memory_folder / "run", FOREVER)
    process = begin(run)
    os.sched_setscheduler(process.pid, chosen, os.sched_param(0))
    wait_until(lambda: history(run), while_running=process)
    assert os.sched_getscheduler(process.pid) == (os.SCHED_BATCH if chosen == os.SCHED_OTHER else chosen)


def test_an_island_whose_parent_is_gone_stops_with_a_checkpoint(memory_folder):
    run = make_run(memory_folder / "run", FOREVER)
    place = run.island("island-000")
    shell = ["sh", "-c", '"$0" -m islands "$1" --parent $$ & wait', sys.executable, str(run.path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(shell, cwd=REPOSITORY, env=environment) as parent:
        try:
            wait_until(lambda: len(history(run)) > 2, while_running=parent)
        finally:
            parent.kill()
    pid = files.read_json(place.heartbeat)["pid"]
    try:
        wait_until(lambda: state_of(run) == "stopped")
    finally:
        if state_of(run) != "stopped":
            os.kill(pid, signal.SIGKILL)
    assert newest(run)[0].generation == history(run)[-1]["generation"] and not place.result.exists()


def refused(run, process):
    """(exit code, the one line on stderr, error.json of the first island or None)"""
    code, told = ended(process)
    (line,) = told.splitlines()
    path = run.island("island-000").error
    return code, line, json.loads(path.read_text()) if path.exists() else None


def test_a_bad_configuration_is_one_line_exit_code_78_and_error_json(memory_folder, begin):
    run = make_run(memory_folder / "run", tiny())
    run.config.write_text("populaton: 12\n")
    code, line, error = refused(run, begin(run))
    assert code == 78 and "populaton" in line and "population" in line and str(run.config) in line
    assert (error["format"], error["kind"], error["exit_code"], error["message"]) == (1, "ConfigError", 78, line)
    assert "Traceback" in error["traceback"]
    assert not run.island("island-000").result.exists()


def test_more_threads_than_the_plan_allows_are_exit_code_78_and_say_which(memory_folder, begin):
    run = make_run(memory_folder / "run", tiny(), threads=1)
    code, line, error = refused(run, begin(run, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2", NUMBA_NUM_THREADS="2"))
    assert code == 78 and "at most 1" in line and "numba 2" in line and "--threads" in line
    assert error["exit_code"] == 78 and history(run) == []
    assert ended(begin(run)) == (0, "")  # with one thread each it may start
    assert not run.island("island-000").error.exists()


@pytest.mark.parametrize("index", ["1", "-1"])
def test_an_island_that_the_plan_does_not_have_is_exit_code_78(memory_folder, begin, index):
    run = make_run(memory_folder / "run", tiny())
    code, line, _ = refused(run, begin(run, f"--island={index}"))
    assert code == 78 and "--island" in line and "0 to 0" in line


def test_a_folder_without_a_plan_is_exit_code_78(memory_folder, begin):
    run = make_run(memory_folder / "run", tiny())
    run.plan.unlink()
    code, line, _ = refused(run, begin(run))
    assert code == 78 and "no run at" in line


def test_the_checkpoint_of_another_run_is_exit_code_78_and_error_json(memory_folder, begin):
    one, other = (make_run(memory_folder / str(digit), tiny(), run_id=str(digit) * 32) for digit in (1, 2))
    evolve(one)
    target = other.island("island-000").create().checkpoints / checkpoints(one)[-1].name
    target.write_bytes(checkpoints(one)[-1].read_bytes())
    code, line, error = refused(other, begin(other))
    assert code == 78 and "1" * 32 in line and "2" * 32 in line and str(target) in line
    assert error["message"] == line and target.exists() and history(other) == []


def test_a_damaged_newest_checkpoint_is_told_on_stderr_and_the_run_ends_as_it_would_have(memory_folder, begin):
    whole, run = (make_run(memory_folder / name, tiny()) for name in ("whole", "run"))
    evolve(whole)
    evolve(run)
    run.island("island-000").result.unlink()
    path = checkpoints(run)[-1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    code, told = ended(begin(run))
    (line,) = told.splitlines()
    assert code == 0 and str(path) in line and "damaged" in line and "falling back" in line
    assert story(run) == story(whole)


def test_where_all_checkpoints_are_damaged_the_last_line_and_error_json_say_what_to_do(memory_folder, begin):
    run = make_run(memory_folder / "run", tiny())
    evolve(run)
    run.island("island-000").result.unlink()
    for path in checkpoints(run):
        path.write_bytes(b"")
    code, told = ended(begin(run))
    *fallbacks, last = told.splitlines()
    assert code == 78 and len(fallbacks) == 2 and "remove the folder to start this island afresh" in last
    assert files.read_json(run.island("island-000").error)["message"] == last


def test_a_process_whose_island_another_one_has_taken_ends_and_writes_nothing_more(memory_folder, begin):
    run = make_run(memory_folder / "run", FOREVER)
    island, begun = run.island("island-000"), begin(run)
    wait_until(lambda: island.metrics.exists() and files.read_jsonl(island.metrics), while_running=begun)
    os.kill(begun.pid, signal.SIGSTOP)  # its host is cut off
    files.write_json(island.lock, {"format": 1, "pid": 7, "started": 8, "boot_id": "another"})
    lived = len(files.read_jsonl(island.metrics))
    os.kill(begun.pid, signal.SIGCONT)
    code, told = ended(begun)
    assert code == 75 and "another process has this island" in told
    assert len(files.read_jsonl(island.metrics)) <= lived + 1, "no more than what was under way"


def pages(folder, begin, generations):
    """Pages that the kernel has given an island which evolves 500 creatures for so many generations."""
    growing = ("mutation.add_node=0.5", "mutation.add_connection=0.5", "record.checkpoint_seconds=60")
    process = begin(make_run(folder, tiny("mode=neat", "population=500", f"generations={generations}", *growing)))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.communicate()[1]
    return used.ru_minflt


def test_a_generation_lives_in_the_pages_of_those_before_it(memory_folder, begin):
    pages(memory_folder / "first", begin, 1)  # kernels that are not in the cache yet
    few, many = (pages(memory_folder / str(n), begin, n) for n in (20, 120))
    assert (many - few) / 100 < 40
