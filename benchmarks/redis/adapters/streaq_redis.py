"""streaq."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

BATCH = 1_000

streaq: Any = import_module("streaq")
worker = streaq.Worker(
    redis_url=workload.URL,
    concurrency=workload.CONCURRENCY,
    prefetch=workload.CONCURRENCY,
    anyio_kwargs={"use_uvloop": True},
)
#: Silent: it logs every task otherwise.
TASKS = {name: worker.task(silent=True)(getattr(workload, name)) for name in ("noop", "pause")}


class Adapter:
    """The worker object, connected but not running."""

    async def start(self) -> None:
        """Connect."""
        await worker.__aenter__()

    async def stop(self) -> None:
        """Disconnect."""
        await worker.__aexit__(None, None, None)

    async def submit(self, task: str, argument: Any) -> Any:
        """One by one."""
        return await TASKS[task].enqueue(argument)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """``enqueue_many``, a thousand at a time."""
        handles: list[Any] = []
        for start in range(0, len(arguments), BATCH):
            batch = [TASKS[task].enqueue(argument) for argument in arguments[start : start + BATCH]]
            await worker.enqueue_many(batch)
            handles += batch
        return handles

    async def read(self, handle: Any) -> object:
        """Its ``result`` takes 100 ms even of what is there, so the key is read as ``result`` reads it."""
        raw = await worker.redis.get(worker.results_key + handle.id)
        return (await worker.deserialize(raw))["r"] if raw else None

    async def result(self, handle: Any, timeout: float) -> object:
        """Pushed."""
        return (await handle.result(timeout)).result
