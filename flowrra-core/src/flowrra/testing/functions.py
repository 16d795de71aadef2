"""What the executor suite runs: every function in a plain and in an async kind, found by import path."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from flowrra.call import current_task

#: Seconds between two looks at a file.
PAUSE: Final = 0.002


class FunctionError(ValueError):
    """What the functions raise."""


def add(a: int, b: int) -> int:
    """A value."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """A value."""
    return a + b


def fail(text: str) -> None:
    """An error."""
    raise FunctionError(text)


async def fail_async(text: str) -> None:
    """An error."""
    raise FunctionError(text)


def facts() -> dict[str, Any]:
    """What a task knows of itself."""
    task = current_task()
    task.log.info("seen %d", 1)
    return {"id": task.id, "name": task.name, "attempt": task.attempt, "queue": task.queue}


async def facts_async() -> dict[str, Any]:
    """What a task knows of itself."""
    return facts()


def hold(started: str, end: str) -> str:
    """Write one file, then wait for another, or to be cancelled."""
    Path(started).touch()
    while not Path(end).exists() and not current_task().cancelled:
        time.sleep(PAUSE)
    return "held"


async def hold_async(started: str, end: str) -> str:
    """Write one file, then wait for another, or to be cancelled."""
    Path(started).touch()  # noqa: ASYNC240  (a file on this machine)
    while not Path(end).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(PAUSE)
    return "held"
