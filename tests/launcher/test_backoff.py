"""The rules of restarting, on a clock of our own."""

from pathlib import Path

import pytest

from launcher import supervisor
from launcher.supervisor import Job, Supervisor, Worker


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(Job("island-000", (), tmp_path / "log", (tmp_path / "result",)))


def dies(worker: Worker, at: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said when the worker's process ends with 70 at a moment."""
    told: list[str] = []
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: at)
    watched = Supervisor(Path("run"), [], lambda _, text: told.append(text))
    worker.state, worker.code = "running", 70
    watched._judge(worker)
    return told[-1]


def test_restarts_wait_1_2_4_8_16_seconds_and_the_sixth_death_in_ten_minutes_is_the_last(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, waits = 1000.0, []
    for _ in range(5):
        dies(worker, now, monkeypatch)
        assert worker.state == "backoff"
        waits.append(worker.due - now)
        now = worker.due + 3.0
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert dies(worker, now, monkeypatch) == "died (exit code 70); 5 restarts in 10 minutes are enough"
    assert (worker.state, len(worker.restarts)) == ("failed", 5)


def test_restarts_long_ago_do_not_count(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.restarts = [1000.0 + n for n in range(20)]
    told = dies(worker, 1700.0, monkeypatch)
    assert (worker.state, worker.due) == ("backoff", 1701.0)
    assert told == "died (exit code 70); restart 21 from its checkpoint in 1 s"
