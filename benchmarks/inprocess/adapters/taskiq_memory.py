"""taskiq: its in-memory broker, with its in-memory result backend told to keep every result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.inprocess.workload import CONCURRENCY, Job, noop


class Taskiq:
    """``InMemoryBroker``. It starts every task at once: its own limit applies to other brokers only."""

    def __init__(self, room: int) -> None:
        taskiq: Any = import_module("taskiq")
        self._broker = taskiq.InMemoryBroker(max_async_tasks=CONCURRENCY, max_stored_results=-1)
        self._task = self._broker.task(noop)

    async def start(self) -> None:
        """Start the broker."""
        await self._broker.startup()

    async def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Kick the jobs one by one."""
        kick = self._task.kiq
        return [await kick(*job) for job in jobs]

    async def wait(self, handle: Any) -> None:
        """Ask every millisecond; its default is 200 ms."""
        await handle.wait_result(check_interval=0.001)

    async def read(self, handle: Any) -> object:
        """What the result backend holds."""
        return (await handle.get_result()).return_value

    async def stop(self) -> None:
        """Stop the broker."""
        await self._broker.shutdown()
