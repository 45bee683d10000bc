"""Every fault point and every error: what was acknowledged is there, and what failed says why."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from islands import faults, files, log
from islands.errors import ConfigError, DiskError
from islands.rundir import RunDir
from tests.islands import fault_parts
from tests.islands.evolving import REPOSITORY, digests
from tests.islands.fault_parts import End, copied, covering, half_way, play, trials
from tests.islands.pool_parts import in_a_process, steps_of
from tests.islands.test_replay import NAMES, replayed

REASONS = {name: os.strerror(number) for name, number in faults.ERRORS.items()} | {
    faults.SHORT: os.strerror(faults.ERRORS["ENOSPC"])
}


# --- what is asked for ---


@pytest.mark.parametrize(
    "text, why",
    [
        ("nowhere:1:kill", "a point"),
        ("replace.written", "a passage"),
        ("replace.written:0:EIO", "a passage"),
        ("replace.written:x:EIO", "a passage"),
        ("replace.written:1", "kill, ENOSPC, EIO, EROFS, EDQUOT at replace.written"),
        ("replace.written:1:EPERM", "ENOSPC"),
        ("replace.written:1:short", "ENOSPC"),
        ("replace.done:1:EIO", "kill at replace.done"),
        ("load.begun:1:ENOSPC", "kill, EIO at load.begun"),
        ("replace.written:1:EIO:", "for-ever"),
        ("replace.written:1:EIO:twice", "for-ever"),
        ("replace.written:1:kill:for-ever", "for-ever"),
        ("*:1:short", "kill, ENOSPC"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_in_one_line(text, why, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="EVOLAB_FAULT") as refused:
        faults.parse(text)
    assert why in str(refused.value) and "\n" not in str(refused.value)
    monkeypatch.setenv(faults.VARIABLE, text)
    with pytest.raises(ConfigError, match="EVOLAB_FAULT"):
        files.replace_atomically(tmp_path / "a", b"x")
    assert os.listdir(tmp_path) == []


def test_the_command_refuses_it_with_2_and_an_island_with_78(tmp_path):
    environment = {**os.environ, "EVOLAB_FAULT": "nowhere:1:EIO", "PYTHONPATH": str(REPOSITORY)}
    for command, code in ((["launcher", "configs"], 2), (["islands", str(tmp_path)], 78)):
        done = subprocess.run(
            [sys.executable, "-m", *command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
        assert "EVOLAB_FAULT='nowhere:1:EIO'" in done.stderr


def test_a_fault_strikes_at_its_passage_alone_or_from_then_on(tmp_path, monkeypatch):
    path = tmp_path / "a"

    def outcomes(fault: str) -> str:
        monkeypatch.setenv(faults.VARIABLE, fault)
        faults.forget()
        refusals = [_refusal(lambda: files.replace_atomically(path, b"1234")) for _ in range(5)]
        return "".join("x" if refused else "." for refused in refusals)

    assert outcomes("replace.written:3:EIO") == "..x.." and sum(faults.happened.values()) == 1
    assert outcomes("replace.written:3:EIO:for-ever") == "..xxx" and sum(faults.happened.values()) == 3
    assert outcomes("*:9:EROFS") == ".x..."  # seven system calls each time
    assert outcomes("*:9:EROFS:for-ever") == ".xxxx"
    assert outcomes("replace.created:2:short") == "....." and sum(faults.happened.values()) == 1
    assert outcomes("replace.created:2:short:for-ever") == ".xxxx"
    assert path.read_bytes() == b"1234"


def _refusal(deed: Callable[[], object]) -> DiskError | None:
    try:
        deed()
    except DiskError as error:
        return error
    return None


# --- one write at a time ---


@dataclass(frozen=True)
class Deed:
    """A write: how the folder looks before, what is done, and how it looks afterwards (name → content).

    `between`: how else it may look when it was refused; `twice`: when it was refused and is done again.
    """

    before: dict[str, bytes]
    do: Callable[[Path], object]
    after: dict[str, bytes]
    between: tuple[dict[str, bytes], ...] = ()
    twice: tuple[dict[str, bytes], ...] = ()


OLD, NEW = b'{"n": 1}\n' * 400, b'{"n": 2}\n' * 400
LINE = b'{"n": 3}\n'
DEEDS = {
    "replace": Deed({"f": OLD}, lambda folder: files.replace_atomically(folder / "f", NEW), {"f": NEW}),
    "publish": Deed({}, lambda folder: files.publish(folder / "f", NEW), {"f": NEW}),
    "append": Deed(
        {"f": OLD}, lambda folder: _append(folder, durable=True), {"f": OLD + LINE * 2},
        twice=({"f": OLD + LINE * 4},),
    ),
    "append to nothing": Deed(
        {}, lambda folder: _append(folder, durable=True), {"f": LINE * 2}, ({"f": b""},), ({"f": LINE * 4},)
    ),
    "append without waiting": Deed(
        {"f": OLD}, lambda folder: _append(folder, durable=False), {"f": OLD + LINE * 2},
        twice=({"f": OLD + LINE * 4},),
    ),
    "append after a crash": Deed(
        {"f": OLD + b"torn"}, lambda folder: _append(folder, durable=True), {"f": OLD + LINE * 2}, ({"f": OLD},),
        ({"f": OLD + LINE * 4},),
    ),
    "renew": Deed({"f": OLD + b"torn"}, lambda folder: files.renew(folder / "f"), {"f": OLD}),
    "mend": Deed(
        {"f": OLD + b"torn"}, lambda folder: files.cut_torn_tail(folder / "f"), {"f": OLD, "f.torn": b"torn"},
        ({"f": OLD + b"torn", "f.torn": b"torn"},),
    ),
    "move": Deed({"f": NEW, "g": OLD}, lambda folder: files.move(folder / "f", folder / "g"), {"g": NEW}),
    "remove": Deed({"f": OLD}, lambda folder: files.remove(folder / "f"), {}),
    "mark": Deed({}, lambda folder: files.leave_mark(folder / "f"), {"f": b""}),
    "folder": Deed({}, lambda folder: files.make_folder(folder / "a" / "b"), {"a/b": b""}, ({"a": b""},)),
    "new folder": Deed({}, lambda folder: files.make_new_folder(folder / "a"), {"a": b""}),
    "tidy": Deed({".f.0.tmp": b"half"}, files.remove_temporaries, {}),
}  # fmt: skip


def _append(folder: Path, durable: bool) -> None:
    files.JsonLines(folder / "f", durable).extend([{"n": 3}, {"n": 3}])


def _prepared(folder: Path, deed: Deed) -> Path:
    folder.mkdir()
    for name, content in deed.before.items():
        (folder / name).write_bytes(content)
    return folder


def _look(folder: Path) -> dict[str, bytes]:
    """Every file, and every folder that is empty."""
    return {
        str(path.relative_to(folder)): b"" if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() or not any(path.iterdir())
    }


def _faults_of(deed: Deed, folder: Path) -> list[str]:
    steps = steps_of(deed.do, _prepared(folder, deed))
    assert _look(folder) == deed.after
    passed = {step.split(":")[0]: int(step.split(":")[1]) for step in steps}
    anywhere = range(1, sum(bool(faults.POINTS[step.split(":")[0]]) for step in steps) + 1)
    found = [f"*:{n}:{what}{more}" for n in anywhere for what in faults.ERRORS for more in ("", ":for-ever")]
    return [*found, *trials(passed)]


@pytest.mark.parametrize("name", DEEDS)
def test_a_write_that_a_fault_strikes_is_acknowledged_and_there_or_refused_with_the_old_content(
    name, memory_folder, monkeypatch
):
    """Every system call × every error, once and for ever, and then everything that follows as well (`*`)."""
    deed = DEEDS[name]
    found = _faults_of(deed, memory_folder / "dry")
    assert len(found) > 10
    for number, fault in enumerate(found):
        folder = _prepared(memory_folder / str(number), deed)
        monkeypatch.setenv(faults.VARIABLE, fault)
        faults.forget()
        refused = _refusal(lambda folder=folder: deed.do(folder))
        assert sum(faults.happened.values()) >= 1, fault
        monkeypatch.delenv(faults.VARIABLE)
        seen = {path: content for path, content in _look(folder).items() if not path.endswith(".tmp")}
        if refused is None:
            assert seen == deed.after, fault
        else:
            assert REASONS[fault.split(":")[2]] in str(refused) and "\n" not in str(refused), fault
            assert seen in (deed.before if name != "tidy" else {}, deed.after, *deed.between), fault
        if not fault.startswith("*") and name != "tidy":
            assert not list(folder.rglob("*.tmp")), fault
        if refused is not None and name not in ("publish", "move"):
            assert _refusal(lambda folder=folder: deed.do(folder)) is None  # the trouble is over
            seen = {path: content for path, content in _look(folder).items() if not path.endswith(".tmp")}
            assert seen in (deed.after, *deed.twice), fault
        shutil.rmtree(folder)


def test_a_log_whose_fsync_failed_is_a_fresh_file_without_the_line(tmp_path, monkeypatch):
    path = tmp_path / "log"
    files.append_durably(path, "first")
    inode = path.stat().st_ino
    monkeypatch.setenv(faults.VARIABLE, "append.written:1:EIO")
    faults.forget()
    with pytest.raises(DiskError, match="healthy disk"):
        files.append_durably(path, "lost")
    assert path.read_bytes() == b"first\n" and path.stat().st_ino != inode
    files.append_durably(path, "second")
    assert path.read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize("step", ["begun", "created", "written", "flushed"])
def test_a_log_that_cannot_be_renewed_at_once_is_before_the_next_append(tmp_path, monkeypatch, step):
    path = tmp_path / "log"
    files.append_durably(path, "first")
    inode = path.stat().st_ino
    monkeypatch.setenv(faults.VARIABLE, "*:3:EIO:for-ever")  # the fsync, and all that follows
    faults.forget()
    with pytest.raises(DiskError):
        files.append_durably(path, "lost")
    assert path.stat().st_ino == inode and path.read_bytes() == b"first\nlost\n"  # not even cut back
    monkeypatch.setenv(faults.VARIABLE, f"renew.{step}:1:EIO")
    faults.forget()
    with pytest.raises(DiskError):
        files.append_durably(path, "lost too")
    files.append_durably(path, "second")
    assert path.stat().st_ino != inode and path.read_bytes() == b"first\nsecond\n"


def test_a_log_that_another_has_replaced_meanwhile_is_left_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "log"
    files.append_lines(path, ["first"])
    monkeypatch.setenv(faults.VARIABLE, "*:2:EIO:for-ever")
    faults.forget()
    with pytest.raises(DiskError):
        files.append_lines(path, ["lost"])
    monkeypatch.delenv(faults.VARIABLE)
    files.replace_atomically(path, b"a longer content than there was\n")
    files.append_lines(path, ["second"])
    assert path.read_bytes() == b"a longer content than there was\nsecond\n"


def test_a_log_of_an_earlier_process_is_put_into_a_fresh_file_before_it_is_believed(memory_folder):
    run = half_way(memory_folder / "run")
    before = {name: run.island(name).migrations for name in NAMES}
    inodes = {name: path.stat().st_ino for name, path in before.items()}
    end = play(run)
    renewed = [path for path, _ in end.files if path.endswith("migrations.jsonl")]
    assert end.code == 0 and {str(path) for path in before.values()} <= set(renewed)
    assert {path.stat().st_ino for path in before.values()}.isdisjoint(inodes.values())


def _rotate(folder: Path, fault: str) -> None:
    path = folder / "island.log"
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.write(2, b"one\n")
    assert log.rotate([path], largest=1)
    os.write(2, b"two\n")
    os.environ[faults.VARIABLE] = fault
    faults.forget()
    rotated = log.rotate([path], largest=1)
    assert sum(faults.happened.values()) == 1
    del os.environ[faults.VARIABLE]
    os.write(2, b"three\n")
    assert log.rotate([path], largest=1)  # it still knows its log
    os.write(2, b"four\n")
    said = "".join((folder / name).read_text() for name in ("island.log.2", "island.log.1", "island.log"))
    expected = ["two", "three", "four"] if rotated else ["one", "two", "three", "four"]
    assert [line for line in said.split("\n") if line and not line.startswith("fault")] == expected


@pytest.mark.parametrize("step", ["begun", "older", "moving", "moved"])
def test_a_log_that_cannot_be_put_aside_goes_on_where_it_is(tmp_path, step):
    for error in fault_parts.ERRORS:
        (tmp_path / error).mkdir()
        assert in_a_process(_rotate, tmp_path / error, f"log.{step}:1:{error}") == 0


# --- an archipelago ---


class Story(NamedTuple):
    """An archipelago half way, how a process plays it to its end, and every generation's digest then."""

    run: RunDir
    end: End
    whole: list[list[str]]


def told(folder: Path, migrates: bool) -> Story:
    run = half_way(folder / "template", migrates)
    whole = copied(run, folder / "whole")
    end = play(whole)
    assert (end.code, end.happened) == (0, 0)
    return Story(run, end, [digests(whole, island) for island in NAMES])


@pytest.fixture(scope="module")
def migrating(shared_folder: Path) -> Story:
    return told(shared_folder / "migrating", True)


@pytest.fixture(scope="module")
def alone(shared_folder: Path) -> Story:
    return told(shared_folder / "alone", False)


def both_segments(run: RunDir, name: str) -> list[dict[str, Any]]:
    log_ = run.island(name).migrations
    return [*files.read_jsonl(log_.with_name("migrations.1.jsonl")), *files.read_jsonl(log_)]


def not_read(run: RunDir) -> list[dict[str, Any]]:
    """What islands say in their logs that they could not read."""
    lines = [line for name in NAMES for line in both_segments(run, name)]
    return [line for line in lines if line.get("event") == "skipped" or line.get("reason") == "unreadable"]


def assert_the_logs_tell_all(run: RunDir, folder: Path) -> None:
    """Each island's history is that of its log, played again in `folder`, and nothing is in a log twice."""
    for name in NAMES:
        lines = both_segments(run, name)
        complete = [line["generation"] for line in lines if line.get("event") == "complete"]
        assert sorted(set(complete)) == complete
        told = [line for line in lines if line.get("digest")]  # an outbox that was removed counts from 1 again
        came = [(line["source"], line.get("epoch"), line["sequence"], line["digest"]) for line in told]
        assert len(set(came)) == len(came) > 0
        assert replayed(run, name, folder / "replay") == digests(run, name)


def strike(story: Story, fault: str, folder: Path) -> str:
    """Play an archipelago with a fault, and then without; how it ended: "on", "out" (exit code 74) or "skipped".

    Islands that migrate may be out of step afterwards, as they always may: then each one's log must tell its history.
    """
    run = copied(story.run, folder / "struck")
    end = play(run, fault)
    assert end.happened >= 1 and f"fault: {fault} at" in end.said, fault
    assert end.code in (0, DiskError.exit_code) and "Traceback" not in end.said, (fault, end.said)
    if end.code:
        assert REASONS[fault.split(":")[2]] in end.said, (fault, end.said)
    fault_parts.assert_nothing_acknowledged_is_missing(run, end)
    again = play(run)
    assert again.code == 0, (fault, again.said)
    fault_parts.assert_nothing_acknowledged_is_missing(run, again)
    if [digests(run, name) for name in NAMES] != story.whole:
        assert (run.path.parent / "run-pool").exists(), fault
        assert_the_logs_tell_all(run, folder)
    assert fault_parts.leftovers(run) == []
    assert all(fault_parts.kept(run, name) in (2, 3) for name in NAMES)  # 3: the last one could not be pruned
    ended = "skipped" if not_read(run) else "out" if end.code else "on"
    shutil.rmtree(folder)
    return ended


def test_an_archipelago_passes_every_point_that_an_island_can_pass(migrating):
    passed = set(migrating.end.passed)
    assert passed | fault_parts.NOWHERE | fault_parts.ONLY_AFTER_A_FAULT == set(faults.POINTS)


def test_islands_that_a_fault_strikes_go_on_or_end_with_74_and_nothing_is_lost(migrating, memory_folder):
    """Every point in the middle of the run, see `covering`; every passage and every error: the soak test."""
    passed = migrating.end.passed
    ends = {fault: strike(migrating, fault, memory_folder / fault) for fault in covering(passed, 0)}
    assert {fault.split(":")[0] for fault in ends} == {point for point in passed if faults.POINTS[point]}
    assert {fault.split(":")[2] for fault in ends} >= set(faults.ERRORS)
    assert 10 < sum(fault.endswith(faults.FOR_EVER) for fault in ends) < len(ends) - 10
    assert set(ends.values()) == {"on", "out", "skipped"}


def test_islands_without_migration_come_to_the_same_digests_whatever_has_struck_them(alone, memory_folder):
    ends = {fault: strike(alone, fault, memory_folder / fault) for fault in covering(alone.end.passed, 1)}
    assert set(ends.values()) == {"on", "out"} and len(ends) > 15


@pytest.mark.soak
@pytest.mark.parametrize("name", ["migrating", "alone"])
@pytest.mark.parametrize("point", [point for point, call in faults.POINTS.items() if call])
def test_nothing_is_lost_at_whichever_passage_of_a_point_and_with_whichever_error(name, point, request, memory_folder):
    """The whole matrix: every passage of every point × every error × once and for ever: some 4500 runs."""
    story = request.getfixturevalue(name)
    for fault in trials({point: story.end.passed.get(point, 0)}):
        strike(story, fault, memory_folder / fault)


@pytest.mark.parametrize("fault", ["*:30:ENOSPC:for-ever", "*:150:EIO:for-ever", "*:250:EROFS:for-ever"])
def test_an_archipelago_whose_disk_dies_altogether_ends_with_74_and_loses_nothing(migrating, memory_folder, fault):
    assert strike(migrating, fault, memory_folder / "struck") == "out"


# --- reading ---


def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(migrating, memory_folder):
    run, _, whole = migrating
    run = copied(run, memory_folder / "run")
    for name in NAMES:
        (run.island(name).checkpoints / "00000009.safetensors").unlink()
    end = play(run, _first_reading_of(run, "00000003.safetensors"))
    assert end.code == 0 and "00000003.safetensors: expected a healthy disk, got Input/output error" in end.said
    assert "falling back to the one before it" in end.said
    assert [digests(run, name)[:4] for name in NAMES] == [history[:4] for history in whole]
    assert_the_logs_tell_all(run, memory_folder)


def _first_reading_of(run, name: str) -> str:
    """A fault that strikes where the first island reads that checkpoint: after the plan and its heartbeat."""
    assert run.island(NAMES[0]).heartbeat.exists() and (run.island(NAMES[0]).checkpoints / name).exists()
    return "load.begun:3:EIO"


def test_checkpoints_that_cannot_be_read_for_now_end_an_island_with_74_and_are_all_kept(migrating, memory_folder):
    run, _, whole = migrating
    run = copied(run, memory_folder / "run")
    end = play(run, "load.begun:3:EIO:for-ever")
    assert end.code == DiskError.exit_code and "Input/output error" in end.said
    assert sorted(path.suffix for path in run.island(NAMES[0]).checkpoints.iterdir()) == [".safetensors"] * 3
    assert play(run).code == 0
    assert [digests(run, name) for name in NAMES] == whole


@pytest.mark.parametrize("point", ["outbox.begun", "outbox.opened", "read.listing", "read.stat", "read.opened"])
def test_an_outbox_that_cannot_be_read_is_a_reason_in_the_log_and_evolution_goes_on(migrating, memory_folder, point):
    run, end, _ = migrating
    run = copied(run, memory_folder / "run")
    last = end.passed[point]
    end = play(run, f"{point}:{last - 2}:EIO")
    assert (end.code, end.happened) == (0, 1), end.said
    assert len(not_read(run)) == 1
    assert_the_logs_tell_all(run, memory_folder)
