import os
import subprocess
import sys
from pathlib import Path

from launcher.claims import claimed

ROOT = Path(__file__).parents[2]


def test_the_second_launcher_gets_the_cores_that_the_first_left(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    with claimed((0, 1, 2, 3), 2, folder) as first, claimed((0, 1, 2, 3), 2, folder) as second:
        assert (first.cpus, first.taken) == ((0, 1, 2, 3), ())
        assert (second.cpus, second.taken) == ((2, 3, 0, 1), (0, 1))
    with claimed((0, 1, 2, 3), 1, folder) as later:
        assert later.cpus[0] == 0


def test_a_launcher_that_is_killed_gives_its_cores_back(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    code = (
        "import sys, pathlib, time; from launcher.claims import claimed\n"
        "with claimed((0,), 1, pathlib.Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "mine\n"
        with claimed((0,), 1, folder) as now:
            assert len(now.taken) == 1
        other.kill()
    with claimed((0,), 1, folder) as now:
        assert now.taken == ()


def test_a_folder_that_is_not_ours_alone_is_not_used(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for folder in (tmp_path / "link", open_to_all):
        with claimed((0, 1), 2, folder) as now:
            assert (now.cpus, now.taken) == ((0, 1), ())
        assert not list(folder.iterdir())
