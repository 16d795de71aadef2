"""From a claim to running tasks, a few in each turn of the loop."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from flowrra.message import Delivery
from flowrra.worker.limits import AT_ONCE

logger: logging.Logger = logging.getLogger("flowrra.worker")


class Starting:
    """Starts deliveries in order. While a large claim is being started, the next may be on its way."""

    def __init__(self, start: Callable[[Sequence[Delivery]], Awaitable[None]]) -> None:
        self._start = start
        self._task: asyncio.Task[None] | None = None
        #: How many tasks of each lane were claimed but are still to be started.
        self.waiting: Counter[str] = Counter()

    async def begin(self, deliveries: Sequence[Delivery]) -> None:
        """Start *deliveries*, after those before them. Returns when what is left needs nobody's waiting."""
        await self.finish()
        if len(deliveries) <= AT_ONCE:
            await self._start(deliveries)
            await asyncio.sleep(0)
            return
        self.waiting.update(delivery.message.lane for delivery in deliveries)
        self._task = asyncio.create_task(self._go_through(deliveries))

    async def finish(self) -> None:
        """Suspend until everything is started."""
        if self._task is not None:
            await self._task
            self._task = None

    async def _go_through(self, deliveries: Sequence[Delivery]) -> None:
        """The short end before the next begin, which keeps few objects alive."""
        for first in range(0, len(deliveries), AT_ONCE):
            chunk = deliveries[first : first + AT_ONCE]
            self.waiting.subtract(delivery.message.lane for delivery in chunk)
            try:
                await self._start(chunk)
            except Exception:
                logger.exception("%d claimed tasks could not be started; they will run again", len(chunk))
            await asyncio.sleep(0)
