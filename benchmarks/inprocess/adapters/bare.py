"""The floor: what asyncio alone takes for a queue with priorities, an id, a future and a result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from benchmarks.inprocess.workload import CONCURRENCY, Job, noop

Item = tuple[int, int, str, Job]


class BareQueue:
    """An ``asyncio.PriorityQueue`` and as many consumers as the others run tasks at once."""

    def __init__(self, room: int) -> None:
        self._queue: asyncio.PriorityQueue[Item] = asyncio.PriorityQueue(room)
        self._futures: dict[str, asyncio.Future[int]] = {}
        self._results: dict[str, int] = {}
        self._consumers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the consumers."""
        self._consumers = [asyncio.create_task(self._consume()) for _ in range(CONCURRENCY)]

    async def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Queue the jobs at one priority, first in first out."""
        queue, futures, loop = self._queue, self._futures, asyncio.get_running_loop()
        ids: list[str] = []
        for order, job in enumerate(jobs):
            task_id = str(uuid4())
            futures[task_id] = loop.create_future()
            await queue.put((0, order, task_id, job))
            ids.append(task_id)
        return ids

    async def _consume(self) -> None:
        queue, futures, results = self._queue, self._futures, self._results
        while True:
            _, _, task_id, job = await queue.get()
            results[task_id] = value = await noop(*job)
            futures[task_id].set_result(value)

    async def wait(self, handle: str) -> None:
        """Await the future."""
        await self._futures[handle]

    async def read(self, handle: str) -> object:
        """The kept result; a KeyError when there is none."""
        return self._results[handle]

    async def stop(self) -> None:
        """Cancel the consumers."""
        for consumer in self._consumers:
            consumer.cancel()
        await asyncio.gather(*self._consumers, return_exceptions=True)
