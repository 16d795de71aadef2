"""Hooks: mark each message with its origin, and keep a diary of what became of tasks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowrra.hookspecs import hookimpl
from flowrra.message import Message

if TYPE_CHECKING:
    from flowrra import Flowrra, TaskResult

#: The newest thousand things that happened in this process.
diary: deque[str] = deque(maxlen=1000)


@hookimpl
async def flowrra_startup(app: Flowrra) -> None:
    """An async implementation: the place to open a connection of your own."""
    diary.append("started")


@hookimpl
def flowrra_task_submitting(messages: Sequence[Message]) -> None:
    """A plain one, taking only the argument that it needs. Headers travel with the task."""
    for message in messages:
        message.headers["origin"] = f"process {os.getpid()}"


@hookimpl
def flowrra_task_retrying(results: Sequence[TaskResult]) -> None:
    """Results come in batches, as they do for the broker."""
    diary.extend(f"{result.task_name} failed with {result.error} and is tried again" for result in results)


@hookimpl
async def flowrra_task_finished(app: Flowrra, results: Sequence[TaskResult]) -> None:
    """May take up to five seconds; what it raises is logged and harms no task."""
    diary.extend(f"{result.task_name} ended as {result.status.value}" for result in results)


@hookimpl
async def flowrra_shutdown() -> None:
    """The app's connections are still open here."""
    diary.append("stopped")
