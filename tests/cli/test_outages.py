"""``flowrra worker`` while its broker is away."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest


def test_it_waits_for_its_broker(shared: Any, fault: Any, until: Any, end: Any, ask: Any) -> None:
    """Says so once, and again when it works; meanwhile it is alive but not ready."""
    fault("down")
    worker = shared.start("worker", "tasks:app", "--health-port", "0")
    seen = until(worker.stderr, "trying again until it works")
    address = re.search(r"http://127.0.0.1:\d+", seen)
    assert address is not None
    assert "the worker can't start: TransientError: the server at tasks.queue is away; trying again" in seen

    assert ask(f"{address[0]}/live") == (200, {"status": "ok", "worker": None})
    assert ask(f"{address[0]}/ready") == (
        503, {"status": "failing", "started": False, "draining": False, "broker": False},
    )  # fmt: skip

    fault("")
    seen = until(worker.stderr, "Ctrl-C ends it")
    assert re.search(r"works again after \d+ failures", seen)
    assert "trying again" not in seen
    assert ask(f"{address[0]}/ready")[0] == 200
    assert end(worker, signal.SIGTERM).code == 0


@pytest.mark.parametrize("kind", ["down", "silent"])
def test_a_signal_ends_the_waiting(shared: Any, fault: Any, until: Any, end: Any, kind: str) -> None:
    fault(kind)
    worker = shared.start("worker", "tasks:app", "--health-port", "0")
    until(worker.stderr, "health")

    ended = end(worker, signal.SIGTERM)

    assert ended.code == 0
    assert "SIGTERM: stopped before it had started" in ended.err


@pytest.mark.parametrize("options", [(), ("-o", "json")])
def test_a_refused_login_is_told(shared: Any, fault: Any, options: tuple[str, ...]) -> None:
    fault("refused")

    refused = shared("worker", "tasks:app", *options)

    assert refused.code == 1
    assert "the server at tasks.queue refuses the login" in refused.err


def test_processes_wait_for_their_broker(shared: Any, fault: Any, until: Any, end: Any, ask: Any) -> None:
    """They are neither replaced nor given up meanwhile."""
    fault("down")
    worker = shared.start("worker", "tasks:app", "--processes", "2", "--health-port", "0")
    seen = until(worker.stderr, "trying again until it works")
    address = re.search(r"http://127.0.0.1:\d+", seen)
    assert address is not None
    live, ready = ask(f"{address[0]}/live"), ask(f"{address[0]}/ready")
    assert (live[0], ready[0]) == (200, 503)
    assert {each["up"] for each in live[1]["processes"]} == {False}

    fault("")
    seen = "".join(until(worker.stderr, "Ctrl-C ends it") for _ in range(2))

    assert "takes its place" not in seen
    assert ask(f"{address[0]}/ready")[0] == 200
    assert end(worker, signal.SIGTERM).code == 0
