"""``flowrra worker`` as a process, with queues in its memory."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest

#: An application whose tasks are submitted as its module is imported.
BUSY = """
from tasks import *
for number in range(3):
    app.sync.submit(add, number, 1)
app.sync.submit(fail, "as " + "expected " * 40)
app.sync.submit(nap, {nap})
"""


def test_a_line_per_run(flowrra: Any, until: Any, end: Any) -> None:
    """Task, short id, wait, run time, and result or error with its place."""
    flowrra.write("busy.py", BUSY.format(nap=0))
    worker = flowrra.start("worker", "busy:app")
    seen = until(worker.stderr, "FAILED")
    seen += end(worker, signal.SIGTERM).err

    assert re.search(
        r"worker \S+ on memory://: 4 tasks \(add, block, fail, nap\), queues default, slow", seen
    )
    line = r"\d\d:\d\d:\d\d ok +add  [0-9a-f]{8}  waited [\d.]+ m?s +ran [\d.]+ m?s +→ 3\n"
    assert re.search(line, seen)
    assert re.search(
        r"retry +fail .* ValueError: as expected .*… \(tasks.py:\d+\); attempt 2 in 10 ms\n", seen
    )
    assert re.search(r"→ 'rested'", seen)
    assert seen.endswith(" stopped\n")


def test_log_lines_as_json(flowrra: Any, until: Any, end: Any) -> None:
    flowrra.write("busy.py", BUSY.format(nap=0))
    worker = flowrra.start("worker", "busy:app", "-o", "json")
    seen = until(worker.stdout, '"failed"')
    ended = end(worker, signal.SIGINT)

    lines = [json.loads(line) for line in (seen + ended.out).splitlines() if line != "napping"]
    assert (ended.code, ended.err) == (0, "")
    runs = [line for line in lines if line["logger"] == "flowrra.cli.runs"]
    assert sorted(line["status"] for line in runs) == ["failed", "retrying", *["success"] * 4]
    assert {line["level"] for line in runs} == {"info", "warning", "error"}


@pytest.mark.parametrize("heard", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains(flowrra: Any, until: Any, end: Any, heard: signal.Signals) -> None:
    """What runs ends, what waits stays, and that is no failure."""
    flowrra.write("busy.py", BUSY.format(nap=1))
    worker = flowrra.start("worker", "busy:app", "--queues", "slow")
    until(worker.stdout, "napping")

    ended = end(worker, heard)

    assert ended.code == 0
    assert f"{heard.name}: no more tasks are claimed; 1 running get 30 s to end" in ended.err
    assert "→ 'rested'" in ended.err
    assert " add  " not in ended.err.partition("slots")[2]
    assert "4 tasks are left in memory" in ended.err


def test_the_second_signal_stops_at_once(flowrra: Any, until: Any, end: Any) -> None:
    """Although a thread is busy that can't be stopped."""
    flowrra.write("busy.py", "from tasks import *\napp.sync.submit(block, 600)")
    worker = flowrra.start("worker", "busy:app")
    until(worker.stdout, "blocking")
    worker.send_signal(signal.SIGTERM)
    until(worker.stderr, "Once more to stop at once")

    ended = end(worker, signal.SIGINT)

    assert ended.code == 128 + signal.SIGINT
    assert "stopped at once; handed back: 1" in ended.err


def test_runs_that_went_well_can_be_left_out(flowrra: Any, until: Any, end: Any) -> None:
    flowrra.write("busy.py", BUSY.format(nap=0))
    worker = flowrra.start("worker", "busy:app", "--log-level", "warning", "--concurrency", "1")
    seen = until(worker.stderr, "FAILED")
    seen += end(worker, signal.SIGTERM).err

    assert "→" not in seen
    assert "worker" not in seen


def test_health(flowrra: Any, until: Any, end: Any, ask: Any) -> None:
    """Alive and ready; alive but not ready while it drains."""
    flowrra.write("busy.py", BUSY.format(nap=3))
    worker = flowrra.start("worker", "busy:app", "--health-port", "0")
    seen = until(worker.stderr, "worker ")
    until(worker.stdout, "napping")
    address = re.search(r"http://127.0.0.1:\d+", seen)
    assert address is not None

    live, ready = ask(f"{address[0]}/live"), ask(f"{address[0]}/ready?verbose=1")
    lost = ask(f"{address[0]}/nowhere")
    worker.send_signal(signal.SIGTERM)
    until(worker.stderr, "Once more")
    draining, alive = ask(f"{address[0]}/ready"), ask(f"{address[0]}/live")

    assert (live[0], live[1]["status"], live[1]["running"]) == (200, "ok", 1)
    assert ready == (200, {"status": "ok", "started": True, "draining": False, "broker": True})
    assert (lost[0], alive[0]) == (404, 200)
    assert (draining[0], draining[1]["status"], draining[1]["draining"]) == (503, "failing", True)
    assert end(worker).code == 0


def test_a_port_that_is_taken_is_refused(flowrra: Any, until: Any) -> None:
    first = flowrra.start("worker", "tasks:app", "--health-port", "0")
    port = re.search(r"127.0.0.1:(\d+)", until(first.stderr, "health"))
    assert port is not None

    second = flowrra("worker", "tasks:app", "--health-port", port[1])

    assert second.code == 2
    assert f"--health-port {port[1]} on 127.0.0.1 can't be used" in second.err


def test_an_ignored_broker_is_mentioned(flowrra: Any, until: Any) -> None:
    """The environment names one, but the application was made without looking there."""
    flowrra.environ["FLOWRRA_BROKER_URL"] = "redis://user:secret@host/0"
    worker = flowrra.start("worker", "tasks:app")

    seen = until(worker.stderr, "Ctrl-C")

    assert "redis://user:***@host/0 is not used" in seen
    assert "Flowrra(Config.load())" in seen


def test_processes_need_a_broker_that_they_share(flowrra: Any) -> None:
    refused = flowrra("worker", "tasks:app", "--processes", "2")

    assert refused.code == 2
    assert "--processes 2: a queue on memory://" in refused.err
    assert "sqlite:///flowrra.db or redis://localhost:6379/0" in refused.err
