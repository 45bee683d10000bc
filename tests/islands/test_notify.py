"""What systemd is told, by a real socket; and that it is told from the work, so that it hears when the work hangs."""

import os
import signal
from types import SimpleNamespace

import pytest

from islands import notify
from islands.notify import Notifier
from tests.islands.evolving import after, evolve, history, make_run, start, tiny
from tests.islands.notify_socket import Listener, is_silent_while, is_stopped


@pytest.fixture(params=["path", "abstract"])
def listener(request, tmp_path, monkeypatch):
    """Listens for this process."""
    found = Listener(tmp_path if request.param == "path" else None)
    monkeypatch.setenv("NOTIFY_SOCKET", found.name)
    yield found
    found.close()


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Listens for this process, which has a watchdog of 20 seconds; and says how to let time pass."""
    found, now = Listener(tmp_path, watchdog=20), [1000.0]
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(notify, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds):
        now[0] += seconds

    yield found, wait
    found.close()


def test_a_message_is_one_datagram_of_lines(listener):
    assert notify.send("READY=1", "STATUS=generation 3 of 9")
    assert listener.datagrams() == [["READY=1", "STATUS=generation 3 of 9"]]


def test_without_a_socket_nothing_is_sent_and_nothing_fails(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.send("READY=1")
    Notifier().turned("generation 3")


@pytest.mark.parametrize(
    "name", ["", "relative/path", "vsock:2:1", "/nowhere/at/all", "/" + "x" * 200, "@" + "x" * 200]
)
def test_a_socket_that_cannot_be_reached_is_no_error(monkeypatch, name):
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not notify.send("READY=1")


def test_a_status_of_two_lines_does_not_become_two_messages(listener):
    notify.send("STATUS=one\nREADY=1")
    assert listener.datagrams() == [["STATUS=one READY=1"]]


def test_nobody_waits_for_a_manager_that_does_not_listen(listener):
    assert any(not notify.send("WATCHDOG=1") for _ in range(10_000))


def test_the_first_turn_is_ready_and_later_ones_are_not(watched):
    listener, wait = watched
    notifier = Notifier()
    notifier.turned("generation 1")
    wait(5)
    notifier.turned("generation 2")
    assert listener.datagrams() == [
        ["READY=1", "WATCHDOG=1", "STATUS=generation 1"],
        ["WATCHDOG=1", "STATUS=generation 2"],
    ]


def test_ready_is_said_again_until_it_was_heard(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notifier = Notifier()
    notifier.turned("generation 1")
    listener = Listener(tmp_path)
    notifier.turned("generation 2")
    assert listener.datagrams() == [["READY=1", "STATUS=generation 2"]]
    listener.close()


def test_thousands_of_turns_a_second_are_one_message_a_second(watched):
    listener, wait = watched
    notifier = Notifier()
    for turn in range(3000):
        notifier.turned(f"generation {turn}")
        wait(0.001)
    assert len(listener.datagrams()) == 3


def test_an_impatient_watchdog_hears_four_times_as_often_as_it_must(tmp_path, monkeypatch, watched):
    listener, wait = watched
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    notifier = Notifier()
    for _ in range(40):
        notifier.turned("on")
        wait(0.0101)
    assert listener.lines().count("WATCHDOG=1") == 4


@pytest.mark.parametrize(("usec", "pid"), [("", None), ("0", None), ("soon", None), ("5000000", "1")])
def test_without_a_watchdog_for_this_process_none_is_told(listener, monkeypatch, usec, pid):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    Notifier().turned("on")
    assert listener.datagrams() == [["READY=1", "STATUS=on"]]


def test_a_watchdog_for_this_process_is_told(listener, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "5000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    Notifier().turned("on")
    assert "WATCHDOG=1" in listener.lines()


def test_long_generations_ask_the_watchdog_for_ten_times_their_length(watched):
    listener, wait = watched
    notifier = Notifier()
    for lap in (1.0, 3.0, 2.0):
        notifier.turned("on", lap)
        wait(5)
    assert [line for line in listener.lines() if line.startswith("WATCHDOG_USEC")] == ["WATCHDOG_USEC=30000000"]


def test_an_island_is_ready_when_its_first_generation_is_evaluated_or_resumed(memory_folder, listener):
    run = make_run(memory_folder / "run", tiny())
    evolve(run, halted=after(3))
    first, *others = listener.datagrams()
    assert first[0] == "READY=1" and first[-1].startswith("STATUS=island-000: generation 1/5, best ")
    assert not any("READY=1" in lines for lines in others)
    evolve(run)
    assert listener.datagrams()[0][-1].startswith("STATUS=island-000: generation 3/5, best ")


def test_a_real_island_reports_from_its_loop_and_is_silent_when_that_stands_still(memory_folder, tmp_path):
    run = make_run(memory_folder / "run", tiny("generations=100000000"))
    listener = Listener(tmp_path, watchdog=0.4)
    process = start(run, **listener.environment)
    try:
        ready = listener.until("READY=1", process)
        assert "WATCHDOG=1" in ready and ready[-1].startswith("STATUS=island-000: generation 1/100000000, best ")
        assert len(history(run)) >= 1
        for _ in range(3):
            assert listener.until("WATCHDOG=1", process)[-1].startswith("STATUS=island-000: generation ")
        process.send_signal(signal.SIGSTOP)
        assert is_silent_while(listener, lambda: is_stopped(process.pid))
        process.send_signal(signal.SIGCONT)
        listener.until("WATCHDOG=1", process)
        process.send_signal(signal.SIGTERM)
        assert listener.until("STOPPING=1")[-1].startswith("STATUS=island-000: generation ")
        assert process.wait(120) == 85
    finally:
        process.kill()
        process.communicate()
        listener.close()


def test_a_real_island_that_had_finished_before_is_ready_and_ends_with_0(memory_folder):
    run = make_run(memory_folder / "run", tiny())
    evolve(run)
    listener = Listener(None)
    with start(run, **listener.environment) as process:
        assert listener.until("READY=1", process)[-1] == "STATUS=finished before"
        assert process.wait(120) == 0
    listener.close()


def test_a_real_island_that_was_stopped_before_it_began_is_ready_and_ends_with_85(memory_folder):
    run = make_run(memory_folder / "run", tiny())
    run.island("island-000").create().stop.touch()
    listener = Listener(None)
    with start(run, **listener.environment) as process:
        assert listener.until("READY=1", process)[-1] == "STATUS=stopped before it began"
        assert process.wait(120) == 85
    listener.close()
