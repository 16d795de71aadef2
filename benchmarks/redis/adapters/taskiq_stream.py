"""taskiq: ``RedisStreamBroker`` and ``RedisAsyncResultBackend``, as its documentation recommends."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

KEPT = 3_600

taskiq: Any = import_module("taskiq")
taskiq_redis: Any = import_module("taskiq_redis")
broker = taskiq_redis.RedisStreamBroker(workload.URL).with_result_backend(
    taskiq_redis.RedisAsyncResultBackend(workload.URL, result_ex_time=KEPT)
)
TASKS = {name: broker.task(task_name=name)(getattr(workload, name)) for name in ("noop", "pause")}


class Adapter:
    """The broker, started outside of a worker."""

    async def start(self) -> None:
        """Connect, and make the consumer group."""
        await broker.startup()

    async def stop(self) -> None:
        """Disconnect."""
        await broker.shutdown()

    async def submit(self, task: str, argument: Any) -> Any:
        """One by one."""
        return await TASKS[task].kiq(argument)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """It has no batches."""
        return await workload.gather(self, task, arguments)

    async def read(self, handle: Any) -> object:
        """What the result backend holds."""
        return (await handle.get_result()).return_value if await handle.is_ready() else None

    async def result(self, handle: Any, timeout: float) -> object:
        """Polled; its own interval is 200 ms."""
        try:
            found = await handle.wait_result(check_interval=workload.POLL, timeout=timeout)
        except taskiq.TaskiqResultTimeoutError as error:
            raise TimeoutError from error
        return found.return_value
