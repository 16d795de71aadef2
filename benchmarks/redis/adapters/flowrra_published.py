"""Flowrra 0.1.8, the release before this one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

#: Each of its slots holds a connection while it waits; its own 50 don't serve a hundred slots.
CONNECTIONS = 400

flowrra: Any = import_module("flowrra")
app = flowrra.Flowrra(
    flowrra.Config(
        broker=flowrra.BrokerConfig(url=workload.URL, max_connections=CONNECTIONS),
        backend=flowrra.BackendConfig(url=workload.URL, max_connections=CONNECTIONS),
        executor=flowrra.ExecutorConfig(io_workers=workload.CONCURRENCY),
    )
)
TASKS = {name: app.task()(getattr(workload, name)) for name in ("noop", "pause")}


class Adapter:
    """A producer. It has none that doesn't run tasks too, so its executor is marked as running by hand."""

    async def start(self) -> None:
        """Connect with the first call."""
        app._io_executor._running = True

    async def stop(self) -> None:
        """Nothing was started."""

    async def submit(self, task: str, argument: Any) -> str:
        """One by one."""
        return await app.submit(TASKS[task], argument)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[str]:
        """It has no batches."""
        return await workload.gather(self, task, arguments)

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
    await app.start()
    await stopped.wait()
    await app.stop(wait=False)


if __name__ == "__main__":
    asyncio.run(work())
