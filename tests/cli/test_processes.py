"""``flowrra worker --processes N``: worker processes that are looked after."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Beside the tasks of ``tasks.py``, one that ends its process; and a module that fails in worker processes.
FATAL = """
import sys, os
from tasks import *

@app.task()
def die():
    os._exit(7)

if {condition} and "--supervised" in sys.argv:
    {failure}
"""


@pytest.fixture
def two(shared: Any, until: Callable[..., str]) -> Callable[..., tuple[Any, list[int]]]:
    """``two(*options)``: two supervised processes that are up, as their supervisor and their ids."""

    def two(*options: str) -> tuple[Any, list[int]]:
        shared.write("fatal.py", FATAL.format(condition=False, failure="pass"))
        supervisor = shared.start("worker", "fatal:app", "--processes", "2", *options)
        seen = until(supervisor.stderr, "Ctrl-C ends it")
        while seen.count("Ctrl-C ends it") < 2:
            seen += until(supervisor.stderr, "Ctrl-C ends it")
        return supervisor, [int(pid) for pid in re.findall(r"process (\d+) started", seen)]

    return two


def test_a_killed_process_is_replaced(two: Any, until: Any, end: Any) -> None:
    supervisor, [first, second] = two()

    os.kill(first, signal.SIGKILL)
    seen = until(supervisor.stderr, "Ctrl-C ends it")
    ended = end(supervisor, signal.SIGTERM)

    assert f"process {first} was killed by SIGKILL; another takes its place in 1 s\n" in seen
    [third] = [int(pid) for pid in re.findall(r"process (\d+) started", seen)]
    assert len({first, second, third}) == 3
    assert ended.code == 0
    assert "SIGTERM: all processes end. Once more to stop at once." in ended.err
    assert ended.err.count(" stopped\n") == 2
    for pid in (first, second, third):
        wait_for_end(pid)


def test_a_process_that_a_task_ended_is_replaced(two: Any, shared: Any, until: Any, end: Any) -> None:
    supervisor, pids = two()

    shared("submit", "fatal:app", "die")
    seen = until(supervisor.stderr, "exited with code")

    assert re.search(rf"process ({pids[0]}|{pids[1]}) exited with code 7; another takes its place", seen)
    assert end(supervisor, signal.SIGINT).code == 0


def test_replacing_slows_down(shared: Any, until: Any, end: Any) -> None:
    """Processes that die again and again while they start don't keep the machine busy."""
    shared.write("fatal.py", FATAL.format(condition=True, failure="os._exit(7)"))
    supervisor = shared.start("worker", "fatal:app", "--processes", "2")

    seen = until(supervisor.stderr, "in 2 s") + until(supervisor.stderr, "in 2 s")
    ended = end(supervisor, signal.SIGTERM)

    assert [seen.count(f"takes its place in {pause} s") for pause in (1, 2, 4)] == [2, 2, 0]
    assert (ended.code, "Traceback" in ended.err) == (0, False)


def test_processes_that_refuse_to_start_are_not_replaced(shared: Any) -> None:
    shared.write("fatal.py", FATAL.format(condition=True, failure="os._exit(2)"))

    refused = shared("worker", "fatal:app", "--processes", "2")

    assert refused.code == 2
    assert "exited with code 2 before it was up, as did all others: none is started again" in refused.err


def test_a_refused_login_ends_them_all(shared: Any, fault: Any) -> None:
    fault("refused")

    refused = shared("worker", "tasks:app", "--processes", "2")

    assert refused.code == 1
    assert refused.err.count("Error: the server at tasks.queue refuses the login") >= 2


def test_one_that_refuses_later_is_replaced(two: Any, until: Any, end: Any, fault: Any) -> None:
    """What the command line says is right, since processes have started with it."""
    supervisor, [first, _] = two()

    fault("refused")
    os.kill(first, signal.SIGKILL)
    seen = until(supervisor.stderr, "exited with code 1; another takes its place in 2 s")
    fault("")

    assert "none is started again" not in seen
    assert end(supervisor, signal.SIGTERM).code == 0


def test_the_first_signal_drains_all(two: Any, shared: Any, until: Any, end: Any) -> None:
    supervisor, _ = two("--concurrency", "1")
    for _ in range(2):
        shared("submit", "tasks:app", "nap", "1")
        until(supervisor.stdout, "napping")

    ended = end(supervisor, signal.SIGINT)

    assert ended.code == 0
    assert ended.err.count("→ 'rested'") == 2


def test_a_signal_to_every_process_is_one_signal(two: Any, shared: Any, until: Any, end: Any) -> None:
    """As systemd sends it: what runs ends, although the supervisor tells its processes too.

    They are held, so that they hear both at the same time.
    """
    supervisor, pids = two()
    shared("submit", "tasks:app", "nap", "0.5")
    until(supervisor.stdout, "napping")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGTERM)
    supervisor.send_signal(signal.SIGTERM)
    until(supervisor.stderr, "all processes end")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)

    ended = end(supervisor)

    assert ended.code == 0, ended.err
    assert "→ 'rested'" in ended.err
    assert "stopped at once" not in ended.err


def test_the_second_signal_stops_all_at_once(two: Any, shared: Any, until: Any, end: Any) -> None:
    supervisor, pids = two()
    shared("submit", "tasks:app", "block", "600")
    until(supervisor.stdout, "blocking")
    supervisor.send_signal(signal.SIGINT)
    until(supervisor.stderr, "1 running get 30 s to end")

    ended = end(supervisor, signal.SIGINT)

    assert ended.code == 128 + signal.SIGINT
    assert "stopped at once; handed back: 1" in ended.err
    for pid in pids:
        wait_for_end(pid)


def test_a_process_that_does_not_stop_is_killed(two: Any, until: Any, end: Any) -> None:
    """Within five seconds of the second signal."""
    supervisor, [first, second] = two()
    os.kill(first, signal.SIGSTOP)
    supervisor.send_signal(signal.SIGTERM)
    until(supervisor.stderr, "all processes end")

    ended = end(supervisor, signal.SIGTERM)

    assert ended.code == 128 + signal.SIGTERM
    assert f"process {first} didn't end in time and is killed" in ended.err
    assert f"process {second}" not in ended.err
    for pid in (first, second):
        wait_for_end(pid)


def test_processes_drain_when_their_supervisor_is_killed(two: Any, shared: Any, until: Any, end: Any) -> None:
    supervisor, pids = two()
    shared("submit", "tasks:app", "nap", "1")
    until(supervisor.stdout, "napping")

    ended = end(supervisor, signal.SIGKILL)  # until nobody has its output open

    assert ended.err.count("the supervising process is gone; this one ends too") == 2
    assert "→ 'rested'" in ended.err
    for pid in pids:
        wait_for_end(pid)


def test_health_of_several_processes(two: Any, until: Any, end: Any, ask: Any) -> None:
    """Ready while one of them is; alive while all of them are, or are being replaced."""
    port = free_port()
    supervisor, [first, second] = two("--health-port", str(port))
    address = f"http://127.0.0.1:{port}"

    live, ready = ask(f"{address}/live"), ask(f"{address}/ready")
    assert (live[0], ready[0]) == (200, 200)
    assert {each["pid"] for each in ready[1]["processes"]} == {first, second}
    assert all(each["worker"] and each["status"] == "ok" for each in live[1]["processes"])

    os.kill(first, signal.SIGKILL)
    until(supervisor.stderr, "was killed by SIGKILL")
    live, ready = ask(f"{address}/live"), ask(f"{address}/ready")
    assert (live[0], ready[0]) == (200, 200)
    assert sorted(each["status"] for each in ready[1]["processes"]) == ["failing", "ok"]
    until(supervisor.stderr, "Ctrl-C ends it")

    os.kill(second, signal.SIGSTOP)
    live = ask(f"{address}/live")
    os.kill(second, signal.SIGCONT)
    assert live[0] == 503
    assert "no answer within 3 s" in json.dumps(live[1])
    assert end(supervisor, signal.SIGTERM).code == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for_end(pid: int) -> None:
    """Until a process that may be nobody's child any more is gone, or nothing but an entry in a table."""
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
