"""SAQ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

#: One is its default, and a job that was swept isn't run again then.
RETRIES = 3

redis: Any = import_module("redis.asyncio")
queues: Any = import_module("saq.queue.redis")
saq: Any = import_module("saq")
queue = queues.RedisQueue(redis.from_url(workload.URL))


async def noop(_: Any, *, number: int) -> int:
    """The first task, with the context that its functions take."""
    return await workload.noop(number)


async def pause(_: Any, *, number: int) -> int:
    """The second."""
    return await workload.pause(number)


settings = {"queue": queue, "functions": [noop, pause], "concurrency": workload.CONCURRENCY}


class Adapter:
    """The queue."""

    async def start(self) -> None:
        """Connect, and sweep the empty queue.

        A worker sweeps as it starts, unless that was done within a minute, and takes jobs that it has just
        fetched itself for abandoned ones: they run twice, and some lose their results (SAQ issue 277).
        """
        await queue.connect()
        await queue.sweep()

    async def stop(self) -> None:
        """Disconnect."""
        await queue.disconnect()

    async def submit(self, task: str, argument: Any) -> Any:
        """One by one."""
        return await queue.enqueue(task, number=argument, retries=RETRIES)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """It has no batches."""
        return await workload.gather(self, task, arguments)

    async def read(self, handle: Any) -> object:
        """The result of a job that is complete."""
        await handle.refresh()
        return handle.result if handle.status == saq.Status.COMPLETE else None

    async def result(self, handle: Any, timeout: float) -> object:
        """Polled, as its ``apply`` does; its own interval is 500 ms."""
        async with asyncio.timeout(timeout):
            while True:
                found = await self.read(handle)
                if found is not None:
                    return found
                await asyncio.sleep(workload.POLL)
