"""Calls for executors, as a worker would make them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from flowrra.call import Call
from flowrra.options import Options
from flowrra.serialization import encode_arguments
from flowrra.task import RetryOptions, Task

ids = itertools.count(1)


def make_task(function: Callable[..., Any], name: str | None = None) -> Any:
    """A task of no application."""
    app: Any = None
    return Task(app, function, name or function.__name__, "any", Options(), RetryOptions())


def make_call(function: Any, *args: Any, **options: Any) -> Call:
    """A call of a function or task."""
    task = function if isinstance(function, Task) else make_task(function)
    return Call(task, f"id-{next(ids)}", encode_arguments(args, {}, what=task.name), **options)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens outside of this loop."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


async def exists(*files: Path) -> None:
    """Wait for files."""
    await until(lambda: all(file.exists() for file in files))


def children() -> set[int]:
    """Process ids of this process's children, those included that ended and weren't collected."""
    found: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(status.parent.name))
    return found


async def error_of(awaitable: Awaitable[object]) -> BaseException:
    """What awaiting raises."""
    try:
        value = await awaitable
    except BaseException as error:
        return error
    raise AssertionError(f"no error but {value!r}")
