"""Calling plain functions: what threads and processes have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from flowrra.call import Call
from flowrra.exceptions import TaskDefinitionError


def call_plain(call: Call) -> object:
    """Decode the arguments, call the function and return its value.

    Raises:
        TaskDefinitionError: The function returned an awaitable, which nobody here could await.
    """
    args, kwargs = call.arguments()
    value: object = call.task.function(*args, **kwargs)
    if hasattr(type(value), "__await__"):
        _refuse(call.name, value)
    return value


def _refuse(name: str, value: object) -> None:
    kind = type(value).__name__
    if isinstance(value, Coroutine):
        value.close()
    raise TaskDefinitionError(
        f"task {name!r} is a plain function but returned an awaitable ({kind}); "
        "make it async def and await there"
    )


def check_plain(function: Callable[..., Any], option: str, advice: str) -> None:
    """Raise TypeError if *function* is a coroutine function: *option* runs none, *advice* is the way out."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{option} needs a plain def: {function.__qualname__!r} is async def; {advice}")
