import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islands import files
from islands.errors import ConfigError, DiskError, EvolabError
from tests.islands.pool_parts import in_a_process, killed_at, steps_of


def test_a_replaced_file_holds_the_new_content_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "heartbeat.json"
    files.replace_atomically(path, b"old")
    files.replace_atomically(path, b"new")
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["heartbeat.json"]


def test_a_kill_at_any_step_of_replacing_leaves_the_old_content_or_the_new(tmp_path):
    path = tmp_path / "state"
    steps = steps_of(files.replace_atomically, path, b"old" * 1000)
    assert len(steps) == 8
    seen = set()
    for step in steps:
        files.replace_atomically(path, b"old" * 1000)
        killed_at(step, files.replace_atomically, path, b"new" * 1000)
        seen.add(path.read_bytes()[:3])
        assert path.read_bytes() in (b"old" * 1000, b"new" * 1000)
    assert seen == {b"old", b"new"}
    files.remove_temporaries(tmp_path)
    assert os.listdir(tmp_path) == ["state"]


def test_the_environment_alone_arms_a_fault_point(tmp_path):
    code = "import sys; from islands import files; files.publish(sys.argv[1], b'x'); files.publish(sys.argv[2], b'x')"
    environment = {**os.environ, "EVOLAB_FAULT": "publish.flushed:2:kill"}
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a", tmp_path / "b"], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_publishing_under_a_name_that_exists_is_an_error_and_changes_nothing(tmp_path):
    files.publish(tmp_path / "a", b"first")
    with pytest.raises(EvolabError, match="a new name"):
        files.publish(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_appended_lines_stay_in_order(tmp_path):
    path = tmp_path / "log"
    for i in range(5):
        files.append_durably(path, str(i))
    assert path.read_text() == "0\n1\n2\n3\n4\n"


def test_a_torn_last_line_is_cut_before_the_next_is_appended(tmp_path):
    path = tmp_path / "log"
    for torn in (b"{", b'{"a": 1}', b"\0" * 200_000, b"x" * 70_000):
        path.write_bytes(b'{"n": 0}\n' + torn)
        files.append_durably(path, '{"n": 1}')
        assert path.read_bytes() == b'{"n": 0}\n{"n": 1}\n'
    path.write_bytes(b"no newline at all")
    files.append_durably(path, "{}")
    assert path.read_bytes() == b"{}\n"


def test_a_line_with_a_line_break_is_refused(tmp_path):
    with pytest.raises(EvolabError, match="one line"):
        files.append_durably(tmp_path / "log", "a\nb")


def test_a_kill_at_any_step_of_appending_loses_no_line_that_was_acknowledged(tmp_path):
    path = tmp_path / "log"
    lines = files.JsonLines(path, durable=True)
    lines.append({"n": 0})
    steps = steps_of(lines.append, {"n": 0})
    for step in steps:
        before = files.read_jsonl(path)
        killed_at(step, lines.append, {"n": 1})
        assert files.read_jsonl(path)[: len(before)] == before
    assert [step.split(":")[0] for step in steps] == [
        *(f"append.{step}" for step in ("begun", "opened", "written", "synced", "done"))
    ]
    killed_at("append.named:1", files.append_durably, tmp_path / "new", "{}")
    assert files.read_jsonl(tmp_path / "new") == [{}]


def test_a_torn_last_line_is_ignored(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"n": 0}\n{"n": 1}\n{"n": 2')
    assert files.read_jsonl(path) == files.tail_jsonl(path, 9) == [{"n": 0}, {"n": 1}]


def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "m.jsonl"
    for damage in (b"{oops", b"[1]", b"", b"[" * 100_000, b"\xff"):
        path.write_bytes(b'{"n": 0}\n' + damage + b'\n{"n": 2}\n')
        with pytest.raises(EvolabError, match="line 2") as caught:
            files.read_jsonl(path)
        assert "\n" not in str(caught.value)


def test_a_missing_log_is_an_empty_one(tmp_path):
    assert files.read_jsonl(tmp_path / "none") == files.tail_jsonl(tmp_path / "none", 3) == []


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=40), max_size=40), st.integers(0, 45))
def test_the_tail_is_the_end_of_the_whole(tmp_path_factory, texts, n):
    path = tmp_path_factory.mktemp("tail") / "m.jsonl"
    files.JsonLines(path, durable=False).extend([{"text": text} for text in texts])
    whole = files.read_jsonl(path)
    assert [record["text"] for record in whole] == texts
    assert files.tail_jsonl(path, n) == (whole[-n:] if n else [])


def test_the_tail_of_a_large_file_costs_no_more_than_its_last_blocks(tmp_path):
    path = tmp_path / "m.jsonl"
    with open(path, "wb") as file:
        file.truncate(10**11)  # sparse: reading it whole would take minutes and 100 GB
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + b"".join(b'{"n": %d}\n' % n for n in range(20_000)))
    assert files.tail_jsonl(path, 10_000)[0] == {"n": 10_000}


def test_nan_and_infinity_are_written_as_null_and_numpy_as_numbers(tmp_path):
    path = tmp_path / "m.jsonl"
    record = {"nan": math.nan, "inf": -math.inf, "f": np.float32(0.5), "i": np.int64(3), "a": np.array([1.0, np.nan])}
    files.JsonLines(path, durable=True).append({**record, "b": True, "path": Path("x"), "t": (1, None)})
    (line,) = path.read_text().splitlines()
    plain = {"nan": None, "inf": None, "f": 0.5, "i": 3, "a": [1.0, None], "b": True, "path": "x", "t": [1, None]}
    assert json.loads(line) == plain


def test_what_is_not_data_is_not_written():
    with pytest.raises(TypeError, match="object"):
        files.dumps({"a": object()})


def test_json_keeps_the_order_of_its_keys(tmp_path):
    files.write_json(tmp_path / "a.json", {"z": 1, "a": 2})
    assert list(files.read_json(tmp_path / "a.json")) == ["z", "a"]


def test_reading_json_that_is_not_there_or_damaged_is_one_clear_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot read .*none"):
        files.read_json(tmp_path / "none")
    for damage in (b"", b"{", b"[]", b"\xff\xfe"):
        (tmp_path / "a.json").write_bytes(damage)
        with pytest.raises(EvolabError, match="JSON object") as caught:
            files.read_json(tmp_path / "a.json")
        assert "\n" not in str(caught.value)


def test_a_full_disk_is_a_disk_error():
    with pytest.raises(DiskError, match="free space") as caught:
        files.append_durably("/dev/full", "x")
    assert caught.value.exit_code == 74 and "\n" not in str(caught.value)


def _write_beyond_the_limit(folder):
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    lines = files.JsonLines(folder / "log", durable=True)
    lines.append({"n": 0})
    for attempt in (
        lambda: files.publish(folder / "p", b"x" * 5000),
        lambda: files.replace_atomically(folder / "r", b"x" * 5000),
        lambda: lines.append({"long": "x" * 5000}),
    ):
        with pytest.raises(DiskError, match="room"):
            attempt()
    assert lines.path.read_bytes() == b'{"n": 0}\n'
    lines.append({"n": 1})


def test_a_write_cut_short_is_a_disk_error_and_leaves_no_trace(tmp_path):
    files.replace_atomically(tmp_path / "r", b"old")
    assert in_a_process(_write_beyond_the_limit, tmp_path) == 0
    assert sorted(os.listdir(tmp_path)) == ["log", "r"]
    assert (tmp_path / "r").read_bytes() == b"old"
    assert files.read_jsonl(tmp_path / "log") == [{"n": 0}, {"n": 1}]


def _write_as_nobody(folder):
    os.setgid(65534)
    os.setuid(65534)
    with pytest.raises(ConfigError, match="permission") as caught:
        files.replace_atomically(folder / "a", b"x")
    assert caught.value.exit_code == 78 and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="permission"):
        files.make_folder(folder / "b" / "c")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_folder_without_permission_is_a_config_error(tmp_path):
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    assert in_a_process(_write_as_nobody, tmp_path) == 0


def test_a_folder_that_is_not_there_is_a_config_error(tmp_path):
    (tmp_path / "file").touch()
    for folder in ("none", "file"):
        with pytest.raises(ConfigError, match="usable path"):
            files.replace_atomically(tmp_path / folder / "a", b"x")


def test_making_a_folder_twice_is_no_error(tmp_path):
    assert files.make_folder(tmp_path / "a" / "b") == files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_the_kernel_sees_write_then_fsync_then_rename_then_fsync_of_the_folder(tmp_path):
    code = "import sys; from islands import files; files.publish(sys.argv[1], b'some content')"
    command = ["strace", "-y", "-e", "trace=write,fsync,rename,renameat,renameat2", "-o", tmp_path / "trace"]
    folder = files.make_folder(tmp_path / "box")
    subprocess.run([*command, sys.executable, "-c", code, folder / "a"], check=True)
    calls = [line for line in (tmp_path / "trace").read_text().splitlines() if str(folder) in line]
    assert [call.split("(")[0] for call in calls] == ["write", "write", "fsync", "rename", "fsync"]
    assert ".tmp>" in calls[2] and f"<{folder}>)" in calls[4]
