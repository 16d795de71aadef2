"""The command line on Redis: outages, crashes, findings, and passwords that stay where they are."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import RedisServer

CANARY = "canary-4711"

TASKS = """
import asyncio, os
from flowrra import Flowrra

app = Flowrra(broker=os.environ["FLOWRRA_BROKER_URL"])

@app.task()
async def add(a: int, b: int) -> int:
    return a + b

@app.task()
async def nap(seconds):
    print("napping", flush=True)
    await asyncio.sleep(seconds)
"""


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``call(url, *arguments)``: start ``flowrra`` where ``tasks.py`` and the configuration name that URL."""
    (tmp_path / "tasks.py").write_text(TASKS)
    started: list[subprocess.Popen[str]] = []
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FLOWRRA_")}

    def call(url: str, *arguments: str) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-W", "error", "-c", "from flowrra.cli.main import main; main()", *arguments,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environ | {"FLOWRRA_BROKER_URL": url, "COLUMNS": "80"}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def until(stream: Any, text: str) -> str:
    """Read lines until one contains *text*."""
    seen = ""
    for line in stream:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"no {text!r} in: {seen}")


def test_a_worker_waits_for_redis_and_works(call: Any) -> None:
    """It is started before the server, and says so once, without the password."""
    server = RedisServer(requirepass=CANARY, appendonly="yes")
    worker = call(server.url(), "worker", "tasks:app", "--log-level", "debug")
    told = until(worker.stderr, "trying again until it works")
    with server:
        told += until(worker.stderr, "Ctrl-C ends it")
        added = call(server.url(), "submit", "tasks:app", "add", "1", "2", "--wait", "-o", "json")
        out, err = added.communicate(timeout=30)

        assert (json.loads(out)["result"], err) == (3, "")
        worker.send_signal(signal.SIGTERM)
        told += "".join(worker.communicate(timeout=30))

    assert worker.returncode == 0
    assert told.count("the worker can't start: TransientError") == 1
    assert re.search(r"works again after \d+ failures", told)
    assert CANARY not in told


def test_a_signal_ends_a_worker_whose_redis_does_not_answer(call: Any) -> None:
    """Although it can't hand back what it runs."""
    with RedisServer() as server:
        worker = call(server.url(), "worker", "tasks:app", "--drain", "0.2")
        until(worker.stderr, "Ctrl-C ends it")
        call(server.url(), "submit", "tasks:app", "nap", "600").communicate(timeout=30)
        until(worker.stdout, "napping")
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)

        worker.send_signal(signal.SIGTERM)
        _, err = worker.communicate(timeout=14)

    assert worker.returncode == 1
    assert "stopped; the broker doesn't answer: 1 tasks run again when their leases end" in err


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        ({"appendonly": "yes"}, []),
        ({"appendonly": "no"}, ["persistence"]),
        ({"appendonly": "yes", "maxmemory_policy": "allkeys-lru"}, ["eviction"]),
    ],
)
def test_doctor_tells_what_is_wrong_with_the_server_once(
    call: Any, options: dict[str, str], bad: list[str]
) -> None:
    with RedisServer(**options) as server:
        doctor = call(server.url(), "doctor", "-o", "json")
        out, err = doctor.communicate(timeout=30)
        report = json.loads(out)

    assert err == ""
    names = [each["name"] for each in report["findings"]]
    wrong = [each["name"].partition(": ")[2] for each in report["findings"] if not each["ok"]]
    assert (doctor.returncode, wrong) == (1 if bad else 0, bad)
    for name in ("latency", "version", "eviction", "persistence", "memory", "clock", "mode"):
        assert sum(each.endswith(f": {name}") for each in names) == 1


@pytest.mark.parametrize("password", [CANARY, f"wrong-{CANARY}"])
def test_no_command_shows_a_password(call: Any, password: str) -> None:
    """Neither the right one nor a wrong one, at no log level."""
    is_right = password == CANARY
    with RedisServer(requirepass=CANARY) as server:
        url = server.url().replace(CANARY, password)
        worker = call(url, "worker", "tasks:app", "--log-level", "debug")
        if is_right:
            told = until(worker.stderr, "Ctrl-C ends it")
            call(url, "submit", "tasks:app", "add", "1", "2", "--wait").communicate(timeout=30)
            worker.send_signal(signal.SIGTERM)
        else:
            told = ""
        told += "".join(worker.communicate(timeout=30))
        assert worker.returncode == (0 if is_right else 1), told
        for command in (("doctor",), ("doctor", "-o", "json"), ("queues",), ("runs",)):
            told += "".join(call(url, *command).communicate(timeout=30))

    assert CANARY not in told
    assert "***@127.0.0.1" in told
    assert is_right or "refuses the login" in told
