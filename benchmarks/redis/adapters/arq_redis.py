"""arq."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

arq: Any = import_module("arq")
connections: Any = import_module("arq.connections")
jobs: Any = import_module("arq.jobs")
SETTINGS = connections.RedisSettings.from_dsn(workload.URL)


async def noop(_: Any, number: int) -> int:
    """The first task, with the context that its functions take."""
    return await workload.noop(number)


async def pause(_: Any, number: int) -> int:
    """The second."""
    return await workload.pause(number)


class Worker:
    """What its command line reads."""

    functions = (noop, pause)
    redis_settings = SETTINGS
    max_jobs = workload.CONCURRENCY
    poll_delay = 0.01


#: Its command line logs every job at INFO.
QUIET = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}


class Adapter:
    """A pool."""

    async def start(self) -> None:
        """Connect."""
        self._pool: Any = await arq.create_pool(SETTINGS)

    async def stop(self) -> None:
        """Disconnect."""
        await self._pool.aclose()

    async def submit(self, task: str, argument: Any) -> Any:
        """One by one."""
        return await self._pool.enqueue_job(task, argument)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """It has no batches."""
        return await workload.gather(self, task, arguments)

    async def read(self, handle: Any) -> object:
        """The result of a job that is complete."""
        found = await handle.result_info()
        return found.result if found else None

    async def result(self, handle: Any, timeout: float) -> object:
        """Polled; its own interval is 500 ms."""
        return await handle.result(timeout=timeout, poll_delay=workload.POLL)
