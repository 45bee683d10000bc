"""Islands that come to a running archipelago from elsewhere, and leave it again, without anybody being told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from islands import files
from islands.rundir import IslandDir, RunDir
from tests.launcher.launches import ROOT, at_generation, evolab, wait_for

TINY = ["-c", "quick", "-p", "30", "--set", "task.duration=1", "--migrate-every", "5", "--migrants", "3"]


def sources(island: IslandDir) -> set[str]:
    """Whose genomes an island has been offered."""
    lines = files.read_jsonl(island.migrations) if island.migrations.exists() else []
    return {line["source"] for line in lines if line.get("source") and "admitted" in line}


def test_an_island_of_another_launcher_is_served_and_serves_and_may_leave(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launcher", "launch", *TINY, "--islands", "2", "-g", "100000", "--out", "mine"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path))
    run = RunDir(tmp_path / "mine")
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as launched:
        try:
            island = wait_for(lambda: run.plan.exists() and run.islands())[0]
            wait_for(at_generation(island, 5), within=60)
            came = evolab(tmp_path, "evolve", "newcomer", *TINY, "-g", 40, "--migration-dir", "shared/mine")
            assert came.returncode == 0, came.stderr
            served = sources(RunDir(tmp_path / "runs" / "newcomer").island("newcomer"))
            assert served and served <= {"island-000", "island-001"}
            for each in run.islands():
                wait_for(lambda each=each: "newcomer" in sources(each), within=60)
            left = at_generation(island, 0)()
            wait_for(at_generation(island, (left or {"generation": 0})["generation"] + 20), within=60)
        finally:
            launched.send_signal(signal.SIGTERM)
            launched.wait(60)
    assert launched.returncode == 143
