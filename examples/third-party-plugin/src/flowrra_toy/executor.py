"""The executor ``inline``: calls plain functions right on the event loop.

For functions that take microseconds, where handing over to a thread would cost more than
the call. Nothing else runs meanwhile, so neither a timeout nor a cancellation can stop one.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from flowrra.call import Call, enter_call
from flowrra.config import ExecutorConfig
from flowrra.protocols import ExecutorFactory


class InlineExecutor:
    """Runs one call at a time, and is done when ``execute`` is."""

    slots: int = 1

    def __init__(self, config: ExecutorConfig) -> None:
        # ``num_workers`` says nothing to an executor that does one thing at a time.
        del config

    def room(self) -> int:
        """Between two calls there is always room."""
        return self.slots

    def pending_count(self) -> int:
        """Whoever can ask does so between two calls."""
        return 0

    def check(self, function: Callable[..., Any]) -> None:
        """Refuse what would have to be awaited."""
        if iscoroutinefunction(function):
            raise TypeError(
                f"executor 'inline' calls plain functions, but {function.__qualname__!r} is async def; "
                "leave the executor out"
            )

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stop(self, grace: float) -> None:
        """Nothing to end."""

    async def execute(self, call: Call) -> object:
        """Call the task's function here and now."""
        enter_call(call)
        args, kwargs = call.arguments()
        return call.task.function(*args, **kwargs)


executor: ExecutorFactory = InlineExecutor
