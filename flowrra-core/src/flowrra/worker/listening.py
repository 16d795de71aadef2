"""The worker's ear: while it is idle, it hears from the broker when there may be something to claim."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from flowrra.clock import Clock
from flowrra.protocols import Broker
from flowrra.worker.backoff import Backoff
from flowrra.worker.limits import LONGEST_WAIT


class Listening:
    """Waits on the broker, one wait at a time, and wakes the worker."""

    def __init__(
        self,
        broker: Broker,
        lease: float,
        queues: Callable[[], Sequence[str]],
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._broker = broker
        # Nobody tells of a lease that ends because its worker died. Whoever asks once in a lease hears of
        # every lease before its end.
        self._longest = min(LONGEST_WAIT, lease)
        self._queues = queues
        self._wake = wake
        self._backoff = Backoff(clock)
        self._lanes: Sequence[str] = ()
        self._task: asyncio.Task[None] | None = None

    def listen(self, lanes: Sequence[str]) -> None:
        """Wake the worker, once, when something may be claimable for *lanes*; never mind what was asked
        before. Without lanes: a full worker must not hear what is meant for an idle one."""
        if self._task is not None and not self._task.done():
            if lanes == self._lanes:
                return
            self._task.cancel()
        self._lanes = lanes
        self._task = asyncio.create_task(self._wait(lanes)) if lanes else None

    async def _wait(self, lanes: Sequence[str]) -> None:
        try:
            await self._broker.wait(self._queues(), lanes, self._longest)
            self._backoff.reset()
        except Exception as error:
            await self._backoff.after(error, "can't wait for tasks")
        self._wake()

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
