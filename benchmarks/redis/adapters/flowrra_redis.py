"""Flowrra, as it is here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

BATCH = 1_000

flowrra: Any = import_module("flowrra")
app = flowrra.Flowrra(
    flowrra.Config(
        broker=flowrra.BrokerConfig(url=workload.URL),
        executor=flowrra.ExecutorConfig(num_workers=workload.CONCURRENCY),
    )
)
TASKS = {name: app.task()(getattr(workload, name)) for name in ("noop", "pause")}


class Adapter:
    """A producer: an application that is started without workers."""

    async def start(self) -> None:
        """Connect."""
        await app.start(workers=False)

    async def stop(self) -> None:
        """Disconnect."""
        await app.stop()

    async def submit(self, task: str, argument: Any) -> str:
        """One by one."""
        return await app.submit(TASKS[task], argument)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[str]:
        """``submit_many``, a thousand at a time."""
        signature, ids = TASKS[task].signature, list[str]()
        for start in range(0, len(arguments), BATCH):
            batch = [signature(argument) for argument in arguments[start : start + BATCH]]
            ids += [handle.id for handle in await app.submit_many(batch)]
        return ids

    async def read(self, handle: str) -> object:
        """The value of a task that succeeded."""
        found = await app.get_result(handle)
        return found.result if found is not None and found.is_success else None

    async def result(self, handle: str, timeout: float) -> object:
        """Pushed."""
        return (await app.wait_for_result(handle, timeout)).result


async def work() -> None:
    """Run tasks until told to stop."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with app:
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(work())
