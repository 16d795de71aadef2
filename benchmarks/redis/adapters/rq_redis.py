"""RQ."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

BATCH = 1_000
#: None is its default, and a job whose worker died counts as failed then.
RETRIES = 3

redis: Any = import_module("redis")
rq: Any = import_module("rq")
TASKS = {"noop": workload.noop_in_thread, "pause": workload.pause_in_thread}


class Adapter:
    """The queue."""

    async def start(self) -> None:
        """Connect."""
        self._redis: Any = redis.Redis.from_url(workload.URL)
        self._queue: Any = rq.Queue(connection=self._redis)
        self._retry: Any = rq.Retry(max=RETRIES)

    async def stop(self) -> None:
        """Disconnect."""
        self._redis.close()

    async def submit(self, task: str, argument: Any) -> Any:
        """One by one."""
        return self._queue.enqueue(TASKS[task], argument, retry=self._retry)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """``enqueue_many``, a thousand at a time."""
        handles: list[Any] = []
        for start in range(0, len(arguments), BATCH):
            few = arguments[start : start + BATCH]
            batch = [rq.Queue.prepare_data(TASKS[task], (each,), retry=self._retry) for each in few]
            handles += self._queue.enqueue_many(batch)
        return handles

    async def read(self, handle: Any) -> object:
        """The newest result of a job."""
        return handle.return_value(refresh=True)

    async def result(self, handle: Any, timeout: float) -> object:
        """It blocks, for whole seconds."""
        found = handle.latest_result(timeout=max(1, round(timeout)))
        if found is None:
            raise TimeoutError
        return found.return_value
