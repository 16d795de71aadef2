"""The application whose worker processes the chaos tests start, kill, freeze and replace.

Each execution writes lines into the journal, a file that all processes append to: what happened, the task's
id, a token that no other execution has, the process and the moment. A task returns its token, so that a
result tells which execution it came from.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flowrra import Config, Flowrra, current_task
from flowrra.hookspecs import hookimpl
from flowrra.result import TaskResult

#: The variable that names the journal.
JOURNAL = "CHAOS_JOURNAL"

_numbers = itertools.count()


class Note(NamedTuple):
    """A line of the journal."""

    #: ``begin`` and ``end`` of an execution; ``accepted``: a worker was told that its outcome counts.
    kind: str
    id: str
    token: str
    pid: int
    #: Monotonic seconds, the same clock in every process.
    at: float

    @classmethod
    def parse(cls, line: str) -> Note:
        """Read a line."""
        kind, task_id, token, pid, at = line.split()
        return cls(kind, task_id, token, int(pid), float(at))


def write(*notes: tuple[str, str, str]) -> None:
    """Append kind, id and token of each to the journal, in one step that no signal cuts."""
    tail = f"{os.getpid()} {time.monotonic():.6f}\n"
    lines = "".join(f"{kind} {task_id} {token} {tail}" for kind, task_id, token in notes)
    file = os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, lines.encode())
    finally:
        os.close(file)


def begin() -> str:
    """Note that this execution begins, and return its token."""
    token = f"{os.getpid()}-{next(_numbers)}"
    write(("begin", current_task().id, token))
    return token


def end(token: str) -> str:
    """Note that this execution has had its effect."""
    write(("end", current_task().id, token))
    return token


async def work(seconds: float = 0.0) -> str:
    """Take some time."""
    token = begin()
    await asyncio.sleep(seconds)
    return end(token)


async def block(seconds: float) -> str:
    """Hold up the event loop."""
    token = begin()
    time.sleep(seconds)  # noqa: ASYNC251 - what must not happen, and does
    return end(token)


async def stumble(seconds: float, failures: int) -> str:
    """Fail as often as told, then succeed."""
    token = begin()
    await asyncio.sleep(seconds)
    if current_task().attempt <= failures:
        raise RuntimeError(token)
    return end(token)


async def advance(seconds: float) -> str:
    """Report progress before and after some time."""
    token = begin()
    current_task().progress(1, 2, token)
    await asyncio.sleep(seconds)
    current_task().progress(2, 2, token)
    return end(token)


async def die(way: str, mended: str) -> str:
    """Take the whole worker down, unless the file *mended* is there."""
    token = begin()
    perish(way, mended)
    return end(token)


def die_apart(way: str, mended: str) -> str:
    """The same in a process of its own."""
    token = begin()
    perish(way, mended)
    return end(token)


def perish(way: str, mended: str) -> None:
    """End this process at once, unless the file *mended* is there."""
    if Path(mended).exists():
        return
    if way == "exit":
        os._exit(0)
    if way == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


async def novelty() -> str:
    """What older versions of the application don't know."""
    return end(begin())


class Witness:
    """A plugin that notes which outcomes were accepted."""

    @hookimpl
    def flowrra_task_finished(self, results: Sequence[TaskResult]) -> None:
        """Note them in one step."""
        write(*(("accepted", each.task_id, str(each.result or each.status.value)) for each in results))


def make_older_app(config: Config | None = None) -> Flowrra:
    """The application before ``novelty`` came."""
    app = Flowrra(config or Config.from_env())
    options: dict[str, Any] = {"max_retries": 3, "retry_delay": 0.1}
    for function in (work, block, stumble, advance, die):
        app.task(**options)(function)
    app.task(cpu_bound=True, **options)(die_apart)
    app.engine.add_plugin(Witness())
    return app


def make_app(config: Config | None = None) -> Flowrra:
    """The application."""
    app = make_older_app(config)
    app.task()(novelty)
    return app


def make_newer_app(config: Config | None = None) -> Flowrra:
    """The application on a version of Flowrra that reads the next format of messages."""
    from flowrra.worker import intake

    intake.FORMAT += 1  # type: ignore[misc]
    return make_app(config)
