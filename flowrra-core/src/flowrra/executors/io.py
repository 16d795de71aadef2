"""The executor of ``async def`` tasks: they run on the application's event loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from flowrra.call import Call, enter_call
from flowrra.config import ExecutorConfig
from flowrra.executors.turns import Slotted
from flowrra.protocols import ExecutorFactory


class IOExecutor(Slotted):
    """Awaits coroutine functions on the running loop, up to ``num_workers`` at once.

    A coroutine belongs to whoever awaits ``execute``: cancelling that cancels the task.
    """

    def __init__(self, config: ExecutorConfig) -> None:
        super().__init__(config.num_workers)

    def check(self, function: Callable[..., Any]) -> None:
        """Raise TypeError if *function* is no coroutine function."""
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"executor 'io' needs async def: {function.__qualname__!r} is a plain def, which would "
                "hold up the loop; leave the executor out and it runs in a thread"
            )

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stop(self, grace: float) -> None:
        """Wait up to *grace* seconds for what runs, and refuse what still waits for its turn."""
        await self._turns.drained(grace)
        self._turns.refuse()

    async def execute(self, call: Call) -> object:
        """Await the task's function."""
        turns = self._turns
        if turns.taken < turns.slots:
            turns.taken += 1
        else:
            await turns.take()
        try:
            enter_call(call)
            args, kwargs = call.arguments()
            return await call.task.function(*args, **kwargs)
        finally:
            turns.leave()


executor: ExecutorFactory = IOExecutor
