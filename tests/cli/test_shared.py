"""Commands that work on queues and runs of other processes."""

from __future__ import annotations

import json
import signal
from typing import Any


def test_submit_prints_the_id_and_runs_shows_it(shared: Any) -> None:
    submitted = shared("submit", "tasks:app", "add", "1", "--kwargs", '{"b": -2}', "-o", "json").json

    [run] = shared("runs", "-o", "json").json["runs"]
    assert run["task_id"] == submitted["id"]
    assert (run["task_name"], run["status"], run["args"], run["kwargs"]) == ("add", "pending", [1], {"b": -2})
    shown = shared("runs", "show", submitted["id"][-8:])
    assert f"task_id       {submitted['id']}" in shown.out


def test_negative_numbers_are_arguments(shared: Any) -> None:
    shared("submit", "tasks:app", "add", "-1", "-2.5")

    assert shared("-o", "json", "runs").json["runs"][0]["args"] == [-1, -2.5]


def test_submit_waits_for_a_worker(shared: Any, until: Any, end: Any) -> None:
    """The worker runs in one process, ``submit --wait`` in another; failure is exit code 1."""
    worker = shared.start("worker", "tasks:app", "-o", "json")
    until(worker.stdout, "worker")

    added = shared("submit", "tasks:app", "add", "1", "2", "--wait", "-o", "json")
    failed = shared("submit", "tasks:app", "fail", "--wait")

    assert (added.code, added.json["result"]) == (0, 3)
    assert (failed.code, "FAILED    fail" in failed.out, "ValueError: no reason" in failed.out) == (
        1,
        True,
        True,
    )
    assert [run["status"] for run in shared("runs", "-o", "json").json["runs"]] == ["failed", "success"]
    assert [run["task_name"] for run in shared("runs", "--status", "failed", "-o", "json").json["runs"]] == [
        "fail"
    ]
    lines = [json.loads(line) for line in end(worker, signal.SIGTERM).out.splitlines()]
    assert [line["status"] for line in lines if "status" in line] == ["success", "retrying", "failed"]


def test_submit_gives_up_waiting(shared: Any) -> None:
    late = shared("submit", "tasks:app", "add", "1", "2", "--wait", "--timeout", "0.1")

    assert late.code == 1
    assert "has no result after 0.1 s; is a worker running?" in late.err


def test_runs_are_cancelled_repeated_and_deleted(shared: Any) -> None:
    run = shared("submit", "tasks:app", "add", "1", "2", "-o", "json").json["id"]

    assert shared("runs", "delete", run).code == 1
    assert shared("runs", "cancel", run, "-o", "json").json == {"id": run, "cancelled": True}
    assert shared("runs", "cancel", run).out == "not cancelled: it has ended, or doesn't stop\n"
    again = shared("runs", "retry", run, "-o", "json").json
    assert again["retry_of"] == run
    assert shared("runs", "requeue", run).code == 1
    assert shared("runs", "delete", run, "-o", "json").json == {"id": run, "deleted": True}
    assert [each["task_id"] for each in shared("runs", "-o", "json").json["runs"]] == [again["id"]]
    unknown = shared("runs", "show", run)
    assert (unknown.code, f"no run with id '{run}'" in unknown.err) == (1, True)


def test_runs_come_in_pages(shared: Any) -> None:
    for number in range(3):
        shared("submit", "tasks:app", "add", str(number), "0")

    first = shared("runs", "--limit", "2", "-o", "json").json
    second = shared("runs", "--limit", "2", "--cursor", first["next"], "-o", "json").json

    assert [run["args"][0] for run in (*first["runs"], *second["runs"])] == [0, 1, 2]
    assert second["next"] is None
    assert "more: --cursor" in shared("runs", "--limit", "2").out
    assert "is no cursor" in shared("runs", "--cursor", "x").err


def test_queues_are_listed_paused_resumed_and_purged(shared: Any) -> None:
    shared("submit", "tasks:app", "add", "1", "2")
    shared("submit", "tasks:app", "nap", "1", "--delay", "60")

    assert shared("queues", "pause", "default").out == (
        "default is paused; undo: flowrra queues resume default\n"
    )
    listed = shared("queues", "-o", "json").json
    assert [(each["queue"], each["ready"], each["delayed"], each["paused"]) for each in listed] == [
        ("default", 1, 0, True),
        ("slow", 0, 1, False),
    ]
    assert "paused" in shared("queues", "list").out
    assert shared("queues", "resume", "default", "-o", "json").json == {"queue": "default", "paused": False}
    assert shared("queues", "purge", "slow").code == 130
    assert shared("queues", "purge", "slow", "--yes", "-o", "json").json == {"queue": "slow", "deleted": 1}
    assert shared("queues", "purge", "default", "--yes").out == "deleted from default: 1 waiting\n"


def test_an_application_brings_its_own_broker(shared: Any) -> None:
    """``--app`` needs no configuration, lists the queues that its tasks name, and excludes URLs."""
    del shared.environ["FLOWRRA_BROKER_URL"]

    assert [each["queue"] for each in shared("queues", "--app", "tasks:app", "-o", "json").json] == [
        "default",
        "slow",
    ]
    both = shared("queues", "--app", "tasks:app", "--broker", "memory://")
    assert (both.code, "leave out --broker" in both.err) == (2, True)


def test_several_worker_processes_end_together(shared: Any, until: Any, end: Any) -> None:
    supervisor = shared.start("worker", "tasks:app", "--processes", "2")
    names = {until(supervisor.stderr, "worker ").split(" on ")[0].split()[-1] for _ in range(2)}
    assert len(names) == 2

    ended = end(supervisor, signal.SIGTERM)

    assert ended.code == 0
    assert ended.err.count("stopped") == 2


def test_doctor_reaches_broker_and_backend(shared: Any) -> None:
    shared("submit", "tasks:app", "add", "1", "2")

    report = shared("doctor", "-o", "json").json

    found = {finding["name"]: finding for finding in report["findings"]}
    assert report["ok"]
    assert "tasks waiting: 1, dead: 0, queues: 1" in found["broker"]["detail"]
    assert "FLOWRRA_BROKER_URL" in found["configuration"]["detail"]
